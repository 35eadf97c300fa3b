//! Whether parameters are variables of candle's graph: for whom they are not, and in which scope.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The scopes of one set of parameters.
///
/// Those of [`Parameters::no_grad`](super::Parameters::no_grad) hold for all threads. Those of a
/// recomputation hold for one thread and go before: another thread may at the same time compute
/// with the same set the other way.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    /// How many scopes without a graph are open for all threads.
    num_without: Arc<AtomicUsize>,
}

/// Whether a thread's scope has parameters as variables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracking {
    On,
    Off,
}

thread_local! {
    /// The open scopes of this thread, the innermost last, each with the address of its set. A thread
    /// that waits for a product may be given other work, of another set: hence the address.
    static SCOPES: RefCell<Vec<(usize, Tracking)>> = const { RefCell::new(Vec::new()) };
}

impl Graph {
    /// Whether parameters are no variables here and now.
    pub(super) fn is_left(&self) -> bool {
        let id = self.id();
        let own = SCOPES.with_borrow(|scopes| {
            scopes.iter().rev().find(|&&(set, _)| set == id).map(|&(_, tracking)| tracking)
        });
        match own {
            Some(tracking) => tracking == Tracking::Off,
            None => self.num_without.load(Ordering::Relaxed) > 0,
        }
    }

    /// Lets parameters be no variables while the scope lives, for all threads.
    pub(super) fn leave(&self) -> Left<'_> {
        self.num_without.fetch_add(1, Ordering::Relaxed);
        Left(&self.num_without)
    }

    /// Says whether they are variables while the scope lives, for this thread.
    pub(super) fn enter(&self, tracking: Tracking) -> Entered {
        SCOPES.with_borrow_mut(|scopes| scopes.push((self.id(), tracking)));
        Entered
    }

    fn id(&self) -> usize {
        Arc::as_ptr(&self.num_without).addr()
    }
}

/// While it lives, parameters are no variables.
pub(super) struct Left<'a>(&'a AtomicUsize);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A thread's scope; it is dropped where it was made, in a function that calls what it is for.
pub(super) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        SCOPES.with_borrow_mut(Vec::pop);
    }
}
