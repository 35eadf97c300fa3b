//! What all ranks of a group do together.

use autopipe_runtime::Communicator;
use autopipe_runtime::communicator::{Reduction, Tag};

use super::{tensor, value};

pub(crate) fn reductions_see_every_rank_in_order(world: &dyn Communicator) {
    let size = world.size();
    // In another order, these sum to other bits.
    let of = |rank: usize| [0.1 * (rank + 1) as f64, 1e16, -1.0, 1.0 / (rank + 3) as f64];
    let mine = of(world.rank());
    let sum = world.all_reduce(&mine, Reduction::Sum).unwrap();
    let max = world.all_reduce(&mine, Reduction::Max).unwrap();
    for i in 0..mine.len() {
        let column = || (0..size).map(|rank| of(rank)[i]);
        assert_eq!(sum[i].to_bits(), column().reduce(|a, b| a + b).unwrap().to_bits());
        assert_eq!(max[i].to_bits(), column().reduce(f64::max).unwrap().to_bits());
    }
    let nan = if world.rank() == 1 { f64::NAN } else { 0.0 };
    assert!(world.all_reduce(&[nan], Reduction::Max).unwrap()[0].is_nan());
    assert_eq!(world.all_reduce(&[], Reduction::Sum).unwrap(), [0.0; 0]);
}

pub(crate) fn uneven_reductions_are_refused(world: &dyn Communicator) {
    let values = vec![1.0; 1 + usize::from(world.rank() == 1)];
    let error = world.all_reduce(&values, Reduction::Sum).unwrap_err();
    assert!(error.to_string().contains("rank 1 gave 2 values"), "{error}");
}

pub(crate) fn barriers_and_words_reach_every_rank(world: &dyn Communicator) {
    let words = |rank: usize| ["", "a rank with few words", "größer als fünf Bytes"][rank % 3];
    for _ in 0..20 {
        world.barrier().unwrap();
    }
    let all: Vec<&str> = (0..world.size()).map(words).collect();
    assert_eq!(world.all_gather_text(words(world.rank())).unwrap(), all);
    assert_eq!(world.all_gather_text("").unwrap(), vec![String::new(); world.size()]);
}

pub(crate) fn a_split_is_a_world_of_its_own(world: &dyn Communicator) {
    let (rank, size) = (world.rank(), world.size());
    // By their parity in their order, and by halves from the last to the first.
    let parity = world.split(rank % 2, rank).unwrap();
    let half = world.split(rank * 2 / size, size - rank).unwrap();
    let same = |f: &dyn Fn(usize) -> usize| (0..size).filter(|&r| f(r) == f(rank)).collect();
    let evens: Vec<usize> = same(&|r| r % 2);
    let mut halves: Vec<usize> = same(&|r| r * 2 / size);
    halves.reverse();
    assert_eq!(parity.members(), evens);
    assert_eq!(half.members(), halves);
    assert_eq!((parity.world_rank(), half.world_rank()), (rank, rank));
    // The same tag in three groups.
    for (group, scale) in [(&*parity, 10.0), (&*half, 100.0), (world, 1000.0)] {
        for to in 0..group.size() {
            group.send(vec![tensor(scale + rank as f32)], to, Tag(0)).unwrap();
        }
    }
    for (group, scale) in [(world, 1000.0), (&*half, 100.0), (&*parity, 10.0)] {
        for from in 0..group.size() {
            let got = value(&group.recv(from, Tag(0)).unwrap());
            assert_eq!(got, scale + group.members()[from] as f32);
        }
    }
    let sum = parity.all_reduce(&[rank as f64], Reduction::Sum).unwrap()[0];
    assert_eq!(sum, evens.iter().sum::<usize>() as f64);
}

pub(crate) fn splits_of_splits_do_not_mix(world: &dyn Communicator) {
    let rank = world.rank();
    // Made by some ranks only, so that ranks have made different numbers of groups.
    let parity = world.split(rank % 2, 0).unwrap();
    let alone = parity.split(parity.rank(), 0).unwrap();
    assert_eq!((alone.size(), alone.members()), (1, &[rank][..]));
    if rank.is_multiple_of(2) {
        for _ in 0..3 {
            parity.split(0, 0).unwrap().barrier().unwrap();
        }
    }
    let again: Vec<_> = (0..3).map(|_| world.split(0, rank).unwrap()).collect();
    for (i, group) in again.iter().enumerate() {
        for to in 0..group.size() {
            group.send(vec![tensor(i as f32)], to, Tag(0)).unwrap();
        }
    }
    for (i, group) in again.iter().enumerate().rev() {
        for from in 0..group.size() {
            assert_eq!(value(&group.recv(from, Tag(0)).unwrap()), i as f32);
        }
    }
    alone.barrier().unwrap();
}
