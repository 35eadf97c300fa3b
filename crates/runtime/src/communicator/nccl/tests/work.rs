//! By which way messages go: by the transport below until the work is known, and by lanes from then on.

use std::sync::mpsc::channel;
use std::sync::{Barrier, Mutex};

use super::super::lines::lock;
use super::memory::Ends;
use super::{ALL, LONG, SOME, World};
use crate::Error;
use crate::communicator::tests::conformance::{neighbours, tensor, value};
use crate::communicator::tests::offices;
use crate::communicator::{Communicator, Tag, Work};

/// A world in which nothing is known yet.
fn new_world() -> World {
    World { begins_with: Work::New, ..World::new(ALL) }
}

#[test]
fn there_is_no_lane_before_the_work_is_known() {
    let world = new_world();
    let exchange = &world.exchange;
    let ran = world.run(2, LONG, |world| {
        let other = 1 - world.rank();
        for (work, opened) in [(Work::New, 0), (Work::Known, 4), (Work::New, 4), (Work::Known, 4)] {
            world.begin_work(work)?;
            world.barrier()?;
            for x in 0..5 {
                world.send(vec![tensor(x as f32)], other, Tag(0))?;
                assert_eq!(value(&world.recv(other, Tag(0))?), x as f32);
            }
            world.barrier()?;
            assert_eq!(exchange.ends().opened, opened, "{work:?}");
        }
        Ok(())
    });
    ran.unwrap();
}

/// The sender alone says which way, and messages of one tag keep their order on whatever way.
fn messages_of_both_ways(world: &dyn Communicator) {
    let (before, after) = neighbours(world);
    let group = world.split(0, world.rank()).unwrap();
    let ends = [world, &*group];
    for x in 0..30 {
        let work = if (x + world.rank()).is_multiple_of(3) { Work::New } else { Work::Known };
        ends[x % 2].begin_work(work).unwrap();
        for end in ends {
            end.send(vec![tensor(x as f32), tensor(-1.0)], after, Tag(x as u64 % 2)).unwrap();
        }
    }
    for tag in [1, 0] {
        for x in (0..30).filter(|x| x % 2 == tag) {
            for end in ends {
                assert_eq!(value(&end.recv(before, Tag(tag)).unwrap()[..1]), x as f32);
            }
        }
    }
}

#[test]
fn ranks_receive_what_comes_on_either_way() {
    for (size, dtypes) in [(2, ALL), (3, SOME), (4, ALL)] {
        let world = World { begins_with: Work::New, ..World::new(dtypes) };
        let body = |world: Box<dyn Communicator>| {
            messages_of_both_ways(&*world);
            Ok(())
        };
        world.run(size, LONG, body).unwrap();
        assert!(world.exchange.ends().opened > 0);
    }
    let world = new_world();
    offices::run(3, 1 << 20, LONG, |below| messages_of_both_ways(&*world.over(below).unwrap()));
}

#[test]
fn new_work_begins_when_nothing_is_under_way() {
    let world = World::new(ALL);
    let met = Barrier::new(2);
    let (tell, told) = channel();
    let told = Mutex::new(told);
    let ran = world.run(2, LONG, |world| {
        if world.rank() == 0 {
            for x in 0..10 {
                world.send(vec![tensor(x as f32)], 1, Tag(0))?;
            }
            world.begin_work(Work::New)?;
            // Whoever receives has begun with all of them, and asked for none.
            tell.send(()).unwrap();
            met.wait();
        } else {
            lock(&told).recv().unwrap();
            met.wait();
            for x in 0..10 {
                assert_eq!(value(&world.recv(0, Tag(0))?), x as f32);
            }
        }
        Ok(())
    });
    ran.unwrap();
    let Ends { opened, broken, closed } = world.exchange.ends();
    assert_eq!((opened, broken, closed), (2, 0, 2));
}

#[test]
fn what_keeps_new_work_waiting_is_told() {
    let world = World::new(ALL);
    let exchange = &world.exchange;
    let ran = world.run(2, LONG, |world| {
        if world.rank() == 0 {
            world.send(vec![tensor(0.0)], 1, Tag(0))?;
            world.begin_work(Work::New)?;
            exchange.cut();
            world.begin_work(Work::Known)?;
            world.send(vec![tensor(1.0)], 1, Tag(0))?;
            let error = world.begin_work(Work::New).unwrap_err();
            assert!(matches!(error, Error::Stopped { .. }), "{error}");
            let words = "remote process exited or there was a network error";
            assert!(error.to_string().contains(words), "{error}");
            Ok(())
        } else {
            Err::<(), _>(crate::communicator::tests::conformance::hear(&*world))
        }
    });
    assert!(ran.is_err());
}
