//! Why processes have not found together.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::Master;
use crate::error::listed;

/// Why processes have not found together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeetingError {
    /// A rank that the world does not have.
    #[error("rank {rank} is none of {world_size} ranks, which are counted from 0")]
    NoSuchRank {
        /// The rank of this process.
        rank: usize,
        /// How many there are.
        world_size: usize,
    },
    /// More processes than rank 0 can have a connection to.
    #[error("{world_size} ranks are more than {most}, which can have connections to each other")]
    TooMany {
        /// How many there were to be.
        world_size: usize,
        /// How many there can be.
        most: usize,
    },
    /// The host of rank 0 has no address here.
    #[error("`{}` of {master}, where rank 0 is to be, is not known here: {source}", master.host)]
    UnknownHost {
        /// Where rank 0 was to be.
        master: Master,
        /// What the system says.
        source: io::Error,
    },
    /// Rank 0 cannot listen where something else does.
    #[error(
        "something else listens at {master}, where rank 0 was to; give all ranks another port, or end \
         what has this one"
    )]
    InUse {
        /// Where rank 0 was to listen.
        master: Master,
    },
    /// This rank cannot listen for others.
    #[error("nothing can listen at {at}: {source}")]
    Listen {
        /// Where it was to.
        at: String,
        /// What the system says.
        source: io::Error,
    },
    /// Rank 0 was not there in time.
    #[error(
        "rank {rank} did not reach rank 0 at {master} within {waited:?}: {source}; start rank 0 there, \
         and let its host take connections on that port"
    )]
    NoRankZero {
        /// The rank of this process.
        rank: usize,
        /// Where rank 0 was to be.
        master: Master,
        /// How long this rank has tried.
        waited: Duration,
        /// How the last attempt ended.
        source: io::Error,
    },
    /// What listens there is not rank 0.
    #[error(
        "what listens at {master} is not rank 0 of autopipe; give all ranks a port that nothing else has"
    )]
    Stranger {
        /// Where rank 0 was to be.
        master: Master,
    },
    /// Rank 0 has gone before all were connected.
    #[error(
        "what listened at {master} left before all ranks were connected: if it was rank 0, it says why there; \
         start all ranks again"
    )]
    Left {
        /// Where it was.
        master: Master,
    },
    /// Ranks have not come in time.
    #[error(
        "{} of {world_size} did not come within {waited:?}{}; start them too, tell all ranks the same \
         address of rank 0, and each a rank of its own",
        listed(.ranks),
        turned_away(.refused)
    )]
    Missing {
        /// The ranks that are not there.
        ranks: Vec<usize>,
        /// How many there are to be.
        world_size: usize,
        /// How long the others have waited.
        waited: Duration,
        /// Who has come and could not stay.
        refused: Vec<(SocketAddr, Refusal)>,
    },
    /// Rank 0 does not let this process take part.
    #[error("rank 0 at {master} refuses this process: {refusal}")]
    Refused {
        /// Where rank 0 is.
        master: Master,
        /// Why.
        refusal: Refusal,
    },
    /// All have come, and do not find together.
    #[error("{refusal}")]
    Parted {
        /// Why, which all others are told.
        refusal: Refusal,
    },
    /// A rank that all have heard of cannot be reached.
    #[error(
        "rank {rank} at {address} cannot be reached: {source}; let all hosts take connections of each \
         other on all ports above 1024"
    )]
    NoWay {
        /// The other rank.
        rank: usize,
        /// Where it listens.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Why rank 0 does not let a process take part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Another process has this rank.
    #[error("rank {rank} has come from {by} already; give each process a rank of its own")]
    Taken {
        /// The rank.
        rank: usize,
        /// Where the other process is.
        by: String,
    },
    /// The world has another size.
    #[error(
        "rank {rank} was told that there are {told} ranks, and rank 0 that there are {world_size}; tell \
         all the same"
    )]
    WorldSize {
        /// The rank of the process.
        rank: usize,
        /// What it was told.
        told: usize,
        /// What rank 0 was told.
        world_size: usize,
    },
    /// It is of another version of the protocol.
    #[error("it speaks version {version} and rank 0 version {own}; use one build on all hosts")]
    Version {
        /// Its version.
        version: u64,
        /// That of rank 0.
        own: u64,
    },
    /// Others did not come in time.
    #[error("{} did not come in time; start all ranks again", listed(.ranks))]
    Missing {
        /// Who did not.
        ranks: Vec<usize>,
    },
    /// Others have come, and left before all were connected.
    #[error(
        "{} left before all ranks were connected to each other: see what was said there, and start all \
         ranks again",
        listed(.ranks)
    )]
    Gone {
        /// Who has left.
        ranks: Vec<usize>,
    },
    /// Others have come, and are not connected to each other in time.
    #[error(
        "{} did not reach all other ranks in time; let all hosts take connections of each other on all \
         ports above 1024, and start all ranks again",
        listed(.ranks)
    )]
    Apart {
        /// Who has not said that it is.
        ranks: Vec<usize>,
    },
}

fn turned_away(refused: &[(SocketAddr, Refusal)]) -> String {
    let each =
        refused.iter().map(|(address, refusal)| format!("; {address} was refused: {refusal}"));
    each.collect()
}
