//! The rules between the sections of a recipe, and problems that others find in one.

use autopipe_config::{DType, RecipeErrors};

use crate::{FULL, SMALL, parse, refusals, short, small_with};

#[test]
fn sizes_above_1_are_read() {
    let recipe = parse(FULL).unwrap();
    let d = &recipe.distributed;
    assert_eq!((d.pp_size, d.dp_size, d.dp_replicate_size), (2, Some(4), 2));
    assert_eq!((d.tp_size, d.cp_size, d.ep_size), (2, 1, 1));
    for none in ["null", "none", "None", ""] {
        let recipe = small_with("pp_size: 2", &format!("pp_size: 2\n  tp_size: {none}")).unwrap();
        assert_eq!(recipe.distributed.tp_size, 1);
    }
}

#[test]
fn the_global_batch_is_shared_by_the_data_parallel_ranks() {
    let batch = |global: usize, dp_size: &str| {
        let text = SMALL.replace("global_batch_size: 8", &format!("global_batch_size: {global}"));
        parse(&text.replace("pp_size: 2", &format!("pp_size: 2\n  dp_size: {dp_size}")))
    };
    let recipe = batch(24, "3").unwrap();
    assert_eq!(recipe.step_scheduler.num_accumulation_steps(3), Ok(2));
    assert_eq!(recipe.step_scheduler.num_accumulation_steps(6), Ok(1));
    let key = "step_scheduler.global_batch_size";
    assert_eq!(
        refusals(batch(24, "4")),
        [format!(
            "{key}: 24 is not a multiple of `local_batch_size` 4 times 4 data-parallel ranks"
        )]
    );
    // Not known yet: what no number of ranks would make right is still refused.
    assert!(batch(24, "none").is_ok());
    assert_eq!(
        refusals(batch(23, "none")),
        [format!("{key}: 23 is not a multiple of `local_batch_size` 4")]
    );
    let steps = recipe.step_scheduler;
    for dp_size in [0, 4, usize::MAX] {
        assert_eq!(steps.num_accumulation_steps(dp_size).unwrap_err().dp_size, dp_size);
    }
}

#[test]
fn a_pipelines_type_is_that_of_the_policy() {
    let dtype = |policy: &str, pipeline: &str| {
        let text =
            SMALL.replace("  pipeline:", &format!("  mp_policy: {policy}\n  pipeline: {pipeline}"));
        let recipe = parse(&text).unwrap_or_else(|errors| panic!("{errors}"));
        (recipe.distributed.pipeline.unwrap().dtype, short(&recipe.warnings))
    };
    let (both, param) = ("{ param_dtype: fp16, output_dtype: bf16 }", "{ param_dtype: fp16 }");
    assert_eq!(dtype(both, "{}"), (Some(DType::BFloat16), vec![]));
    assert_eq!(dtype(param, "{}"), (Some(DType::Float16), vec![]));
    assert_eq!(dtype("{ reduce_dtype: fp32 }", "{}"), (None, vec![]));
    assert_eq!(dtype("none", "{ dtype: bf16 }"), (Some(DType::BFloat16), vec![]));
    assert_eq!(dtype(both, "{ dtype: bf16 }"), (Some(DType::BFloat16), vec![]));
    let warning = "distributed.pipeline.dtype: float32 is not bfloat16, the type of `mp_policy`";
    assert_eq!(dtype(both, "{ dtype: fp32 }"), (Some(DType::Float32), vec![warning.into()]));
}

#[test]
fn a_pipelines_sequences_are_the_data_sets() {
    let seq_len = |yaml: &str| {
        small_with("  pipeline:", &format!("  pipeline: {yaml}"))
            .map(|recipe| recipe.distributed.pipeline.unwrap().pp_seq_len)
    };
    assert_eq!(seq_len("{}"), Ok(Some(32)));
    assert_eq!(seq_len("{ pp_seq_len: 32 }"), Ok(Some(32)));
    let other = seq_len("{ pp_seq_len: 64 }").unwrap_err();
    assert_eq!(
        short(other.problems()),
        ["distributed.pipeline.pp_seq_len: 64 differs from `dataset.seq_len` 32"]
    );
}

#[test]
fn what_makes_no_difference_is_warned_about_with_its_line() {
    let yaml = "  pipeline: { patch_inner_model: false,\n    \
                patch_stage_backward_maybe_with_nosync: true }";
    let recipe = small_with("  pipeline:", yaml).unwrap();
    let pipeline = recipe.distributed.pipeline.unwrap();
    assert!(!pipeline.patch_inner_model && pipeline.patch_stage_backward_maybe_with_nosync);
    let warnings: Vec<String> = recipe.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n\n"));
}

#[test]
fn a_schedule_beside_a_table_has_no_effect() {
    let warnings = |options: &str| {
        let text = format!("  pipeline: {{ pp_schedule_csv: a.csv, {options} }}");
        short(&small_with("  pipeline:", &text).unwrap().warnings)
    };
    let warning = "distributed.pipeline.pp_schedule: `gpipe` has no effect";
    assert_eq!(warnings("pp_schedule: gpipe"), [warning]);
    for silent in ["pp_schedule: null", "pp_schedule: none", ""] {
        assert_eq!(warnings(silent), [] as [&str; 0]);
    }
}

#[test]
fn a_problem_found_later_is_shown_like_the_others() {
    let recipe = parse(FULL).unwrap();
    let problems = vec![
        recipe.problem("distributed.tp_size", "2 ranks cannot share 3 heads", Some("set it to 1")),
        recipe.problem("dataset.paths", "no file is found", None),
        recipe.problem("distributed.ep_size", "a key with nothing to point at", None),
        recipe.problem("checkpoint.no_such.key", "the nearest section is shown", None),
        recipe.problem("dataset.paths[1]", "an item has its own line", None),
        recipe.problem("dataset.paths[2]", "the list, where there is no such item", None),
        recipe.problem("nowhere", "the text as a whole", None),
        recipe.problem("", "the same", None),
    ];
    assert_eq!(problems[0].key, "distributed.tp_size");
    let errors = RecipeErrors::new(problems).unwrap();
    insta::assert_snapshot!(errors);
}

#[test]
fn one_problem_is_an_error() {
    let recipe = parse(SMALL).unwrap();
    let errors = RecipeErrors::from(recipe.problem("optimizer.lr", "too high", None));
    assert_eq!(errors.problems().len(), 1);
    assert_eq!(RecipeErrors::new(vec![]), None);
}

#[test]
fn recipes_are_equal_that_say_the_same() {
    let longer = format!("# a comment\n\n{SMALL}");
    assert_eq!(parse(SMALL).unwrap(), parse(&longer).unwrap());
    assert_ne!(parse(SMALL).unwrap(), parse(FULL).unwrap());
}
