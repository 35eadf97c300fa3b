//! What docs/ir.md says is true: its tables are valid, or refused with the words shown, its grammar
//! is the parser's, and no rule is left out.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use autopipe_schedule::csv::{self, CsvErrors};
use autopipe_schedule::{Action, Violations, lower, validate};

use crate::grammar::Grammar;

/// The rules that no table of a few lines can break, or that are shown in Rust.
const SHOWN_OTHERWISE: [&str; 3] = ["TooManyRanks", "TooManyActions", "TooManyActivations"];

/// A fenced block of the page.
struct Block<'a> {
    line: usize,
    label: &'a str,
    text: String,
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ir.md");
    std::fs::read_to_string(path).unwrap()
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(label), None) => {
                open = Some(Block { line: number, label, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => writeln!(block.text, "{line}").unwrap(),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block without an end");
    blocks
}

/// Why a table is refused, in its own words, and the rules that it breaks.
fn refusal(table: &str, is_plan: bool) -> Option<(String, Vec<String>)> {
    let of = |violations: &Violations| {
        let names = violations.iter().map(|violation| name(&format!("{:?}", violation.rule)));
        (violations.to_string(), names.collect())
    };
    if is_plan {
        return match csv::read_plan(table.as_bytes()) {
            Ok(_) => None,
            Err(CsvErrors::Invalid(violations)) => Some(of(&violations)),
            Err(error) => Some((error.to_string(), Vec::new())),
        };
    }
    let program = csv::read_program(table.as_bytes()).unwrap();
    validate(program).err().map(|violations| of(&violations))
}

/// `Missing { stage: .. }` is called `Missing`.
fn name(debug: &str) -> String {
    debug.chars().take_while(char::is_ascii_alphanumeric).collect()
}

#[test]
fn the_tables_are_as_the_page_says() {
    let page = page();
    let blocks = blocks(&page);
    let mut broken = BTreeSet::new();
    let mut wrong = String::new();
    for (i, Block { line, label, text }) in blocks.iter().enumerate() {
        match *label {
            "csv plan" => {
                let plan = csv::read_plan(text.as_bytes());
                let plan = plan.unwrap_or_else(|error| panic!("line {line}: {error}"));
                assert!(validate(lower(&plan)).is_ok(), "line {line}");
            }
            "csv program" => {
                if let Some((message, _)) = refusal(text, false) {
                    panic!("line {line}: {message}");
                }
            }
            "csv refused" | "csv refused plan" => {
                let expected = blocks.get(i + 1).filter(|block| block.label == "text");
                let expected = expected.unwrap_or_else(|| panic!("line {line}: no message"));
                let Some((message, rules)) = refusal(text, label.ends_with("plan")) else {
                    panic!("line {line}: accepted");
                };
                broken.extend(rules);
                if expected.text.trim_end() != message {
                    writeln!(wrong, "line {}:\n{message}", expected.line).unwrap();
                }
            }
            "text" => assert!(blocks[i - 1].label.starts_with("csv refused"), "line {line}"),
            "ebnf" | "rust" => {}
            label => panic!("line {line}: nobody looks at a block of {label}"),
        }
    }
    assert!(wrong.is_empty(), "these messages are others:\n{wrong}");
    let source = include_str!("../../src/validate/rule.rs");
    let (_, source) = source.split_once("pub enum Rule {").unwrap();
    let (source, _) = source.split_once("\n}").unwrap();
    let is_name =
        |line: &&str| line.starts_with("    ") && line[4..].starts_with(char::is_uppercase);
    let rules: BTreeSet<String> =
        source.lines().filter(is_name).map(|line| name(line.trim())).collect();
    assert!(rules.len() > 30, "{rules:?}");
    broken.extend(SHOWN_OTHERWISE.map(str::to_owned));
    assert_eq!(broken, rules, "every rule has a table that breaks it");
}

#[test]
fn the_grammar_is_the_parsers() {
    let page = page();
    let blocks = blocks(&page);
    let text = &blocks.iter().find(|block| block.label == "ebnf").unwrap().text;
    let grammar = Grammar::read(text);
    let mut words = BTreeSet::new();
    for seed in 0..5_000 {
        let sentence = grammar.sentence("action", seed);
        let action: Action = match sentence.parse() {
            Ok(action) => action,
            // What the grammar leaves to the text: how large numbers can be.
            Err(error) if error.to_string().contains("too large") => continue,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(action.to_string(), sentence.replace(' ', ""));
        words.insert(sentence.replace(|c: char| !c.is_ascii_alphabetic() && c != '_', ""));
    }
    // Five computations, six transfers, and so on; an overlap has the letters of its parts.
    assert_eq!(words.len(), 5 + 1 + 6 + 2 + 4, "{words:?}");
}
