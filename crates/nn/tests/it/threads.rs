//! Tensor-parallel ranks that are threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use autopipe_nn::{Combine, Pass, TensorParallelGroup};
use candle_core::{Result, Tensor, bail};

/// What `run` gives on each of `size` ranks, by rank.
pub(crate) fn ranks<R: Send>(
    size: usize,
    run: impl Fn(&Arc<dyn TensorParallelGroup>) -> R + Sync,
) -> Vec<R> {
    let shared = Arc::new(Shared { size, state: Mutex::default(), changed: Condvar::new() });
    let members: Vec<_> = (0..size)
        .map(|rank| {
            let shared = Arc::clone(&shared);
            Arc::new(Member { rank, shared, calls: Mutex::default() })
        })
        .collect();
    std::thread::scope(|scope| {
        let start = |member: Arc<Member>| {
            let run = &run;
            scope.spawn(move || {
                let leaving = Leaving(Arc::clone(&member));
                let member: Arc<dyn TensorParallelGroup> = member;
                let result = run(&member);
                drop(leaving);
                result
            })
        };
        let threads: Vec<_> = members.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Rank 1 of 2, of which nobody else is there on one of the passes.
pub(crate) fn broken(pass: Pass) -> Arc<dyn TensorParallelGroup> {
    Arc::new(Broken(pass))
}

#[derive(Debug)]
struct Broken(Pass);

impl TensorParallelGroup for Broken {
    fn rank(&self) -> usize {
        1
    }

    fn size(&self) -> usize {
        2
    }

    fn all_reduce(&self, tensor: &Tensor, _: Combine, pass: Pass) -> Result<Tensor> {
        if pass == self.0 {
            bail!("rank 0 is gone");
        }
        Ok(tensor.clone())
    }
}

/// A call by its pass and its number there.
type Call = (bool, usize);

struct Shared {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What has come for each call by rank, and how many ranks have taken it.
    calls: BTreeMap<Call, (BTreeMap<usize, Tensor>, usize)>,
    /// Ranks that make no more calls.
    left: Vec<usize>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Member {
    rank: usize,
    shared: Arc<Shared>,
    /// How many calls of each pass there have been.
    calls: Mutex<[usize; 2]>,
}

/// Tells the others when a rank is done, or has panicked.
struct Leaving(Arc<Member>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.shared.state().left.push(self.0.rank);
        self.0.shared.changed.notify_all();
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "thread {} of {}", self.rank, self.shared.size)
    }
}

impl Member {
    fn next_call(&self, pass: Pass) -> Call {
        let is_backward = pass == Pass::Backward;
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let number = &mut calls[usize::from(is_backward)];
        *number += 1;
        (is_backward, *number)
    }
}

impl TensorParallelGroup for Member {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.shared.size
    }

    fn all_reduce(&self, tensor: &Tensor, combine: Combine, pass: Pass) -> Result<Tensor> {
        let (call, size) = (self.next_call(pass), self.shared.size);
        let mut state = self.shared.state();
        state.calls.entry(call).or_default().0.insert(self.rank, tensor.detach());
        self.shared.changed.notify_all();
        while state.calls[&call].0.len() < size {
            let came = &state.calls[&call].0;
            if let Some(rank) = state.left.iter().find(|rank| !came.contains_key(rank)) {
                bail!("rank {rank} does not take part in call {call:?}");
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let (came, num_taken) = state.calls.get_mut(&call).unwrap();
        let parts: Vec<Tensor> = came.values().cloned().collect();
        *num_taken += 1;
        if *num_taken == size {
            state.calls.remove(&call);
        }
        drop(state);
        let mut whole = parts[0].clone();
        for part in &parts[1..] {
            if (part.shape(), part.dtype()) != (whole.shape(), whole.dtype()) {
                bail!("call {call:?}: {part:?} for {whole:?}");
            }
            whole = match combine {
                Combine::Sum => (whole + part)?,
                // A sum with what is no number is none either.
                Combine::Max => {
                    let is_number = (whole.eq(&whole)? * part.eq(part)?)?;
                    is_number.where_cond(&whole.maximum(part)?, &(&whole + part)?)?
                }
            };
        }
        Ok(whole)
    }
}
