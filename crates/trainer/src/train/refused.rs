//! What a recipe can say and this version cannot run, with the place where the recipe says it.

use autopipe_config::{DType, Problem, Recipe, RecipeErrors, Strategy};

use super::from_recipe::data_parallel;

/// Everything that is asked for and would not happen, where the model is trained in `trained`.
pub(super) fn refused(recipe: &Recipe, trained: Option<DType>) -> Option<RecipeErrors> {
    let distributed = &recipe.distributed;
    let pipelines = data_parallel(recipe).num_pipelines();
    let is_ddp = distributed.strategy == Strategy::Ddp;
    let copies = distributed.dp_replicate_size;
    let is_uneven = |dp_size: &usize| !is_ddp && !dp_size.is_multiple_of(copies);
    let dp_size = distributed.dp_size.filter(is_uneven).map(|dp_size| {
        let message = format!("{dp_size} ranks cannot share out {copies} copies evenly");
        let help = format!("write a multiple of `dp_replicate_size`, {copies}");
        recipe.problem("distributed.dp_size", message, Some(&help))
    });
    let copies = (is_ddp && ![1, pipelines].contains(&copies)).then(|| {
        let message = format!(
            "{copies} copies, and with `strategy: ddp` all {pipelines} data-parallel ranks are"
        );
        recipe.problem("distributed.dp_replicate_size", message, Some("leave it out"))
    });
    let sizes = [
        ("distributed.cp_size", distributed.cp_size),
        ("distributed.ep_size", distributed.ep_size),
    ];
    let sizes = sizes.into_iter().filter(|(_, size)| *size > 1).map(|(key, size)| {
        let message = format!("{size} ranks can be planned, but not run yet");
        recipe.problem(
            key,
            message,
            Some("leave this out; `pp_size`, `dp_size` and `tp_size` can be run"),
        )
    });
    let policy = distributed.mp_policy.as_ref();
    let dtypes = [
        ("distributed.mp_policy.param_dtype", policy.and_then(|policy| policy.param_dtype)),
        ("distributed.mp_policy.output_dtype", policy.and_then(|policy| policy.output_dtype)),
        (
            "distributed.pipeline.dtype",
            // What follows from the policy is told there.
            distributed.pipeline.as_ref().and_then(|pipeline| pipeline.dtype).filter(|dtype| {
                policy.and_then(|policy| policy.activation_dtype()) != Some(*dtype)
            }),
        ),
    ];
    let dtypes = dtypes.into_iter().filter_map(|(key, dtype)| {
        let (dtype, trained) = (dtype?, trained?);
        let message = format!("{dtype} can be planned, but the model is trained in {trained}");
        let help = "leave it out, or give the model this type as `model.dtype`";
        (dtype != trained).then(|| recipe.problem(key, message, Some(help)))
    });
    let model = recipe.model.dtype.filter(|dtype| *dtype == DType::Float64).map(|dtype| {
        let message = format!("{dtype} can be planned, but nothing is trained in it");
        recipe.problem("model.dtype", message, Some("write `float32`, `bfloat16` or `float16`"))
    });
    let sums = policy.and_then(|policy| policy.reduce_dtype);
    let sums = sums.filter(|dtype| *dtype != DType::Float32).map(|dtype| {
        let message = format!("{dtype} can be planned, but gradients are added up in float32");
        let help = "leave it out, or write `float32`";
        recipe.problem("distributed.mp_policy.reduce_dtype", message, Some(help))
    });
    let sync = (!distributed.defer_fsdp_grad_sync && pipelines == 1).then(|| {
        let message = "without data parallelism there are no gradients to sum over ranks";
        recipe.problem("distributed.defer_fsdp_grad_sync", message, Some("leave it out"))
    });
    let scaled = distributed.pipeline.as_ref().filter(|pipeline| pipeline.scale_grads_in_schedule);
    let scaled = scaled.map(|_| {
        let message = "the loss of a run is divided by the labels of the whole step already";
        let key = "distributed.pipeline.scale_grads_in_schedule";
        recipe.problem(key, message, Some("leave it out"))
    });
    let split = distributed.split.as_ref().filter(|_| distributed.pp_size < 2).map(|_| {
        let message = "without a pipeline there is one stage, which has everything";
        recipe.problem("distributed.split", message, Some("leave it out, or set `pp_size`"))
    });
    let problems: Vec<Problem> = dp_size
        .into_iter()
        .chain(copies)
        .chain(sizes)
        .chain(model)
        .chain(dtypes)
        .chain(sums)
        .chain(sync)
        .chain(scaled)
        .chain(split)
        .collect();
    RecipeErrors::new(problems)
}
