//! Files of text and of lines: where samples begin and what is learnt of them.

use super::*;
use crate::data::documents::text::MAX_PIECE;

fn bytes() -> Arc<Encoder> {
    encoder(&Setup::default()).unwrap()
}

/// What the samples of files are, in bytes, or what is said of them.
fn samples(files: &[(&str, &[u8])]) -> Vec<String> {
    let folder = folder(files);
    let read = read_all(&source("*"), bytes(), &folder);
    read.into_iter().map(|sample| sample.map_or_else(|said| said, |it| shown(&it))).collect()
}

#[test]
fn names_tell_formats_and_files_stand_in_order() {
    let files: [(&str, &[u8]); 7] = [
        ("a.txt", b"one"),
        ("b.JSONL", b"{\"text\": \"two\"}\n{\"text\": \"three\"}"),
        ("c.md", b""),
        ("d", b"{}"),
        ("e.ndjson", b""),
        ("f.json", b"{\"prompt\": \"2+2=\", \"completion\": \"4\", \"text\": null}"),
        ("g.txt", b"\xef\xbb\xbfmark"),
    ];
    assert_eq!(samples(&files), ["one.", "two.", "three.", "{}.", "[2+2=]4.", "mark."]);
    let folder = folder(&files);
    let source = Source { format: Some(DataFormat::Text), ..source("f.json") };
    assert_eq!(read_all(&source, bytes(), &folder)[0].as_ref().unwrap().tokens.len(), 52);
}

#[test]
fn lines_end_in_several_ways() {
    let expected = ["a.", "b."];
    let files: [&[u8]; 5] = [
        b"{\"text\":\"a\"}\n{\"text\":\"b\"}\n",
        b"{\"text\":\"a\"}\r\n{\"text\":\"b\"}\r\n",
        b"\n \n{\"text\":\"a\"}\n\n\r\n{\"text\":\"b\"}",
        b"\xef\xbb\xbf{\"text\":\"a\"}\n\t{\"text\":\"b\"}  \n\n\n",
        b"\xef\xbb\xbf\n{\"text\":\"a\"}\n{\"text\":\"b\"}\n ",
    ];
    for file in files {
        assert_eq!(samples(&[("a.jsonl", file)]), expected, "{:?}", file.utf8_chunks());
    }
    // More than what is read at once.
    let long = "x".repeat(70_000);
    let file = format!("{{\"text\":\"{long}\"}}\n\n{{\"text\":\"b\"}}\n{{\"text\":\"{long}\"}}");
    assert_eq!(
        samples(&[("a.jsonl", file.as_bytes())]),
        [&format!("{long}."), "b.", &format!("{long}.")]
    );
}

#[test]
fn columns_have_other_names_and_those_that_are_named_go_first() {
    let line = br#"{"q": "1", "a": "2", "text": "3", "talk": []}"#;
    let folder = folder(&[("a.jsonl", line)]);
    let read = |change: fn(&mut Source)| {
        let mut source = source("*");
        change(&mut source);
        read_all(&source, bytes(), &folder).remove(0).map(|sample| shown(&sample))
    };
    assert_eq!(read(|_| {}).unwrap(), "3.");
    assert_eq!(read(|source| source.text_column = "a".to_owned()).unwrap(), "2.");
    let pair = |source: &mut Source| {
        source.prompt_column = "q".to_owned();
        source.completion_column = "a".to_owned();
    };
    assert_eq!(read(pair).unwrap(), "[1]2.");
    assert_eq!(
        read(|source| source.messages_column = "talk".to_owned()).unwrap_err(),
        "DIR/a.jsonl:1:1: `talk` is an empty list, and should be a list of messages, at least one"
    );
    let both = read(|source| {
        source.text_column = "a".to_owned();
        source.messages_column = "talk".to_owned();
    });
    let said = "DIR/a.jsonl:1:1: it has `a`, and `talk`, and one of them is what is learnt";
    assert!(both.unwrap_err().starts_with(said));
}

#[test]
fn prompts_are_learnt_if_that_is_asked_for() {
    let all = encoder(&Setup { learn: Learn::All, ..Setup::default() }).unwrap();
    let folder = folder(&[("a.jsonl", br#"{"prompt": "2+2=", "completion": "4"}"#)]);
    assert_eq!(shown(read_all(&source("*"), all, &folder)[0].as_ref().unwrap()), "2+2=4.");
}

#[test]
fn long_texts_are_cut_at_line_ends_and_nothing_is_lost() {
    let max = usize::try_from(MAX_PIECE).unwrap();
    let lines = "a\n".repeat(100);
    let crabs = "🦀".repeat(40);
    let (odd, exact) = (format!("x{crabs}"), "y".repeat(max));
    for text in [&lines, &crabs, &odd, &exact, &format!("{exact}{lines}"), &format!("{exact}\n")] {
        let pieces = samples(&[("a.txt", text.as_bytes())]);
        assert_eq!(pieces.len(), text.len().div_ceil(max), "{text}");
        assert!(pieces.iter().all(|piece| piece.trim_end_matches('.').len() <= max));
        assert_eq!(pieces.concat(), format!("{text}."));
    }
    let early = format!("{}\n{}", "x".repeat(max - 2), "y".repeat(9));
    assert_eq!(samples(&[("a", early.as_bytes())])[1], "yyyyyyyyy.");
    let pieces =
        read_all(&source("*"), model("sentence", "inst"), &folder(&[("a", lines.as_bytes())]));
    let tokens: Vec<u32> = pieces.into_iter().flat_map(|piece| piece.unwrap().tokens).collect();
    let whole = model("sentence", "inst");
    assert_eq!(tokens, whole.text(&lines, Piece::WHOLE).unwrap().tokens, "as in one piece");
}

#[test]
fn tokens_begin_and_end_as_the_tokenizer_has_them() {
    let decode = |encoder: &Encoder, tokens: &[u32]| match encoder.tokenizer() {
        crate::tokenizer::Tokenizer::HuggingFace(tokenizer) => {
            tokenizer.decode(tokens, false).unwrap()
        }
        crate::tokenizer::Tokenizer::Bytes => panic!("no bytes here"),
    };
    for (name, begin) in [("byte_level", ""), ("sentence", "<s>")] {
        let encoder = model(name, "inst");
        let text = encoder.record(&Record::Text("it is".to_owned())).unwrap();
        assert_eq!(
            decode(&encoder, &text.tokens).replace("<s> ", "<s>"),
            format!("{begin}it is</s>")
        );
        assert!(text.is_label.iter().all(|&is_label| is_label));
        assert_eq!(text.tokens.last(), Some(&encoder.end()));
        for (prompt, completion) in [
            ("two and", " two"),
            ("sta", "ges"),
            ("two ", "🦀"),
            ("", "it"),
            ("it", ""),
            ("a\n", "\n b"),
        ] {
            let (prompt, completion) = (prompt.to_owned(), completion.to_owned());
            let expected = format!("{begin}{prompt}{completion}</s>");
            let pair = Record::Pair { prompt: prompt.clone(), completion };
            let sample = encoder.record(&pair).unwrap();
            assert_eq!(decode(&encoder, &sample.tokens).replace("<s> ", "<s>"), expected);
            let num_masked = sample.is_label.iter().filter(|&&is_label| !is_label).count();
            let alone = encoder.tokenizer().encode(&prompt).unwrap();
            assert_eq!(sample.tokens[..num_masked], alone, "what a model is asked with");
            assert!(sample.is_label[num_masked..].iter().all(|&is_label| is_label));
        }
    }
}

#[test]
fn readers_of_one_source_read_the_same() {
    let folder = folder(&[("a.txt", b"one"), ("b.jsonl", b"{\"text\":\"two\"}")]);
    let mut documents = Documents::open(&source("*"), bytes(), folder.path()).unwrap();
    let mut another = documents.another();
    assert_eq!(another.num_samples(), 2);
    for number in [1, 0, 1] {
        assert_eq!(documents.read(number).unwrap(), another.read(number).unwrap());
    }
    fs::write(folder.path().join("a.txt"), "").unwrap();
    let said = hide(&documents.clone().read(0).unwrap_err(), &folder);
    assert!(said.starts_with("cannot read `DIR/a.txt`, which had 3 bytes when"), "{said}");
}
