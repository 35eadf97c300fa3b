//! Threads as ranks: what they return, and how one that fails takes the others down.

use std::cell::RefCell;
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use autopipe_runtime::communicator::Tag;
use autopipe_runtime::{Cause, Error, ThreadOptions, threads};

#[test]
fn results_come_back_by_rank() {
    let ranks =
        threads(4, &ThreadOptions::default(), |world| Ok::<_, Error>((world.rank(), world.size())))
            .unwrap();
    assert_eq!(ranks, [(0, 4), (1, 4), (2, 4), (3, 4)]);
}

#[test]
fn ranks_may_borrow_and_compute_on_a_pool_of_their_own() {
    let data = [1, 2, 3];
    let options = ThreadOptions {
        threads_per_rank: std::num::NonZeroUsize::new(2),
        ..ThreadOptions::default()
    };
    let sums = threads(2, &options, |_| {
        Ok::<_, Error>((data.iter().sum::<i32>(), rayon::current_num_threads()))
    })
    .unwrap();
    assert_eq!(sums, [(6, 2), (6, 2)]);
}

/// Runs three ranks of which rank 1 fails by `fail`, while the others wait for a message.
#[expect(clippy::disallowed_methods, reason = "a rank that hangs would be seen on a clock only")]
fn fail_one(fail: impl Fn() -> Result<(), Error> + Sync) -> autopipe_runtime::RankError<Error> {
    let start = Instant::now();
    let error = threads(3, &ThreadOptions::default(), |world| {
        if world.rank() == 1 {
            return fail();
        }
        world.recv(1, Tag(0)).map(drop)
    })
    .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2), "the others have to end at once");
    error
}

#[test]
fn an_error_ends_all_ranks() {
    let error = fail_one(|| Err(Error::Unusable("broken".to_owned())));
    assert_eq!(error.rank, 1);
    assert!(matches!(*error.cause, Cause::Error(Error::Unusable(_))));
    assert_eq!(
        error.to_string(),
        "rank 1 failed: a former step failed (broken); call `recover` on every rank to go on"
    );
}

#[test]
fn a_panic_ends_all_ranks() {
    let error = fail_one(|| panic!("out of luck"));
    assert_eq!(error.to_string(), "rank 1 panicked: out of luck");
}

#[test]
fn a_panic_without_words_ends_all_ranks() {
    let error = fail_one(|| panic_any(42));
    assert_eq!(error.to_string(), "rank 1 panicked: a panic without a message");
}

/// Panics once more when the panic that carries it is done with, and so does what that carries.
struct Sore(usize);

impl Drop for Sore {
    #[expect(clippy::panic, reason = "the fault that the tests look at")]
    fn drop(&mut self) {
        if let Some(left) = self.0.checked_sub(1) {
            panic_any(Self(left));
        }
    }
}

#[test]
fn a_panic_that_panics_ends_all_ranks() {
    let error = fail_one(|| panic_any(Sore(2)));
    assert_eq!(error.to_string(), "rank 1 panicked: a panic without a message");
}

#[test]
fn a_panic_while_dropping_ends_all_ranks() {
    let error = fail_one(|| {
        drop(Sore(1));
        Ok(())
    });
    assert_eq!(error.to_string(), "rank 1 panicked: a panic without a message");
}

/// Nobody joins what is spawned: without help such a panic would end the process.
#[test]
fn a_panic_in_a_compute_thread_ends_all_ranks() {
    let error = fail_one(|| {
        rayon::spawn(|| panic!("a kernel went astray"));
        // On the pool's only thread what was spawned has its turn when this rank ends or yields.
        while rayon::yield_now() != Some(rayon::Yield::Idle) {}
        Err(Error::Unusable("noticed".to_owned()))
    });
    assert_eq!(error.rank, 1);

    let error = threads(2, &ThreadOptions::default(), |world| {
        if world.rank() == 1 {
            rayon::spawn(|| panic!("a kernel went astray"));
            while rayon::yield_now() != Some(rayon::Yield::Idle) {}
        }
        world.barrier()?;
        world.recv(world.rank(), Tag(0)).map(drop)
    });
    let words = "rank 1: a compute thread panicked: a kernel went astray";
    let error = error.map(drop).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

/// Tells when its thread ends.
struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static LEAVING: RefCell<Option<Leaving>> = const { RefCell::new(None) };
}

#[test]
fn no_thread_is_left_behind() {
    let options = ThreadOptions {
        threads_per_rank: std::num::NonZeroUsize::new(3),
        ..ThreadOptions::default()
    };
    for fails in [false, true] {
        let left = Arc::new(AtomicUsize::new(0));
        let ended = threads(2, &options, |world| {
            rayon::broadcast(|_| {
                LEAVING.set(Some(Leaving(Arc::clone(&left))));
            });
            world.barrier()?;
            if fails && world.rank() == 1 {
                panic!("out of luck");
            }
            Ok::<_, Error>(())
        });
        assert_eq!(ended.is_err(), fails);
        assert_eq!(left.load(Ordering::Relaxed), 6, "every compute thread has ended");
    }
}

/// Of a build without MPI.
#[cfg(not(feature = "mpi"))]
#[test]
fn what_is_not_compiled_in_says_so() {
    let options = autopipe_runtime::mpi::MpiOptions::default();
    let error = autopipe_runtime::mpi::world(&options).map(drop).unwrap_err().to_string();
    let words = "MPI is not compiled in; build with the feature `mpi` of autopipe-runtime, or let processes \
                 reach each other over TCP";
    assert_eq!(error, words);
}
