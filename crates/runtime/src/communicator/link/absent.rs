//! In the place of MPI where it is not compiled in: an error that says so.

use super::super::courier::{Incoming, Link, Place};
use crate::Error;

/// There is none.
pub(in super::super) enum NoLink {}

pub(in super::super) fn connect(_piece: usize) -> Result<NoLink, Error> {
    Err(Error::NotCompiled { transport: "MPI", feature: "mpi" })
}

impl Link for NoLink {
    fn place(&self) -> Place {
        match *self {}
    }

    fn send(&mut self, _: usize, _: Vec<u8>) {
        match *self {}
    }

    fn receive(&mut self) -> Option<Incoming> {
        match *self {}
    }

    fn is_moving(&self) -> bool {
        match *self {}
    }

    fn has_sent(&mut self) -> bool {
        match *self {}
    }

    fn forget(&mut self, _: usize) {
        match *self {}
    }

    fn close(self) {
        match self {}
    }

    fn abort(&self) -> ! {
        match *self {}
    }
}
