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
pub(super) struct Queue {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// How many scopes are open in which work is put off.
    num_scopes: usize,
    waiting: Vec<Waiting>,
}

struct Waiting {
    parameter: Weak<Inner>,
    work: Work,
}

impl Queue {
    /// Takes the work if a scope is open, and gives it back to be done at once if none is.
    pub(super) fn push(&self, parameter: &Parameter, work: Work) -> Option<Work> {
        let mut state = lock(&self.state);
        if state.num_scopes == 0 {
            return Some(work);
        }
        state.waiting.push(Waiting { parameter: Arc::downgrade(&parameter.inner), work });
        None
    }

    /// Puts work off until the scope is closed.
    pub(super) fn open_scope(&self) -> Scope<'_> {
        let mut state = lock(&self.state);
        state.num_scopes += 1;
        Scope { queue: self, start: state.waiting.len(), is_open: true }
    }

    /// Forgets what waits.
    pub(super) fn clear(&self) {
        let waiting = std::mem::take(&mut lock(&self.state).waiting);
        drop(waiting); // after the lock is free: what it holds may be anything
    }

    /// Ends a scope and takes what came in it; the last one leaves nothing behind.
    fn end_scope(&self, start: usize) -> DeferredGrads {
        let waiting = {
            let mut state = lock(&self.state);
            state.num_scopes -= 1;
            let start = if state.num_scopes == 0 { 0 } else { start.min(state.waiting.len()) };
            state.waiting.split_off(start)
        };
        // Nobody can ask for the gradient of a parameter that is gone.
        let alive = waiting.into_iter().filter_map(|Waiting { parameter, work }| {
            Some(Deferred { parameter: Parameter { inner: parameter.upgrade()? }, work })
        });
        DeferredGrads(alive.collect())
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} weight gradients waiting", lock(&self.state).waiting.len())
    }
}

/// While it lives, work is put off. What nobody took of it is dropped with it, as after a panic.
pub(super) struct Scope<'a> {
    queue: &'a Queue,
    /// How much waited before: that belongs to a scope around this one.
    start: usize,
    is_open: bool,
}

impl Scope<'_> {
    pub(super) fn close(mut self) -> DeferredGrads {
        self.is_open = false;
        self.queue.end_scope(self.start)
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        if self.is_open {
            drop(self.queue.end_scope(self.start));
        }
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
