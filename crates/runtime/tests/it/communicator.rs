//! The conformance suite of communicators, run for the threads of a process.

use std::time::Duration;

use autopipe_runtime::communicator::in_process;
use autopipe_runtime::nccl::{NcclError, NcclOptions, over};
use autopipe_runtime::{Communicator, Error, Failure, ThreadOptions, threads};
use candle_core::Device;

use crate::conformance;

fn run(size: usize, timeout: Duration, body: impl Fn(Box<dyn Communicator>) + Sync) {
    let options = ThreadOptions { timeout, ..ThreadOptions::default() };
    let ran = threads(size, &options, |world| {
        body(world);
        Ok::<_, Error>(())
    });
    ran.map(drop).unwrap();
}

macro_rules! on_threads {
    ($($check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                for size in 2..=4 {
                    run(size, Duration::from_secs(60), |world| conformance::$check(&*world));
                }
            }
        )*
    };
}
conformance::for_all_checks!(on_threads);

#[test]
fn a_large_message_arrives_whole() {
    let check = |world: Box<dyn Communicator>| {
        conformance::a_large_message_arrives_whole(&*world, 4 << 20);
    };
    run(3, Duration::from_secs(60), check);
}

#[test]
fn what_does_not_come_is_an_error_that_names_the_sender() {
    let check = |world: Box<dyn Communicator>| {
        conformance::what_does_not_come_is_an_error_that_names_the_sender(&*world);
    };
    run(3, Duration::from_millis(150), check);
}

#[test]
fn a_reset_names_who_does_not_come() {
    let check = |world: Box<dyn Communicator>| {
        conformance::a_reset_names_who_does_not_come(&*world);
    };
    run(3, Duration::from_millis(150), check);
}

#[test]
fn a_rank_that_has_ended_is_not_waited_for() {
    run(3, Duration::from_secs(60), conformance::a_rank_that_has_ended_is_not_waited_for);
}

/// An abort is no end: ranks that go on to theirs have what they made.
#[test]
fn a_world_that_failed_at_its_end_has_its_results() {
    let results = threads(3, &ThreadOptions::default(), |world| {
        world.abort(Failure { rank: 0, at: None, cause: "in a hurry".to_owned() });
        Ok::<_, Error>(world.rank())
    });
    assert_eq!(results.unwrap(), [0, 1, 2]);
}

#[test]
fn ranks_that_were_dropped_have_ended() {
    let mut ends = in_process(3, Duration::from_millis(100));
    drop(ends.split_off(1));
    assert_eq!(
        ends[0].reset().unwrap_err().to_string(),
        "nothing more comes of ranks 1, 2, which ended; start all ranks again to go on"
    );
}

#[test]
fn a_rank_without_a_gpu_has_no_nccl() {
    let world = Box::new(in_process(1, Duration::from_millis(100)).remove(0));
    let error = over(world, &Device::Cpu, &NcclOptions::default()).err().unwrap();
    if cfg!(feature = "cuda") {
        assert!(matches!(error, Error::Nccl(NcclError::NoGpu { .. })), "{error}");
    } else {
        assert!(matches!(error, Error::NotCompiled { transport: "NCCL", feature: "cuda" }));
    }
}
