//! `autopipe generate`: a model goes on with what it was taught, and what is refused.

use std::sync::OnceLock;

use crate::command::{Desk, Output, autopipe_in};

/// Every letter says which one follows.
const TEXT: &str = "abcdefghé";

const RECIPE: &str = "\
step_scheduler: {global_batch_size: 8, local_batch_size: 8, max_steps: 60}
model:
  config:
    model_type: llama
    vocab_size: 256
    hidden_size: 16
    intermediate_size: 32
    num_hidden_layers: 1
    num_attention_heads: 2
    max_position_embeddings: 32
dataset: {paths: ['*.txt'], seq_len: 16}
optimizer: {lr: 0.03}
checkpoint: {checkpoint_dir: run}
";

/// A desk with a trained model in `model`.
fn desk() -> &'static Desk {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| {
        let desk = Desk::new();
        desk.write("text.txt", &TEXT.repeat(200));
        desk.write("recipe.yaml", RECIPE);
        let Output { code, err, .. } = desk.run("train recipe.yaml --threads-per-rank 1");
        assert_eq!(code, 0, "{err}");
        std::fs::rename(desk.path("run/checkpoints/step-000060"), desk.path("model")).unwrap();
        desk
    })
}

fn generate(args: &[&str]) -> Output {
    let base = ["generate", "--model", "model", "--threads", "1"];
    autopipe_in(&desk().path(""), &[&base, args].concat())
}

#[test]
fn a_model_goes_on_with_what_it_was_taught() {
    let Output { code, out, err } = generate(&["--prompt", "abc", "--max-new-tokens", "13"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "defghéabcdef\n");
    let Output { out, err, .. } = generate(&["--prompt", "fgh", "--max-new-tokens", "1", "-v"]);
    // Half an é.
    assert_eq!(out, "\u{fffd}\n");
    assert!(err.starts_with("1 token after 3 of prompt, "), "{err}");
    assert!(err.ends_with(" tokens/s, ended by --max-new-tokens\n"), "{err}");
}

#[test]
fn draws_are_the_same_for_a_seed() {
    let drawn = |seed| {
        let args = ["--prompt", "abc", "--temperature", "5", "--top-k", "60", "--seed", seed];
        let output = generate(&args);
        assert_eq!(output.code, 0, "{}", output.err);
        output.out
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert!(drawn("1") != drawn("2"));
    let args = ["--prompt", "abc", "--temperature", "0.1", "--top-p", "0.5"];
    let likely = generate(&[&args[..], &["--max-new-tokens", "4"]].concat());
    assert_eq!(likely.out, "defg\n");
}

#[test]
fn positions_end_a_text_with_a_word() {
    let Output { code, out, err } = generate(&["--prompt", "abcdefgh", "--max-new-tokens", "99"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("éabcdefghé"), "{out}");
    assert_eq!(
        err,
        "warning: the text ends here because the model has no more than 32 positions\n"
    );
}

#[test]
fn nobody_has_to_read_it_all() {
    desk();
    let args = "--model model --prompt abc --max-new-tokens 25 --threads 1";
    let Output { code, out, err } =
        desk().shell(&format!("autopipe generate {args} | dd bs=1 count=2 2>/dev/null"));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "de", ""));
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    for (args, code, expected) in [
        (&["--prompt", ""][..], 1, "give it some text"),
        (
            &["--prompt", &"a".repeat(33)],
            1,
            "has 33 tokens, the model's max_position_embeddings is 32",
        ),
        (&["--prompt", "a", "--temperature", "0"], 1, "left out for the likeliest token"),
        (&["--prompt", "a", "--temperature", "1", "--top-p", "2"], 1, "at most 1"),
        (&["--prompt", "a", "--top-k", "3"], 2, "--temperature"),
        (&["--prompt", "a", "--seed", "3"], 2, "--temperature"),
        (&[], 2, "--prompt"),
    ] {
        let output = generate(args);
        assert_eq!((output.code, output.out.as_str()), (code, ""), "{args:?}: {}", output.err);
        assert!(output.err.contains(expected), "{args:?}: {}", output.err);
    }
    let nowhere = desk().run("generate --model nowhere --prompt a");
    assert!(
        nowhere.code == 1 && nowhere.err.contains("cannot read nowhere/config.json"),
        "{}",
        nowhere.err
    );
}

#[test]
fn help() {
    insta::assert_snapshot!(Desk::new().run("generate --help").out);
}
