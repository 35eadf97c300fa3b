//! One stage on its rank: what it holds of each microbatch between its actions.

use std::collections::BTreeMap;

use autopipe_nn::{DeferredGrads, Parameters};
use autopipe_schedule::MicroBatch;
use autopipe_splitter::StageRoute;
use candle_core::Tensor;

use super::arriving::Arriving;
use super::live::{Forwarded, Live};
use crate::{ActionError, Keywords, StageModel};

/// A stage and, by microbatch, the tensors that wait for its next action. Each entry is taken by
/// the action that uses it, so that memory is free when the program says so.
pub(super) struct StageRun {
    model: Box<dyn StageModel>,
    /// What of the tensors that reach the stage it uses and hands on; without one it uses all, and
    /// sends what it makes.
    route: Option<StageRoute>,
    grads: Grads,
    /// From RECV_F or the former stage here, until F.
    inputs: BTreeMap<MicroBatch, Arriving>,
    /// From F, until SEND_F.
    outputs: BTreeMap<MicroBatch, Vec<Tensor>>,
    /// What came, from F until R, if there will be one.
    came: BTreeMap<MicroBatch, Vec<Tensor>>,
    /// From F or R, until B or I.
    live: BTreeMap<MicroBatch, Live>,
    /// From RECV_B or the next stage here, until B or I.
    output_grads: BTreeMap<MicroBatch, Arriving>,
    /// From B or I, until SEND_B.
    input_grads: BTreeMap<MicroBatch, Vec<Tensor>>,
    /// From I, until W.
    weight_grads: BTreeMap<MicroBatch, DeferredGrads>,
}

/// Which gradients a stage computes, or a forward is to be followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grads {
    /// None: nothing is trained here or before. Its forwards keep nothing, and where the program has a
    /// backward, an empty message comes and an empty one goes.
    None,
    /// Those of its weights: nothing is trained before.
    OfWeights,
    /// Those of its inputs too.
    OfAll,
}

/// Where the inputs of a forward come from.
pub(super) enum Inputs {
    /// The batch: nobody waits for its gradient.
    Batch(Vec<Tensor>),
    /// The former stage, which waits for one.
    Received(Vec<Tensor>),
}

/// What a forward keeps for a backward.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing: there will be none.
    Nothing,
    /// What came, from which R makes the graph again.
    Inputs,
    /// The graph.
    Graph,
}

impl StageRun {
    pub(super) fn new(model: Box<dyn StageModel>, route: Option<StageRoute>, grads: Grads) -> Self {
        Self {
            model,
            route,
            grads,
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            came: BTreeMap::new(),
            live: BTreeMap::new(),
            output_grads: BTreeMap::new(),
            input_grads: BTreeMap::new(),
            weight_grads: BTreeMap::new(),
        }
    }

    pub(super) fn parameters(&self) -> &Parameters {
        self.model.parameters()
    }

    pub(super) fn keywords(&self) -> &[&str] {
        self.model.keywords()
    }

    /// Drops everything that a failed step left.
    pub(super) fn clear(&mut self) {
        self.inputs.clear();
        self.outputs.clear();
        self.came.clear();
        self.live.clear();
        self.output_grads.clear();
        self.input_grads.clear();
        self.weight_grads.clear();
    }

    /// F: computes the outputs from `inputs`, and keeps what a backward will need. Returns the
    /// outputs, with their graph if it is kept.
    pub(super) fn forward(
        &mut self,
        index: MicroBatch,
        inputs: Inputs,
        keywords: &Keywords,
        keep: Keep,
    ) -> Result<Vec<Tensor>, ActionError> {
        let grads = if keep == Keep::Graph { self.grads } else { Grads::None };
        let done = Forwarded::compute(&*self.model, self.route.as_ref(), inputs, keywords, grads)?;
        self.outputs.insert(index, done.sent());
        let outputs = done.outputs.clone();
        match keep {
            Keep::Nothing => {}
            Keep::Inputs => drop(self.came.insert(index, done.into_came())),
            Keep::Graph => drop(self.live.insert(index, done.into_live())),
        }
        Ok(outputs)
    }

    /// Whether its backwards have something to compute.
    pub(super) fn goes_backward(&self) -> bool {
        self.grads != Grads::None
    }

    /// R: makes the graph that F did not keep. `batch` are the first stage's inputs, which F did
    /// not keep either: the batch has them.
    pub(super) fn recompute(
        &mut self,
        index: MicroBatch,
        batch: Option<Vec<Tensor>>,
        keywords: &Keywords,
    ) -> Result<Vec<Tensor>, ActionError> {
        let came = self.came.remove(&index).expect("validated: F comes before R");
        let inputs = batch.map_or(Inputs::Received(came), Inputs::Batch);
        let route = self.route.as_ref();
        let done = Forwarded::compute(&*self.model, route, inputs, keywords, self.grads)?;
        let outputs = done.outputs.clone();
        self.live.insert(index, done.into_live());
        Ok(outputs)
    }

    /// The last stage's outputs go no further than to their loss.
    pub(super) fn drop_outputs(&mut self, index: MicroBatch) {
        self.outputs.remove(&index);
    }

    /// The backward of the last stage starts from its loss, at `scale`.
    pub(super) fn set_loss(
        &mut self,
        index: MicroBatch,
        loss: &Tensor,
        scale: f64,
    ) -> Result<(), ActionError> {
        let live = self.live.get_mut(&index).expect("F or R has just put it there");
        live.start_from(loss.clone());
        let seed = (loss.ones_like()? * scale)?;
        self.output_grads.insert(index, Arriving::Here(vec![seed]));
        Ok(())
    }

    /// B, or I, where there is nothing to compute: what the former stage waits for is empty.
    pub(super) fn pass_backward(&mut self, index: MicroBatch) {
        self.input_grads.insert(index, Vec::new());
    }

    /// B: all gradients at once. `grads` are those of the outputs.
    pub(super) fn backward(
        &mut self,
        index: MicroBatch,
        grads: Vec<Tensor>,
    ) -> Result<(), ActionError> {
        let live = self.take_live(index);
        let (input_grads, mut store) = live.backward(grads)?;
        self.input_grads.insert(index, input_grads);
        Ok(self.model.parameters().collect(&mut store)?)
    }

    fn take_live(&mut self, index: MicroBatch) -> Live {
        self.live.remove(&index).expect("validated: F or R comes before B and I")
    }

    /// I: the gradients of the inputs now, those of the weights later. `grads` are those of the
    /// outputs.
    pub(super) fn backward_input(
        &mut self,
        index: MicroBatch,
        grads: Vec<Tensor>,
    ) -> Result<(), ActionError> {
        let live = self.take_live(index);
        let parameters = self.model.parameters();
        let (done, late) = parameters.deferring(|| live.backward(grads));
        let (input_grads, mut store) = done?;
        parameters.collect(&mut store)?;
        self.input_grads.insert(index, input_grads);
        self.weight_grads.insert(index, late);
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

    pub(super) fn inputs(&self, index: MicroBatch) -> Option<&Arriving> {
        self.inputs.get(&index)
    }

    pub(super) fn take_inputs(&mut self, index: MicroBatch) -> Arriving {
        self.inputs.remove(&index).expect("validated: every F has its inputs")
    }

    pub(super) fn receive_output_grads(&mut self, index: MicroBatch, grads: Arriving) {
        self.output_grads.insert(index, grads);
    }

    pub(super) fn output_grads(&self, index: MicroBatch) -> Option<&Arriving> {
        self.output_grads.get(&index)
    }

    pub(super) fn take_output_grads(&mut self, index: MicroBatch) -> Arriving {
        self.output_grads.remove(&index).expect("validated: every B and I has its gradients")
    }
}
