//! A trainable tensor and the buffer its gradient accumulates in.

mod deferred;
mod gradient;
mod graph;
mod release;
mod set;
mod share;
mod slice;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var};

pub use deferred::DeferredGrads;
use deferred::Queue;
use gradient::Gradient;
use graph::Graph;
pub(crate) use graph::Tracking;
pub use set::Parameters;
use share::Share;
use slice::Slice;

use crate::Error;

/// One named tensor of a model with its gradient buffer; cloning shares both.
///
/// The gradient is kept here and not in candle's [`GradStore`], so that it accumulates over
/// microbatches without a copy and a layer may add to it long after its backward has run.
///
/// [`GradStore`]: candle_core::backprop::GradStore
#[derive(Clone)]
pub struct Parameter {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    value: Value,
    grad: Mutex<Option<Gradient>>,
    queue: Queue,
    graph: Graph,
    /// What of another parameter it is, if it is not whole.
    slice: Option<Slice>,
    /// What it is to a group of tensor-parallel ranks.
    share: Share,
}

enum Value {
    /// The variable, and the same storage outside of any graph.
    Trainable(Var, Tensor),
    Frozen(Tensor),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves a whole value behind: every critical section here ends with one
    // assignment, or adds numbers to a buffer whose failed step nobody takes for good.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Parameter {
    fn new(name: &str, value: Value, set: &Parameters, slice: Option<Slice>, share: Share) -> Self {
        let (queue, graph) = (set.queue.clone(), set.graph.clone());
        let name = name.to_owned();
        let grad = Mutex::new(None);
        Self { inner: Arc::new(Inner { name, value, grad, queue, graph, slice, share }) }
    }

    /// The fully qualified name, as in a Hugging Face checkpoint: `model.layers.0.mlp.up_proj.weight`.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The tensor to compute with; a variable of candle's graph if the parameter is trainable, but
    /// for within [`Parameters::no_grad`].
    pub fn value(&self) -> &Tensor {
        match &self.inner.value {
            Value::Trainable(_, outside) if self.inner.graph.is_left() => outside,
            Value::Trainable(var, _) => var.as_tensor(),
            Value::Frozen(tensor) => tensor,
        }
    }

    /// The variable that an optimiser updates in place, `None` if the parameter is frozen.
    pub fn var(&self) -> Option<&Var> {
        match &self.inner.value {
            Value::Trainable(var, _) => Some(var),
            Value::Frozen(_) => None,
        }
    }

    /// Whether the parameter receives gradients.
    pub fn is_trainable(&self) -> bool {
        self.var().is_some()
    }

    /// The gradient accumulated so far, `None` before the first one: float32 for a parameter of
    /// half precision, whose small gradients would be lost in a sum as coarse as that.
    ///
    /// What it returns stays as it is: gradients that come later go into a new buffer.
    pub fn grad(&self) -> Option<Tensor> {
        lock(&self.inner.grad).as_mut().map(Gradient::share)
    }

    /// What `f` makes of the gradient, if there is one; it keeps nothing of the tensor, so that the buffer
    /// need not be copied before it is written again.
    pub(crate) fn with_grad<T>(&self, f: impl FnOnce(&Tensor) -> Result<T>) -> Result<Option<T>> {
        lock(&self.inner.grad).as_ref().map(|gradient| f(gradient.peek())).transpose()
    }

    /// The gradient accumulated so far, as [`grad`](Self::grad); there is none from then on.
    pub fn take_grad(&self) -> Option<Tensor> {
        lock(&self.inner.grad).take().map(|mut gradient| gradient.share())
    }

    /// Replaces the gradient, for instance by one that was summed over ranks; `None` clears it.
    pub fn set_grad(&self, grad: Option<Tensor>) {
        *lock(&self.inner.grad) = grad.map(Gradient::from_others);
    }

    /// Adds `grad`, of the parameter's shape, to the gradient buffer; of the parameter's dtype, or
    /// float32 for a parameter of half precision. Of one that was added by
    /// [`Parameters::add_summed`], what the ranks of its group have is summed first.
    ///
    /// # Errors
    /// If shape or dtype do not fit, or the ranks cannot sum; the buffer is as it was.
    pub fn accumulate(&self, grad: &Tensor) -> Result<()> {
        let dtype = self.grad_dtype();
        let fits = grad.dtype() == self.dtype() || grad.dtype() == dtype;
        if grad.shape() != self.shape() || !fits {
            return Err(Error::GradientMismatch {
                of: format!("`{}`", self.name()),
                expected: self.shape().clone(),
                expected_dtype: self.dtype(),
                actual: grad.shape().clone(),
                actual_dtype: grad.dtype(),
            }
            .into());
        }
        let whole = self.inner.share.whole_grad(grad, dtype)?;
        self.add(&whole)
    }

    /// Adds what is known to fit, and to be all of it.
    fn add(&self, grad: &Tensor) -> Result<()> {
        let dtype = self.grad_dtype();
        let mut slot = lock(&self.inner.grad);
        match slot.as_mut() {
            Some(sum) => sum.add(grad, dtype),
            None => {
                *slot = Some(Gradient::from_others(grad.to_dtype(dtype)?.detach()));
                Ok(())
            }
        }
    }

    /// The dtype in which gradients add up.
    pub(crate) fn grad_dtype(&self) -> DType {
        match self.dtype() {
            DType::F16 | DType::BF16 => DType::F32,
            dtype => dtype,
        }
    }

    /// Lets a layer add to the gradient where it is: cheaper than [`Self::accumulate`], because no
    /// tensor is made for what is added.
    ///
    /// `add` gets the buffer, contiguous and of [`Self::grad_dtype`]. Before the first gradient
    /// there is none: `first` makes it.
    pub(crate) fn accumulate_in_place(
        &self,
        first: impl FnOnce() -> Result<Tensor>,
        add: impl FnOnce(&Tensor) -> Result<()>,
    ) -> Result<()> {
        if self.inner.share.is_summed() {
            return self.accumulate(&first()?);
        }
        let mut slot = lock(&self.inner.grad);
        match slot.as_mut() {
            Some(gradient) => add(gradient.own_as(self.grad_dtype())?),
            None => {
                *slot = Some(Gradient::of_new(first()?));
                Ok(())
            }
        }
    }

    /// The same for an `add` that may begin with zeros.
    pub(crate) fn add_in_place(&self, add: impl Fn(&Tensor) -> Result<()>) -> Result<()> {
        let first = || {
            let zeros = Tensor::zeros(self.shape(), self.grad_dtype(), self.device())?;
            add(&zeros)?;
            Ok(zeros)
        };
        self.accumulate_in_place(first, &add)
    }

    /// Multiplies the gradient by `factor`; nothing happens if there is none.
    ///
    /// # Errors
    /// If candle cannot.
    pub fn scale_grad(&self, factor: f64) -> Result<()> {
        lock(&self.inner.grad).as_mut().map_or(Ok(()), |gradient| gradient.scale(factor))
    }

    /// Runs `work`, which adds to the gradient; within [`Parameters::deferring`] it is left for
    /// later.
    ///
    /// # Errors
    /// What `work` says, if it runs now.
    pub fn defer(&self, work: impl FnOnce(&Self) -> Result<()> + Send + 'static) -> Result<()> {
        self.inner.queue.push(self, Box::new(work)).map_or(Ok(()), |work| work(self))
    }

    /// The shape of the value.
    pub fn shape(&self) -> &Shape {
        self.value().shape()
    }

    /// The dtype of the value.
    pub fn dtype(&self) -> DType {
        self.value().dtype()
    }

    /// Where the value lies.
    pub fn device(&self) -> &Device {
        self.value().device()
    }

    /// How many numbers the value has.
    pub fn num_elements(&self) -> usize {
        self.shape().elem_count()
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameter")
            .field("name", &self.inner.name)
            .field("shape", self.shape())
            .field("dtype", &self.dtype())
            .field("trainable", &self.is_trainable())
            .finish_non_exhaustive()
    }
}
