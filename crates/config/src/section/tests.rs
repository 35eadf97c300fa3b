//! Tests of a section that is read key by key.

use super::{Kind as _, ListOf, Name, PairOf, Positive, Problems, Section, Size, Text};
use crate::{Rounding, document::parse, report::Texts};

/// What `read` does to a section, and the problems it leads to.
fn problems(source: &str, read: impl FnOnce(&mut Section<'_>)) -> Vec<String> {
    let problems = Problems::new(Texts::new([("r.yaml".into(), source.into())]));
    let document = parse(&problems).unwrap();
    let _ = Section::read_root(&document, &problems, |root| {
        read(root);
        Ok(())
    });
    match problems.finish(Ok(())) {
        Ok(_) => Vec::new(),
        Err(errors) => {
            let problem =
                |p: &crate::Problem| format!("{}:{} {}: {}", p.line, p.column, p.key, p.message);
            errors.problems().iter().map(problem).collect()
        }
    }
}

#[test]
fn a_key_is_there_or_has_its_default() {
    let found = problems("a: 3\nb: none\nc:\n", |section| {
        assert_eq!(section.field("a", "", Size.required()), Ok(3));
        assert_eq!(section.field("b", "", Size.or(7_usize)), Ok(7));
        assert_eq!(section.field("c", "", Size.optional()), Ok(None));
        assert_eq!(section.field("d", "", Size.optional()), Ok(None));
        assert!(section.has("b") && !section.is_set("b") && section.is_set("a"));
    });
    assert_eq!(found, [] as [&str; 0]);
}

#[test]
fn a_required_key_without_a_value_is_missing() {
    let found = problems("a: null\n", |section| {
        assert!(section.field("a", "", Size.required()).is_err());
        assert!(section.field("b", "", Text.required()).is_err());
    });
    assert_eq!(
        found,
        ["1:1 a: missing, and there is no default", "1:1 b: missing, and there is no default"]
    );
}

#[test]
fn keys_nobody_asked_for_are_unknown() {
    let found = problems("sizes: 1\nother: 2\n", |section| {
        assert_eq!(section.field("size", "", Size.optional()), Ok(None));
    });
    assert_eq!(found, ["1:1 sizes: unknown key; did you mean `size`?", "2:1 other: unknown key"]);
}

#[test]
fn an_item_of_a_list_has_its_own_place() {
    let found = problems("a:\n  - [x, 1]\n  - [2, y]\nb: [1, 2, 3]\n", |section| {
        assert!(section.field("a", "", ListOf(ListOf(Text)).required()).is_err());
        assert!(section.field("b", "", PairOf(Positive).required()).is_err());
    });
    assert_eq!(
        found,
        [
            "2:9 a[0][1]: expected text, found a number",
            "3:6 a[1][0]: expected text, found a number",
            "4:4 b: expected a list of 2, found a list of 3"
        ]
    );
}

#[test]
fn a_block_that_is_wrong_as_a_whole_stands_at_its_key() {
    let source = "a:\n  - 1\nb:\n  c: 1\nd: [1]\ne:\n  long\nf: |\n  text\n";
    let found = problems(source, |section| {
        for key in ["a", "b", "d", "e", "f"] {
            assert!(section.field(key, "", Size.required()).is_err());
        }
    });
    let places: Vec<&str> = found.iter().filter_map(|problem| problem.split(' ').next()).collect();
    assert_eq!(places, ["1:1", "3:1", "5:4", "7:3", "9:3"]);
}

#[test]
fn numbers_beyond_the_largest_are_too_large_or_negative() {
    let found = problems("a: -99999999999999999999\nb: 9223372036854775808\n", |section| {
        assert!(section.field("a", "", Size.required()).is_err());
        assert!(section.field("b", "", Size.required()).is_err());
    });
    assert_eq!(
        found,
        ["1:4 a: -1e20 is negative", "2:4 b: too large, the largest number is 9223372036854775807"]
    );
}

#[test]
fn a_number_that_is_written_as_text_is_told_so() {
    let source = "a: '8'\nb: 1_000\nc: eight\nd: '1e400'\n";
    let problems = Problems::new(Texts::new([("r.yaml".into(), source.into())]));
    let document = parse(&problems).unwrap();
    let _ = Section::read_root(&document, &problems, |root| {
        for key in ["a", "b", "c", "d"] {
            assert!(root.field(key, "", Size.required()).is_err());
        }
        Ok(())
    });
    let errors = problems.finish(Ok(())).unwrap_err();
    let help: Vec<Option<&str>> = errors.problems().iter().map(|p| p.help.as_deref()).collect();
    assert_eq!(help, [Some("remove the quotes"), Some("remove every `_`"), None, None]);
}

#[test]
fn a_blank_that_is_missing_is_told() {
    let help = |source: &str| {
        let errors = crate::Recipe::parse(source, "r.yaml").unwrap_err();
        errors.problems().iter().find(|problem| problem.key == "rng").unwrap().help.clone()
    };
    let blank = Some("write `key: value`, with a blank between".to_owned());
    assert_eq!(help("rng:\n  seed:5\n"), blank);
    assert_eq!(help("rng: off\n"), None);
}

#[test]
fn a_refusal_stands_where_the_value_is() {
    let found = problems("a: { b: up }\n", |section| {
        let inner = section.within("a", "", |inner| {
            assert_eq!(inner.field("b", "", Name::OF.required()), Ok(Rounding::Up));
            inner.refuse("b", "not now", "");
            inner.refuse("c", "why not", "");
            inner.refuse_whole("all wrong", "begin again");
        });
        assert_eq!(inner, Ok(()));
        section.refuse("a.b", "never", "");
        section.refuse("a.c.d", "nowhere", "");
    });
    assert_eq!(
        found,
        [
            "1:1 a.c: why not",
            "1:1 a: all wrong",
            "1:1 a.c.d: nowhere",
            "1:9 a.b: not now",
            "1:9 a.b: never"
        ]
    );
}
