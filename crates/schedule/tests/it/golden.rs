//! Tables that torch 2.15 wrote: what it computes, how it lowers, how it prints.

use std::fs;
use std::path::{Path, PathBuf};

use autopipe_schedule::lower::{Lowering, lower_with};
use autopipe_schedule::{Extent, Kind, csv, generate, lower, program_table, validate};

fn folder(schedule: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(schedule)
}

/// The files `pp<P>_v<V>_mb<M>.<suffix>` of a schedule, by stem.
fn stems(schedule: &str, suffix: &str) -> Vec<String> {
    let mut stems: Vec<String> = fs::read_dir(folder(schedule))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(suffix)?.to_owned())
        })
        .collect();
    stems.sort();
    assert!(!stems.is_empty(), "{schedule} has tables");
    stems
}

fn read(schedule: &str, stem: &str, suffix: &str) -> String {
    fs::read_to_string(folder(schedule).join(format!("{stem}{suffix}"))).unwrap()
}

/// The three numbers of `pp4_v1_mb8`.
fn extent(stem: &str) -> Extent {
    let numbers: Vec<usize> = stem
        .split('_')
        .map(|part| part.trim_start_matches(char::is_alphabetic).parse().unwrap())
        .collect();
    let [num_ranks, stages_per_rank, num_microbatches] = numbers.try_into().unwrap();
    Extent { num_ranks, stages_per_rank, num_microbatches }
}

/// A table's cells without the empty ones.
fn cells(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .map(|line| {
            line.split(',')
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

/// The kinds that torch has.
fn torch_kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL.into_iter().filter(|kind| kind.class_name().is_some())
}

#[test]
fn generated_tables_are_what_torch_executes() {
    for kind in torch_kinds() {
        for stem in stems(&kind.to_string(), ".compute_only.csv") {
            let plan = generate(kind, &extent(&stem)).unwrap();
            let expected = read(&kind.to_string(), &stem, ".compute_only.csv");
            let got = csv::plan_to_string(&plan);
            assert_eq!(cells(&got), cells(&expected), "{kind} {stem}");
        }
    }
}

#[test]
fn generated_tables_lower_as_in_torch() {
    for kind in torch_kinds() {
        for stem in stems(&kind.to_string(), ".compute_comms.csv") {
            let plan = generate(kind, &extent(&stem)).unwrap();
            let program = lower_with(&plan, &Lowering::TORCH).unwrap();
            let expected = read(&kind.to_string(), &stem, ".compute_comms.csv");
            assert_eq!(csv::program_to_string(&program), expected, "{kind} {stem}");
        }
    }
}

const LOADED: [&str; 4] =
    ["Interleaved1F1B", "InterleavedZeroBubble", "LoopedBFS", "ZBVZeroBubble"];

#[test]
fn loaded_tables_lower_as_in_torch_and_are_valid() {
    for schedule in LOADED {
        for stem in stems(schedule, ".send_recv_only.csv") {
            let text = read(schedule, &stem, ".compute_only.csv");
            let plan = csv::read_plan(text.as_bytes()).unwrap();
            assert_eq!(cells(&csv::plan_to_string(&plan)), cells(&text), "{schedule} {stem}");
            assert_eq!(plan.num_stages(), extent(&stem).num_ranks * extent(&stem).stages_per_rank);
            let program = lower(&plan);
            let expected = read(schedule, &stem, ".send_recv_only.csv");
            assert_eq!(csv::program_to_string(&program), expected, "{schedule} {stem}");
            validate(program).unwrap();
        }
    }
}

#[test]
fn tables_print_as_in_torch() {
    let line = |line: &str| line.replace(" <-- ERROR HERE", "").trim_end().to_owned();
    let lines = |text: &str| text.lines().map(line).collect::<Vec<_>>();
    for schedule in LOADED.into_iter().chain(["DualPipeV"]) {
        for stem in stems(schedule, ".format_comms_err3.txt") {
            let program = read(schedule, &stem, ".compute_comms.csv");
            let program = csv::read_program(program.as_bytes()).unwrap();
            let expected = read(schedule, &stem, ".format_comms_err3.txt");
            assert_eq!(lines(&program_table(&program)), lines(&expected), "{schedule} {stem}");
        }
    }
}

/// What torch lowers is valid here, with all its actions.
#[test]
fn tables_that_torch_lowered_are_valid() {
    for schedule in LOADED.into_iter().chain(["GPipe", "1F1B", "DualPipeV"]) {
        for stem in stems(schedule, ".compute_comms.csv") {
            let text = read(schedule, &stem, ".compute_comms.csv");
            let program = csv::read_program(text.as_bytes()).unwrap();
            assert_eq!(csv::program_to_string(&program), text, "{schedule} {stem}");
            let valid = validate(program);
            assert!(valid.is_ok(), "{schedule} {stem}: {}", valid.unwrap_err());
        }
    }
}
