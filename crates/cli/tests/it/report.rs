//! `autopipe report`, of a run that tells the log what its ranks do.

use crate::command::Desk;

const RECIPE: &str = "\
step_scheduler: {global_batch_size: 2, local_batch_size: 2, max_steps: 2}
distributed: {pp_size: 2, pipeline: {pp_schedule: 1f1b, pp_microbatch_size: 1}}
model:
  config: {model_type: llama, vocab_size: 256, hidden_size: 8, intermediate_size: 16,
    num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 16}
dataset: {paths: [text.txt], seq_len: 8}
optimizer: {lr: 0.01}
checkpoint: {checkpoint_dir: run}
";

#[test]
fn a_run_becomes_a_page_and_its_ranks_tell_what_they_do() {
    let desk = Desk::new();
    desk.write("text.txt", &"the quick brown fox jumps over the lazy dog. ".repeat(4));
    desk.write("recipe.yaml", RECIPE);
    let trained = desk.run("train recipe.yaml --log autopipe_runtime::worker=debug");
    assert_eq!(trained.code, 0, "{}", trained.err);
    for rank in 0..2 {
        let line = format!(
            "DEBUG rank{{rank={rank}}}: autopipe_runtime::worker: a step of the pipeline is done step=1"
        );
        assert!(trained.err.contains(&line), "{line} is missing in:\n{}", trained.err);
    }
    assert!(!trained.err.contains("TRACE"), "{}", trained.err);
    // What the command's allocator counts, in a line for a step: packed matrices are as large as the
    // machine's caches want them.
    let has_memory = [" kB\n", " MB\n"].map(|unit| trained.err.contains(unit)).contains(&true);
    assert!(has_memory && trained.err.contains("FLOP/s"), "{}", trained.err);

    let made = desk.run("report run");
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    assert_eq!(made.out, "report  run/report.html\n");
    let page = desk.read("run/report.html");
    for part in ["Memory of ranks", "Model FLOP/s", "<iframe", "step-000002", "newest"] {
        assert!(page.contains(part), "{part}");
    }
    let printed = desk.run("report run --output -");
    assert_eq!(printed.out, page);

    let metrics = desk.read("run/metrics.jsonl");
    desk.write("run/metrics.jsonl", &metrics[..metrics.len() - 5]);
    let cut_off = desk.run("report run --output other.html");
    assert_eq!(cut_off.code, 0);
    assert_eq!(
        cut_off.err,
        "warning: left out: line 2 of `run/metrics.jsonl`, which is not finished\n"
    );
    assert!(desk.read("other.html").contains("Not on this page"));
}

#[test]
fn what_is_no_run_or_no_level_is_refused() {
    let desk = Desk::new();
    let error = desk.run("report nowhere").err;
    assert!(error.starts_with("error: cannot read `nowhere/metrics.jsonl`: "), "{error}");
    let error = desk.run("report nowhere --log loud");
    assert_eq!(error.code, 2);
    assert!(error.err.contains("`loud` is no level: give error, warn, info"), "{}", error.err);
}
