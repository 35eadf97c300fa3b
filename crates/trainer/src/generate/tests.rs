//! Text of models that nothing has been taught, and what is refused.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use autopipe::Keywords;
use autopipe_models::{from_config, load_folder};
use candle_core::{Device, Tensor};
use serde_json::json;

use super::{End, Generated, Options, Sampling, generate};
use crate::whole::{build_whole, write_whole};

/// A folder with random weights; every token of the vocabulary is about as likely as another.
fn folder(vocab_size: usize, max_position_embeddings: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "model_type": "llama", "vocab_size": vocab_size, "hidden_size": 16, "intermediate_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.5,
        "max_position_embeddings": max_position_embeddings, "eos_token_id": null,
    });
    write_whole(&from_config(&config, 5).unwrap(), folder.path()).unwrap();
    folder
}

fn options(folder: &Path) -> Options {
    let (model, prompt) = (folder.to_owned(), "a prompt".to_owned());
    Options { model, adapter: None, prompt, max_new_tokens: 12, sampling: None }
}

fn text(options: &Options) -> (String, Generated) {
    let mut text = String::new();
    let generated = generate(options, &mut |piece| {
        assert!(!piece.is_empty());
        text.push_str(piece);
        ControlFlow::Continue(())
    });
    (text, generated.unwrap())
}

fn refused(options: &Options) -> String {
    generate(options, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string()
}

/// The likeliest tokens by forwards of the test's own.
fn likeliest(folder: &Path, prompt: &str, num: usize) -> Vec<u32> {
    let stage = build_whole(&load_folder(folder).unwrap()).unwrap();
    let mut tokens: Vec<u32> = prompt.bytes().map(u32::from).collect();
    for _ in 0..num {
        let input = Tensor::new(&tokens[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let logits =
            stage.forward(&[input], &Keywords::new()).unwrap()[0].to_vec3::<f32>().unwrap();
        let last = logits[0].last().unwrap();
        let best = (0..last.len()).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap();
        tokens.push(u32::try_from(best).unwrap());
    }
    tokens.split_off(prompt.len())
}

#[test]
fn without_a_temperature_the_likeliest_token_follows() {
    let folder = folder(256, 64);
    let options = options(folder.path());
    let (text, generated) = text(&options);
    let expected: Vec<u8> = likeliest(folder.path(), "a prompt", 12)
        .into_iter()
        .map(|token| u8::try_from(token).unwrap())
        .collect();
    assert!(!expected.contains(&0), "the test needs a model that does not end the text");
    assert_eq!(text, String::from_utf8_lossy(&expected));
    assert_eq!((generated.num_prompt_tokens, generated.num_new_tokens), (8, 12));
    assert_eq!((generated.end, generated.is_bytes), (End::MaxNewTokens, true));
}

#[test]
fn draws_depend_on_the_seed() {
    let folder = folder(256, 64);
    let drawn = |seed| {
        let sampling = Some(Sampling::new(2.0, None, None, seed).unwrap());
        text(&Options { sampling, ..options(folder.path()) }).0
    };
    assert_eq!(drawn(1), drawn(1));
    assert!(drawn(1) != drawn(2));
    let sampling = Some(Sampling::new(2.0, Some(1), None, 1).unwrap());
    let one = text(&Options { sampling, ..options(folder.path()) });
    assert_eq!(one.0, text(&options(folder.path())).0, "the likeliest alone is left");
}

#[test]
fn a_text_ends_with_its_token() {
    let folder = folder(256, 64);
    let tokens = likeliest(folder.path(), "a prompt", 12);
    let config = json!({ "eos_token_id": [999, tokens[5]] });
    fs::write(folder.path().join("generation_config.json"), config.to_string()).unwrap();
    let (_, generated) = text(&options(folder.path()));
    let first = tokens.iter().position(|token| *token == tokens[5]).unwrap();
    assert_eq!(generated.end, End::Token { token: tokens[5] });
    assert_eq!(generated.num_new_tokens, first);
}

#[test]
fn a_sequence_reaches_as_far_as_positions_do() {
    let folder = folder(256, 10);
    let (_, generated) = text(&options(folder.path()));
    // The token behind the last position is told by it.
    assert_eq!((generated.num_new_tokens, generated.end), (3, End::MaxPositions { max: 10 }));
    let prompt = "eleven bytes".to_owned();
    assert_eq!(
        refused(&Options { prompt, ..options(folder.path()) }),
        "the prompt has 12 tokens, the model's max_position_embeddings is 10; shorten it"
    );
}

#[test]
fn whoever_listens_can_stop() {
    let folder = folder(256, 64);
    let mut num = 0;
    let generated = generate(&options(folder.path()), &mut |_| {
        num += 1;
        ControlFlow::Break(())
    });
    assert_eq!((generated.unwrap().end, num), (End::Stopped, 1));
}

#[test]
fn what_fits_no_model_is_refused() {
    let small = folder(200, 64);
    assert!(refused(&options(small.path())).starts_with("bytes need a vocabulary of 256"));
    let tokenizer = json!({
        "version": "1.0", "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"a": 3, "prompt": 200}, "unk_token": "a"},
    });
    fs::write(small.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    assert_eq!(
        refused(&options(small.path())),
        "the prompt's token 200 is not in the model's vocabulary of 200; its tokenizer.json is \
         another model's"
    );
    let prompt = "a a".to_owned();
    let (_, generated) = text(&Options { prompt, ..options(small.path()) });
    assert!(!generated.is_bytes);
    assert_eq!(generated.num_prompt_tokens, 2);
    let empty = folder(256, 64);
    let prompt = String::new();
    assert!(refused(&Options { prompt, ..options(empty.path()) }).contains("give it some text"));
    let nowhere = refused(&options(&empty.path().join("nowhere")));
    assert!(nowhere.starts_with("cannot read "), "{nowhere}");
}

#[test]
fn a_vocabulary_beyond_bytes_is_not_drawn_from() {
    let folder = folder(512, 64);
    let sampling = Some(Sampling::new(100.0, None, None, 0).unwrap());
    let (text, generated) = text(&Options { sampling, ..options(folder.path()) });
    assert!(generated.num_new_tokens > 0 && !text.is_empty());
    assert_eq!(generated.vocab_size, 512);
}
