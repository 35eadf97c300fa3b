//! Tests of how a problem is shown.

use super::{Problem, RecipeErrors};

fn problem(source: &str, column: usize, width: usize) -> Problem {
    Problem {
        file: "r.yaml".into(),
        line: 12,
        column,
        key: "a.b".into(),
        message: "wrong".into(),
        help: Some("make it right".into()),
        text: 0,
        source: source.into(),
        width,
    }
}

/// The source and the caret, as printed one below the other.
fn drawn(source: &str, column: usize, width: usize) -> [String; 2] {
    let text = problem(source, column, width).to_string();
    let lines: Vec<&str> = text.lines().collect();
    [lines[2].to_owned(), lines[3].to_owned()]
}

#[test]
fn a_problem_looks_like_a_compilers() {
    let text = "\
r.yaml:12:3: a.b: wrong
   |
12 |   key: value
   |   ^^^
   = help: make it right";
    assert_eq!(problem("  key: value  ", 3, 3).to_string(), text);
}

#[test]
fn nothing_is_quoted_from_an_empty_line() {
    let text = "r.yaml:12:1: a.b: wrong\n   = help: make it right";
    assert_eq!(problem("", 1, 1).to_string(), text);
}

#[test]
fn the_caret_ends_with_the_line_and_follows_tabs() {
    assert_eq!(drawn("k: [1,", 4, usize::MAX), ["12 | k: [1,", "   |    ^^^"]);
    assert_eq!(drawn("\tk:\tv", 5, 1), ["12 | \tk:\tv", "   | \t  \t^"]);
    assert_eq!(drawn("k: é", 4, 1), ["12 | k: é", "   |    ^"]);
    assert_eq!(drawn("k:", 9, 1), ["12 | k:", "   |   ^"]);
}

#[test]
fn a_place_that_somebody_changed_is_shown_as_far_as_it_goes() {
    assert_eq!(drawn("k: v", 0, 1), ["12 | k: v", "   | ^"]);
    assert_eq!(drawn("k: v", usize::MAX, usize::MAX), ["12 | k: v", "   |     ^"]);
}

#[test]
fn what_would_steer_a_terminal_is_not_printed() {
    let odd = Problem {
        key: "a\nb".into(),
        message: "\u{1b}[31mred".into(),
        ..problem("\tk\u{1b}\r: v", 6, 1)
    };
    let text = "\
r.yaml:12:6: a\u{fffd}b: \u{fffd}[31mred
   |
12 | \tk\u{fffd}\u{fffd}: v
   | \t    ^
   = help: make it right";
    assert_eq!(odd.to_string(), text);
}

#[test]
fn a_long_line_is_cut_around_the_caret() {
    let source = format!("{}HERE{}", "a".repeat(200), "z".repeat(200));
    let [shown, caret] = drawn(&source, 201, 4);
    let start = caret.find('^').unwrap();
    assert_eq!(&shown[start..start + 4], "HERE");
    assert!(shown.len() < 120 && shown.starts_with("12 | ...a") && shown.ends_with("z..."));
    let [shown, caret] = drawn(&source, 401, 50);
    assert!(shown.ends_with("zzzz"), "{shown}");
    assert!(caret.ends_with("    ^^^^"), "{caret}");
    assert_eq!(caret.len(), shown.len());
}

#[test]
fn problems_are_shown_by_line_and_counted() {
    let three = [30, 10, 20].map(|line| Problem { line, ..problem("k", 1, 1) });
    let errors = RecipeErrors::new(three.to_vec()).unwrap();
    assert!(errors.problems().is_sorted_by_key(|problem| problem.line));
    let text = errors.to_string();
    assert_eq!(text.matches("make it right").count(), 3);
    assert!(text.ends_with("\n\n3 problems in r.yaml"));
}
