//! The graph of one forward: what its backward starts from and leads to.

use std::collections::BTreeMap;

use autopipe_nn::vjp;
use autopipe_splitter::{Sent, StageRoute};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::stage::{Grads, Inputs};
use crate::{ActionError, Keywords, StageModel};

/// A forward that has just been computed.
pub(super) struct Forwarded {
    /// What the model made, with its graph if that is tracked.
    pub(super) outputs: Vec<Tensor>,
    /// What came from the former stage; empty on the first.
    came: Vec<Tensor>,
    /// Of the tensors that came, by their places, those that are leaves of the graph.
    leaves: BTreeMap<usize, Var>,
    grads: Grads,
    /// What leaves the stage.
    sent: Vec<Sent>,
}

/// The graph of one forward, kept for its backward.
pub(super) struct Live {
    /// The received tensors whose gradients the former stage waits for.
    received: Vec<Received>,
    /// The roots: outputs that can have a gradient; the loss alone on the last stage.
    roots: Vec<Tensor>,
    /// To what each gradient that comes belongs.
    grads_of: Vec<GradOf>,
}

/// A tensor that came from the former stage, which waits for its gradient.
struct Received {
    /// Its place among all that came.
    place: usize,
    /// The leaf of the graph, if this stage computes with it.
    leaf: Option<Var>,
}

/// To what a gradient belongs.
#[derive(Clone, Copy)]
enum GradOf {
    /// To the next of the roots.
    Root,
    /// To the received tensor of this place, which was handed on.
    Passed(usize),
}

fn is_differentiable(tensor: &Tensor) -> bool {
    tensor.dtype().is_float()
}

impl Forwarded {
    /// Runs the model, with as much of a graph as a backward to these gradients needs.
    pub(super) fn compute(
        model: &dyn StageModel,
        route: Option<&StageRoute>,
        inputs: Inputs,
        keywords: &Keywords,
        grads: Grads,
    ) -> Result<Self, ActionError> {
        let forward = |inputs: &[Tensor]| match grads {
            Grads::OfAll | Grads::OfWeights => model.forward(inputs, keywords),
            Grads::None => model.parameters().no_grad(|| model.forward(inputs, keywords)),
        };
        let (came, outputs, leaves) = match inputs {
            Inputs::Batch(inputs) => (Vec::new(), forward(&inputs)?, BTreeMap::new()),
            Inputs::Received(came) => {
                if let Some(route) = route {
                    check_count(&came, route)?;
                }
                let all: Vec<usize> = (0..came.len()).collect();
                let used = route.map_or(&all, |route| &route.used);
                let mut leaves = BTreeMap::new();
                let mut inputs = Vec::with_capacity(used.len());
                for &place in used {
                    let tensor = &came[place];
                    inputs.push(if grads == Grads::OfAll && is_differentiable(tensor) {
                        // candle makes a leaf of a copy only.
                        let leaf = Var::from_tensor(tensor)?;
                        let input = leaf.as_tensor().clone();
                        leaves.insert(place, leaf);
                        input
                    } else {
                        tensor.clone()
                    });
                }
                let outputs = forward(&inputs)?;
                (came, outputs, leaves)
            }
        };
        let sent = sent(route, &outputs)?;
        Ok(Self { outputs, came, leaves, grads, sent })
    }

    fn source(&self, sent: Sent) -> &Tensor {
        match sent {
            Sent::Made(place) => &self.outputs[place],
            Sent::Passed(place) => &self.came[place],
        }
    }

    /// What leaves the stage, without its graph.
    pub(super) fn sent(&self) -> Vec<Tensor> {
        self.sent.iter().map(|&sent| self.source(sent).detach()).collect()
    }

    /// What came from the former stage.
    pub(super) fn into_came(self) -> Vec<Tensor> {
        self.came
    }

    /// What the backward needs.
    pub(super) fn into_live(mut self) -> Live {
        let (mut roots, mut grads_of) = (Vec::new(), Vec::new());
        for &sent in &self.sent {
            let tensor = self.source(sent);
            if is_differentiable(tensor) {
                grads_of.push(match sent {
                    Sent::Made(_) => {
                        roots.push(tensor.clone());
                        GradOf::Root
                    }
                    Sent::Passed(place) => GradOf::Passed(place),
                });
            }
        }
        let is_awaited = self.grads == Grads::OfAll;
        let places = self.came.iter().enumerate();
        let places = places.filter(|(_, tensor)| is_awaited && is_differentiable(tensor));
        let received =
            places.map(|(place, _)| Received { place, leaf: self.leaves.remove(&place) }).collect();
        Live { received, roots, grads_of }
    }
}

impl Live {
    /// Lets the backward start from the loss and nothing else.
    pub(super) fn start_from(&mut self, loss: Tensor) {
        self.roots = vec![loss];
        self.grads_of = vec![GradOf::Root];
    }

    /// The gradients of what came from the former stage, in its order, and all others. The graph is
    /// gone when it returns.
    pub(super) fn backward(
        self,
        grads: Vec<Tensor>,
    ) -> Result<(Vec<Tensor>, GradStore), ActionError> {
        let Self { received, roots, grads_of } = self;
        if grads.len() != grads_of.len() {
            return Err(ActionError::GradientCount { got: grads.len(), expected: grads_of.len() });
        }
        let (mut of_roots, mut passed) = (Vec::new(), BTreeMap::new());
        for (grad, of) in grads.into_iter().zip(grads_of) {
            match of {
                GradOf::Root => of_roots.push(grad),
                GradOf::Passed(place) => drop(passed.insert(place, grad)),
            }
        }
        let mut store = vjp(&roots, &of_roots)?;
        drop((roots, of_roots));
        let mut input_grads = Vec::with_capacity(received.len());
        for Received { place, leaf } in received {
            let used = leaf.as_ref().and_then(|leaf| store.remove(leaf.as_tensor()));
            input_grads.push(match (used, passed.remove(&place), leaf) {
                (Some(used), Some(passed), _) => (used.detach() + passed)?,
                (Some(used), None, _) => used.detach(),
                (None, Some(passed), _) => passed,
                // The outputs do not depend on it; its maker waits for a gradient all the same.
                (None, None, Some(leaf)) => leaf.zeros_like()?,
                (None, None, None) => unreachable!("checked by F: what comes is used or passed on"),
            });
        }
        Ok((input_grads, store))
    }
}

/// Checks that as many tensors came as the stage uses and hands on.
fn check_count(came: &[Tensor], route: &StageRoute) -> Result<(), ActionError> {
    let passed = route.sent.iter().filter_map(|sent| match sent {
        Sent::Passed(place) => Some(*place),
        Sent::Made(_) => None,
    });
    let last = passed.chain(route.used.iter().copied()).max();
    let expected = last.map_or(0, |last| last + 1);
    if came.len() == expected {
        Ok(())
    } else {
        Err(ActionError::TensorCount { got: came.len(), expected })
    }
}

/// What leaves the stage, when the model has made `outputs`.
fn sent(route: Option<&StageRoute>, outputs: &[Tensor]) -> Result<Vec<Sent>, ActionError> {
    let Some(route) = route.filter(|route| !route.sent.is_empty()) else {
        return Ok((0..outputs.len()).map(Sent::Made).collect());
    };
    let expected = route.sent.iter().filter(|sent| matches!(sent, Sent::Made(_))).count();
    if outputs.len() != expected {
        return Err(ActionError::OutputCount { got: outputs.len(), expected });
    }
    Ok(route.sent.clone())
}
