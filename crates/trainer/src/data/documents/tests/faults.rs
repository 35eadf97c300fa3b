//! What is said of records, files and tokenizers that are none; nothing panics.

use proptest::prelude::*;

use super::*;
use crate::data::documents::chat::ChatTemplate;

fn said(file: &str) -> String {
    let folder = folder(&[("a.jsonl", file.as_bytes())]);
    let samples = read_all(&source("*"), encoder(&Setup::default()).unwrap(), &folder);
    samples.into_iter().find_map(Result::err).expect("one record is at fault")
}

#[test]
fn records_at_fault_are_told_with_their_places() {
    let forms = "a record has `text`, or `prompt` with `completion`, or `messages`";
    let cases = [
        ("{\"text\": 1}", "1:1: `text` is a number, and should be a text".to_owned()),
        ("\n{\"text\": \"a\"}\n\n{\"text\" \"b\"}", "4:9: not JSON: expected `:`".to_owned()),
        ("{\"text\":\"a\"}\n{", "2:1: not JSON: EOF while parsing an object".to_owned()),
        ("{\"text\": \"a\"} 2", "1:15: not JSON: trailing characters".to_owned()),
        ("{\"text\": \"\\x\"}", "1:12: not JSON: invalid escape".to_owned()),
        ("[{\"text\": \"a\"}]", "1:1: a list where an object should be".to_owned()),
        ("null", "1:1: missing where an object should be".to_owned()),
        ("{}", format!("1:1: no record: it has no keys, and {forms}")),
        ("{\"Text\": \"\"}", format!("1:1: no record: it has the key `Text`, and {forms}")),
        (
            "{\"prompt\": \"\", \"answer\": \"\"}",
            format!("1:1: no record: it has the keys `prompt`, `answer`, and {forms}"),
        ),
        (
            "{\"prompt\": \"\", \"completion\": \"\", \"text\": \"\"}",
            "1:1: it has `text`, and `prompt` with `completion`, and one of them".to_owned(),
        ),
        ("{\"messages\": \"hi\"}", "1:1: `messages` is a text, and should be a list".to_owned()),
        (
            "{\"messages\": [1]}",
            "1:1: `messages[0]` is a number, and should be an object".to_owned(),
        ),
        (
            "{\"messages\": [{\"role\": \"user\"}, {\"content\": \"\"}]}",
            "1:1: `messages[1].role` is missing, and should be a text".to_owned(),
        ),
        (
            "{\"messages\": [{\"from\": 3}]}",
            "1:1: `messages[0].role` is a number, and should be a text".to_owned(),
        ),
        (
            "{\"messages\": [{\"role\": \"user\"}], \"tools\": \"\"}",
            "1:1: `tools` is a text, and should be a list".to_owned(),
        ),
    ];
    for (file, expected) in cases {
        let said = said(file);
        assert!(said.starts_with(&format!("DIR/a.jsonl:{expected}")), "{said}\n{expected}");
    }
    let deep = format!("{{\"text\": {}", "[".repeat(100_000));
    assert!(said(&deep).contains("not JSON: recursion limit exceeded"));
}

#[test]
fn text_in_another_encoding_is_told_with_its_byte() {
    let folder =
        folder(&[("a.txt", b"ab\xff"), ("b.jsonl", b"{\"text\": \"\xff\"}"), ("c", b"ok")]);
    let read = read_all(&source("*"), encoder(&Setup::default()).unwrap(), &folder);
    assert_eq!(read[0].as_ref().unwrap_err(), "DIR/a.txt:byte 3: not UTF-8");
    assert!(read[1].as_ref().unwrap_err().contains("b.jsonl:1:"));
    assert_eq!(shown(read[2].as_ref().unwrap()), "ok.", "the others can be read");
}

#[test]
fn sources_that_cannot_be_opened() {
    let folder = folder(&[("a.jsonl", b"\n \n"), ("b.txt", b""), ("c.parquet", b"PAR1")]);
    let open = |source: &Source| {
        let encoder = encoder(&Setup::default()).unwrap();
        hide(&Documents::open(source, encoder, folder.path()).unwrap_err(), &folder)
    };
    assert_eq!(
        open(&source("[ab].*")),
        "`DIR/a.jsonl` has no record in it, and neither has any other file that matches"
    );
    let said = open(&Source { paths: vec!["x*".to_owned(), "c*".to_owned()], ..source("") });
    assert!(said.contains("the file pattern `x*` matches nothing"), "{said}");
    let parquet =
        if cfg!(feature = "parquet") { "is no Parquet file" } else { "--features parquet" };
    assert!(said.contains(parquet), "{said}");
    let tokens = Source { format: Some(DataFormat::Tokens), ..source("b.txt") };
    assert!(open(&tokens).contains("`DIR/b.txt` holds tokens, and others of this source"));
}

#[test]
fn tokenizers_and_their_folders_can_be_at_fault() {
    let tokenizer = fs::read(fixtures().join("byte_level/tokenizer.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    let open = || {
        let options = EncoderOptions {
            tokenizer: &Tokenizer::Auto,
            model_folder: Some(folder.path()),
            chat_template: None,
            learn: Learn::Completions,
            base_dir: Path::new("."),
        };
        Encoder::open(&options).map_err(|error| hide(&error, &folder))
    };
    assert_eq!(open().unwrap().end(), 0, "bytes");
    write("tokenizer.json", &tokenizer);
    assert!(open().unwrap_err().contains("nothing in `DIR` says which token ends a text"));
    write("config.json", br#"{"eos_token_id": [5, 6]}"#);
    assert_eq!(open().unwrap().end(), 5);
    write("generation_config.json", br#"{"eos_token_id": 7}"#);
    assert_eq!(open().unwrap().end(), 7);
    for (config, expected) in [
        ("{", "tokenizer_config.json` is no JSON"),
        (r#"{"eos_token": 3}"#, "`eos_token` of `DIR/tokenizer_config.json` is 3; it is a token"),
        (r#"{"eos_token": "<nay>"}"#, "is `<nay>`, which is no token of its tokenizer"),
        (r#"{"chat_template": [{"name": "x", "template": ""}]}"#, "one has the name `default`"),
        (r#"{"chat_template": "{% for %}"}"#, "the chat template `DIR/tokenizer_config.json`"),
    ] {
        write("tokenizer_config.json", config.as_bytes());
        let said = open().unwrap_err();
        assert!(said.contains(expected), "{said}");
    }
    let chat = r#"{"eos_token": "</s>", "add_eos_token": true, "pad_token": null,
        "chat_template": [{"name": "tools", "template": "{{"}, {"name": "default", "template": "hi"}]}"#;
    write("tokenizer_config.json", chat.as_bytes());
    assert!(open().unwrap().chat_template().is_some());
    write("chat_template.jinja", b"{% if %}");
    assert!(open().unwrap_err().contains("chat_template.jinja"), "it goes first");

    for path in ["nowhere", "templates"] {
        let tokenizer = Tokenizer::Path(path.to_owned());
        let said = encoder(&Setup { tokenizer, ..Setup::default() }).unwrap_err().to_string();
        assert!(said.starts_with("there is no tokenizer at `"), "{said}");
    }
    let tokenizer = Tokenizer::Path("byte_level/tokenizer.json".to_owned());
    assert_ne!(encoder(&Setup { tokenizer, ..Setup::default() }).unwrap().end(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(content in proptest::collection::vec(any::<u8>(), 0..200)) {
        let folder = folder(&[("a.jsonl", &content), ("b.txt", &content), ("c.parquet", &content)]);
        let encoder = encoder(&Setup::default()).unwrap();
        for name in ["a.jsonl", "b.txt", "c.parquet"] {
            let documents = Documents::open(&source(name), Arc::clone(&encoder), folder.path());
            if let Ok(mut documents) = documents {
                for number in 0..documents.num_samples() {
                    let _ = documents.read(number);
                }
            }
        }
    }

    #[test]
    fn no_template_makes_it_panic(
        template in r"(\{%-?|-?%\}|\{\{|\}\}| generation | endgeneration |messages|for m in | endfor |\[|\]|a|\n){0,12}"
    ) {
        let named = std::collections::BTreeMap::new();
        if let Ok(chat) = ChatTemplate::new(&template, &named) {
            let talk = serde_json::json!({"messages": [{"role": "assistant", "content": "b"}]});
            let record = Record::read(talk.as_object().unwrap().clone(), &columns());
            let Ok(Record::Conversation(conversation)) = record else { panic!("it is one") };
            let _ = chat.write(&conversation);
        }
    }
}
