//! NCCL: messages that wait on their streams for their other end, in this process or another.
//!
//! It is as slow to start as it may be. What a communicator that does not block is asked for is on its
//! stream only once somebody has been told that it is; a message leaves only once its receiver is there.

mod calls;
mod mail;
mod messages;

use std::collections::{BTreeMap, VecDeque};

use crate::engine::{Engine, Handle, Moment, Task};
use crate::options::options;
use mail::Mail;
pub(crate) use messages::Exchange;
use messages::Piece;

/// A result as NCCL's functions return it.
type Result = std::ffi::c_int;

const SUCCESS: Result = 0;
const INVALID_ARGUMENT: Result = 4;
const INVALID_USAGE: Result = 5;
const IN_PROGRESS: Result = 7;

/// What the ends of a communicator find each other by.
pub(crate) type Id = [u8; 128];

#[derive(Default)]
pub(crate) struct Nccl {
    worlds: BTreeMap<Id, World>,
    comms: BTreeMap<Handle, Comm>,
    exchanges: BTreeMap<Handle, Exchange>,
}

/// All ends of a communicator.
struct World {
    size: usize,
    /// Those in this process.
    ranks: BTreeMap<usize, Handle>,
    mail: Mail,
    /// How many messages have gone by mail, by sender and receiver.
    num_mailed: BTreeMap<(usize, usize), u64>,
    /// What has come to the front of its stream, by sender and receiver.
    sent: BTreeMap<(usize, usize), VecDeque<Piece>>,
    received: BTreeMap<(usize, usize), VecDeque<Piece>>,
}

/// One end.
struct Comm {
    id: Id,
    rank: usize,
    device: usize,
    is_blocking: bool,
    /// What was asked for since somebody was told that all before it was begun.
    asked: Vec<(Handle, Vec<Part>)>,
    /// Whether somebody has asked since, and was told that it is in progress.
    was_told: bool,
    is_closing: bool,
    /// What is on streams, in its order, and when it will have passed.
    begun: VecDeque<(Handle, Moment)>,
}

/// One buffer that is sent or received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    is_sent: bool,
    address: u64,
    len: u64,
    peer: usize,
}

impl Nccl {
    /// Whether something may come from another process, which wakes nobody here.
    pub(crate) fn has_mail(&self) -> bool {
        self.worlds.values().any(|world| world.ranks.len() < world.size)
    }
}

impl Engine {
    /// A new end.
    fn join(
        &mut self,
        id: Id,
        size: usize,
        rank: usize,
        device: usize,
        is_blocking: bool,
    ) -> std::result::Result<Handle, Result> {
        let handle = self.new_handle();
        let world = self.nccl.worlds.entry(id).or_insert_with(|| World {
            size,
            ranks: BTreeMap::new(),
            mail: Mail::new(&id, size),
            num_mailed: BTreeMap::new(),
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
        });
        if world.size != size || rank >= size || world.ranks.contains_key(&rank) {
            return Err(INVALID_ARGUMENT);
        }
        let mut others = (0..size).filter(|other| *other != rank);
        let is_same = |other| world.mail.device_of(other) == Some(device);
        if !options().shares_devices && others.any(is_same) {
            eprintln!("emulator: NCCL has two ranks on device {device}");
            return Err(INVALID_USAGE);
        }
        world.mail.join(rank, device);
        world.ranks.insert(rank, handle);
        let comm = Comm {
            id,
            rank,
            device,
            is_blocking,
            asked: Vec::new(),
            was_told: false,
            is_closing: false,
            begun: VecDeque::new(),
        };
        self.nccl.comms.insert(handle, comm);
        Self::changed();
        Ok(handle)
    }

    /// Whether all ends of a communicator are there.
    fn has_joined(&self, handle: Handle) -> bool {
        let world = self.nccl.comms.get(&handle).and_then(|comm| self.nccl.worlds.get(&comm.id));
        world.is_some_and(|world| {
            let is_there =
                |rank| world.ranks.contains_key(&rank) || world.mail.device_of(rank).is_some();
            (0..world.size).all(is_there)
        })
    }

    /// What somebody who asks is told of an end; `None` if it is none.
    fn state(&mut self, handle: Handle) -> Option<Result> {
        let has_joined = self.has_joined(handle);
        let comm = self.nccl.comms.get_mut(&handle)?;
        let was_told = std::mem::replace(&mut comm.was_told, true);
        if !has_joined || !was_told {
            return Some(IN_PROGRESS);
        }
        let is_closing = comm.is_closing;
        self.begin(handle);
        Some(if is_closing && !self.is_through(handle) { IN_PROGRESS } else { SUCCESS })
    }

    /// Puts what was asked for on its streams.
    fn begin(&mut self, handle: Handle) {
        let Some(comm) = self.nccl.comms.get_mut(&handle) else { return };
        for (stream, parts) in std::mem::take(&mut comm.asked) {
            let id = self.new_handle();
            let end = self.end_of(stream);
            let moment = Moment { stream, count: end.count + 1 };
            if let Some(comm) = self.nccl.comms.get_mut(&handle) {
                comm.begun.push_back((id, moment));
            }
            self.nccl.exchanges.insert(id, Exchange::new(handle, moment, parts));
            self.queue(stream, Task::Exchange(id));
        }
    }

    /// Whether all that was begun is done, after what can be has been.
    fn is_through(&mut self, handle: Handle) -> bool {
        let Some(comm) = self.nccl.comms.get(&handle) else { return true };
        let begun = comm.begun.back().copied();
        begun.is_none_or(|(_, moment)| self.run(moment))
    }

    /// An end is none any more: what it has begun goes by with nothing done.
    fn leave(&mut self, handle: Handle) -> bool {
        let Some(comm) = self.nccl.comms.remove(&handle) else { return false };
        if let Some(world) = self.nccl.worlds.get_mut(&comm.id) {
            world.mail.leave(comm.rank);
            for pieces in world.sent.values_mut().chain(world.received.values_mut()) {
                pieces.retain(|piece| piece.comm != handle);
            }
        }
        self.nccl.exchanges.retain(|_, exchange| exchange.comm != handle);
        if self.nccl.comms.values().all(|other| other.id != comm.id) {
            self.nccl.worlds.remove(&comm.id);
        }
        Self::changed();
        true
    }
}
