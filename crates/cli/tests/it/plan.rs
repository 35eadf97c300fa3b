//! `autopipe plan`: what it says of a recipe and of a config, and what it refuses.

use serde_json::{Value, json};

use crate::command::{Desk, Output};

const RECIPE: &str = "\
step_scheduler: {global_batch_size: 8, local_batch_size: 8, max_steps: 4}
distributed:
  pp_size: 2
  pipeline: {pp_schedule: 1f1b}
model:
  config:
    model_type: llama
    vocab_size: 256
    hidden_size: 16
    intermediate_size: 32
    num_hidden_layers: 6
    num_attention_heads: 2
dataset: {paths: ['*.txt'], seq_len: 16}
optimizer: {lr: 0.01}
";

/// Llama-3.1-70B's config, with what decides its sizes.
fn large() -> Value {
    json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "dtype": "bfloat16",
        "vocab_size": 128_256, "hidden_size": 8192, "intermediate_size": 28_672,
        "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
        "max_position_embeddings": 131_072, "rope_theta": 500_000.0, "tie_word_embeddings": false
    })
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("recipe.yaml", RECIPE);
    desk.folder("llama");
    desk.write("llama/config.json", &large().to_string());
    desk
}

#[track_caller]
fn planned(desk: &Desk, args: &str) -> String {
    let Output { code, out, err } = desk.run(&format!("plan {args}"));
    assert_eq!((code, err.as_str()), (0, ""), "{args}");
    out
}

#[track_caller]
pub(crate) fn planned_json(desk: &Desk, args: &str) -> Value {
    serde_json::from_str(&planned(desk, &format!("{args} --json"))).unwrap()
}

#[track_caller]
fn refused(desk: &Desk, args: &str) -> String {
    let Output { code, out, err } = desk.run(&format!("plan {args}"));
    assert_ne!(code, 0, "{args}: {out}");
    assert_eq!(out, "", "{args}");
    err
}

const LARGE: &str = "--model llama --pp 8 --schedule interleaved1f1b --batch 32 --seq 4096 --dp 4";

#[test]
fn what_people_read() {
    let desk = desk();
    insta::assert_snapshot!("recipe", planned(&desk, "recipe.yaml"));
    insta::assert_snapshot!(
        "model",
        planned(&desk, &format!("{LARGE} --tflops 400 --bandwidth 50"))
    );
    let args = "recipe.yaml --set distributed.pp_size=3 --set step_scheduler.local_batch_size=2 \
                --set distributed.pipeline.pp_schedule=gpipe --memory 0.0002";
    insta::assert_snapshot!("warnings", planned(&desk, args));
}

#[test]
fn what_programs_read() {
    let desk = desk();
    let plan = planned_json(&desk, LARGE);
    assert_eq!(plan["model"]["num_parameters"], 70_553_706_496_u64);
    assert_eq!(plan["mesh"]["world_size"], 32);
    assert_eq!(plan["mesh"]["axes"]["dp_shard"], 4);
    assert_eq!(plan["schedule"], "ScheduleInterleaved1F1B");
    assert_eq!((&plan["num_microbatches"], &plan["unit"]), (&json!(32), &json!("operations")));
    let stages = plan["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 16);
    assert_eq!(stages[0]["modules"][0], "model.embed_tokens");
    assert_eq!(stages[9]["rank"], 1);
    let parameters: u64 = stages.iter().map(|s| s["num_parameters"].as_u64().unwrap()).sum();
    assert_eq!(parameters, 70_553_706_496);
    // Hidden states of one microbatch in bfloat16.
    assert_eq!(stages[0]["message_bytes"], 4096. * 8192. * 2.);
    let ranks = plan["ranks"].as_array().unwrap();
    let weights: f64 = ranks.iter().map(|rank| rank["weights"].as_f64().unwrap()).sum();
    assert_eq!(weights, 2. * 70_553_706_496. / 4.);
    for rank in ranks {
        let parts = ["weights", "gathered", "gradients", "optimizer", "activations"];
        let sum: f64 = parts.iter().map(|part| rank[*part].as_f64().unwrap()).sum();
        assert_eq!(rank["total"].as_f64().unwrap(), sum);
    }
    assert!(plan["suggestion"]["options"]["pp_schedule"].is_string(), "{}", plan["suggestion"]);
}

#[test]
fn what_is_suggested_keeps_its_word() {
    let desk = desk();
    let base = "--model llama --batch 32 --seq 4096 --dp 4";
    let mut num_suggested = 0;
    for now in [
        "--pp 8 --schedule interleaved1f1b",
        "--pp 8 --schedule interleaved1f1b --split balanced",
        "--pp 4 --split even:1,1",
        "--pp 4 --split Et*8|t*24|t*24|t*24L",
        "--pp 4 --schedule gpipe --memory 600",
        "--pp 4 --schedule gpipe --memory 400",
        "--pp 2 --schedule zb-h2 --tflops 100 --bandwidth 10",
        "--pp 8 --schedule interleaved1f1b --layers-per-stage 5",
    ] {
        let plan = planned_json(&desk, &format!("{base} {now}"));
        let Some(better) = plan["suggestion"].as_object() else { continue };
        num_suggested += 1;
        let limit = now.split_once("--memory ").map(|(_, limit)| limit.parse::<f64>().unwrap());
        let peak = better["peak_bytes"].as_f64().unwrap();
        match limit {
            Some(limit) => assert!(peak <= 1e9 * limit, "{now}: {peak}"),
            None => assert!(better["step"].as_f64() < plan["step"].as_f64(), "{now}"),
        }
        // As a person would: what is named is set or taken out, everything else stays.
        let mut flags: Vec<(String, String)> = now
            .split("--")
            .filter_map(|flag| flag.trim().split_once(' '))
            .map(|(flag, value)| (flag.to_owned(), value.to_owned()))
            .collect();
        for (option, value) in better["options"].as_object().unwrap() {
            let flag = match option.as_str() {
                "pp_schedule" => "schedule".to_owned(),
                other => other.replace('_', "-"),
            };
            flags.retain(|(name, _)| *name != flag);
            if value != "none" {
                flags.push((flag, value.as_str().unwrap().to_owned()));
            }
        }
        let then: String = flags.iter().map(|(flag, value)| format!(" --{flag} {value}")).collect();
        let then = planned_json(&desk, &format!("{base}{then}"));
        let ranks = then["ranks"].as_array().unwrap().iter();
        let then_peak = ranks.map(|rank| rank["total"].as_f64().unwrap()).fold(0.0, f64::max);
        assert_eq!(then["step"], better["step"], "{now}");
        assert_eq!((then_peak, &then["idle"]), (peak, &better["idle"]), "{now}");
    }
    assert!(num_suggested >= 6, "{num_suggested}");

    // In a recipe, by the same keys as its `--set` takes.
    let now = planned_json(&desk, "recipe.yaml --memory 1");
    let better = &now["suggestion"];
    let mut args = "recipe.yaml --memory 1".to_owned();
    for (key, value) in better["options"].as_object().unwrap() {
        args.push_str(&format!(" --set {key}={}", value.as_str().unwrap()));
    }
    assert_eq!(planned_json(&desk, &args)["step"], better["step"]);
}

#[test]
fn what_is_not_trained_takes_less_memory() {
    let desk = desk();
    let sum = |plan: &Value, what: &str| -> f64 {
        plan["ranks"].as_array().unwrap().iter().map(|rank| rank[what].as_f64().unwrap()).sum()
    };
    let whole = planned_json(&desk, "recipe.yaml");
    let lora = "recipe.yaml --set peft.target_modules=q_proj --set peft.dim=4";
    let adapted = planned_json(&desk, lora);
    // Two matrices of 4 * 16 in each of six layers; a gradient of 4 bytes, moments of 8.
    assert_eq!(sum(&adapted, "gradients"), 4.0 * 768.0);
    assert_eq!(sum(&adapted, "optimizer"), 8.0 * 768.0);
    assert_eq!(sum(&adapted, "weights"), sum(&whole, "weights") + 4.0 * 768.0);
    let frozen = planned_json(&desk, "recipe.yaml --set model.freeze=model.layers.*");
    // Embedding, head and the last norm.
    assert_eq!(sum(&frozen, "gradients"), 4.0 * (2.0 * 256.0 * 16.0 + 16.0));
    let again = "recipe.yaml --set distributed.activation_checkpointing=full";
    let again = planned_json(&desk, again);
    assert!(sum(&again, "activations") < 0.5 * sum(&whole, "activations"));
    assert!(again["notes"].to_string().contains("computed again"), "{}", again["notes"]);
    let error = refused(&desk, "recipe.yaml --set peft.target_modules=q_prj");
    assert!(error.contains("peft.target_modules: no matrix of the model"), "{error}");
}

#[test]
fn ranks_share_what_their_axis_is_for() {
    let desk = desk();
    let base = "--model llama --pp 2 --batch 8 --seq 4096 --tflops 100";
    let plan = |args: &str| planned_json(&desk, &format!("{base} {args}"));
    let number = |plan: &Value, at: &str| plan.pointer(at).unwrap().as_f64().unwrap();
    let one = plan("");
    // Numbers of a token on the last stage: those of heads, feed-forward blocks and vocabulary are cut,
    // those of the residual stream are not.
    let kept = |num_parts: f64| {
        let (hidden, added) = (8192., if num_parts > 1. { 1. } else { 0. });
        let cut = 4. * 8192. + 3. * 1024. + 3. * 28_672.;
        let layer = (6. + 4. * added) * hidden + cut / num_parts;
        40. * layer + hidden + added * hidden + 128_256. / num_parts
    };
    for (args, time, weights, gradients, tokens, activations) in [
        ("--dp 4", 1., 4., 1., 4., 1.),
        ("--cp 4", 4., 4., 1., 4., 4.),
        ("--tp 4", 4., 4., 4., 4., kept(1.) / kept(4.)),
        ("--dp 2 --cp 2 --tp 2", 4., 8., 2., 8., 2. * kept(1.) / kept(2.)),
    ] {
        let many = plan(args);
        let ratio = |at: &str| number(&one, at) / number(&many, at);
        for (at, expected) in [
            ("/step", time),
            ("/stages/0/flops", time),
            ("/stages/1/activation_bytes", activations),
            ("/ranks/0/weights", weights),
            ("/ranks/1/optimizer", weights),
            ("/ranks/0/gradients", gradients),
        ] {
            assert!((ratio(at) - expected).abs() < 1e-9, "{args} {at}: {}", ratio(at));
        }
        let per_second = 1. / ratio("/tokens_per_second");
        assert!((per_second - tokens).abs() < 1e-9, "{args}: {per_second}");
    }
    let two = "recipe.yaml --set distributed.dp_size=2 --set step_scheduler.global_batch_size=16";
    let shards = |args: &str| planned_json(&desk, args)["shards"]["gradients"].clone();
    assert_eq!(shards(two), 1);
    assert_eq!(shards(&format!("{two} --set distributed.defer_fsdp_grad_sync=false")), 2);
    assert_eq!(plan("--bytes 2,2,12")["bytes_per_parameter"]["optimizer"], 12);
}

#[test]
fn ways_to_split() {
    let desk = desk();
    let layers = |plan: &Value| -> Vec<usize> {
        let stages = plan["stages"].as_array().unwrap().iter();
        let is_layer = |name: &&Value| name.as_str().unwrap().contains("layers.");
        stages.map(|s| s["modules"].as_array().unwrap().iter().filter(is_layer).count()).collect()
    };
    let base = "--model llama --pp 4 --batch 8 --seq 64";
    assert_eq!(layers(&planned_json(&desk, base)), [20, 20, 20, 20]);
    let weighted = planned_json(&desk, &format!("{base} --split even:1,3"));
    assert_eq!((layers(&weighted), &weighted["split"]), (vec![20, 21, 21, 18], &json!("even:1,3")));
    let layout = planned_json(&desk, &format!("{base} --split Et*10|t*30|t*30|t*10L"));
    assert_eq!(layers(&layout), [10, 30, 30, 10]);
    let balanced = planned_json(&desk, &format!("{base} --split balanced"));
    assert!(balanced["step"].as_f64() <= planned_json(&desk, base)["step"].as_f64());
    let recipe = planned_json(&desk, "recipe.yaml --set distributed.split=Ett|ttttL");
    assert_eq!(layers(&recipe), [2, 4]);

    for file in ["split.svg", "split.dot"] {
        planned(&desk, &format!("{base} -o {file}"));
    }
    assert!(desk.read("split.svg").starts_with("<svg"));
    assert!(desk.read("split.dot").starts_with("digraph"));
}

#[test]
fn a_schedule_may_be_a_table() {
    let desk = desk();
    let table = desk.result("generate --schedule zbv --pp 2 --microbatches 8 --format csv");
    desk.write("zbv.csv", &table);
    let plan =
        planned_json(&desk, "--model llama --pp 2 --batch 8 --seq 64 --schedule-csv zbv.csv");
    assert_eq!((&plan["schedule"], plan["stages"].as_array().unwrap().len()), (&json!("CSV"), 4));
    let v: Vec<&Value> = plan["stages"].as_array().unwrap().iter().map(|s| &s["rank"]).collect();
    assert_eq!(v, [0, 1, 1, 0]);
    let set = "recipe.yaml --set distributed.pipeline.pp_schedule_csv=zbv.csv \
               --set distributed.pipeline.pp_schedule=none";
    assert_eq!(planned_json(&desk, set)["schedule"], "CSV");
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    let desk = desk();
    desk.write("llama/broken.json", &large().to_string().replace("80", "0"));
    desk.write("llama/unknown.json", &large().to_string().replace("\"llama\"", "\"lama\""));
    let base = "--model llama --batch 8 --seq 64";
    let cases = [
        ("", "required"),
        ("recipe.yaml --model llama --batch 1 --seq 1", "cannot be used with"),
        ("recipe.yaml --pp 2", "cannot be used with"),
        ("--model llama", "--batch"),
        ("--model nowhere --batch 8 --seq 64", "cannot read `nowhere`"),
        ("--model llama/broken.json --batch 8 --seq 64", "num_hidden_layers"),
        ("--model llama/unknown.json --batch 8 --seq 64", "did you mean `llama`"),
        (&format!("{base} --pp 0"), "0"),
        (
            &format!("{base} --pp 100 --schedule gpipe"),
            "100 stages need at least 100 layers, the model has 80",
        ),
        (&format!("{base} --schedule zigzag"), "zigzag"),
        (&format!("{base} --microbatch 3"), "microbatches of 3"),
        (&format!("{base} --pp 2 --split Ett|ttL"), "80"),
        (&format!("{base} --pp 4 --split Et*80L"), "1 stages, which 4 ranks cannot share"),
        (&format!("{base} --bytes 2,2"), "three numbers"),
        ("--model /dev/null --batch 8 --seq 64", "not a regular file"),
        (&format!("{base} --pp 2 --split eveh"), "even:FIRST,LAST"),
        (&format!("{base} --pp 2 --split balanced --memory 1"), "has no room"),
        (&format!("{base} --tflops 0"), "from 1e-6 to 1e12"),
        (&format!("{base} --bandwidth 50"), "--tflops"),
        (&format!("{base} --cp 7"), "cannot share 64 tokens evenly"),
        (&format!("{base} -o split.png"), "the endings are .svg and .dot"),
        ("recipe.yaml --set distributed.pp_size=two", "--set:1:21: distributed.pp_size"),
        ("recipe.yaml --set distributed.split=x", "distributed.split"),
        ("recipe.yaml --set distributed.pp_size=9", "9"),
        ("nowhere.yaml", "cannot read the recipe `nowhere.yaml`"),
    ];
    for (args, expected) in cases {
        let error = refused(&desk, args);
        assert!(error.contains(expected), "{args}: {error}");
    }
}

#[test]
fn the_schema_is_json() {
    let Output { code, out, .. } = Desk::new().run("schema");
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &schema["type"]), (0, &json!("object")));
}

#[test]
fn examples_of_the_help_work() {
    let desk = desk();
    desk.folder("examples");
    desk.write("examples/quickstart.yaml", RECIPE);
    desk.folder("models/llama");
    desk.write("models/llama/config.json", &large().to_string());
    let help = desk.run("plan --help").out;
    let examples: Vec<&str> =
        help.lines().filter_map(|line| line.trim().strip_prefix("autopipe plan ")).collect();
    assert_eq!(examples.len(), 4, "{help}");
    for example in examples {
        planned(&desk, example);
    }
}
