//! A plan for programs.

use serde_json::{Map, Value, json};

use super::Planned;
use super::request::name;

pub(super) fn json(planned: &Planned) -> Value {
    let Planned { request, plan, forecast, warnings, suggestion } = planned;
    let axes: Map<String, Value> =
        request.mesh.axes().map(|(axis, size)| (axis.to_string(), size.into())).collect();
    let model = &request.model;
    let workload = &request.workload;
    let in_seconds = workload.speed.is_some();
    let ranks = forecast.ranks.iter().map(|rank| {
        let mut value = json!(rank);
        value["total"] = rank.total().into();
        value
    });
    json!({
        "model": {
            "model_type": model.model_type,
            "num_parameters": model.graph.num_parameters(),
            "num_layers": model.num_layers,
            "dtype": name(model.dtype),
            "is_tied": model.is_tied,
        },
        "mesh": { "world_size": request.mesh.world_size(), "axes": axes },
        "schedule": plan.schedule,
        "split": request.split.to_string(),
        "num_microbatches": plan.table.num_microbatches(),
        "microbatch": {
            "batch_size": workload.microbatch.batch_size,
            "seq_len": workload.microbatch.seq_len,
        },
        "bytes_per_parameter": workload.parameter_bytes,
        "shards": workload.shards,
        "stages": forecast.stages,
        "ranks": ranks.collect::<Vec<_>>(),
        "step": forecast.step,
        "unit": if in_seconds { "seconds" } else { "operations" },
        "tokens": forecast.tokens,
        "tokens_per_second": in_seconds.then(|| planned.tokens_per_second()),
        "bubble": forecast.bubble,
        "idle": forecast.idle,
        "notes": request.notes,
        "warnings": warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "suggestion": suggestion.as_ref().map(|better| {
            let options = better.options.iter().map(|(option, value)| {
                (request.source.key(option), Value::from(value.clone()))
            });
            json!({
                "options": options.collect::<Map<_, _>>(),
                "step": better.forecast.step,
                "bubble": better.forecast.bubble,
                "idle": better.forecast.idle,
                "peak_bytes": better.forecast.peak_bytes(),
            })
        }),
    })
}
