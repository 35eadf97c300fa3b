//! The parameters of a model or of one pipeline stage.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

use super::{DeferredGrads, Graph, Parameter, Queue, Share, Tracking, Value};
use crate::Error;

/// The parameters of a model or of one pipeline stage, in the order they were added, and the
/// weight gradients that its layers have put off.
///
/// Cloning shares the parameters and the waiting gradients; what is added later to one clone is
/// unknown to the other.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    pub(super) list: Arc<Vec<Parameter>>,
    pub(super) index: Arc<BTreeMap<String, usize>>,
    pub(super) queue: Queue,
    pub(super) graph: Graph,
}

impl Parameters {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter. A trainable one keeps a copy of `value`, a frozen one shares it.
    ///
    /// # Errors
    /// If the name is taken or the copy cannot be made.
    pub fn add(
        &mut self,
        name: &str,
        value: Tensor,
        trainable: bool,
    ) -> std::result::Result<Parameter, Error> {
        self.add_shared(name, value, trainable, Share::Whole)
    }

    pub(super) fn add_shared(
        &mut self,
        name: &str,
        value: Tensor,
        trainable: bool,
        share: Share,
    ) -> std::result::Result<Parameter, Error> {
        if self.index.contains_key(name) {
            return Err(Error::DuplicateParameter { name: name.to_owned() });
        }
        let value = if trainable {
            let var = Var::from_tensor(&value)?;
            let outside = var.as_detached_tensor();
            Value::Trainable(var, outside)
        } else {
            Value::Frozen(value.detach())
        };
        let parameter = Parameter::new(name, value, self, None, share);
        Arc::make_mut(&mut self.index).insert(name.to_owned(), self.list.len());
        Arc::make_mut(&mut self.list).push(parameter.clone());
        Ok(parameter)
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.index.get(name).map(|&i| &self.list[i])
    }

    /// All parameters, in the order they were added.
    pub fn iter(&self) -> std::slice::Iter<'_, Parameter> {
        self.list.iter()
    }

    /// Those of the parameters that `keep` chooses, shared with this set as by [`Clone`].
    pub fn filter(&self, keep: impl Fn(&Parameter) -> bool) -> Self {
        let list: Vec<Parameter> =
            self.list.iter().filter(|parameter| keep(parameter)).cloned().collect();
        let names = list.iter().map(|parameter| parameter.name().to_owned());
        let index = Arc::new(names.zip(0..).collect());
        Self { index, list: Arc::new(list), queue: self.queue.clone(), graph: self.graph.clone() }
    }

    /// How many parameters there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many numbers the parameters have together.
    pub fn num_elements(&self) -> usize {
        self.list.iter().map(Parameter::num_elements).sum()
    }

    /// Moves the gradients that candle's own graph computed out of `grads` into the buffers.
    ///
    /// The layers of this crate leave nothing there; what plain candle operations compute comes
    /// this way.
    ///
    /// # Errors
    /// If a gradient does not fit its parameter.
    pub fn collect(&self, grads: &mut GradStore) -> Result<()> {
        for parameter in self {
            if let Some(grad) = parameter.var().and_then(|var| grads.remove(var.as_tensor())) {
                parameter.accumulate(&grad)?;
            }
        }
        Ok(())
    }

    /// Puts off the weight gradients of a backward: what `backward` returns comes back with them,
    /// and the buffers lack them until [`DeferredGrads::run`].
    ///
    /// Without this a layer adds its weight gradient to the buffer at once, in its backward. The
    /// gradients are the same to the bit, if what is put off is run in the order of the backwards.
    /// Scopes may be nested; each gets what came in it. A set is for one thread's backward at a time. After a panic in `backward` the set is as
    /// before, and what was put off is forgotten.
    ///
    /// # Examples
    /// ```
    /// use autopipe_nn::{Linear, Parameters};
    /// use candle_core::{DType, Device, Tensor};
    ///
    /// let mut parameters = Parameters::new();
    /// let ones = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
    /// let weight = parameters.add("weight", ones, true)?;
    /// let linear = Linear::new(weight.clone(), None)?;
    /// let y = linear.forward(&Tensor::ones((4, 3), DType::F32, &Device::Cpu)?)?.sum_all()?;
    ///
    /// let (grads, late) = parameters.deferring(|| y.backward());
    /// grads?; // input gradients: somebody may wait for them
    /// assert!(weight.grad().is_none());
    /// late.run()?; // whenever there is time
    /// assert_eq!(weight.grad().unwrap().to_vec2::<f32>()?, [[4.; 3]; 2]);
    /// # Ok::<(), autopipe_nn::Error>(())
    /// ```
    pub fn deferring<R>(&self, backward: impl FnOnce() -> R) -> (R, DeferredGrads) {
        let scope = self.queue.open_scope();
        let result = backward();
        (result, scope.close())
    }

    /// Computes without a graph, as in `torch.no_grad`: what no later backward needs is freed as
    /// soon as the next layer has used it. That is for forwards whose inputs are no variables
    /// either; a graph that is there already may go backward meanwhile. It holds for every thread
    /// that computes with this set: no other may run a forward of it that is to go backward.
    ///
    /// # Examples
    /// ```
    /// use autopipe_nn::{Linear, Parameters};
    /// use candle_core::{DType, Device, Tensor};
    ///
    /// let mut parameters = Parameters::new();
    /// let ones = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
    /// let linear = Linear::new(parameters.add("weight", ones.clone(), true)?, None)?;
    /// assert!(linear.forward(&ones)?.track_op());
    /// assert!(!parameters.no_grad(|| linear.forward(&ones))?.track_op());
    /// # Ok::<(), autopipe_nn::Error>(())
    /// ```
    pub fn no_grad<R>(&self, forward: impl FnOnce() -> R) -> R {
        let _scope = self.graph.leave();
        forward()
    }

    /// Whether this thread computes without a graph, as within [`Self::no_grad`].
    pub(crate) fn is_without_graph(&self) -> bool {
        self.graph.is_left()
    }

    /// Computes with a graph or without one, on this thread, whatever others do.
    pub(crate) fn tracking<R>(&self, tracking: Tracking, compute: impl FnOnce() -> R) -> R {
        let _scope = self.graph.enter(tracking);
        compute()
    }

    /// Forgets all gradients, and within [`Self::deferring`] what waits.
    pub fn zero_grad(&self) {
        self.queue.clear();
        for parameter in self {
            parameter.set_grad(None);
        }
    }
}

impl<'a> IntoIterator for &'a Parameters {
    type Item = &'a Parameter;
    type IntoIter = std::slice::Iter<'a, Parameter>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
