//! All lines of a rank, and the transport below by which ranks tell each other of what goes there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::Tensor;

use super::bell::{Bell, Motion};
use super::carrier::{Carrier, Side};
use super::line::Line;
use super::record::{Header, Last, Record};
use super::wreck::{Rubble, Wreck};
use super::{NcclError, NcclOptions};
use crate::communicator::{Communicator, PostedRecv, Tag, Work};
use crate::{Error, Failure};

/// The tag of records.
const RECORDS: Tag = Tag(0);
/// The tag of what a rank sends at its end.
const ENDS: Tag = Tag(1);

/// What a rank has, shared by all of its ends and the thread that goes on with it.
pub(super) struct Lines<C: Carrier> {
    /// A group of all ranks, for what they tell each other: it has all tags for itself. The rank counts
    /// as there as long as it has this end: it is dropped first.
    root: Box<dyn Communicator>,
    pub(super) carrier: Arc<C>,
    pub(super) options: NcclOptions,
    /// To each rank of the group.
    out: Vec<Mutex<Line<C>>>,
    /// From each rank of the group.
    incoming: Vec<Mutex<Line<C>>>,
    wrecks: Mutex<Vec<Wreck<C>>>,
    /// The first parts of messages that somebody has asked about and nobody has taken.
    pub(super) asked: Mutex<BTreeMap<Ask, VecDeque<Told>>>,
    /// How many groups this rank has an end of, or had.
    num_groups: AtomicU64,
    /// Whether the work is known, so that the device may wait for other ranks.
    is_known: AtomicBool,
    /// Wakes the thread.
    pub(super) bell: Bell,
}

/// Which message: the number that this rank has given the group, the sender there, and the tag.
pub(super) type Ask = (u64, usize, Tag);

/// The first part of a message.
pub(super) struct Told {
    pub(super) header: Header,
    /// Those that do not go by lane.
    pub(super) tensors: Vec<Tensor>,
}

/// Whatever has panicked with the lock is told elsewhere.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C: Carrier> Lines<C> {
    pub(super) fn new(root: Box<dyn Communicator>, carrier: C, options: NcclOptions) -> Self {
        let lines = |side: Side| (0..root.size()).map(|_| Mutex::new(Line::new(side))).collect();
        Self {
            out: lines(Side::Sender),
            incoming: lines(Side::Receiver),
            root,
            carrier: Arc::new(carrier),
            options,
            num_groups: AtomicU64::new(0),
            wrecks: Mutex::default(),
            asked: Mutex::default(),
            is_known: AtomicBool::new(options.begins_with == Work::Known),
            bell: Bell::default(),
        }
    }

    /// The rank in the group of all, of one that is in it.
    pub(super) fn peer(&self, world_rank: usize) -> usize {
        let members = self.root.members().iter();
        members.clone().position(|&member| member == world_rank).expect("groups are splits of it")
    }

    pub(super) fn work(&self) -> Work {
        if self.is_known.load(Ordering::SeqCst) { Work::Known } else { Work::New }
    }

    pub(super) fn set_work(&self, work: Work) {
        self.is_known.store(work == Work::Known, Ordering::SeqCst);
    }

    /// Sends contiguous tensors by lane. `send_header` sends the first part of the message.
    pub(super) fn send(
        &self,
        peer: usize,
        tensors: Vec<Tensor>,
        send_header: impl FnOnce(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |source| self.error(self.root.rank(), peer, source);
        // Under the lock: all that tells of messages goes in the order of their numbers.
        let mut line = lock(&self.out[peer]);
        let record = line.announce(&self.carrier, &tensors).map_err(failed)?;
        let words = record.write().map_err(failed)?;
        let after = self.carrier.now().map_err(failed)?;
        send_header(record.number)?;
        self.root.send(vec![words], peer, RECORDS)?;
        line.send(tensors, after);
        line.go_on(&self.carrier, self.options.timeout);
        drop(line);
        self.bell.ring();
        Ok(())
    }

    /// Takes in what a rank has told of, begins to receive it, and gives the line to somebody.
    pub(super) fn receive(&self, peer: usize) -> Result<MutexGuard<'_, Line<C>>, Error> {
        let posted = PostedRecv { from: peer, tag: RECORDS };
        let mut line = lock(&self.incoming[peer]);
        while self.bell.ended().is_none() && self.root.has_arrived(&posted)? {
            match Record::read(&self.root.recv(peer, RECORDS)?) {
                Ok(record) => line.accept(&self.carrier, record),
                Err(error) => line.fail(error),
            }
        }
        line.go_on(&self.carrier, self.options.timeout);
        Ok(line)
    }

    /// Goes on with all lines; what of it moves fastest.
    pub(super) fn go_on(&self) -> Result<Motion, Error> {
        self.root.check()?;
        let mut motion = Motion::Still;
        for peer in self.others() {
            motion = motion.max(self.receive(peer)?.motion());
            let mut line = lock(&self.out[peer]);
            if line.is_open() {
                self.hear_end(peer, &mut line)?;
            }
            motion = motion.max(line.go_on(&self.carrier, self.options.timeout));
            if line.is_in_vain() || line.is_cut() && line.fault().is_some() {
                let rubble = line.give_up();
                drop(line);
                self.wreck(rubble.into_iter().collect());
            }
        }
        Ok(motion)
    }

    /// Something that is under way, from one rank of the group to another.
    pub(super) fn moving(&self) -> Option<(usize, usize)> {
        let own = self.root.rank();
        let moves = |line: &Mutex<Line<C>>| lock(line).motion() != Motion::Still;
        self.others().find_map(|peer| {
            let incoming = moves(&self.incoming[peer]).then_some((peer, own));
            incoming.or_else(|| moves(&self.out[peer]).then_some((own, peer)))
        })
    }

    /// Drops what the device is through with of lanes that were broken off.
    pub(super) fn clear_wrecks(&self) {
        lock(&self.wrecks).retain(|wreck| !wreck.is_still(&self.carrier));
    }

    /// Whether a rank has come to its end.
    fn hear_end(&self, peer: usize, line: &mut Line<C>) -> Result<(), Error> {
        if self.root.has_arrived(&PostedRecv { from: peer, tag: ENDS })? {
            match Last::read(&self.root.recv(peer, ENDS)?) {
                Ok(Last { count }) => line.cut(count),
                Err(error) => line.fail(error),
            }
        }
        Ok(())
    }

    /// Tells all ranks what this one still takes of them.
    pub(super) fn tell_end(&self) {
        for peer in self.others() {
            // Under the lock: nothing is taken any more, as the bell says.
            let line = lock(&self.incoming[peer]);
            if let Ok(last) = (Last { count: line.count() }).write() {
                // A world that has failed needs not know.
                let _ = self.root.send(vec![last], peer, ENDS);
            }
        }
    }

    /// What has failed of a line, for the world, and whether others may know more of it: what a process
    /// breaks by its end is not a fault of NCCL's.
    pub(super) fn fault(&self) -> Option<(Failure, bool)> {
        let own = self.root.rank();
        self.others().find_map(|peer| {
            let of = |line: &Mutex<Line<C>>, from: usize, to: usize| {
                let line = lock(line);
                let source = line.fault()?;
                let may_be_end = matches!(source, NcclError::Call { .. });
                let cause = on_the_way(self.root.members()[from], self.root.members()[to], source);
                let rank = self.root.world_rank();
                Some((Failure { rank, at: None, cause }, may_be_end))
            };
            of(&self.incoming[peer], peer, own).or_else(|| of(&self.out[peer], own, peer))
        })
    }

    pub(super) fn world_rank(&self) -> usize {
        self.root.world_rank()
    }

    pub(super) fn abort(&self, failure: Failure) {
        self.root.abort(failure);
    }

    /// Stops all that is under way in a world that has failed and not begun anew.
    pub(super) fn break_off_failed(&self) {
        self.wreck_all(|line| if self.root.check().is_err() { line.give_up() } else { None });
    }

    /// Stops all that is under way.
    pub(super) fn break_off(&self) {
        self.wreck_all(Line::give_up);
    }

    /// The world begins anew: what was under way is gone.
    pub(super) fn begin_anew(&self) {
        lock(&self.asked).clear();
        self.wreck_all(|line| line.begin_anew(&self.carrier));
        self.bell.ring();
    }

    fn wreck_all(&self, give_up: impl Fn(&mut Line<C>) -> Option<Rubble<C>>) {
        let lines = self.out.iter().chain(&self.incoming);
        self.wreck(lines.filter_map(|line| give_up(&mut lock(line))).collect());
    }

    fn wreck(&self, rubble: Vec<Rubble<C>>) {
        let wrecks = Wreck::make(&*self.carrier, rubble);
        lock(&self.wrecks).extend(wrecks);
    }

    /// Gives away the lanes, on which nothing is under way any more, and what is left of others.
    pub(super) fn take(&self) -> (Vec<C::Lane>, Vec<Wreck<C>>) {
        let lines = self.out.iter().chain(&self.incoming);
        let lanes = lines.filter_map(|line| lock(line).take_lane()).collect();
        (lanes, std::mem::take(&mut lock(&self.wrecks)))
    }

    /// A number for a group, which no other of this rank has.
    pub(super) fn number_for_group(&self) -> u64 {
        self.num_groups.fetch_add(1, Ordering::Relaxed)
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        let own = self.root.rank();
        (0..self.root.size()).filter(move |&peer| peer != own)
    }

    /// An error of what goes from one rank of the group to another.
    pub(super) fn error(&self, from: usize, to: usize, source: NcclError) -> Error {
        let members = self.root.members();
        Error::Lane { from: members[from], to: members[to], source: Box::new(source) }
    }
}

fn on_the_way(from: usize, to: usize, source: &NcclError) -> String {
    format!("tensors of rank {from} for rank {to}: {source}")
}
