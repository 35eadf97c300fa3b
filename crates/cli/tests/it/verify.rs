//! `autopipe verify`: the verdict for people and for programs, and what is refused.

use std::path::Path;

use serde_json::{Value, json};

use crate::command::{Desk, Output, examples};

/// A folder with a tiny model's config, a batch and a schedule.
fn desk() -> Desk {
    let config = json!({
        "model_type": "llama", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 16
    });
    let desk = Desk::new();
    desk.folder("models/llama");
    desk.write("models/llama/config.json", &config.to_string());
    let ids: Vec<i64> = (0..32).collect();
    let labels: Vec<i64> = (0..32).map(|id| if id < 6 { -100 } else { id + 1 }).collect();
    batch(&desk.path("batch.safetensors"), &[("input_ids", &ids), ("labels", &labels)]);
    let plan = desk.schedule("generate --schedule 1f1b --pp 2 --microbatches 2 --format csv");
    desk.write("plan.csv", &plan.out);
    desk
}

/// A safetensors file of four rows: its header's length, its header, its numbers.
fn batch(path: &Path, tensors: &[(&str, &[i64])]) {
    let mut header = serde_json::Map::new();
    let mut numbers: Vec<u8> = Vec::new();
    for (name, values) in tensors {
        let begin = numbers.len();
        numbers.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = json!({
            "dtype": "I64", "shape": [4, values.len() / 4], "data_offsets": [begin, numbers.len()]
        });
        header.insert((*name).to_owned(), entry);
    }
    let header = Value::from(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes().chain(numbers));
    std::fs::write(path, file).unwrap();
}

/// The names in a safetensors file, sorted.
fn names(path: &Path) -> Vec<String> {
    let file = std::fs::read(path).unwrap();
    let length = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let mut names: Vec<String> = header.as_object().unwrap().keys().cloned().collect();
    names.retain(|name| name != "__metadata__");
    names.sort();
    names
}

const BASE: &str = "verify --model models/llama --pp 2 --threads 1";

#[track_caller]
fn agreed(desk: &Desk, args: &str) -> String {
    let Output { code, out, err } = desk.run(args);
    assert_eq!((code, err.as_str()), (0, ""), "{args}: {out}");
    out
}

#[test]
fn what_programs_read() {
    let desk = desk();
    let args = format!("{BASE} --schedule zbv --microbatches 4 --batch batch.safetensors --json");
    let found: Value = serde_json::from_str(&agreed(&desk, &args)).unwrap();
    let keys: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    insta::assert_snapshot!(keys.join("\n"));
    let number = |key: &str| found[key].as_f64().unwrap();
    assert_eq!(found["agrees"], true);
    assert!((number("loss") - 64f64.ln()).abs() < 0.5, "{found}");
    assert!((number("loss") - number("loss_unsplit")).abs() < 1e-5);
    assert!(number("grad_norm") > 0.0 && number("max_rel_grad_diff") < 1e-5, "{found}");
    assert!(found["worst_parameter"].as_str().unwrap().ends_with(".weight"));
    assert_eq!((&found["num_labels"], &found["batch_size"]), (&json!(26), &json!(4)));
    assert_eq!((&found["num_stages"], &found["num_microbatches"]), (&json!(4), &json!(4)));
    assert_eq!(found["schedule"], "ScheduleZBVZeroBubble");
}

#[test]
fn what_people_read() {
    let desk = desk();
    let text = agreed(&desk, &format!("{BASE} --microbatches 4 --split even:0,1"));
    // The digits of the differences are those of one machine.
    let (verdict, rest) = text.split_once("\n\n").unwrap();
    let (figures, setting) = rest.split_once("\n\n").unwrap();
    insta::assert_snapshot!(format!("{verdict}\n\n{setting}"));
    let names: Vec<&str> = figures.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(names[..3], ["", "loss", "gradient norm"]);
    assert!(names[3].starts_with("worst gradient ") && names[3].contains(", of "), "{figures}");
}

#[test]
fn a_difference_past_the_tolerance_is_a_failure() {
    let desk = desk();
    let args = format!("{BASE} --microbatches 4 --tolerance 0");
    let Output { code, out, err } = desk.run(&args);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(
        out.starts_with("the split model does not compute what the unsplit one does: "),
        "{out}"
    );
    assert!(out.contains("of 39 gradients differ by more than 0"), "{out}");
    assert!(out.contains(" more, which --json lists"), "{out}");
    let Output { code, out, .. } = desk.run(&format!("{args} --json"));
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &found["agrees"]), (1, &json!(false)));
    assert_eq!(found["differing"][0]["parameter"], found["worst_parameter"]);
}

#[test]
fn gradients_are_written_by_their_names() {
    let desk = desk();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/fixtures/llama");
    let shown = fixture.display();
    let args = format!(
        "verify --model {shown} --batch {shown}/batch.safetensors --pp 2 --microbatches 2 \
         --schedule interleaved1f1b --threads 1 --grads-out grads.safetensors --json"
    );
    let found: Value = serde_json::from_str(&agreed(&desk, &args)).unwrap();
    let reference = std::fs::read_to_string(fixture.join("reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&reference).unwrap();
    for key in ["loss", "grad_norm"] {
        let (got, expected) = (found[key].as_f64().unwrap(), reference[key].as_f64().unwrap());
        assert!((got - expected).abs() < 1e-5 * expected, "{key}: {got} for {expected}");
    }
    assert_eq!(found["model"]["weights"], "checkpoint");
    assert_eq!(names(&desk.path("grads.safetensors")), names(&fixture.join("model.safetensors")));
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    let desk = desk();
    batch(&desk.path("wrong.safetensors"), &[("input_ids", &[64; 8]), ("labels", &[-100; 8])]);
    batch(&desk.path("other.safetensors"), &[("tokens", &[1; 8])]);
    for (args, code, expected) in [
        ("--microbatches 3 --batch batch.safetensors", 1, "evenly; 1, 2 or 4 can"),
        ("--microbatches 3 --batch-size 4", 1, "evenly; 1, 2 or 4 can"),
        ("--microbatches 2 --batch wrong.safetensors", 1, "(and 7 more) is not in the model's"),
        ("--microbatches 2 --batch wrong.safetensors", 1, "so that none counts"),
        ("--microbatches 2 --batch other.safetensors", 1, "has `tokens` ([4, 2] of I64)"),
        ("--microbatches 2 --batch nowhere", 1, "cannot read the batch `nowhere`: No such file"),
        ("--microbatches 2 --batch plan.csv", 1, "`plan.csv` is no safetensors file"),
        ("--microbatches 0", 1, "0"),
        ("--microbatches 2 --dtype fp64", 1, "nothing is trained in float64"),
        ("--microbatches 2 --tolerance=-1", 1, "a tolerance of -1 is none"),
        ("--microbatches 2 --grads-out no/where", 1, "cannot write the gradients to `no/where`"),
        ("--schedule plan.csv --microbatches 3", 1, "has 2 microbatches, not 3"),
        ("--schedule nowhere.csv", 1, "cannot read the schedule `nowhere.csv`"),
        ("--schedule plan.csv --stages-per-rank 1", 2, "the table says what is on each rank"),
        ("--schedule 1f1b", 2, "--microbatches is missing"),
        ("--schedule 1f2b --microbatches 2", 2, "1F1B"),
        ("--microbatches 2 --batch batch.safetensors --seq-len 8", 2, "cannot be used with"),
    ] {
        let output = desk.run(&format!("{BASE} {args}"));
        assert_eq!((output.code, output.out.as_str()), (code, ""), "{args}: {}", output.err);
        assert!(output.err.contains(expected), "{args}: {}", output.err);
    }
}

#[test]
fn help_and_its_examples() {
    let desk = desk();
    let help = desk.run("verify --help").out;
    insta::assert_snapshot!(help);
    let examples = examples(&help, "verify");
    assert_eq!(examples.len(), 4, "{help}");
    for example in examples {
        agreed(&desk, &format!("verify {example}"));
    }
    // As in `autopipe plan`.
    agreed(&desk, &format!("{BASE} --schedule-csv plan.csv"));
}
