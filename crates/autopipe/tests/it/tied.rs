//! A parameter with a copy on another stage: each of its gradients is that of the one parameter, and
//! it counts once.

use std::collections::BTreeMap;

use autopipe::splitter::ElementType;

use crate::scales::{Scales, batch, config, grads, run};

/// The gradients after two steps that the owners have, and those of copies.
type Owned = (BTreeMap<String, f64>, BTreeMap<String, f64>);

fn trained(schedule: &str, pp_size: usize) -> Owned {
    let model = Scales { frozen: Vec::new(), edges: ElementType::F64 };
    let ranks = run(&model, &config(schedule), pp_size, |pipeline| {
        pipeline.step(&batch(0.0))?;
        pipeline.step(&batch(0.5))?;
        let owned = grads(&pipeline.owned_parts()?);
        let mut copies = grads(pipeline.parts()?);
        copies.retain(|name, _| pipeline.is_copy(name).unwrap());
        assert_eq!(grads(pipeline.parts()?).len(), owned.len() + copies.len());
        Ok((owned, copies))
    });
    let mut all = Owned::default();
    for (owned, copies) in ranks.unwrap() {
        all.0.extend(owned);
        all.1.extend(copies);
    }
    all
}

#[test]
fn copies_get_the_gradient_of_the_one_parameter_and_count_once() {
    let (expected, none) = trained("gpipe", 1);
    assert_eq!((expected.len(), none.len()), (5, 0), "one stage has one parameter");
    for (schedule, pp_size) in [("1f1b", 2), ("1f1b", 4), ("zbvzerobubble", 2)] {
        let (owned, copies) = trained(schedule, pp_size);
        assert!(owned.keys().eq(expected.keys()), "{schedule}: {:?}", owned.keys());
        for (name, expected) in &expected {
            let got = owned[name];
            assert!((got - expected).abs() <= 1e-12 * expected.abs(), "{schedule} {name}: {got}");
        }
        assert_eq!(copies, BTreeMap::from([("head.scale".to_owned(), owned["embed.scale"])]));
    }
}
