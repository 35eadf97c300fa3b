//! The conformance suite over connections, and processes that are gone: their ranks are threads here.

use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use super::conformance;
use super::offices::run_rank;
use crate::communicator::courier::{Closed, Incoming, Link};
use crate::communicator::link::tcp::{Master, Seat, TcpLink, connect};
use crate::communicator::{Communicator, Tag};
use crate::{Error, Failure};

const LONG: Duration = Duration::from_secs(60);

/// An address at which nothing listens.
pub(super) fn free() -> Master {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().to_string().parse().unwrap()
}

/// The links of a world.
fn links(world_size: usize) -> Vec<TcpLink> {
    let master = free();
    thread::scope(|scope| {
        let meet = |rank| {
            let seat = Seat { rank, world_size, master: master.clone() };
            scope.spawn(move || connect(&seat, LONG).unwrap())
        };
        let ranks: Vec<_> = (0..world_size).map(meet).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn run<T: Send>(
    world_size: usize,
    timeout: Duration,
    body: impl Fn(Box<dyn Communicator>) -> T + Sync,
) -> Vec<T> {
    thread::scope(|scope| {
        let body = &body;
        let start = |link| scope.spawn(move || run_rank(link, timeout, |world, _| body(world)));
        let ranks: Vec<_> = links(world_size).into_iter().map(start).collect();
        let ended = ranks.into_iter().map(|rank| rank.join().unwrap());
        let together = |(made, closed)| {
            assert_eq!(closed, Some(Closed::Together));
            made
        };
        ended.map(together).collect()
    })
}

macro_rules! over_tcp {
    ($($check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                for size in [2, 4] {
                    run(size, LONG, |world| conformance::$check(&*world));
                }
            }
        )*
    };
}
conformance::for_all_checks!(over_tcp);

#[test]
fn a_large_message_arrives_whole() {
    run(3, LONG, |world| conformance::a_large_message_arrives_whole(&*world, 4 << 20));
}

#[test]
fn what_does_not_come_is_an_error_that_names_the_sender() {
    let check = conformance::what_does_not_come_is_an_error_that_names_the_sender;
    run(3, Duration::from_millis(150), |world| check(&*world));
}

#[test]
fn a_reset_names_who_does_not_come() {
    let check = conformance::a_reset_names_who_does_not_come;
    run(3, Duration::from_millis(150), |world| check(&*world));
}

#[test]
fn a_rank_that_has_ended_is_not_waited_for() {
    run(3, LONG, conformance::a_rank_that_has_ended_is_not_waited_for);
}

#[test]
fn ranks_of_one_machine_are_counted() {
    let places: Vec<_> = links(3).iter().map(Link::place).collect();
    for (rank, place) in places.iter().enumerate() {
        assert_eq!((place.rank, place.world_size, place.ranks_here), (rank, 3, 3));
    }
}

/// Each is gone after it has sent something, which is still read.
#[test]
fn a_process_that_is_gone_fails_the_world_with_its_name() {
    for gone in 0..3 {
        let mut links = links(3);
        let mut lost = links.remove(gone);
        thread::scope(|scope| {
            for link in links {
                scope.spawn(move || {
                    let heard = run_rank(link, LONG, |world, connected| {
                        let heard = world.recv(gone, Tag(0)).unwrap_err();
                        // To whoever is there, and to whoever is not.
                        assert!(matches!(world.reset(), Err(Error::Ended { .. })));
                        assert_eq!(connected.watch.fallen().map(|(rank, _)| rank), Some(gone));
                        heard.to_string()
                    });
                    let words = format!(
                        "stopped because another rank failed: rank {gone}: its process ended before its time"
                    );
                    assert_eq!(heard, (words, Some(Closed::Together)));
                });
            }
            lost.send((gone + 1) % 3, vec![16, 0, 0]);
            drop(lost);
        });
    }
}

/// What it has said of itself counts: a failure, and that it is done.
#[test]
fn a_process_that_has_said_why_it_goes_is_not_lost() {
    let failure = Failure { rank: 1, at: None, cause: "broken".to_owned() };
    thread::scope(|scope| {
        for link in links(3) {
            scope.spawn(|| {
                run_rank(link, LONG, |world, _| {
                    if world.rank() == 1 {
                        world.abort(failure.clone());
                        return;
                    }
                    let heard = world.recv(1, Tag(0)).unwrap_err();
                    assert!(
                        matches!(&heard, Error::Stopped { failure: heard, .. } if *heard == failure),
                        "{heard}"
                    );
                })
            });
        }
    });
}

#[test]
fn what_is_under_way_arrives_before_the_end() {
    let [mut first, mut second] = links(2).try_into().ok().unwrap();
    let letter: Vec<u8> = [1_000_008u64.to_le_bytes().as_slice(), &vec![7; 1_000_000]].concat();
    let expected = letter.clone();
    let sends = thread::spawn(move || {
        second.send(0, letter);
        while !second.has_sent() {
            thread::yield_now();
        }
        // Without a goodbye.
        drop(second);
    });
    let mut got = Vec::new();
    let lost = loop {
        match first.receive() {
            Some(Incoming::Piece { from, piece }) => {
                assert_eq!(from, 1);
                got.extend(piece);
            }
            Some(Incoming::Lost { from, cause }) => break (from, cause),
            None => thread::yield_now(),
        }
    };
    assert!(got == expected, "all {} bytes, and got {}", expected.len(), got.len());
    assert_eq!(lost, (1, "its process ended before its time".to_owned()));
    assert!(first.receive().is_none(), "that is told once");
    first.send(1, vec![0; 8]);
    assert!(first.has_sent(), "nothing is kept for who is gone");
    sends.join().unwrap();
}
