//! One rank's end of a group, on top of the post office at which its messages arrive.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::mailbox::{Address, Content, Message, Missing, PostOffice};
use super::parcel::{Held, Parcel};
use super::wire::unsendable;
use super::{Communicator, PostedRecv, Reduction, Tag};
use crate::{Error, Failure};

/// The number of the group that holds the whole world.
const WORLD: u64 = 0;

/// One rank's end of a group of ranks that are threads, made by
/// [`in_process`](super::in_process), or processes.
#[derive(Debug)]
pub struct End {
    office: Arc<PostOffice>,
    group: u64,
    rank: usize,
    /// World rank of each rank of the group.
    members: Vec<usize>,
    /// Where what comes from a GPU goes.
    device: Option<Device>,
    /// Shared by all ends of one rank.
    presence: Arc<Presence>,
}

/// A rank is there as long as it has an end, of the world or of a group, or is watched over.
#[derive(Debug)]
struct Presence {
    office: Arc<PostOffice>,
    world_rank: usize,
    /// Of other ranks' tensors, what this one's GPU still reads.
    held: Held,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.office.end(self.world_rank, None);
    }
}

/// Stops a world and tells why it stopped. Its rank counts as there: before the others
/// learn that it has ended, its watcher has told them why.
#[derive(Debug)]
pub(crate) struct Watcher(Arc<Presence>);

impl Watcher {
    /// As [`Communicator::abort`].
    pub(crate) fn abort(&self, failure: Failure) {
        self.0.office.fail(failure);
    }

    /// The rank has come to its end: the world stops if it has not yet.
    pub(crate) fn end(&self, failure: Failure) {
        self.0.office.end(self.0.world_rank, Some(failure));
    }

    /// The first failure of the world.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.0.office.failure()
    }
}

impl End {
    /// An end of the whole world for one of its ranks.
    pub(super) fn of_world(office: Arc<PostOffice>, rank: usize) -> Self {
        Self {
            group: WORLD,
            rank,
            members: (0..office.world_size()).collect(),
            device: None,
            presence: Arc::new(Presence {
                office: Arc::clone(&office),
                world_rank: rank,
                held: Held::default(),
            }),
            office,
        }
    }

    /// A handle that outlives this end, for whoever watches over the rank.
    pub(crate) fn watcher(&self) -> Watcher {
        Watcher(Arc::clone(&self.presence))
    }

    fn member(&self, rank: usize) -> Result<usize, Error> {
        self.members.get(rank).copied().ok_or(Error::NoSuchRank { rank, size: self.members.len() })
    }

    fn address(&self, to: usize, content: Content) -> Result<Address, Error> {
        let (from, to) = (self.world_rank(), self.member(to)?);
        Ok(Address { group: self.group, from, to, content })
    }

    fn fetch(&self, from: usize, content: Content) -> Result<Message, Error> {
        let address =
            Address { group: self.group, from: self.member(from)?, to: self.world_rank(), content };
        self.office.fetch(address).map_err(|missing| match missing {
            Missing::Failed(failure) => failure.into(),
            Missing::Late(waited) => Error::Timeout { from, waited },
            Missing::Ended(how) => Error::Ended { ended: vec![(address.from, how)] },
            Missing::Recovering => Error::Recovering { rank: address.from },
        })
    }

    /// Everybody's words, by rank: each sends its own to all others.
    fn all_gather(&self, words: &[u64]) -> Result<Vec<Vec<u64>>, Error> {
        let number = self.office.begin_collective(self.group, self.world_rank());
        let content = Content::Collective(number);
        let others = (0..self.size()).filter(|&to| to != self.rank);
        let others = others.map(|to| self.address(to, content)).collect::<Result<Vec<_>, _>>()?;
        self.office.post(&others, &Message::Words(words.to_vec())).map_err(Error::from)?;
        (0..self.size())
            .map(|from| {
                if from == self.rank {
                    return Ok(words.to_vec());
                }
                match self.fetch(from, content)? {
                    Message::Words(words) => Ok(words),
                    Message::Tensors(_) => unreachable!("collectives have addresses of their own"),
                }
            })
            .collect()
    }
}

impl Communicator for End {
    fn rank(&self) -> usize {
        self.rank
    }

    fn members(&self) -> &[usize] {
        &self.members
    }

    fn set_device(&mut self, device: &Device) {
        self.device = Some(device.clone());
    }

    fn send(&self, tensors: Vec<Tensor>, to: usize, tag: Tag) -> Result<(), Error> {
        let address = self.address(to, Content::Tagged(tag))?;
        if self.office.is_elsewhere(address.to) {
            tensors.iter().try_for_each(unsendable)?;
        }
        let parcels = tensors.into_iter().map(Parcel::pack).collect::<Result<_, _>>()?;
        self.office.post(&[address], &Message::Tensors(parcels)).map_err(Error::from)
    }

    fn post_recv(&self, from: usize, tag: Tag) -> Result<PostedRecv, Error> {
        // Messages wait in the post office whether or not somebody has asked for them.
        self.member(from)?;
        Ok(PostedRecv { from, tag })
    }

    fn has_arrived(&self, posted: &PostedRecv) -> Result<bool, Error> {
        let (from, content) = (self.member(posted.from)?, Content::Tagged(posted.tag));
        let address = Address { group: self.group, from, to: self.world_rank(), content };
        self.office.has(address).map_err(Error::from)
    }

    fn wait(&self, PostedRecv { from, tag }: PostedRecv) -> Result<Vec<Tensor>, Error> {
        match self.fetch(from, Content::Tagged(tag))? {
            Message::Tensors(parcels) => {
                let held = &self.presence.held;
                parcels.into_iter().map(|parcel| parcel.open(self.device.as_ref(), held)).collect()
            }
            Message::Words(_) => unreachable!("only tensors are sent by tag"),
        }
    }

    fn all_reduce(&self, values: &[f64], reduction: Reduction) -> Result<Vec<f64>, Error> {
        let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
        let all = self.all_gather(&bits)?;
        let expected = all[0].len();
        if let Some(rank) = all.iter().position(|bits| bits.len() != expected) {
            return Err(Error::UnevenReduction { rank, got: all[rank].len(), expected });
        }
        let combine = |a: f64, b: f64| match reduction {
            Reduction::Sum => a + b,
            Reduction::Max if a.is_nan() || b.is_nan() => f64::NAN,
            Reduction::Max => a.max(b),
        };
        let column = |i: usize| all.iter().map(move |bits| f64::from_bits(bits[i]));
        Ok((0..expected).filter_map(|i| column(i).reduce(combine)).collect())
    }

    fn barrier(&self) -> Result<(), Error> {
        self.all_gather(&[]).map(drop)
    }

    fn split(&self, color: usize, key: usize) -> Result<Box<dyn Communicator>, Error> {
        let proposed = self.office.number_for_group(self.world_rank());
        let all = self.all_gather(&[color as u64, key as u64, proposed])?;
        let mut chosen: Vec<usize> =
            (0..all.len()).filter(|&rank| all[rank][0] == color as u64).collect();
        chosen.sort_by_key(|&rank| (all[rank][1], rank));
        let rank = chosen.iter().position(|&rank| rank == self.rank);
        // Every member proposed a number that no other group has; all take that of the first.
        let group = all[chosen[0]][2];
        Ok(Box::new(Self {
            office: Arc::clone(&self.office),
            group,
            rank: rank.expect("this rank gave its own color"),
            members: chosen.iter().map(|&rank| self.members[rank]).collect(),
            device: self.device.clone(),
            presence: Arc::clone(&self.presence),
        }))
    }

    fn abort(&self, failure: Failure) {
        self.office.fail(failure);
    }

    fn check(&self) -> Result<(), Error> {
        self.office.failure().map_or(Ok(()), |failure| Err(failure.into()))
    }

    fn reset(&self) -> Result<(), Error> {
        self.office.reset(self.world_rank())
    }
}
