//! One rank's end of a group: what is on its device goes by lane, all else by the end below.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};

use super::bell::{Motion, pause};
use super::carrier::Carrier;
use super::driver::Driven;
use super::lines::{Ask, Lines, Told, lock};
use super::record::Header;
use super::{NcclError, NcclOptions};
use crate::communicator::wire::code_of;
use crate::communicator::{Communicator, PostedRecv, Reduction, Tag, Work};
use crate::{Error, Failure};

/// The longest rest of a rank that waits for a message whose first part is here.
const LONGEST_REST: Duration = Duration::from_micros(500);

pub(super) struct End<C: Carrier> {
    // Dropped first: the rank has ended when the lines are at their end.
    below: Box<dyn Communicator>,
    driven: Arc<Driven<C>>,
    /// What this rank calls the group.
    group: u64,
}

/// An end of the whole of `below`; all of its ranks do the same.
pub(super) fn over<C: Carrier>(
    below: Box<dyn Communicator>,
    carrier: C,
    options: NcclOptions,
) -> Result<End<C>, Error> {
    let root = below.split(0, below.rank())?;
    let driven = Arc::new(Driven::start(Lines::new(root, carrier, options))?);
    let group = driven.lines().number_for_group();
    Ok(End { below, driven, group })
}

impl<C: Carrier> End<C> {
    fn lines(&self) -> &Lines<C> {
        self.driven.lines()
    }

    /// The rank in the group of all.
    fn peer(&self, rank: usize) -> Result<usize, Error> {
        let members = self.below.members();
        let size = members.len();
        let world_rank = *members.get(rank).ok_or(Error::NoSuchRank { rank, size })?;
        Ok(self.lines().peer(world_rank))
    }

    /// What failed of a message that `from` sends.
    fn unread(&self, from: usize, source: NcclError) -> Error {
        let members = self.below.members();
        Error::Lane { from: members[from], to: self.world_rank(), source: Box::new(source) }
    }

    fn told(&self, from: usize, mut tensors: Vec<Tensor>) -> Result<Told, Error> {
        let header = if tensors.is_empty() { None } else { Some(tensors.remove(0)) };
        let header = Header::read(header).map_err(|error| self.unread(from, error))?;
        Ok(Told { header, tensors })
    }

    /// Waits until the device has been given what goes by lane.
    #[expect(clippy::disallowed_methods, reason = "a receive has a deadline")]
    fn fetch(&self, from: usize, number: u64) -> Result<Vec<Tensor>, Error> {
        let (lines, peer) = (self.lines(), self.peer(from)?);
        let since = Instant::now();
        for num_idle in 0.. {
            let mut line = lines.receive(peer)?;
            match line.fetch(&lines.carrier, number) {
                Ok(Some(tensors)) => return Ok(tensors),
                Ok(None) => {}
                Err(error) => line.fail(error),
            }
            drop(line);
            self.below.check()?;
            let waited = since.elapsed();
            if waited >= lines.options.timeout {
                return Err(Error::Timeout { from, waited });
            }
            pause(num_idle, LONGEST_REST, thread::park_timeout);
        }
        unreachable!("there is no end to the numbers")
    }

    /// Waits until the device is through with all that goes by lane.
    #[expect(clippy::disallowed_methods, reason = "a rank that does not answer has a deadline")]
    fn come_to_rest(&self) -> Result<(), Error> {
        let lines = self.lines();
        let since = Instant::now();
        for num_idle in 0.. {
            if lines.go_on()? == Motion::Still {
                break;
            }
            let waited = since.elapsed();
            if waited >= lines.options.timeout
                && let Some((from, to)) = lines.moving()
            {
                return Err(lines.error(from, to, NcclError::Late { waited }));
            }
            pause(num_idle, LONGEST_REST, thread::park_timeout);
        }
        Ok(())
    }

    fn ask(&self, from: usize, tag: Tag) -> Ask {
        (self.group, from, tag)
    }
}

impl<C: Carrier> Communicator for End<C> {
    fn rank(&self) -> usize {
        self.below.rank()
    }

    fn members(&self) -> &[usize] {
        self.below.members()
    }

    fn set_device(&mut self, device: &Device) {
        self.below.set_device(device);
    }

    fn begin_work(&self, work: Work) -> Result<(), Error> {
        self.lines().set_work(work);
        match work {
            Work::New => self.come_to_rest(),
            Work::Known => Ok(()),
        }
    }

    fn send(&self, mut tensors: Vec<Tensor>, to: usize, tag: Tag) -> Result<(), Error> {
        let peer = self.peer(to)?;
        let carrier = &self.lines().carrier;
        // What a rank sends to itself is here already.
        let goes = |tensor: &Tensor| to != self.below.rank() && carrier.takes(tensor);
        let by_lane: Vec<bool> = tensors.iter().map(goes).collect();
        for (tensor, _) in tensors.iter_mut().zip(&by_lane).filter(|(_, by_lane)| **by_lane) {
            if code_of(tensor.dtype()).is_none() {
                return Err(Error::Unsendable { dtype: tensor.dtype() });
            }
            // Also of what goes by the end below: what a lane takes is then computed before there is one.
            *tensor = tensor.contiguous()?.detach();
        }
        let send = |header: Header, is_here: &dyn Fn(usize) -> bool| {
            let members = self.below.members();
            let failed = |source| {
                let (from, to) = (self.world_rank(), members[to]);
                Error::Lane { from, to, source: Box::new(source) }
            };
            let mut message = vec![header.write().map_err(failed)?];
            let rest = tensors.iter().enumerate().filter(|(place, _)| is_here(*place));
            message.extend(rest.map(|(_, tensor)| tensor.clone()));
            self.below.send(message, to, tag)
        };
        // The one place that decides: whoever receives goes by the header.
        if !by_lane.contains(&true) || self.lines().work() == Work::New {
            return send(Header::Whole, &|_| true);
        }
        let going = tensors.iter().zip(&by_lane).filter(|(_, by_lane)| **by_lane);
        let going = going.map(|(tensor, _)| tensor.clone()).collect();
        self.lines().send(peer, going, |number| {
            let header = Header::Parted { number, by_lane: by_lane.clone() };
            send(header, &|place| !by_lane[place])
        })
    }

    fn post_recv(&self, from: usize, tag: Tag) -> Result<PostedRecv, Error> {
        let posted = self.below.post_recv(from, tag)?;
        if from != self.below.rank() {
            // What is wrong with the world, whoever waits will hear.
            drop(self.lines().receive(self.peer(from)?));
        }
        Ok(posted)
    }

    fn has_arrived(&self, posted: &PostedRecv) -> Result<bool, Error> {
        let (from, tag) = (posted.from, posted.tag);
        self.below.check()?;
        let mut asked = lock(&self.lines().asked);
        let messages = asked.entry(self.ask(from, tag)).or_default();
        if messages.is_empty() {
            if !self.below.has_arrived(posted)? {
                return Ok(false);
            }
            messages.push_back(self.told(from, self.below.recv(from, tag)?)?);
        }
        let number = match messages.front().map(|told| &told.header) {
            None | Some(Header::Whole) => return Ok(true),
            Some(Header::Parted { number, .. }) => *number,
        };
        drop(asked);
        let line = self.lines().receive(self.peer(from)?)?;
        line.has(&self.lines().carrier, number).map_err(|error| self.unread(from, error))
    }

    fn wait(&self, posted: PostedRecv) -> Result<Vec<Tensor>, Error> {
        let from = posted.from;
        let mut asked = lock(&self.lines().asked);
        let told = asked.get_mut(&self.ask(from, posted.tag)).and_then(|queue| queue.pop_front());
        drop(asked);
        let Told { header, tensors } = match told {
            Some(told) => told,
            None => self.told(from, self.below.wait(posted)?)?,
        };
        let Header::Parted { number, by_lane } = header else { return Ok(tensors) };
        let mut by_lane_here = self.fetch(from, number)?.into_iter();
        let mut here = tensors.into_iter();
        let next = |by_lane| if by_lane { by_lane_here.next() } else { here.next() };
        let all: Vec<Tensor> = by_lane.iter().copied().map_while(next).collect();
        if all.len() < by_lane.len() || here.len() > 0 || by_lane_here.len() > 0 {
            let cause = format!("of {} tensors came others than were told of", by_lane.len());
            return Err(self.unread(from, NcclError::Unreadable { cause }));
        }
        Ok(all)
    }

    fn all_reduce(&self, values: &[f64], reduction: Reduction) -> Result<Vec<f64>, Error> {
        self.below.all_reduce(values, reduction)
    }

    fn barrier(&self) -> Result<(), Error> {
        self.below.barrier()
    }

    fn split(&self, color: usize, key: usize) -> Result<Box<dyn Communicator>, Error> {
        let below = self.below.split(color, key)?;
        let group = self.lines().number_for_group();
        Ok(Box::new(Self { below, driven: Arc::clone(&self.driven), group }))
    }

    fn abort(&self, failure: Failure) {
        self.below.abort(failure);
        self.lines().bell.ring();
    }

    fn check(&self) -> Result<(), Error> {
        self.below.check()
    }

    fn reset(&self) -> Result<(), Error> {
        self.below.reset()?;
        self.lines().begin_anew();
        Ok(())
    }

    fn all_gather_text(&self, text: &str) -> Result<Vec<String>, Error> {
        self.below.all_gather_text(text)
    }
}
