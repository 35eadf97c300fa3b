//! Generated schedules: torch's own, digest by digest; sizes torch refuses; and what papers promise.

use std::fs;
use std::path::Path;

use autopipe_schedule::{Extent, Kind, MicrobatchRule, Plan, generate};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// A value of one of torch's rows: `{"schedule": "GPipe", "pp": 1, ..., "compute": "1a2a..."}`.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\": "))?;
    let end = rest.find([',', '}']).unwrap();
    Some(rest[..end].trim_matches('"'))
}

fn number(line: &str, name: &str) -> usize {
    field(line, name).unwrap().parse().unwrap()
}

/// The first 24 digits of the digest of a plan's rows, written as torch writes tables.
fn digest(plan: &Plan) -> String {
    let mut text = String::new();
    for row in plan.rows() {
        let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    Sha256::digest(text).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// 1 to 4 ranks, 1 to 4 stages a rank, 1 to 16 microbatches, all schedules of torch.
#[test]
fn torch_generates_and_refuses_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/schedule_hashes.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let (mut num_made, mut num_refused) = (0, 0);
    for line in text.lines() {
        let kind: Kind = field(line, "schedule").unwrap().parse().unwrap();
        let extent = Extent {
            num_ranks: number(line, "pp"),
            stages_per_rank: number(line, "v"),
            num_microbatches: number(line, "mb"),
        };
        match (generate(kind, &extent), field(line, "compute")) {
            (Ok(plan), Some(expected)) => {
                assert_eq!(digest(&plan), expected, "{kind} {extent:?}");
                num_made += 1;
            }
            (Err(_), None) => num_refused += 1,
            (got, expected) => panic!("{kind} {extent:?}: {got:?}, in torch {expected:?}"),
        }
    }
    assert_eq!((num_made, num_refused), (874, 534));
}
