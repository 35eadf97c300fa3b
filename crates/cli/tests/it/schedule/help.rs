//! Help texts: that they are as they should be, and that their examples work.

use autopipe_schedule::{CostKey, Kind};

use crate::command::Desk;

const VERBS: [&str; 8] =
    ["generate", "lower", "validate", "simulate", "compare", "search", "render", "placement"];

#[test]
fn the_verbs() {
    let help = Desk::new().result("--help");
    for verb in VERBS {
        assert!(help.contains(&format!("  {verb} ")), "{verb} is missing");
    }
    insta::assert_snapshot!(help);
}

#[test]
fn every_verb_has_its_help() {
    for verb in VERBS {
        insta::assert_snapshot!(verb, Desk::new().result(&format!("{verb} --help")));
    }
}

#[test]
fn every_example_works() {
    for help in
        std::iter::once("--help".to_owned()).chain(VERBS.map(|verb| format!("{verb} --help")))
    {
        // Each in a folder of its own, so that one that writes files first is no help to another.
        let examples = examples(&Desk::new().result(&help));
        assert!(!examples.is_empty(), "{help} has no example");
        for example in examples {
            let output = furnished().shell(&example);
            assert_eq!((output.code, output.err.as_str()), (0, ""), "{example}");
        }
    }
}

#[test]
fn the_readme_s_commands_work() {
    let desk = Desk::new();
    let readme = include_str!("../../../README.md");
    let lines: Vec<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("$ autopipe schedule ")).collect();
    assert_eq!(lines.len(), VERBS.len());
    for line in lines {
        desk.result(line);
    }
}

/// The lines under the last heading that promises examples, continued ones as one.
fn examples(help: &str) -> Vec<String> {
    let (_, examples) = help.rsplit_once("Example").expect("a help text has an example");
    let mut lines: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in examples.lines().skip(1) {
        assert!(line.len() < 100, "wider than a help text, so that it would be broken: {line}");
        let (text, goes_on) = match line.strip_suffix('\\') {
            Some(text) => (text, true),
            None => (line, line.ends_with('|')),
        };
        match lines.last_mut().filter(|_| is_open) {
            Some(last) => last.push_str(text),
            None => lines.push(text.to_owned()),
        }
        is_open = goes_on;
    }
    lines
}

/// A folder with the files that examples speak of.
fn furnished() -> Desk {
    let desk = Desk::new();
    desk.result("generate --schedule 1f1b --pp 4 --microbatches 8 -o plan.csv");
    desk.result("generate --schedule 1f1b --pp 4 --microbatches 8 --level comms -o program.csv");
    desk.write("costs.json", r#"{"F": [1, 1, 2, 1.5], "B": 2.5, "comm": 0.1}"#);
    desk
}

#[test]
fn all_names_are_in_the_help() {
    // Blanks and line ends are the same here.
    let words = |args: &str| -> Vec<String> {
        let help = Desk::new().result(args);
        let is_gap = |c: char| !(c.is_alphanumeric() || c == '-' || c == '_');
        help.split(is_gap).map(str::to_owned).collect()
    };
    for verb in ["generate", "simulate", "compare"] {
        let words = words(&format!("{verb} --help"));
        for kind in Kind::ALL {
            assert!(words.contains(&kind.to_string()), "{kind} is missing in {verb}");
        }
    }
    for verb in ["simulate", "search"] {
        let words = words(&format!("{verb} --help"));
        for key in CostKey::ALL {
            assert!(words.contains(&key.to_string()), "{key} is missing in {verb}");
        }
    }
}
