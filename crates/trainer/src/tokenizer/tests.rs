//! Tokens of texts and texts of tokens, byte by byte and by files made for it.

use std::fs;

use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::{TextStream, Tokenizer};

/// A tokenizer in a folder, as `tokenizer.json`.
fn open(content: &Value) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.json"), content.to_string()).unwrap();
    Tokenizer::open(folder.path()).unwrap()
}

/// One token for each byte, in GPT-2's spelling of bytes.
fn byte_level() -> Tokenizer {
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let vocab: serde_json::Map<String, Value> =
        alphabet.iter().enumerate().map(|(id, byte)| (byte.to_string(), json!(id))).collect();
    open(&json!({
        "version": "1.0",
        "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "added_tokens": [{"id": 256, "content": "<end>", "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    }))
}

/// Words that carry the blank before them.
fn words() -> Tokenizer {
    open(&json!({
        "version": "1.0",
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "model": {"type": "WordLevel", "vocab": {"▁good": 0, "▁day": 1, "?": 2}, "unk_token": "?"},
    }))
}

/// What comes out at each token of `text`, behind the tokens of `prompt`.
fn pieces(tokenizer: &Tokenizer, prompt: &str, text: &str) -> Vec<String> {
    let prompt = tokenizer.encode(prompt).unwrap();
    let mut stream = TextStream::new(tokenizer, &prompt);
    let tokens = tokenizer.encode(text).unwrap();
    let mut pieces: Vec<String> =
        tokens.into_iter().map(|token| stream.push(token).unwrap()).collect();
    pieces.push(stream.finish().unwrap());
    pieces
}

#[test]
fn characters_come_whole() {
    for tokenizer in [Tokenizer::Bytes, byte_level()] {
        assert_eq!(tokenizer.encode("é").unwrap().len(), 2);
        for prompt in ["", "a", "größer 🦀", "a longer prompt 🦀"] {
            assert_eq!(
                pieces(&tokenizer, prompt, "aé€🦀b"),
                ["a", "", "é", "", "", "€", "", "", "", "🦀", "b", ""],
                "{prompt}"
            );
        }
    }
}

#[test]
fn halves_of_characters_are_marked_and_hold_nothing_up() {
    for tokenizer in [Tokenizer::Bytes, byte_level()] {
        let crab = tokenizer.encode("🦀").unwrap();
        let mut stream = TextStream::new(&tokenizer, &[]);
        for token in &crab[..3] {
            assert_eq!(stream.push(*token).unwrap(), "");
        }
        let a = tokenizer.encode("a").unwrap()[0];
        assert_eq!(stream.push(a).unwrap().trim_start_matches('\u{fffd}'), "a");
        assert_eq!(stream.push(crab[0]).unwrap(), "");
        assert_eq!(stream.finish().unwrap(), "\u{fffd}");

        // Bytes that no character has, without end.
        let mut stream = TextStream::new(&tokenizer, &[]);
        let text: String = (0..64).map(|_| stream.push(crab[3]).unwrap()).collect();
        assert!(text.chars().count() >= 48, "{text}");
        assert!(text.chars().all(|char| char == '\u{fffd}'));
    }
}

#[test]
fn a_blank_belongs_to_the_word_behind_it() {
    let tokenizer = words();
    assert_eq!(tokenizer.encode("good day").unwrap(), [0, 1]);
    assert_eq!(pieces(&tokenizer, "good", "day good"), [" day", " good", ""]);
    assert_eq!(pieces(&tokenizer, "", "day good"), ["day", " good", ""]);
}

#[test]
fn marks_are_no_text_and_settings_of_training_are_not_heeded() {
    let tokenizer = byte_level();
    assert_eq!(tokenizer.encode("four").unwrap().len(), 4, "truncation is for batches");
    assert_eq!(tokenizer.encode("<end>").unwrap(), [256]);
    assert_eq!(pieces(&tokenizer, "x", "a<end>b"), ["a", "", "b", ""]);
}

#[test]
fn what_is_in_the_folder_decides() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Tokenizer::open(folder.path());
    let bytes = open().unwrap();
    assert_eq!(bytes.num_tokens(), Some(256));
    assert_eq!(bytes.encode("aé").unwrap(), [97, 0xc3, 0xa9]);
    fs::write(folder.path().join("tokenizer.model"), "").unwrap();
    let message = open().unwrap_err().to_string();
    assert!(
        message.contains("is in the form of `tokenizer.model`, which is not read"),
        "{message}"
    );
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    let message = open().unwrap_err().to_string();
    assert!(message.contains("tokenizer.json` is no tokenizer: "), "{message}");
    assert_eq!(words().num_tokens(), None);
}
