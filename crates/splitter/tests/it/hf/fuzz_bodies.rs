//! What is true of any bytes that may be a config.
//!
//! The body takes the bytes of one input, panics if a promise is broken, and says whether the input
//! was accepted.

use autopipe_splitter::{HfError, HfNesting, hf_model};

/// No message is longer than this, whatever it is about.
const MESSAGE: usize = 20_000;

/// A config gives a graph that holds together, or is refused in a message of bounded length.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let Ok(config) = serde_json::from_slice(bytes) else { return false };
    let [modules, checkpoint] =
        [HfNesting::Modules, HfNesting::Checkpoint].map(|nesting| hf_model(&config, nesting));
    let (modules, checkpoint) = match (modules, checkpoint) {
        (Ok(modules), Ok(checkpoint)) => (modules, checkpoint),
        (Err(error), Err(same)) => {
            assert_eq!(error, same);
            let message = error.to_string();
            assert!(message.len() < MESSAGE, "a message of {} bytes", message.len());
            if let HfError::Config { problems, .. } = error {
                assert!(!problems.is_empty());
            }
            return false;
        }
        (one, other) => unreachable!("one is refused: {:?} {:?}", one.err(), other.err()),
    };
    for model in [&modules, &checkpoint] {
        assert_eq!(model.graph.num_layers(), model.num_layers);
        let total: usize = model.graph.modules().map(|module| module.num_parameters()).sum();
        assert_eq!(total, model.graph.num_parameters());
        // Every layer lies between two edges, but for the last of a model without a head.
        assert!(model.graph.edges().count() > model.num_layers);
        assert!(model.graph.edges().all(|(_, _, tensors)| tensors.len() == 1));
    }
    assert_eq!(modules.graph.num_parameters(), checkpoint.graph.num_parameters());
    true
}
