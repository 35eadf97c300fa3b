//! Which steps of one rank come before which of another.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::places::Step;

/// How one rank's steps come before another's: pairs of a step and the earliest step of the other
/// rank that comes after it, both ascending. What holds for a step holds for all before it.
#[derive(Debug)]
pub(super) struct Link {
    pairs: Vec<(Step, Step)>,
}

impl Link {
    /// Sorts the pairs and drops those that follow from others.
    fn new(mut pairs: Vec<(Step, Step)>) -> Self {
        // The parts of which they are made up are sorted, which this sort makes use of.
        pairs.sort();
        // Backwards, a pair says something new if its other step is earlier than all so far.
        let mut kept = pairs.len();
        let mut earliest = Step::MAX;
        for at in (0..pairs.len()).rev() {
            if pairs[at].1 < earliest {
                earliest = pairs[at].1;
                kept -= 1;
                pairs[kept] = pairs[at];
            }
        }
        Self { pairs: pairs.split_off(kept) }
    }

    /// The first step of the other rank that comes after `step`.
    pub(super) fn first_after(&self, step: Step) -> Option<Step> {
        let found = self.pairs.partition_point(|&(before, _)| before < step);
        self.pairs.get(found).map(|&(_, after)| after)
    }

    /// The last step that comes before the other rank's `step`.
    pub(super) fn last_before(&self, step: Step) -> Option<Step> {
        let found = self.pairs.partition_point(|&(_, after)| after <= step);
        found.checked_sub(1).map(|found| self.pairs[found].0)
    }

    /// By way of a third rank.
    fn then(&self, next: &Self) -> Self {
        let mut pairs: Vec<(Step, Step)> = Vec::new();
        let mut rest = next.pairs.iter().peekable();
        for &(before, step) in &self.pairs {
            while rest.next_if(|(between, _)| *between < step).is_some() {}
            let Some(&&(_, after)) = rest.peek() else { break };
            match pairs.last_mut() {
                Some(last) if last.1 == after => last.0 = before,
                Some(_) | None => pairs.push((before, after)),
            }
        }
        Self { pairs }
    }
}

/// The links between some ranks, by the rank after and then the rank before. Where one rank comes
/// before another, that also comes before the one: a receive before what follows its wait. So the
/// ranks before a rank are all that it is linked to.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    links: BTreeMap<usize, BTreeMap<usize, Rc<Link>>>,
}

impl Links {
    /// Sets what comes before a rank's steps: for each of its peers, their steps and the rank's.
    pub(super) fn set(&mut self, rank: usize, pairs: BTreeMap<usize, Vec<(Step, Step)>>) {
        let link = |(peer, pairs)| (peer, Rc::new(Link::new(pairs)));
        self.links.insert(rank, pairs.into_iter().map(link).collect());
    }

    /// Takes over what comes before the ranks of other links.
    pub(super) fn update(&mut self, newer: &Self) {
        self.links.extend(newer.links.iter().map(|(&rank, peers)| (rank, peers.clone())));
    }

    pub(super) fn get(&self, from: usize, to: usize) -> Option<&Link> {
        self.links.get(&to)?.get(&from).map(Rc::as_ref)
    }

    /// The ranks that are linked to this one, ascending.
    pub(super) fn peers_of(&self, rank: usize) -> Vec<usize> {
        self.links.get(&rank).into_iter().flat_map(BTreeMap::keys).copied().collect()
    }

    /// Keeps the ranks from `start` to before `end` and their peers. What is linked by way of
    /// another rank is linked directly instead.
    pub(super) fn draw_together(&mut self, start: usize, end: usize) {
        let inner = self.links.range(start..end);
        let mut kept: BTreeSet<usize> =
            inner.flat_map(|(_, peers)| peers.keys().copied()).collect();
        kept.extend(start..end);
        let skipped: Vec<usize> =
            self.links.keys().copied().filter(|rank| !kept.contains(rank)).collect();
        for rank in skipped {
            self.skip(rank);
        }
    }

    /// Replaces a rank by direct links between those around it.
    fn skip(&mut self, rank: usize) {
        let before = self.links.remove(&rank).unwrap_or_default();
        for to in before.keys() {
            let Some(peers) = self.links.get_mut(to) else { continue };
            let Some(second) = peers.remove(&rank) else { continue };
            // Back to a rank the way leads to a later step of it only.
            for (&from, first) in before.iter().filter(|(from, _)| *from != to) {
                let mut link = first.then(&second);
                if let Some(direct) = peers.get(&from) {
                    link.pairs.extend(&direct.pairs);
                    link = Link::new(link.pairs);
                }
                peers.insert(from, Rc::new(link));
            }
        }
    }
}
