//! Which reader each source of a data section has, and what is refused.

use std::fs;

use autopipe_config::{Learn, OnError, TokenDtype, Tokenizer as TokenizerSource, TooLong};
use tempfile::TempDir;

use super::*;
use crate::data::{EncoderOptions, SourceSize, VOCAB_SIZE};

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tokens: Vec<u8> = (0..50_u16).flat_map(u16::to_le_bytes).collect();
    for (name, content) in [
        ("a.txt", b"some words, and then some more".as_slice()),
        ("b.jsonl", b"{\"prompt\": \"p\", \"completion\": \"c\"}\n{\"text\": \"t\"}\n"),
        ("c.bin", &tokens),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn source(path: &str) -> Source {
    Source {
        paths: vec![path.to_owned()],
        weight: 1.0,
        format: None,
        token_dtype: None,
        text_column: "text".to_owned(),
        prompt_column: "prompt".to_owned(),
        completion_column: "completion".to_owned(),
        messages_column: "messages".to_owned(),
    }
}

fn dataset(sources: Vec<Source>, arrange: Option<Arrange>) -> Dataset {
    Dataset {
        sources,
        seq_len: 4,
        tokenizer: TokenizerSource::Bytes,
        chat_template: None,
        arrange,
        shuffle: true,
        learn: Learn::Completions,
        too_long: TooLong::Truncate,
        on_error: OnError::Stop,
        prefetch: 1,
        max_batches: None,
    }
}

fn open(folder: &TempDir, dataset: &Dataset) -> Result<Loader, Error> {
    let encoder = Encoder::open(&EncoderOptions {
        tokenizer: &dataset.tokenizer,
        model_folder: None,
        chat_template: None,
        learn: dataset.learn,
        base_dir: folder.path(),
    })
    .unwrap();
    let context = DataContext {
        seed: 1,
        vocab_size: VOCAB_SIZE,
        pad_token: 0,
        base_dir: folder.path(),
        encoder: Arc::new(encoder),
    };
    Loader::open(dataset, &context)
}

fn sizes(paths: &[&str], arrange: Option<Arrange>) -> Vec<SourceSize> {
    let sources = paths.iter().map(|path| source(path)).collect();
    open(&folder(), &dataset(sources, arrange)).unwrap().sizes()
}

const TEXT: SourceSize = SourceSize::Tokens { num_files: 1, num_empty: 0, num_rows: 7 };
const TOKENS: SourceSize = SourceSize::Tokens { num_files: 1, num_empty: 0, num_rows: 12 };

fn samples(num_samples: u64) -> SourceSize {
    SourceSize::Samples { num_samples }
}

#[test]
fn names_tell_what_files_hold() {
    assert_eq!(sizes(&["*.txt"], None), [TEXT]);
    assert_eq!(sizes(&["*.bin", "*.jsonl"], None), [TOKENS, samples(2)]);
    // Beside records, text is a sample of its own.
    assert_eq!(sizes(&["*.txt", "*.jsonl"], None), [samples(1), samples(2)]);
    assert_eq!(sizes(&["*.txt", "*.jsonl"], Some(Arrange::Stream)), [TEXT, samples(2)]);
    assert_eq!(sizes(&["*.txt"], Some(Arrange::Pack)), [samples(1)]);
}

#[test]
fn what_a_source_says_of_itself_counts() {
    let as_text = Source { format: Some(DataFormat::Text), ..source("b.jsonl") };
    let loader = open(&folder(), &dataset(vec![as_text], Some(Arrange::Pad))).unwrap();
    assert_eq!(loader.sizes(), [samples(1)]);
    let wide = Source { token_dtype: Some(TokenDtype::Uint32), ..source("c.bin") };
    let loader = open(&folder(), &dataset(vec![wide], None)).unwrap();
    assert_eq!(loader.sizes(), [SourceSize::Tokens { num_files: 1, num_empty: 0, num_rows: 6 }]);
}

#[test]
fn the_arrangement_makes_the_batch() {
    let batch = |paths: &[&str], arrange| {
        let sources = paths.iter().map(|path| source(path)).collect();
        open(&folder(), &dataset(sources, arrange)).unwrap().next_batch(3).unwrap()
    };
    assert!(batch(&["*.bin"], None).position_ids.is_none());
    assert!(batch(&["*.jsonl"], None).position_ids.is_none());
    assert!(batch(&["*.jsonl", "*.bin"], Some(Arrange::Pack)).position_ids.is_some());
    assert_eq!(batch(&["*.txt"], None).num_label_tokens(), 12);
    // Padded: one of the two has a prompt, a completion and the end, the other a text and the end.
    let padded = batch(&["*.jsonl"], None);
    assert!(padded.num_label_tokens() < 6 && padded.num_tokens() < 12);
}

#[test]
fn what_does_not_suit_the_files() {
    let refused = |sources, arrange| {
        let folder = folder();
        let error = open(&folder, &dataset(sources, arrange)).unwrap_err().to_string();
        error.replace(folder.path().to_str().unwrap(), "DIR")
    };
    assert_eq!(
        refused(vec![source("*.bin")], Some(Arrange::Pack)),
        "`arrange: pack` is about samples and tokens have none: they are cut into rows as they come; \
         leave it out"
    );
    assert_eq!(
        refused(vec![source("*")], None),
        "`DIR/c.bin` holds tokens and `DIR/a.txt` does not; make two sources of them"
    );
    let dtype = Some(TokenDtype::Uint16);
    assert_eq!(
        refused(vec![source("*.bin"), Source { token_dtype: dtype, ..source("*.txt") }], None),
        "`token_dtype` is given and the files of source 2 are not `.bin`; leave it out"
    );
    assert_eq!(
        refused(vec![source("*.md")], None),
        "the file pattern `*.md` matches nothing in `DIR`, where relative patterns start"
    );
    let both = refused(vec![source("*.md"), source("a.txt"), source("*.rs")], None);
    assert!(both.contains("`*.md` matches nothing") && both.contains("`*.rs` matches"), "{both}");
    let long = Dataset { seq_len: 50, ..dataset(vec![source("*.bin")], None) };
    assert_eq!(
        open(&folder(), &long).unwrap_err().to_string(),
        "a sequence of 50 tokens needs one more, the files have 50; add files or lower `seq_len`"
    );
}
