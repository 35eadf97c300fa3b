//! Models of which a part is trained, or nothing.

use autopipe::splitter::ElementType;

use crate::scales::{Scales, batch, config, grads, run};

#[test]
fn stages_behind_frozen_ones_are_trained() {
    let model =
        Scales { frozen: vec!["embed", "head", "layers.0", "layers.1"], edges: ElementType::F64 };
    let gradients = |pp_size| -> Vec<(String, f64)> {
        let ranks = run(&model, &config("1f1b"), pp_size, |pipeline| {
            pipeline.step(&batch(0.0))?;
            assert!(pipeline.plan()?.ties.is_empty(), "a frozen copy needs no gradients");
            Ok(grads(pipeline.parts()?))
        });
        ranks.unwrap().into_iter().flatten().collect()
    };
    let expected = gradients(1);
    assert_eq!(expected.len(), 2);
    for pp_size in [2, 4] {
        for (got, expected) in gradients(pp_size).iter().zip(&expected) {
            assert_eq!(got.0, expected.0);
            assert!((got.1 - expected.1).abs() <= 1e-12 * expected.1.abs(), "{got:?}");
        }
    }
}

#[test]
fn a_model_without_anything_to_train_is_refused() {
    let all = vec!["embed", "head", "layers.0", "layers.1", "layers.2", "layers.3"];
    let model = Scales { frozen: all, edges: ElementType::F64 };
    let error = run(&model, &config("1f1b"), 2, |_| Ok(())).unwrap_err().to_string();
    assert!(error.ends_with("nothing to train: all 6 parameters are frozen"), "{error}");
}
