//! One stage on its rank: what it holds of each microbatch between its actions.

use std::collections::BTreeMap;

use autopipe_nn::{DeferredGrads, Parameters, vjp};
use autopipe_schedule::{MicroBatch, Transfer};
use candle_core::{Tensor, Var};

use crate::communicator::PostedRecv;
use crate::{ActionError, StageModel};

/// A stage and, by microbatch, the tensors that wait for its next action. Each entry is taken by
/// the action that uses it, so that memory is free when the program says so.
pub(super) struct StageRun {
    model: Box<dyn StageModel>,
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
    /// The received inputs that can have a gradient, as leaves of the graph.
    leaves: Vec<Var>,
    /// The roots: outputs that can have a gradient; the loss alone on the last stage.
    roots: Vec<Tensor>,
}

fn is_differentiable(tensor: &Tensor) -> bool {
    tensor.dtype().is_float()
}

impl StageRun {
    pub(super) fn new(model: Box<dyn StageModel>) -> Self {
        Self {
            model,
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
        let mut leaves = Vec::new();
        let inputs = match inputs {
            Inputs::Received(received) if train => {
                let leaf = |tensor: Tensor| {
                    if !is_differentiable(&tensor) {
                        return Ok(tensor);
                    }
                    // candle makes a leaf of a copy only.
                    let leaf = Var::from_tensor(&tensor)?;
                    let tensor = leaf.as_tensor().clone();
                    leaves.push(leaf);
                    Ok(tensor)
                };
                received.into_iter().map(leaf).collect::<candle_core::Result<_>>()?
            }
            Inputs::Received(inputs) | Inputs::Batch(inputs) => inputs,
        };
        let outputs = self.model.forward(&inputs)?;
        self.outputs.insert(index, outputs.iter().map(Tensor::detach).collect());
        if train {
            let roots =
                outputs.iter().filter(|output| is_differentiable(output)).cloned().collect();
            self.live.insert(index, Live { leaves, roots });
        }
        Ok(outputs)
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
        let Live { leaves, roots } =
            self.live.remove(&index).expect("validated: F comes before B and I");
        if grads.len() != roots.len() {
            return Err(ActionError::GradientCount { got: grads.len(), expected: roots.len() });
        }
        let mut store = vjp(&roots, grads)?;
        drop(roots);
        let input_grads = leaves
            .iter()
            .map(|leaf| match store.remove(leaf.as_tensor()) {
                Some(grad) => Ok(grad.detach()),
                // The outputs do not depend on it; its maker waits for a gradient all the same.
                None => leaf.zeros_like(),
            })
            .collect::<candle_core::Result<_>>()?;
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
