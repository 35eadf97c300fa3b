//! Starts every rank of a world as a thread of this process, and brings back what they made.

use std::fmt;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use crate::communicator::{End, in_process};
use crate::panic::{catch, message_of};
use crate::{Communicator, Failure};

mod cores;
pub mod mpi;
mod pool;
mod process;
pub mod tcp;

pub use process::ProcessWorld;

/// How ranks run as threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadOptions {
    /// How many threads each rank computes with; `None` shares the machine's cores out evenly.
    ///
    /// Every rank has a pool of its own: ranks that share one wait for each other. candle takes
    /// two more settings from the environment alone, and a program should set both before it starts
    /// any thread: `RAYON_NUM_THREADS` to this number, for which matrix products are then cut, and
    /// `CANDLE_NUM_THREADS` to 1, without which element-wise operations of all ranks go through one
    /// pool. The command `autopipe` does.
    pub threads_per_rank: Option<NonZeroUsize>,
    /// How long a rank waits for a message of another before it fails.
    pub timeout: Duration,
}

impl Default for ThreadOptions {
    /// An even share of the cores, and ten minutes.
    fn default() -> Self {
        Self { threads_per_rank: None, timeout: Duration::from_secs(600) }
    }
}

impl ThreadOptions {
    /// How many threads each of `num_ranks` ranks of this process computes with.
    pub fn num_threads(&self, num_ranks: usize) -> NonZeroUsize {
        self.threads_per_rank.unwrap_or_else(|| {
            let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
            NonZeroUsize::new(cores / num_ranks.max(1)).unwrap_or(NonZeroUsize::MIN)
        })
    }

    /// How many threads this process computes with as one of `ranks_here` ranks of its machine: a share
    /// of the cores, or all that it was bound to, if whatever started it has shared them out.
    pub fn num_threads_of_process(&self, ranks_here: usize) -> NonZeroUsize {
        self.num_threads(if cores::are_own() { 1 } else { ranks_here })
    }
}

/// The rank that made a world fail.
#[derive(Debug)]
pub struct RankError<E> {
    /// The world rank that failed first.
    pub rank: usize,
    /// How it ended.
    pub cause: Box<Cause<E>>,
}

/// How a rank ended before its time.
#[derive(Debug)]
pub enum Cause<E> {
    /// Its code returned an error.
    Error(E),
    /// Its code panicked, outside of a pipeline step; with the panic's message.
    Panic(String),
    /// Its threads could not be started.
    Start(String),
    /// It is another process, which ended for this reason when this one had done its part.
    Elsewhere(String),
}

impl<E: fmt::Display> fmt::Display for RankError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.cause {
            // The long form of errors that have one, such as anyhow's: with all causes.
            Cause::Error(error) => write!(f, "rank {} failed: {error:#}", self.rank),
            Cause::Panic(message) => write!(f, "rank {} panicked: {message}", self.rank),
            Cause::Start(message) => write!(f, "rank {} could not start: {message}", self.rank),
            Cause::Elsewhere(cause) => write!(f, "rank {} failed: {cause}", self.rank),
        }
    }
}

// The message tells the cause's own; so a boxed error, which is none by itself, will do as well.
impl<E: fmt::Debug + fmt::Display> std::error::Error for RankError<E> {}

/// Runs `body` once per rank, each on a thread and a compute pool of its own, and returns what the
/// ranks returned, by rank.
///
/// When a rank fails, by an error or a panic, the others are stopped at their next action or
/// message, and all threads are joined before this returns.
///
/// # Errors
/// The rank that failed first, with its error or its panic's message.
///
/// # Examples
/// ```
/// use autopipe_runtime::{Communicator, ThreadOptions, threads};
/// use autopipe_runtime::communicator::Reduction;
///
/// let sums = threads(3, &ThreadOptions::default(), |world| {
///     let mine = [world.rank() as f64];
///     world.all_reduce(&mine, Reduction::Sum)
/// })?;
/// assert_eq!(sums, [[3.0], [3.0], [3.0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn threads<T, E, F>(
    num_ranks: usize,
    options: &ThreadOptions,
    body: F,
) -> Result<Vec<T>, RankError<E>>
where
    F: Fn(Box<dyn Communicator>) -> Result<T, E> + Sync,
    T: Send,
    E: fmt::Display + Send,
{
    let num_threads = options.num_threads(num_ranks).get();
    let ends = in_process(num_ranks, options.timeout);
    let results: Vec<Result<T, Ended<E>>> = thread::scope(|scope| {
        let body = &body;
        let ranks: Vec<_> = ends
            .into_iter()
            .map(|end| {
                let (rank, watcher) = (end.rank(), end.watcher());
                thread::Builder::new()
                    .name(format!("rank {rank}"))
                    .spawn_scoped(scope, move || run_rank(end, num_threads, body))
                    .inspect_err(|error| {
                        // The ranks that did start would wait for this one.
                        watcher.end(Failure { rank, at: None, cause: error.to_string() });
                    })
            })
            .collect();
        ranks
            .into_iter()
            .map(|rank| match rank {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| Err(Ended::first(Cause::Panic(message_of(panic))))),
                Err(error) => Err(Ended::first(Cause::Start(error.to_string()))),
            })
            .collect()
    });
    // The first to fail made the others fail; their errors only repeat its own.
    let mut values = Vec::with_capacity(num_ranks);
    let mut failed: Option<(usize, Ended<E>)> = None;
    for (rank, result) in results.into_iter().enumerate() {
        match result {
            Ok(value) => values.push(value),
            Err(ended) if ended.is_first || failed.is_none() => failed = Some((rank, ended)),
            Err(_) => {}
        }
    }
    match failed {
        None => Ok(values),
        Some((rank, ended)) => Err(RankError { rank, cause: Box::new(ended.cause) }),
    }
}

/// How a rank failed, and whether it was the first of its world.
struct Ended<E> {
    is_first: bool,
    cause: Cause<E>,
}

impl<E> Ended<E> {
    fn first(cause: Cause<E>) -> Self {
        Self { is_first: true, cause }
    }
}

fn run_rank<T, E, F>(end: End, num_threads: usize, body: F) -> Result<T, Ended<E>>
where
    F: FnOnce(Box<dyn Communicator>) -> Result<T, E> + Send,
    T: Send,
    E: fmt::Display + Send,
{
    let rank = end.rank();
    let watcher = end.watcher();
    let of_compute = end.watcher();
    let on_panic = move |message| {
        let cause = format!("a compute thread panicked: {message}");
        of_compute.abort(Failure { rank, at: None, cause });
    };
    // Joined at the end: the others are told first.
    let pool = pool::start(rank, num_threads, on_panic);
    let cause = match &pool {
        Err(error) => Cause::Start(error.to_string()),
        // Everything that the body owned is lost with a panic; only its message goes on.
        Ok(pool) => match catch(|| pool.install(|| body(Box::new(end)))) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => Cause::Error(error),
            Err(message) => Cause::Panic(message),
        },
    };
    let text = match &cause {
        Cause::Error(error) => format!("{error:#}"),
        Cause::Panic(message) => format!("panicked: {message}"),
        Cause::Start(message) | Cause::Elsewhere(message) => message.clone(),
    };
    tracing::debug!(rank, "ended before its time: {text}");
    // An action that failed has told the world already; whoever comes later is not the first.
    watcher.end(Failure { rank, at: None, cause: text });
    let is_first = watcher.failure().is_some_and(|failure| failure.rank == rank);
    Err(Ended { is_first, cause })
}
