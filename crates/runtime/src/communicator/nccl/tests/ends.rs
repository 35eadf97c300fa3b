//! Faults of lanes, ranks that end while something is under way, and worlds that begin anew.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use super::super::lines::lock;
use super::memory::Ends;
use super::{ALL, LONG, World, check};
use crate::Error;
use crate::communicator::tests::conformance::{failure, hear, tensor, value};
use crate::communicator::{Communicator, Tag};

#[test]
fn a_fault_of_a_lane_ends_the_world_with_its_words() {
    let world = World { fails_at: Some(2), ..World::new(ALL) };
    let heard = Mutex::new(Vec::new());
    let ran = world.run(3, LONG, |world| {
        if world.rank() == 0 {
            for x in 0..5 {
                world.send(vec![tensor(x as f32)], 1, Tag(0))?;
            }
        }
        if world.rank() == 1 {
            assert_eq!(value(&world.recv(0, Tag(0))?), 0.0);
        }
        let words = hear(&*world).to_string();
        lock(&heard).push(words);
        Ok(())
    });
    ran.unwrap();
    let words = "stopped because another rank failed: rank 1: tensors of rank 0 for rank 1: ncclRecv \
                 failed: out of order";
    assert_eq!(lock(&heard).as_slice(), [words; 3]);
}

#[test]
fn what_a_rank_breaks_by_its_end_is_told_in_the_words_of_the_transport_below() {
    let world = World::new(ALL);
    let exchange = &world.exchange;
    let heard = world.run(2, LONG, |world| {
        if world.rank() == 0 {
            world.barrier()?;
            world.send(vec![tensor(1.0)], 1, Tag(0))?;
        } else {
            exchange.cut();
            world.barrier()?;
            while exchange.num_faults() == 0 {
                thread::yield_now();
            }
            world.abort(failure(1, "it has died"));
        }
        Ok(hear(&*world).to_string())
    });
    let words = "stopped because another rank failed: rank 1: it has died";
    assert_eq!(heard.unwrap(), [words; 2]);
}

#[test]
fn a_rank_that_takes_nothing_more_keeps_no_sender() {
    let world = World::new(ALL);
    let (tell, told) = channel();
    let told = Mutex::new(told);
    let ran = world.run(2, LONG, |world| {
        if world.rank() == 0 {
            world.send(vec![tensor(0.0)], 1, Tag(0))?;
            // It has ended when more is sent.
            lock(&told).recv().unwrap();
            assert!(matches!(world.recv(1, Tag(0)), Err(Error::Ended { .. })));
            for x in 1..9 {
                world.send(vec![tensor(x as f32)], 1, Tag(0))?;
            }
        } else {
            assert_eq!(value(&world.recv(0, Tag(0))?), 0.0);
            tell.send(()).unwrap();
        }
        Ok(())
    });
    ran.unwrap();
    let Ends { opened, broken, closed } = world.exchange.ends();
    assert_eq!((opened, broken + closed), (2, 2));
}

#[test]
fn what_was_sent_leaves_though_nobody_asks_for_it() {
    let world = World::new(ALL);
    world
        .run(3, LONG, |world| {
            for to in (0..3).filter(|&to| to != world.rank()) {
                for x in 0..20 {
                    world.send(vec![tensor(x as f32)], to, Tag(x % 3))?;
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_was_half_sent_is_gone_when_the_world_begins_anew() {
    check(3, ALL, |world| {
        let rank = world.rank();
        let (before, after) = ((rank + 2) % 3, (rank + 1) % 3);
        let group = world.split(0, rank).unwrap();
        for round in 0..20 {
            let ends: [&dyn Communicator; 2] = [&*world, &*group];
            for x in 0..rank + 2 {
                // Whoever is late hears of the failure.
                let _ = ends[x % 2].send(vec![tensor(-1.0)], after, Tag(0));
                let _ = world.post_recv(before, Tag(0)).map(|posted| world.has_arrived(&posted));
            }
            if rank == round % 3 {
                world.abort(failure(rank, "again"));
            }
            hear(&*world);
            world.reset().unwrap();
            for (end, x) in ends.into_iter().zip([1.0, 2.0]) {
                end.send(vec![tensor(x)], after, Tag(0)).unwrap();
            }
            for (end, x) in ends.into_iter().zip([1.0, 2.0]).rev() {
                assert_eq!(value(&end.recv(before, Tag(0)).unwrap()), x, "round {round}");
            }
            world.barrier().unwrap();
        }
    });
}

#[test]
fn a_rank_that_panics_waits_for_nobody() {
    let world = World::new(ALL);
    let ran = world.run(2, LONG, |world| {
        if world.rank() == 0 {
            world.send(vec![tensor(1.0)], 1, Tag(0))?;
            panic!("in the midst of it");
        }
        Err::<(), _>(hear(&*world))
    });
    let error = ran.unwrap_err();
    assert_eq!(error.to_string(), "rank 0 panicked: in the midst of it");
}
