//! The order of messages: that of a lane is the sender's, and nobody has to ask in it.

use std::thread;

use candle_core::{DType, Device, Tensor};

use super::{ALL, LONG, SOME, World, check};
use crate::Error;
use crate::communicator::tests::conformance::{neighbours, tensor, value};
use crate::communicator::tests::offices;
use crate::communicator::{Communicator, Tag};

#[test]
fn messages_are_asked_for_in_any_order() {
    check(3, ALL, |world| {
        let (before, after) = neighbours(&*world);
        // Everybody sends first: a send waits for nobody.
        for tag in 0..50 {
            world.send(vec![tensor(tag as f32)], after, Tag(tag)).unwrap();
        }
        // Those of even tags backwards, and only then the others.
        let even = (0..50).rev().filter(|tag| tag % 2 == 0);
        for tag in even.chain((0..50).filter(|tag| tag % 2 == 1)) {
            assert_eq!(value(&world.recv(before, Tag(tag)).unwrap()), tag as f32);
        }
    });
}

#[test]
fn groups_share_lanes_and_mix_nothing() {
    check(4, ALL, |world| {
        let (rank, size) = (world.rank(), world.size());
        let same = world.split(0, rank).unwrap();
        let reversed = world.split(0, size - rank).unwrap();
        let groups: [&dyn Communicator; 3] = [&*world, &*same, &*reversed];
        for round in 0..5 {
            for (number, group) in groups.iter().enumerate() {
                for to in 0..size {
                    let words = (100 * number + 10 * rank + round) as f32;
                    group.send(vec![tensor(words)], to, Tag(7)).unwrap();
                }
            }
        }
        for (number, group) in groups.iter().enumerate().rev() {
            for round in 0..5 {
                for from in (0..size).rev() {
                    let got = value(&group.recv(from, Tag(7)).unwrap());
                    assert_eq!(got, (100 * number + 10 * group.members()[from] + round) as f32);
                }
            }
        }
    });
}

#[test]
fn tensors_of_a_message_keep_their_places() {
    check(2, SOME, |world| {
        let other = 1 - world.rank();
        let dtypes = [DType::F64, DType::F32, DType::U8, DType::I64, DType::F64, DType::BF16];
        for count in 0..=dtypes.len() {
            let make = |rank: usize| -> Vec<Tensor> {
                let of = |(place, dtype): (usize, &DType)| {
                    tensor((10 * rank + place) as f32).to_dtype(*dtype).unwrap()
                };
                dtypes[..count].iter().enumerate().map(of).collect()
            };
            world.send(make(world.rank()), other, Tag(0)).unwrap();
            let posted = world.post_recv(other, Tag(0)).unwrap();
            while !world.has_arrived(&posted).unwrap() {
                thread::yield_now();
            }
            assert!(world.has_arrived(&posted).unwrap(), "asking again changes nothing");
            let got = world.wait(posted).unwrap();
            assert_eq!(got.len(), count);
            for (got, expected) in got.iter().zip(make(other)) {
                assert_eq!(got.dtype(), expected.dtype());
                let numbers = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
                assert_eq!(
                    numbers(got).to_vec1::<f64>().unwrap(),
                    numbers(&expected).to_vec1::<f64>().unwrap()
                );
            }
        }
    });
}

#[test]
fn threads_of_a_rank_send_and_receive_at_once() {
    check(2, ALL, |world| {
        let (world, other) = (&*world, 1 - world.rank());
        thread::scope(|scope| {
            for tag in 0..4 {
                scope.spawn(move || {
                    for x in 0..40 {
                        world.send(vec![tensor((100 * tag + x) as f32)], other, Tag(tag)).unwrap();
                    }
                });
                scope.spawn(move || {
                    for x in 0..40 {
                        let got = value(&world.recv(other, Tag(tag)).unwrap());
                        assert_eq!(got, (100 * tag + x) as f32);
                    }
                });
            }
        });
    });
}

#[test]
fn types_that_cannot_be_received_are_refused() {
    check(2, &[DType::I32], |world| {
        let odd = Tensor::new(&[1i32], &Device::Cpu).unwrap();
        let error = world.send(vec![odd], 1 - world.rank(), Tag(0)).unwrap_err();
        let words = "tensors of I32 cannot be sent to another process; they have to be F32, F64, BF16, \
                     F16, I64, U32 or U8";
        assert_eq!(error.to_string(), words);
        world.barrier().unwrap();
    });
}

#[test]
fn a_message_that_the_transport_below_refuses_leaves_its_lane_as_it_was() {
    let world = World::new(SOME);
    offices::run(2, 1 << 20, LONG, |below| {
        let (world, other) = (world.over(below).unwrap(), 1);
        if world.rank() == other {
            let got = [0, 1].map(|_| value(&world.recv(0, Tag(0)).unwrap()));
            return assert_eq!(got, [2.0, 3.0]);
        }
        for x in [2.0, 3.0] {
            let odd = Tensor::new(&[1i32], &Device::Cpu).unwrap();
            let error = world.send(vec![tensor(-1.0), odd], other, Tag(0)).unwrap_err();
            assert!(matches!(error, Error::Unsendable { .. }), "{error}");
            world.send(vec![tensor(x)], other, Tag(0)).unwrap();
        }
    });
}
