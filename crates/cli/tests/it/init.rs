//! `autopipe init`: recipes that can be read, and that train.

use autopipe_config::{Arrange, ModelSource, Recipe};

use crate::command::Desk;

/// A model with which bytes can be learnt.
const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 256, "hidden_size": 16,
    "intermediate_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2,
    "max_position_embeddings": 64}"#;

const PAIRS: &str = "{\"question\": \"2 + 2 = \", \"answer\": \"4\"}\n";

/// A folder with a config, text, records and a template.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.folder("model");
    desk.write("model/config.json", CONFIG);
    desk.write("other.json", CONFIG);
    desk.write("text.txt", &"the quick brown fox jumps over the lazy dog. ".repeat(60));
    desk.write("pairs.jsonl", &format!("\n{}", PAIRS.repeat(20)));
    desk.write("documents.jsonl", &"{\"text\": \"a fox and a dog\"}\n".repeat(20));
    let talk = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
    desk.write("chats.jsonl", talk);
    desk.write("t.jinja", "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
    desk
}

/// Runs the command and reads the recipe that it has written.
fn init(desk: &Desk, args: &str) -> Recipe {
    let output = desk.run(&format!("init {args}"));
    assert_eq!((output.code, output.out.as_str()), (0, "recipe  recipe.yaml\n"), "{}", output.err);
    let recipe = Recipe::parse(&desk.read("recipe.yaml"), "recipe.yaml");
    let recipe = recipe.unwrap();
    assert!(recipe.warnings.is_empty(), "{:?}", recipe.warnings);
    recipe
}

/// Trains by the recipe for two steps, and says which checkpoint they leave.
fn train(desk: &Desk) -> String {
    let set = "--set step_scheduler.max_steps=2 --set lr_scheduler.lr_warmup_steps=1";
    let output = desk.run(&format!("train recipe.yaml {set}"));
    assert_eq!(output.code, 0, "{}", output.err);
    output.out
}

#[test]
fn a_recipe_from_scratch_trains_and_one_from_its_weights_goes_on() {
    let desk = desk();
    let scratch = init(&desk, "--model model --data text.txt");
    insta::assert_snapshot!(desk.read("recipe.yaml"));
    assert!(matches!(scratch.model.source, ModelSource::ScratchLike { .. }));
    assert_eq!((scratch.distributed.pp_size, scratch.dataset.seq_len), (2, 64));
    assert_eq!(train(&desk), "checkpoint  runs/recipe/checkpoints/step-000002\n");

    std::fs::remove_file(desk.path("recipe.yaml")).unwrap();
    let tuned = init(&desk, "--model runs/recipe/checkpoints/step-000002 --data pairs.jsonl");
    insta::assert_snapshot!("fine_tuning", desk.read("recipe.yaml"));
    assert!(matches!(tuned.model.source, ModelSource::Pretrained { .. }));
    assert!(tuned.optimizer.lr < scratch.optimizer.lr);
    // A prompt of 8 bytes, one of completion, and the end.
    assert_eq!((tuned.dataset.seq_len, tuned.dataset.arrange), (32, Some(Arrange::Pack)));
    assert_eq!(tuned.dataset.sources[0].prompt_column, "question");
    // The run has the recipe's name, and the first one has it, too.
    std::fs::rename(desk.path("runs/recipe"), desk.path("first")).unwrap();
    let from = "--set model.pretrained_model_name_or_path=first/checkpoints/step-000002";
    let output = desk.run(&format!(
        "train recipe.yaml {from} --set step_scheduler.max_steps=2 --set lr_scheduler.lr_warmup_steps=1"
    ));
    assert_eq!(output.code, 0, "{}", output.err);
}

#[test]
fn data_of_every_form_train() {
    for (data, arrange) in [
        ("documents.jsonl", Arrange::Stream),
        ("chats.jsonl --chat-template t.jinja", Arrange::Pack),
    ] {
        let desk = desk();
        let recipe = init(&desk, &format!("--model other.json --data {data} --pp 1"));
        assert_eq!(recipe.dataset.arrange, Some(arrange), "{data}");
        assert!(recipe.distributed.pipeline.is_none());
        train(&desk);
    }
    let desk = desk();
    std::fs::write(desk.path("[odd] *.bin"), [1, 0].repeat(4000)).unwrap();
    let args = ["init", "--model", "model", "--data", "[odd] *.bin"];
    let output = crate::command::autopipe_in(&desk.path(""), &args);
    assert_eq!(output.code, 0, "{}", output.err);
    train(&desk);
}

#[test]
fn what_is_chosen_is_what_the_plan_finds_best() {
    let desk = desk();
    let recipe = init(&desk, "--model model --data text.txt --pp 4");
    let pipeline = recipe.distributed.pipeline.unwrap();
    assert!(pipeline.pp_batch_size / pipeline.pp_microbatch_size >= 4, "{pipeline:?}");
    let plan = desk.run("plan recipe.yaml");
    assert_eq!(plan.code, 0, "{}", plan.err);
    assert!(!plan.out.contains("Better:"), "{}", plan.out);
}

#[test]
fn memory_decides_too() {
    let desk = desk();
    let free = desk.run("init --model model --data text.txt -o free.yaml");
    let peak = |name: &str| -> f64 {
        let plan = desk.run(&format!("plan {name} --json"));
        let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
        let ranks = plan["ranks"].as_array().unwrap();
        ranks.iter().map(|rank| rank["total"].as_f64().unwrap()).fold(0.0, f64::max)
    };
    assert_eq!(free.code, 0, "{}", free.err);
    let all = peak("free.yaml");
    let limit = 0.7 * all;
    let gigabytes = limit / 1e9;
    let tight =
        desk.run(&format!("init --model model --data text.txt -o tight.yaml --memory {gigabytes}"));
    assert_eq!(tight.code, 0, "{}", tight.err);
    assert!(peak("tight.yaml") <= limit, "{} of {all}", peak("tight.yaml"));
    let none = desk.run("init --model model --data text.txt --memory 0.00001");
    assert_eq!(none.code, 1);
    assert!(none.err.contains("no schedule fits in the memory of a rank"), "{}", none.err);
}

#[test]
fn what_cannot_be_written_down_is_refused() {
    let desk = desk();
    desk.write("there.yaml", "precious");
    desk.write("keys.jsonl", "{\"a\": 1, \"b\": 2}\n");
    desk.write("list.json", "[\n{}\n]\n");
    desk.write("small.json", &CONFIG.replace("256", "100"));
    desk.folder("torch");
    desk.write("torch/config.json", CONFIG);
    desk.write("torch/pytorch_model.bin", "");
    for (args, expected) in [
        ("--model model --data text.txt -o there.yaml", "`there.yaml` is there already"),
        ("--model nothing --data text.txt", "cannot read `nothing`"),
        ("--model model --data nothing.txt", "cannot read `nothing.txt`"),
        ("--model model --data model", "`model` is no regular file"),
        ("--model model --data keys.jsonl", "line 1 of `keys.jsonl` has the keys `a`, `b`"),
        ("--model model --data list.json", "line 1 of `list.json` is no record"),
        ("--model model --data chats.jsonl", "no chat template"),
        ("--model small.json --data text.txt", "bytes need a vocabulary of 256"),
        ("--model torch --data text.txt", "only safetensors are read"),
        ("--model model --data text.txt --pp 8", "8 stages"),
    ] {
        let output = desk.run(&format!("init {args}"));
        assert_eq!((output.code, output.out.as_str()), (1, ""), "{args}");
        assert!(output.err.contains(expected), "{args}: {}", output.err);
        assert!(!desk.path("recipe.yaml").exists(), "{args}");
    }
    assert_eq!(desk.read("there.yaml"), "precious");
}
