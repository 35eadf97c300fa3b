//! Weight gradients that wait.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use candle_core::Result;

use super::{Inner, Parameter, lock};

/// What is left of one layer's backward: adds a gradient to its parameter's buffer.
type Work = Box<dyn FnOnce(&Parameter) -> Result<()> + Send>;

struct Deferred {
    parameter: Parameter,
    work: Work,
}

/// Where the layers of one set of parameters leave their work.
///
/// It knows the parameters weakly, as each of them holds the queue: a stage that fails with work
/// waiting still frees its weights.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Mutex<Vec<Waiting>>>);

struct Waiting {
    parameter: Weak<Inner>,
    work: Work,
}

impl Queue {
    pub(super) fn push(&self, parameter: &Parameter, work: Work) {
        lock(&self.0).push(Waiting { parameter: Arc::downgrade(&parameter.inner), work });
    }

    pub(super) fn take(&self) -> DeferredGrads {
        let waiting = std::mem::take(&mut *lock(&self.0));
        // Nobody can ask for the gradient of a parameter that is gone.
        let alive = waiting.into_iter().filter_map(|Waiting { parameter, work }| {
            Some(Deferred { parameter: Parameter { inner: parameter.upgrade()? }, work })
        });
        DeferredGrads(alive.collect())
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} weight gradients waiting", lock(&self.0).len())
    }
}

/// Weight gradients of one backward that still have to be computed: the W of a pipeline schedule.
///
/// Each holds the input and the output gradient of its layer, so both stay in memory until then.
#[must_use = "the parameters lack these gradients until they are run"]
#[derive(Default)]
pub struct DeferredGrads(Vec<Deferred>);

impl DeferredGrads {
    /// Computes them, first in first out, into the parameters' buffers.
    ///
    /// # Errors
    /// The first failure of a layer; the remaining ones are dropped.
    pub fn run(self) -> Result<()> {
        self.0.into_iter().try_for_each(|Deferred { parameter, work }| work(&parameter))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for DeferredGrads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|deferred| deferred.parameter.name())).finish()
    }
}
