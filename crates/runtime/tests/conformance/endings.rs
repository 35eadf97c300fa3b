//! Ranks that end, and ranks that do not come: each in a world of its own, of three ranks.

use autopipe_runtime::communicator::Tag;
use autopipe_runtime::{Communicator, Error};

use super::{tensor, value};

/// In a world of a short timeout.
pub(crate) fn what_does_not_come_is_an_error_that_names_the_sender(world: &dyn Communicator) {
    if world.rank() != 0 {
        assert_eq!(stay(world, 0).unwrap(), 0.0);
        return;
    }
    let error = world.recv(1, Tag(0)).unwrap_err();
    assert!(matches!(error, Error::Timeout { from: 1, .. }), "{error}");
    for other in 1..world.size() {
        world.send(vec![tensor(0.0)], other, Tag(0)).unwrap();
    }
}

/// Waits for a number of another rank, however long it takes.
fn stay(world: &dyn Communicator, from: usize) -> Result<f32, Error> {
    loop {
        match world.recv(from, Tag(0)) {
            Err(Error::Recovering { rank }) => assert_eq!(rank, from),
            Err(Error::Timeout { .. }) => {}
            other => return other.map(|tensors| value(&tensors)),
        }
    }
}

/// In a world of a short timeout.
pub(crate) fn a_reset_names_who_does_not_come(world: &dyn Communicator) {
    if world.rank() == 1 {
        // Others wait in vain, until they have given up and say so.
        let words = [0, 2].map(|from| stay(world, from).unwrap());
        assert_eq!(words, [0.0, 2.0]);
    } else {
        let error = world.reset().unwrap_err();
        let named = match &error {
            Error::NotAllRecover { ranks, .. } => ranks.clone(),
            _ => Vec::new(),
        };
        assert!(named.contains(&1) && !named.contains(&world.rank()), "{error}");
        let words = "to recover as well; all ranks of the world have to";
        assert!(error.to_string().ends_with(words), "{error}");
        world.send(vec![tensor(world.rank() as f32)], 1, Tag(0)).unwrap();
    }
    // Whoever comes too early comes again.
    while let Err(error) = world.reset() {
        assert!(matches!(error, Error::NotAllRecover { .. }), "{error}");
    }
}

pub(crate) fn a_rank_that_has_ended_is_not_waited_for(world: Box<dyn Communicator>) {
    let same_fate = world.split(usize::from(world.rank() == 1), 0).unwrap();
    if world.rank() == 1 {
        return world.send(vec![tensor(4.0)], 0, Tag(0)).unwrap();
    }
    if world.rank() == 0 {
        assert_eq!(value(&world.recv(1, Tag(0)).unwrap()), 4.0, "what it sent is still there");
    }
    let words = "nothing more comes of rank 1, which ended; start all ranks again to go on";
    let error = world.recv(1, Tag(0)).unwrap_err();
    assert!(matches!(&error, Error::Ended { ended } if ended[0].0 == 1), "{error}");
    assert_eq!(error.to_string(), words);
    assert_eq!(world.barrier().unwrap_err().to_string(), words);
    assert_eq!(world.reset().unwrap_err().to_string(), words);
    same_fate.barrier().unwrap(); // or the other would have ended, too
}
