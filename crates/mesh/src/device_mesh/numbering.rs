//! Which rank stands at which place: counted, or as a list says.

use std::{collections::BTreeMap, sync::Arc};

/// The ranks at the places of a mesh. All sub-meshes of a mesh share its numbering.
#[derive(Debug, Clone)]
pub(super) enum Numbering {
    /// A place has the rank's own number.
    Counted,
    /// The place is an index into a list.
    Listed(Arc<Listing>),
}

/// Ranks in an order of somebody's own, with the way back.
#[derive(Debug)]
pub(super) struct Listing {
    ranks: Vec<usize>,
    /// The place of each rank: the inverse of `ranks`.
    places: BTreeMap<usize, usize>,
}

impl Numbering {
    /// The numbering with these ranks, which differ, and the place of the first of them.
    ///
    /// Consecutive ranks need no list: a stage of a mesh whose slowest axis is `pp` is one.
    pub(super) fn of(ranks: &[usize]) -> (Self, usize) {
        let consecutive = ranks.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
        match ranks.first() {
            Some(&first) if consecutive => (Numbering::Counted, first),
            Some(_) | None => {
                let places = ranks.iter().zip(0..).map(|(rank, place)| (*rank, place)).collect();
                (Numbering::Listed(Arc::new(Listing { ranks: ranks.to_vec(), places })), 0)
            }
        }
    }

    /// The rank at a place of the mesh.
    pub(super) fn rank_at(&self, place: usize) -> usize {
        match self {
            Numbering::Counted => place,
            Numbering::Listed(listing) => listing.ranks[place],
        }
    }

    /// The place of a rank. Where ranks are counted, any number has one, also beyond the mesh.
    pub(super) fn place_of(&self, rank: usize) -> Option<usize> {
        match self {
            Numbering::Counted => Some(rank),
            Numbering::Listed(listing) => listing.places.get(&rank).copied(),
        }
    }
}
