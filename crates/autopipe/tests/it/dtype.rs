//! `dtype` is what the model computes in.

use autopipe::PipelineConfig;
use autopipe::splitter::ElementType;

use crate::scales::{Scales, config, run};

#[test]
fn dtype_has_to_be_the_models() {
    for (dtype, edges, is_right) in [
        ("float64", ElementType::F64, true),
        ("bfloat16", ElementType::Bf16, true),
        ("float16", ElementType::F16, true),
        ("float32", ElementType::F32, true),
        ("float32", ElementType::U32, true),
        ("bfloat16", ElementType::F32, false),
        ("float32", ElementType::Bf16, false),
    ] {
        let config = PipelineConfig { dtype: dtype.parse().ok(), ..config("1f1b") };
        assert!(config.dtype.is_some());
        let built = run(&Scales { frozen: Vec::new(), edges }, &config, 2, |_| Ok(()));
        assert_eq!(built.is_ok(), is_right, "{dtype} for {edges:?}");
    }
    let config = PipelineConfig { dtype: "bf16".parse().ok(), ..config("1f1b") };
    let model = Scales { frozen: Vec::new(), edges: ElementType::F32 };
    let error = run(&model, &config, 2, |_| Ok(())).unwrap_err().to_string();
    let expected = "dtype is bfloat16, but the model gives float32 from `embed` to `layers.0`; load \
                    the model in bfloat16, or leave dtype out";
    assert!(error.ends_with(expected), "{error}");
}
