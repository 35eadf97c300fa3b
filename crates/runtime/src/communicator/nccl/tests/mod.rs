//! The conformance suite with tensors that go by lane, and what only lanes do; all but NCCL itself.

mod ends;
mod lines;
mod memory;
mod order;
mod record;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::DType;

use self::memory::{Exchange, Memory};
use super::NcclOptions;
use super::end::over;
use crate::communicator::tests::{conformance, offices};
use crate::communicator::{Communicator, Work};
use crate::{Error, RankError, ThreadOptions, threads};

const LONG: Duration = Duration::from_secs(60);
/// The types that can go by lane.
const ALL: &[DType] =
    &[DType::F32, DType::F64, DType::BF16, DType::F16, DType::I64, DType::U32, DType::U8];
/// Some, so that messages are of both kinds.
const SOME: &[DType] = &[DType::F32, DType::BF16, DType::I64];

/// What the ranks of a world are made of.
struct World {
    exchange: Arc<Exchange>,
    dtypes: &'static [DType],
    fails_at: Option<usize>,
    begins_with: Work,
}

impl World {
    fn new(dtypes: &'static [DType]) -> Self {
        let begins_with = Work::Known;
        Self { exchange: Arc::default(), dtypes, fails_at: None, begins_with }
    }

    fn over(&self, below: Box<dyn Communicator>) -> Result<Box<dyn Communicator>, Error> {
        let Self { exchange, dtypes, fails_at, begins_with } = self;
        let (exchange, dtypes, fails_at) = (Arc::clone(exchange), *dtypes, *fails_at);
        let options =
            NcclOptions { timeout: LONG, grace: LONG, max_ctas: 4, begins_with: *begins_with };
        Ok(Box::new(over(below, Memory { exchange, dtypes, fails_at }, options)?))
    }

    /// Runs `body` on every rank, each a thread; nobody waits for what never comes.
    #[expect(
        clippy::disallowed_methods,
        reason = "what waits too long comes to an end all the same"
    )]
    fn run<T: Send>(
        &self,
        size: usize,
        timeout: Duration,
        body: impl Fn(Box<dyn Communicator>) -> Result<T, Error> + Sync,
    ) -> Result<Vec<T>, RankError<Error>> {
        let options = ThreadOptions { timeout, ..ThreadOptions::default() };
        let since = Instant::now();
        let made = threads(size, &options, |below| body(self.over(below)?));
        let ends = self.exchange.ends();
        assert!(since.elapsed() < LONG, "somebody has waited for a timeout");
        assert_eq!(ends.opened, ends.closed + ends.broken, "{ends:?}");
        made
    }
}

fn check(size: usize, dtypes: &'static [DType], body: impl Fn(Box<dyn Communicator>) + Sync) {
    check_within(LONG, size, dtypes, body);
}

fn check_within(
    timeout: Duration,
    size: usize,
    dtypes: &'static [DType],
    body: impl Fn(Box<dyn Communicator>) + Sync,
) {
    let body = |world| {
        body(world);
        Ok(())
    };
    World::new(dtypes).run(size, timeout, body).unwrap();
}

macro_rules! by_lane {
    ($($check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                for (size, dtypes) in [(2, ALL), (3, SOME), (4, ALL)] {
                    check(size, dtypes, |world| conformance::$check(&*world));
                }
                // And by the transport below, before anything is known.
                let world = World { begins_with: Work::New, ..World::new(ALL) };
                let body = |world: Box<dyn Communicator>| Ok(conformance::$check(&*world));
                world.run(3, LONG, body).unwrap();
                assert_eq!(world.exchange.ends().opened, 0);
                // Where the ranks are processes.
                let world = World::new(SOME);
                offices::run(3, 1 << 20, LONG, |below| {
                    conformance::$check(&*world.over(below).unwrap());
                });
            }
        )*
    };
}
conformance::for_all_checks!(by_lane);

#[test]
fn a_large_message_arrives_whole() {
    check(3, ALL, |world| conformance::a_large_message_arrives_whole(&*world, 4 << 20));
    check(3, SOME, |world| conformance::a_large_message_arrives_whole(&*world, 1 << 20));
}

#[test]
fn what_does_not_come_is_an_error_that_names_the_sender() {
    let check = conformance::what_does_not_come_is_an_error_that_names_the_sender;
    check_within(Duration::from_millis(150), 3, ALL, |world| check(&*world));
}

#[test]
fn a_reset_names_who_does_not_come() {
    let check = conformance::a_reset_names_who_does_not_come;
    check_within(Duration::from_millis(150), 3, ALL, |world| check(&*world));
}

#[test]
fn a_rank_that_has_ended_is_not_waited_for() {
    check(3, ALL, conformance::a_rank_that_has_ended_is_not_waited_for);
    let world = World::new(ALL);
    offices::run(3, 1000, LONG, |below| {
        conformance::a_rank_that_has_ended_is_not_waited_for(world.over(below).unwrap());
    });
}
