//! Finds memory that two threads of a launch use, and one of them writes, without anything between them.
//!
//! Threads of a block that waits for itself count as one: what they do is in order if they say so, and
//! whether they do is not looked at. Blocks never are.
#![expect(clippy::disallowed_types, reason = "places are looked up and never gone through")]

use std::collections::HashMap;

use super::access::Touch;

/// In place of a number.
const SEVERAL: usize = usize::MAX;

/// Who has read and written a place, of whoever counts as one.
#[derive(Clone, Copy, Debug, Default)]
struct Users {
    writer: Option<usize>,
    reader: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Races {
    now: usize,
    /// By address; none if nobody watches.
    places: Option<HashMap<u64, Users>>,
}

impl Races {
    pub(super) fn watch(&mut self) {
        self.places = Some(HashMap::new());
    }

    /// Who comes next.
    pub(super) fn now(&mut self, user: usize) {
        self.now = user;
    }

    pub(super) fn note(&mut self, address: u64, touch: Touch) -> Result<(), String> {
        let (Some(places), now) = (&mut self.places, self.now) else { return Ok(()) };
        let users = places.entry(address).or_default();
        let other = |of: Option<usize>| of.filter(|of| *of != now);
        let (what, found) = match touch {
            Touch::Read => ("reads what", other(users.writer)),
            Touch::Write => ("writes what", other(users.writer).or(other(users.reader))),
            Touch::Both => return Ok(()),
        };
        if let Some(found) = found {
            let found =
                if found == SEVERAL { "several".to_owned() } else { format!("number {found}") };
            return Err(format!(
                "{what} {found} of the threads or blocks used, at {address:#x}, itself number {now}"
            ));
        }
        match touch {
            Touch::Read if other(users.reader).is_some() => users.reader = Some(SEVERAL),
            Touch::Read => users.reader = Some(now),
            _ => users.writer = Some(now),
        }
        Ok(())
    }
}
