//! Threads as ranks: what they return, and how one that fails takes the others down.

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
