//! Failures of a world, and how it begins anew.

use autopipe_runtime::communicator::{Reduction, Tag};
use autopipe_runtime::{Communicator, Error};

use super::{failure, hear, neighbours, tensor, value};

pub(crate) fn an_abort_ends_every_wait_in_every_group(world: &dyn Communicator) {
    let last = world.size() - 1;
    let group = world.split(usize::from(world.rank() == last), 0).unwrap();
    if world.rank() == last {
        group.abort(failure(last, "no more"));
    }
    let words = format!("stopped because another rank failed: rank {last}: no more");
    let stopped = if world.rank() == last {
        world.recv(0, Tag(0)).unwrap_err()
    } else {
        group.recv(group.size() - 1, Tag(0)).unwrap_err()
    };
    assert_eq!(stopped.to_string(), words);
    assert_eq!(world.check().unwrap_err().to_string(), words);
    assert_eq!(world.barrier().unwrap_err().to_string(), words);
    assert!(matches!(world.send(Vec::new(), 0, Tag(0)), Err(Error::Stopped { .. })));
}

pub(crate) fn of_several_aborts_all_hear_the_same(world: &dyn Communicator) {
    for round in 0..10 {
        world.barrier().unwrap();
        world.abort(failure(world.rank(), &format!("round {round}")));
        let heard = hear(world).to_string();
        assert!(heard.ends_with(&format!("round {round}")), "{heard}");
        assert_eq!(world.check().unwrap_err().to_string(), heard);
        world.reset().unwrap();
        let all = world.all_gather_text(&heard).unwrap();
        assert!(all.iter().all(|words| *words == heard), "{all:?}");
    }
}

pub(crate) fn a_collective_that_one_rank_went_through_succeeds_on_all(world: &dyn Communicator) {
    for round in 0..30 {
        let sum = world.all_reduce(&[1.0], Reduction::Sum);
        // One rank at a time in the first rounds, then all.
        if round % 10 == world.rank() || round >= 20 {
            world.abort(failure(world.rank(), "in a hurry"));
        }
        assert_eq!(sum.unwrap(), [world.size() as f64], "round {round}");
        world.reset().unwrap();
    }
}

pub(crate) fn a_reset_forgets_failure_and_messages_in_every_group(world: &dyn Communicator) {
    let rank = world.rank();
    let (before, after) = neighbours(world);
    let group = world.split(usize::from(rank == 2), 0).unwrap();
    for round in 0..world.size() {
        // Each rank is left at another place, with messages that nobody fetches.
        let _ = world.send(vec![tensor(-1.0)], after, Tag(0));
        if rank == round {
            world.abort(failure(rank, &format!("round {round}")));
        }
        let words = format!("stopped because another rank failed: rank {round}: round {round}");
        assert_eq!(hear(&*group).to_string(), words);
        // Any end of a rank will do.
        (if rank == 1 { &*group } else { world }).reset().unwrap();
        world.check().unwrap();
        world.send(vec![tensor(rank as f32)], after, Tag(0)).unwrap();
        let got = value(&world.recv(before, Tag(0)).unwrap());
        assert_eq!(got, before as f32, "what was sent before is gone");
        let sum = group.all_reduce(&[1.0], Reduction::Sum).unwrap();
        assert_eq!(sum, [group.size() as f64]);
        world.barrier().unwrap();
    }
}

pub(crate) fn who_waits_for_one_that_recovers_is_told(world: &dyn Communicator) {
    if world.rank() != 0 {
        let error = world.recv(0, Tag(0)).unwrap_err();
        assert_eq!(error.to_string(), "rank 0 waits in `recover`; call it on this rank too");
    }
    world.reset().unwrap();
}
