//! The conformance suite over offices that are joined by channels, and what only they do.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::channels::links;
use super::conformance;
use crate::communicator::courier::{Closed, Connected, Link, Patience, start};
use crate::communicator::{Awaited, Communicator, Tag};
use crate::error::{Place, StepPart};
use crate::{Error, Failure};

const LONG: Duration = Duration::from_secs(60);

/// Runs a rank of a world of links; returns how its world ended.
pub(super) fn run_rank<T>(
    link: impl Link + Send + 'static,
    timeout: Duration,
    body: impl FnOnce(Box<dyn Communicator>, &Connected) -> T,
) -> (T, Option<Closed>) {
    run_rank_missing(link, timeout, LONG, body)
}

/// The same where a process may say nothing for so long.
fn run_rank_missing<T>(
    link: impl Link + Send + 'static,
    timeout: Duration,
    silence: Duration,
    body: impl FnOnce(Box<dyn Communicator>, &Connected) -> T,
) -> (T, Option<Closed>) {
    let patience = Patience { timeout, silence, grace: Duration::from_secs(20) };
    let mut connected = start(|| Ok(link), patience).unwrap();
    let end = std::mem::replace(&mut connected.end, spare());
    let made = body(Box::new(end), &connected);
    (made, connected.courier.wait())
}

/// An end of another world.
fn spare() -> crate::communicator::End {
    crate::communicator::in_process(1, LONG).remove(0)
}

/// Runs `body` on every rank of a world whose letters go in pieces.
pub(in super::super) fn run<T: Send>(
    world_size: usize,
    piece: usize,
    timeout: Duration,
    body: impl Fn(Box<dyn Communicator>) -> T + Sync,
) -> Vec<T> {
    thread::scope(|scope| {
        let body = &body;
        let ranks: Vec<_> = links(world_size, piece)
            .into_iter()
            .map(|link| scope.spawn(move || run_rank(link, timeout, |world, _| body(world))))
            .collect();
        let ended = ranks.into_iter().map(|rank| rank.join().unwrap());
        ended
            .map(|(made, closed)| {
                assert_eq!(closed, Some(Closed::Together));
                made
            })
            .collect()
    })
}

macro_rules! on_offices {
    ($($check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                for (size, piece) in [(2, 1 << 20), (3, 8), (4, 100)] {
                    run(size, piece, LONG, |world| conformance::$check(&*world));
                }
            }
        )*
    };
}
conformance::for_all_checks!(on_offices);

#[test]
fn a_large_message_arrives_whole() {
    run(3, 1000, LONG, |world| conformance::a_large_message_arrives_whole(&*world, 1 << 20));
}

#[test]
fn what_does_not_come_is_an_error_that_names_the_sender() {
    let check = conformance::what_does_not_come_is_an_error_that_names_the_sender;
    run(3, 1000, Duration::from_millis(150), |world| check(&*world));
}

#[test]
fn a_reset_names_who_does_not_come() {
    let check = conformance::a_reset_names_who_does_not_come;
    run(3, 1000, Duration::from_millis(150), |world| check(&*world));
}

#[test]
fn a_rank_that_has_ended_is_not_waited_for() {
    run(3, 1000, LONG, conformance::a_rank_that_has_ended_is_not_waited_for);
}

#[test]
fn what_is_no_letter_stops_the_world() {
    thread::scope(|scope| {
        let mut links = links(2, 1000);
        links[1].send_bytes(0, b"not what was agreed upon");
        for link in links {
            scope.spawn(|| {
                run_rank(link, LONG, |world, _| {
                    let words = conformance::hear(&*world).to_string();
                    // And whose it was is told who has refused it.
                    let by = if world.rank() == 1 { "rank 0 has given this one up: " } else { "" };
                    let expected =
                        format!("rank 1: {by}what it sent cannot be read: there is no room for");
                    assert!(words.contains(&expected), "{words}");
                })
            });
        }
    });
}

#[test]
fn what_cannot_be_sent_is_refused() {
    run(2, 1000, LONG, |world| {
        let tensor = candle_core::Tensor::new(&[1i32], &candle_core::Device::Cpu).unwrap();
        let error = world.send(vec![tensor.clone()], 1 - world.rank(), Tag(0)).unwrap_err();
        assert!(matches!(&error, Error::Unsendable { dtype: candle_core::DType::I32 }), "{error}");
        // Which nobody has to read.
        world.send(vec![tensor], world.rank(), Tag(0)).unwrap();
        world.recv(world.rank(), Tag(0)).unwrap();
        world.barrier().unwrap();
    });
}

#[test]
fn it_can_be_seen_what_a_rank_waits_for() {
    let (tell, seen) = channel();
    let [first, second] = links(2, 1000).try_into().ok().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            run_rank(first, LONG, |world, connected| {
                let watch = connected.watch.clone();
                assert_eq!(watch.waiting(), None);
                let see = scope.spawn(move || {
                    let waiting = loop {
                        match watch.waiting() {
                            Some(waiting) => break waiting,
                            None => thread::yield_now(),
                        }
                    };
                    tell.send(()).unwrap();
                    waiting
                });
                world.recv(1, Tag(7)).unwrap();
                let waiting = see.join().unwrap();
                assert_eq!((waiting.rank, waiting.awaited), (1, Awaited::Message(Tag(7))));
                let words = waiting.to_string();
                assert!(words.starts_with("3SEND_B0 of rank 1, for "), "{words}");
                assert_eq!(connected.watch.waiting(), None);
            })
        });
        scope.spawn(move || {
            run_rank(second, LONG, |world, _| {
                seen.recv().unwrap();
                world.send(Vec::new(), 0, Tag(7)).unwrap();
            })
        });
    });
}

#[test]
fn a_failure_keeps_its_place_on_its_way() {
    let parts =
        ["1F2", "(0F1;3B0)OVERLAP_F_B"].map(|action| StepPart::Action(action.parse().unwrap()));
    let parts = parts.into_iter().chain([StepPart::Start, StepPart::Losses, StepPart::Outputs]);
    for part in parts.chain([StepPart::Times, StepPart::Recovery]) {
        let failure =
            Failure { rank: 1, at: Some(Place { step: 9, part }), cause: "größer".to_owned() };
        run(2, 1000, LONG, |world| {
            if world.rank() == 1 {
                world.abort(failure.clone());
            }
            let heard = conformance::hear(&*world);
            assert!(
                matches!(&heard, Error::Stopped { failure: heard, .. } if *heard == failure),
                "{heard}"
            );
        });
    }
}

#[test]
fn a_rank_that_hangs_is_not_waited_for() {
    let [first, second, deaf] = links(3, 1000).try_into().ok().unwrap();
    thread::scope(|scope| {
        for link in [first, second] {
            scope.spawn(|| {
                let grace = Duration::from_millis(200);
                let patience = Patience { timeout: LONG, silence: LONG, grace };
                let connected = start(|| Ok(link), patience).unwrap();
                if connected.place.rank == 0 {
                    let failure = Failure { rank: 0, at: None, cause: "broken".to_owned() };
                    connected.end.watcher().end(failure);
                }
                drop(connected.end);
                assert_eq!(connected.courier.wait(), Some(Closed::Without(vec![2])));
                assert_eq!(connected.watch.fallen(), Some((0, "broken".to_owned())));
            });
        }
    });
    assert_eq!(deaf.place().rank, 2);
}

/// One waits for a message and is told, the other is done and waits for the end.
#[test]
fn a_process_that_says_nothing_is_missed() {
    let [first, second, deaf] = links(3, 1000).try_into().ok().unwrap();
    let silence = Duration::from_secs(3);
    let missed = "rank 2: nothing has come of its process for ";
    thread::scope(|scope| {
        scope.spawn(move || {
            let body = |world: Box<dyn Communicator>, connected: &Connected| {
                let words = world.recv(2, Tag(7)).unwrap_err().to_string();
                assert!(words.contains(missed), "{words}");
                let waited = connected.watch.interrupted().unwrap();
                assert_eq!((waited.rank, waited.awaited), (2, Awaited::Message(Tag(7))));
            };
            assert_eq!(run_rank_missing(first, LONG, silence, body).1, Some(Closed::Together));
        });
        scope.spawn(move || {
            let mut watch = None;
            let body = |world: Box<dyn Communicator>, connected: &Connected| {
                watch = Some(connected.watch.clone());
                drop(world);
            };
            assert_eq!(run_rank_missing(second, LONG, silence, body).1, Some(Closed::Together));
            let watch = watch.unwrap();
            assert_eq!(watch.lost(), [2]);
            assert_eq!(watch.interrupted(), None, "it waited for nothing");
        });
    });
    assert_eq!(deaf.place().rank, 2);
}

/// Its courier says that it is there though the rank says nothing for longer than a process may: to one
/// that waits for a message, and to one that is done.
#[test]
fn a_rank_that_computes_for_long_is_not_missed() {
    let silence = Duration::from_secs(3);
    thread::scope(|scope| {
        for link in links(3, 1000) {
            scope.spawn(move || {
                let body = |world: Box<dyn Communicator>, _: &Connected| match world.rank() {
                    0 => {
                        thread::park_timeout(silence * 3 / 2);
                        world.send(Vec::new(), 1, Tag(7)).unwrap();
                    }
                    1 => drop(world.recv(0, Tag(7)).unwrap()),
                    _ => {}
                };
                assert_eq!(run_rank_missing(link, LONG, silence, body).1, Some(Closed::Together));
            });
        }
    });
}
