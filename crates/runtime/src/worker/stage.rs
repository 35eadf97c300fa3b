//! One stage on its rank: what it holds of each microbatch between its actions.

use std::collections::BTreeMap;

use autopipe_nn::{DeferredGrads, Parameters, vjp};
use autopipe_schedule::{MicroBatch, Transfer};
use autopipe_splitter::{Sent, StageRoute};
use candle_core::{Tensor, Var};

use crate::communicator::PostedRecv;
use crate::{ActionError, StageModel};

/// A stage and, by microbatch, the tensors that wait for its next action. Each entry is taken by
/// the action that uses it, so that memory is free when the program says so.
pub(super) struct StageRun {
    model: Box<dyn StageModel>,
    /// What of the tensors that reach the stage it uses and hands on; without one it uses all, and
    /// sends what it makes.
    route: Option<StageRoute>,
    /// From RECV_F or the former stage here, until F.
    inputs: BTreeMap<MicroBatch, Arriving>,
    /// From F, until SEND_F.
    outputs: BTreeMap<MicroBatch, Vec<Tensor>>,
    /// From F, until B or I.
    live: BTreeMap<MicroBatch, Live>,
    /// From RECV_B or the next stage here, until B or I.
    output_grads: BTreeMap<MicroBatch, Arriving>,
    /// From B or I, until SEND_B.
    input_grads: BTreeMap<MicroBatch, Vec<Tensor>>,
    /// From I, until W.
    weight_grads: BTreeMap<MicroBatch, DeferredGrads>,
}

/// Tensors that the next action of a microbatch computes with.
pub(super) enum Arriving {
    /// From a stage of this rank, or from the loss.
    Here(Vec<Tensor>),
    /// Asked for from another rank, which sends it by `sent`.
    Posted { posted: PostedRecv, sent: Transfer },
}

/// Where the inputs of a forward come from.
pub(super) enum Inputs {
    /// The batch: nobody waits for its gradient.
    Batch(Vec<Tensor>),
    /// The former stage, which waits for one.
    Received(Vec<Tensor>),
}

/// The graph of one forward.
struct Live {
    /// The received tensors that can have a gradient.
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

impl StageRun {
    pub(super) fn new(model: Box<dyn StageModel>, route: Option<StageRoute>) -> Self {
        Self {
            model,
            route,
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            live: BTreeMap::new(),
            output_grads: BTreeMap::new(),
            input_grads: BTreeMap::new(),
            weight_grads: BTreeMap::new(),
        }
    }

    pub(super) fn parameters(&self) -> &Parameters {
        self.model.parameters()
    }

    /// Drops everything that a failed step left.
    pub(super) fn clear(&mut self) {
        self.inputs.clear();
        self.outputs.clear();
        self.live.clear();
        self.output_grads.clear();
        self.input_grads.clear();
        self.weight_grads.clear();
        drop(self.model.parameters().take_deferred());
    }

    /// F: computes the outputs from `inputs`, and keeps the graph if a backward will come. Returns
    /// the outputs with their graph.
    pub(super) fn forward(
        &mut self,
        index: MicroBatch,
        inputs: Inputs,
        train: bool,
    ) -> Result<Vec<Tensor>, ActionError> {
        let (came, from_batch) = match inputs {
            Inputs::Batch(inputs) => (inputs, true),
            Inputs::Received(inputs) => (inputs, false),
        };
        let route = self.route.as_ref().filter(|_| !from_batch);
        if let Some(route) = route {
            // Each tensor that comes is used, handed on, or both.
            let passed = route.sent.iter().filter_map(|sent| match sent {
                Sent::Passed(place) => Some(*place),
                Sent::Made(_) => None,
            });
            let expected =
                passed.chain(route.used.iter().copied()).max().map_or(0, |last| last + 1);
            if came.len() != expected {
                return Err(ActionError::TensorCount { got: came.len(), expected });
            }
        }
        let mut leaves = BTreeMap::new();
        let mut inputs = Vec::new();
        let used = route.map_or_else(|| (0..came.len()).collect(), |route| route.used.clone());
        for place in used {
            let tensor = &came[place];
            inputs.push(if train && !from_batch && is_differentiable(tensor) {
                // candle makes a leaf of a copy only.
                let leaf = Var::from_tensor(tensor)?;
                let input = leaf.as_tensor().clone();
                leaves.insert(place, leaf);
                input
            } else {
                tensor.clone()
            });
        }
        let outputs = self.model.forward(&inputs)?;

        let (mut sent, mut roots, mut grads_of) = (Vec::new(), Vec::new(), Vec::new());
        for source in self.sent(&outputs)? {
            let (tensor, grad_of) = match source {
                Sent::Made(place) => (&outputs[place], GradOf::Root),
                Sent::Passed(place) => (&came[place], GradOf::Passed(place)),
            };
            if is_differentiable(tensor) {
                grads_of.push(grad_of);
                if let GradOf::Root = grad_of {
                    roots.push(tensor.clone());
                }
            }
            sent.push(tensor.detach());
        }
        self.outputs.insert(index, sent);
        if train {
            let mut received = Vec::new();
            if !from_batch {
                let places =
                    came.iter().enumerate().filter(|(_, tensor)| is_differentiable(tensor));
                received.extend(
                    places.map(|(place, _)| Received { place, leaf: leaves.remove(&place) }),
                );
            }
            self.live.insert(index, Live { received, roots, grads_of });
        }
        Ok(outputs)
    }

    /// What leaves the stage, when the model has made `outputs`.
    fn sent(&self, outputs: &[Tensor]) -> Result<Vec<Sent>, ActionError> {
        let Some(route) = self.route.as_ref().filter(|route| !route.sent.is_empty()) else {
            return Ok((0..outputs.len()).map(Sent::Made).collect());
        };
        let expected = route.sent.iter().filter(|sent| matches!(sent, Sent::Made(_))).count();
        if outputs.len() != expected {
            return Err(ActionError::OutputCount { got: outputs.len(), expected });
        }
        Ok(route.sent.clone())
    }

    /// The last stage's F ends with the loss, from which its backward starts at `scale`.
    pub(super) fn set_loss(
        &mut self,
        index: MicroBatch,
        loss: &Tensor,
        scale: f64,
        train: bool,
    ) -> Result<(), ActionError> {
        self.outputs.remove(&index);
        if train {
            let live = self.live.get_mut(&index).expect("F has just put it there");
            live.roots = vec![loss.clone()];
            live.grads_of = vec![GradOf::Root];
            let seed = (loss.ones_like()? * scale)?;
            self.output_grads.insert(index, Arriving::Here(vec![seed]));
        }
        Ok(())
    }

    /// I: the gradients of the inputs now, those of the weights later. `grads` are those of the
    /// outputs.
    pub(super) fn backward_input(
        &mut self,
        index: MicroBatch,
        grads: &[Tensor],
    ) -> Result<(), ActionError> {
        let Live { received, roots, grads_of } =
            self.live.remove(&index).expect("validated: F comes before B and I");
        if grads.len() != grads_of.len() {
            return Err(ActionError::GradientCount { got: grads.len(), expected: grads_of.len() });
        }
        let (mut of_roots, mut passed) = (Vec::new(), BTreeMap::new());
        for (grad, of) in grads.iter().zip(grads_of) {
            match of {
                GradOf::Root => of_roots.push(grad.clone()),
                GradOf::Passed(place) => drop(passed.insert(place, grad)),
            }
        }
        let mut store = vjp(&roots, &of_roots)?;
        drop((roots, of_roots));
        let mut input_grads = Vec::with_capacity(received.len());
        for Received { place, leaf } in received {
            let used = leaf.as_ref().and_then(|leaf| store.remove(leaf.as_tensor()));
            input_grads.push(match (used, passed.get(&place), leaf) {
                (Some(used), Some(&passed), _) => (used.detach() + passed)?,
                (Some(used), None, _) => used.detach(),
                (None, Some(&passed), _) => passed.clone(),
                // The outputs do not depend on it; its maker waits for a gradient all the same.
                (None, None, Some(leaf)) => leaf.zeros_like()?,
                (None, None, None) => unreachable!("checked by F: what comes is used or passed on"),
            });
        }
        self.input_grads.insert(index, input_grads);
        let parameters = self.model.parameters();
        parameters.collect(&mut store)?;
        self.weight_grads.insert(index, parameters.take_deferred());
        Ok(())
    }

    /// W: the gradients of the weights that I left.
    pub(super) fn backward_weight(&mut self, index: MicroBatch) -> Result<(), ActionError> {
        let waiting = self.weight_grads.remove(&index).expect("validated: I comes before W");
        Ok(waiting.run()?)
    }

    pub(super) fn take_outputs(&mut self, index: MicroBatch) -> Vec<Tensor> {
        self.outputs.remove(&index).expect("validated: F comes before its SEND_F")
    }

    pub(super) fn take_input_grads(&mut self, index: MicroBatch) -> Vec<Tensor> {
        self.input_grads.remove(&index).expect("validated: B or I comes before its SEND_B")
    }

    /// What B or I has just made.
    pub(super) fn input_grads(&self, index: MicroBatch) -> &[Tensor] {
        self.input_grads.get(&index).map_or(&[], Vec::as_slice)
    }

    pub(super) fn receive_inputs(&mut self, index: MicroBatch, inputs: Arriving) {
        self.inputs.insert(index, inputs);
    }

    pub(super) fn take_inputs(&mut self, index: MicroBatch) -> Arriving {
        self.inputs.remove(&index).expect("validated: every F has its inputs")
    }

    pub(super) fn receive_output_grads(&mut self, index: MicroBatch, grads: Arriving) {
        self.output_grads.insert(index, grads);
    }

    pub(super) fn take_output_grads(&mut self, index: MicroBatch) -> Arriving {
        self.output_grads.remove(&index).expect("validated: every B and I has its gradients")
    }
}
