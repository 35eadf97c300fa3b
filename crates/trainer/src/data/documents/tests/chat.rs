//! Conversations against what transformers makes of them, and what it has no word for.

use serde_json::Value;

use super::*;
use crate::data::RecordFault;
use crate::data::documents::record::Conversation;

fn conversation(messages: &Value, tools: &Value) -> Record {
    let object = serde_json::json!({"messages": messages, "tools": tools});
    Record::read(object.as_object().unwrap().clone(), &columns()).unwrap()
}

fn of(text: &str) -> Record {
    conversation(&serde_json::from_str(text).unwrap(), &Value::Null)
}

/// An encoder of bytes with a template, and what it makes of a conversation.
fn written(template: &str, messages: &str) -> Result<String, String> {
    let folder = folder(&[("t", template.as_bytes())]);
    let chat_template = Some(folder.path().join("t"));
    let encoder = encoder(&Setup { chat_template, ..Setup::default() }).unwrap();
    match encoder.record(&of(messages)) {
        Ok(sample) => Ok(shown(&sample)),
        Err(Fault::Record(fault)) => Err(fault.to_string()),
        Err(Fault::Model(problem)) => panic!("{problem}"),
    }
}

#[test]
fn conversations_are_as_transformers_has_them() {
    let cases = fs::read_to_string(fixtures().join("cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    assert!(cases.len() > 40);
    for case in cases {
        let (tokenizer, template) = (case["tokenizer"].as_str(), case["template"].as_str());
        let encoder = model(tokenizer.unwrap(), template.unwrap());
        let record = conversation(&case["messages"], &case["tools"]);
        if let Some(refused) = case["refused"].as_str() {
            let Err(Fault::Record(RecordFault::Template { reason })) = encoder.record(&record)
            else {
                panic!("not refused: {case}");
            };
            assert!(reason.contains(refused), "{reason}");
            continue;
        }
        let Record::Conversation(conversation) = &record else { panic!("{record:?}") };
        let chat = encoder.chat_template().unwrap();
        assert_eq!(
            chat.write(conversation).unwrap().text,
            case["text"].as_str().unwrap(),
            "{case}"
        );
        let sample = encoder.record(&record).unwrap();
        assert_eq!(serde_json::json!(sample.tokens), case["tokens"], "{case}");
        let learnt: Vec<u8> = sample.is_label.iter().map(|&is_label| is_label.into()).collect();
        assert_eq!(serde_json::json!(learnt), case["learnt"], "{case}");
    }
}

#[test]
fn what_an_assistant_says_is_learnt_and_no_more() {
    const TALK: &str = r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}]"#;
    let plain = "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}{% endfor %}\
                 {% if add_generation_prompt %}<a>{% else %}{{ eos_token }}{% endif %}";
    assert_eq!(written(plain, TALK).unwrap(), "[<u>a<a>]b[<u>c<a>]d.");
    let marked = "{% for m in messages %}{% if m.role == 'assistant' %}({%- generation -%} \
                  {{ m.content }}!{% endgeneration %}){% else %}{{ m.content }}{% endif %}{% endfor %}";
    assert_eq!(written(marked, TALK).unwrap(), "[a(]b![)c(]d![)]");
    let last =
        "{% for m in messages %}{{ m.content if loop.last else m.content | upper }}{% endfor %}";
    assert!(written(last, TALK).unwrap_err().contains("writes message 2 otherwise"));
    assert_eq!(written(last, r#"[{"role": "assistant", "content": "b"}]"#).unwrap(), "b");
    let nobody = r#"[{"role": "user", "content": "a"}]"#;
    assert!(written(plain, nobody).unwrap_err().contains("none of its messages is an assistant's"));
    let twice = "{% generation %}a{% generation %}b{% endgeneration %}{% endgeneration %}";
    assert!(written(twice, TALK).unwrap_err().contains("a generation within another"));
    let marks = format!(r#"[{{"role": "assistant", "content": "{}"}}]"#, '\u{fdd1}');
    assert!(written(marked, &marks).unwrap_err().contains("U+FDD1"));
    assert_eq!(written(plain, &marks).unwrap(), "[<a>]\u{fdd1}.");
}

#[test]
fn templates_that_are_none_and_what_they_may_not_ask_for() {
    const ONE: &str = r#"[{"role": "assistant", "content": "b", "n": null, "x": true}]"#;
    let folder = folder(&[("t", b"{% if %}"), ("u", b"\xff")]);
    for (name, expected) in [
        ("t", "t` cannot be read: syntax error"),
        ("u", "u` cannot be read: it is not UTF-8"),
        ("v", "v`: "),
    ] {
        let chat_template = Some(folder.path().join(name));
        let error = encoder(&Setup { chat_template, ..Setup::default() }).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let now = "{{ strftime_now('%d') }}";
    assert!(written(now, ONE).unwrap_err().contains("strftime_now"));
    assert!(
        written("{{ messages | tojson(indent=999) }}", ONE).unwrap_err().contains("at most 64")
    );
    assert!(written("{{ 1 | tojson(depth=1) }}", ONE).unwrap_err().contains("depth"));
    assert_eq!(
        written("{% for m in messages %}{{ m | tojson(sort_keys=true, separators=(',', ':')) }}{% endfor %}", ONE).unwrap(),
        r#"{"content":"b","role":"assistant","x":true}"#
    );
    assert_eq!(
        written("{% for m in messages %}{{ m.x }}{{ m.n is defined }}{{ none }}{% endfor %}", ONE)
            .unwrap(),
        "TrueFalseNone"
    );
    let none = encoder(&Setup::default()).unwrap();
    let Err(Fault::Model(problem)) = none.record(&of(ONE)) else { panic!("there is no template") };
    assert!(problem.to_string().contains("give a file that has one as `chat_template`"));
    assert_eq!(Conversation::default().assistants().count(), 0);
}
