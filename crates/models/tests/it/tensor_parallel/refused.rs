//! What cannot be cut, and a rank that is gone.

use autopipe_models::{
    AutoModel, Error, Options, Recompute, TensorParallelProblem, from_config, from_config_with,
};
use autopipe_nn::Pass;
use autopipe_runtime::Keywords;
use candle_core::Device;
use serde_json::json;

use super::{batch, build, config};
use crate::fixture::modules;
use crate::threads::{broken, ranks};

fn problems(model: &AutoModel, num_ranks: usize) -> Vec<String> {
    let result = model.check_tensor_parallel(num_ranks);
    let Err(Error::TensorParallel { num_ranks: told, problems }) = result else {
        result.unwrap();
        return Vec::new();
    };
    assert_eq!(told, num_ranks);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_cannot_be_cut_is_refused_all_at_once() {
    let model = from_config(&config("llama", &json!({"num_attention_heads": 12})), 3).unwrap();
    assert!([1, 2, 4].iter().all(|num_ranks| problems(&model, *num_ranks).is_empty()));
    assert_eq!(problems(&model, 0), ["there has to be at least one"]);
    assert_eq!(
        problems(&model, 3),
        [
            "each rank has whole heads, and `num_key_value_heads` is 4; the numbers that do are 1, 2, 4, \
         and more ranks can be data-parallel or in a pipeline"
        ]
    );
    let small = json!({"vocab_size": 7, "intermediate_size": 3, "pad_token_id": null});
    let small = from_config(&config("llama", &small), 3).unwrap();
    assert_eq!(
        problems(&small, 16),
        [
            "each rank has whole heads, and `num_attention_heads` is 8; the numbers that do are 1, 2, \
             4, and more ranks can be data-parallel or in a pipeline",
            "each rank has whole heads, and `num_key_value_heads` is 4; the numbers that do are 1, 2, \
             4, and more ranks can be data-parallel or in a pipeline",
            "each rank has a part of the vocabulary, which has 7; use that many ranks or fewer",
            "each rank has a part of a feed-forward block, which has 3; use that many ranks or fewer",
        ]
    );
    let refused = ranks(3, |group| {
        let names = modules(model.as_model());
        let built = model.as_model().build_stage_among(&names, &Device::Cpu, group);
        built.err().unwrap().to_string()
    });
    for message in refused {
        assert!(
            message.starts_with(
                "the model cannot be cut among 3 tensor-parallel ranks: each rank has whole heads"
            ),
            "{message}"
        );
    }
    let fitting = vec![1, 2, 4];
    let heads = TensorParallelProblem::Heads { key: "num_key_value_heads", value: 4, fitting };
    let expected = Error::TensorParallel { num_ranks: 3, problems: vec![heads] };
    assert_eq!(model.check_tensor_parallel(3).unwrap_err().to_string(), expected.to_string());
}

#[test]
fn a_rank_that_is_gone_is_an_error() {
    let options = Options { recompute: Recompute::All, ..Options::default() };
    let model = from_config_with(&config("qwen3_moe", &json!({})), 3, options).unwrap();
    let names = modules(model.as_model());
    let stage = |fails| build(&model, &names, Some(&broken(fails)));
    let ids = [batch(61).ids];
    let error = stage(Pass::Forward).forward(&ids, &Keywords::new()).unwrap_err();
    assert!(error.to_string().contains("rank 0 is gone"), "{error}");
    let stage = stage(Pass::Backward);
    let logits = stage.forward(&ids, &Keywords::new()).unwrap().remove(0);
    let error = logits.sum_all().unwrap().backward().unwrap_err();
    assert!(error.to_string().contains("rank 0 is gone"), "{error}");
}
