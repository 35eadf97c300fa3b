//! The threads that one rank computes with: their stacks, their names, their end.

use std::thread::{self, JoinHandle};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::memory::Account;
use crate::panic::message_of;

/// candle's walk over a graph recurses, and so does dropping one: a default stack ends at about
/// 8,000 chained operations.
const STACK_BYTES: usize = 64 << 20;

/// A pool whose threads are gone when it is dropped: rayon's own only tells them to go.
pub(super) struct ComputePool {
    // Dropped in this order: first they are told, then waited for.
    pool: ThreadPool,
    _threads: Joined,
}

/// Threads that are waited for.
struct Joined(Vec<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // What panicked on it went to `on_panic`.
            let _ = thread.join();
        }
    }
}

/// Starts the pool of a rank. A panic in what was spawned on it and that nobody waits for would end
/// the process: it goes to `on_panic`.
pub(super) fn start(
    rank: usize,
    num_threads: usize,
    on_panic: impl Fn(String) + Send + Sync + 'static,
) -> Result<ComputePool, ThreadPoolBuildError> {
    let mut threads = Joined(Vec::new());
    let account = Account::open();
    // Of the highest level, so that it is there whichever lines are shown: they say whose they are.
    let span = tracing::error_span!("rank", rank);
    let pool = ThreadPoolBuilder::new()
        .num_threads(num_threads)
        .panic_handler(move |panic| on_panic(message_of(panic)))
        .spawn_handler(|thread| {
            let builder = thread::Builder::new()
                .name(format!("rank {rank} compute {}", thread.index()))
                .stack_size(STACK_BYTES);
            let span = span.clone();
            threads.0.push(builder.spawn(move || {
                let _rank = span.enter();
                account.charge();
                thread.run();
            })?);
            Ok(())
        })
        .build()?;
    Ok(ComputePool { pool, _threads: threads })
}

impl ComputePool {
    /// Runs `work` on one of the threads.
    pub(super) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }
}
