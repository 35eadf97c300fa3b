//! Tests of the text before it has a meaning: syntax, places, limits, and texts damaged on purpose.

use super::{Entry, MAX_BYTES, MAX_INDENT, Node, Place, Value, parse};
use crate::{Recipe, report::Texts, section::Problems};

fn value(text: &str) -> Value {
    let texts = Texts::new([("recipe.yaml".into(), text.into())]);
    parse(&Problems::new(texts)).unwrap().value
}

fn refusal(text: &str) -> String {
    Recipe::parse(text, "recipe.yaml").unwrap_err().to_string()
}

#[test]
fn values_have_types_and_places() {
    let Value::Mapping(entries) = value("a: 1\nbé: [2.5, 'x y']\n") else { panic!() };
    let [a, b] = entries.as_slice() else { panic!("{entries:?}") };
    let place = Place { text: 0, line: 1, column: 4, width: 1 };
    assert_eq!(a.node, Node { place, value: Value::Integer(1) });
    let Entry { key, place, node } = b;
    assert_eq!((key.as_str(), *place), ("bé", Place { text: 0, line: 2, column: 1, width: 2 }));
    let Value::List(items) = &node.value else { panic!("{node:?}") };
    assert_eq!(items[0].value, Value::Float(2.5));
    let place = Place { text: 0, line: 2, column: 11, width: 5 };
    assert_eq!(items[1], Node { place, value: Value::Text("x y".into()) });
}

#[test]
fn scalars_are_those_of_yaml_1_2() {
    for (text, expected) in [
        ("~", Value::Null),
        ("null", Value::Null),
        ("true", Value::Bool(true)),
        ("yes", Value::Text("yes".into())),
        ("0x10", Value::Integer(16)),
        ("1e3", Value::Float(1000.0)),
        ("1_000", Value::Text("1_000".into())),
        ("'1'", Value::Text("1".into())),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn an_alias_is_what_it_names() {
    let Value::Mapping(entries) = value("a: &x [1]\nb: *x\n") else { panic!() };
    let (Value::List(a), Value::List(b)) = (&entries[0].node.value, &entries[1].node.value) else {
        panic!("{entries:?}")
    };
    assert_eq!(a, b);
}

#[test]
fn what_is_no_recipe_as_a_text_is_one_problem() {
    let reports = ["rng: {seed: 1\n", "a: 1\n---\nb: 2\n", "a: *nowhere\n", "a: 1\nb\n"];
    insta::assert_snapshot!(reports.map(refusal).join("\n\n"));
}

#[test]
fn a_key_given_twice_is_a_problem_among_others() {
    let text = "rng:\n  seed: 1\n  other: 2\n  seed: 3\nmodel: { 'a b': 1, a b: 2 }\nrng: 4\n";
    insta::assert_snapshot!(refusal(text));
}

#[test]
fn an_alias_inside_what_it_names_is_refused() {
    let report = refusal("a: &x [1, *x]\n");
    assert!(
        report.contains("1:11: a[1]: an alias cannot stand inside what it stands for"),
        "{report}"
    );
}

#[test]
fn tags_and_odd_keys_are_problems_among_others() {
    let report = refusal("rng: !include seed.yaml\n1: 2\n[a, b]: c\nloss_fn: !!int one\n");
    for part in ["the tag `!include`", "a key must be text", "does not fit its tag", "8 problems"] {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
}

#[test]
fn a_tag_of_yamls_own_has_to_fit() {
    assert!(matches!(value("!!seq [1]"), Value::List(_)));
    assert!(matches!(value("!!map {a: !!int 1}"), Value::Mapping(_)));
    for text in ["rng: !!str [a]", "rng: !!seq {a: 1}", "rng: !!set {a: 1}", "rng: !!int x"] {
        let report = refusal(text);
        assert!(report.contains("1:6: rng: the value does not fit its tag"), "{report}");
    }
}

#[test]
fn a_merge_key_is_refused_wherever_it_stands() {
    for text in ["rng: &x {seed: 1}\nmodel: { <<: *x }", "\nmodel: { config: { <<: {a: 1} } }"] {
        let report = refusal(text);
        assert!(report.contains("keys are not merged in from elsewhere"), "{report}");
        assert!(report.contains("  |          ^^") || report.contains("  |                    ^^"));
    }
}

#[test]
fn a_pattern_without_quotes_is_told_of_them() {
    for text in ["dataset: { paths: [*.md] }", "dataset:\n  paths:\n    - **/*.md"] {
        let report = refusal(text);
        assert!(report.contains("help: text that begins with `*` needs quotes"), "{report}");
    }
}

#[test]
fn a_large_text_is_refused() {
    let text = format!("rng:\n  seed: 1\n#{}", "x".repeat(MAX_BYTES));
    let message = format!("one text has at most 65536 bytes, this one has {}", text.len());
    assert!(refusal(&text).contains(&message));
}

#[test]
fn a_flood_of_problems_is_cut() {
    let keys: Vec<String> = (0..5000).map(|key| format!("k{key}: 1")).collect();
    let report = refusal(&format!("{{{}}}", keys.join(", ")));
    assert!(report.ends_with("100 problems or more in recipe.yaml"));
    assert!(report.len() < 100_000, "{}", report.len());
}

#[test]
fn a_deep_text_is_refused() {
    let deep = [
        "- ".repeat(20_000),
        "? ".repeat(20_000),
        "[".repeat(20_000),
        "{a: ".repeat(10_000),
        (0..MAX_INDENT + 2).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
        (0..180).map(|depth| format!("{0}a:\n{0}- \n", " ".repeat(depth))).collect::<String>()
            + &" ".repeat(180)
            + &"[".repeat(300),
    ];
    for text in deep {
        let report = refusal(&text);
        assert!(report.ends_with("1 problem in recipe.yaml"), "{report}");
    }
}

#[test]
fn a_text_as_deep_as_allowed_is_read() {
    let blocks: String =
        (0..MAX_INDENT).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let text = blocks + &" ".repeat(MAX_INDENT) + &"[".repeat(250) + &"]".repeat(250);
    let report = refusal(&text);
    assert!(report.contains("a: unknown key"), "{report}");
}

#[test]
fn aliases_cannot_grow_without_bound() {
    let mut text = String::from("a0: &a0 [x, x]\n");
    for level in 1..40 {
        text += &format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1);
    }
    let report = refusal(&text);
    assert!(report.contains("aliases stand for more values than a recipe can have"), "{report}");
    assert!(report.len() < 30_000, "{}", report.len());
}

#[test]
fn nested_anchors_are_not_copied_without_bound() {
    let items = "x, ".repeat(20_000);
    let open: String = (0..100).map(|depth| format!("[&a{depth} ")).collect();
    let text = format!("a: {open}[{items}]{}\nb: *a99\nc: *a0\n", "]".repeat(100));
    let report = refusal(&text);
    assert!(report.contains("aliases stand for more values"), "{report}");
}

#[test]
fn line_ends_of_every_system_count_as_one() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["rng:", "  sed: 1", ""].join(end);
        let report = refusal(&text);
        assert!(report.contains("recipe.yaml:2:3: rng.sed: unknown key"), "{report}");
        assert!(report.contains("2 |   sed: 1\n"), "{report}");
    }
}

/// Whatever one finger can do to a recipe ends in a recipe or in problems that can be shown.
#[test]
fn damage_is_reported_and_never_panics() {
    let recipe = include_str!("../recipe/testdata/full.yaml");
    let mut refused = 0;
    let mut check = |text: &str| {
        if let Err(errors) = Recipe::parse(text, "recipe.yaml") {
            assert!(!errors.problems().is_empty() && !errors.to_string().is_empty());
            refused += 1;
        }
    };
    for (at, char) in recipe.char_indices() {
        let (before, after) = recipe.split_at(at);
        check(before);
        check(&format!("{before}{}", &after[char.len_utf8()..]));
        let chars = "-?:,[]{}#&*!|>'\"%@` \t\n\r\0é9".chars();
        for inserted in chars.skip(at % 5).step_by(5) {
            check(&format!("{before}{inserted}{after}"));
        }
    }
    assert!(refused > 1000, "{refused}");
}
