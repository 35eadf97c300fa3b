//! The actions of a table by stage and microbatch: what the rules look things up in.

use std::collections::BTreeMap;
use std::iter::Peekable;

use super::{Facts, Located};
use crate::{Action, Compute, ComputeOp, Direction, MicroBatch, Placement, Rank, Stage, Transfer};

/// Where an action stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: Rank,
    /// A table with longer rows is refused before.
    step: u32,
}

/// What can be done with one microbatch on one stage; the place in [`Cell::places`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    Compute(ComputeOp),
    Send(Direction),
    Recv(Direction),
    WaitSend(Direction),
}

pub(super) const F: Deed = Deed::Compute(ComputeOp::Forward);
pub(super) const I: Deed = Deed::Compute(ComputeOp::BackwardInput);
pub(super) const W: Deed = Deed::Compute(ComputeOp::BackwardWeight);
pub(super) const B: Deed = Deed::Compute(ComputeOp::Backward);
pub(super) const R: Deed = Deed::Compute(ComputeOp::Recompute);
pub(super) const SEND_F: Deed = Deed::Send(Direction::Forward);
pub(super) const RECV_F: Deed = Deed::Recv(Direction::Forward);
pub(super) const SEND_B: Deed = Deed::Send(Direction::Backward);
pub(super) const RECV_B: Deed = Deed::Recv(Direction::Backward);
pub(super) const WAIT_SEND_F: Deed = Deed::WaitSend(Direction::Forward);
pub(super) const WAIT_SEND_B: Deed = Deed::WaitSend(Direction::Backward);

impl Deed {
    /// What an action does to one microbatch of one stage, if that is what it is about. An overlap
    /// is looked at by its parts.
    fn of(action: Action) -> Option<(Stage, MicroBatch, Self)> {
        let transfer = |of: Transfer, deed| Some((of.stage, of.microbatch, deed));
        match action {
            Action::Compute(Compute { op, stage, microbatch }) => {
                Some((stage, microbatch, Self::Compute(op)))
            }
            Action::Send(sent) => transfer(sent, Self::Send(sent.direction)),
            Action::Recv(received) => transfer(received, Self::Recv(received.direction)),
            Action::WaitSend(sent) => transfer(sent, Self::WaitSend(sent.direction)),
            Action::Overlap(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. }
            | Action::OptimizerStep(_) => None,
        }
    }

    pub(super) fn action(self, stage: Stage, microbatch: MicroBatch) -> Action {
        match self {
            Self::Compute(op) => Action::Compute(Compute { op, stage, microbatch }),
            Self::Send(direction) => Action::Send(Transfer { direction, stage, microbatch }),
            Self::Recv(direction) => Action::Recv(Transfer { direction, stage, microbatch }),
            Self::WaitSend(direction) => {
                Action::WaitSend(Transfer { direction, stage, microbatch })
            }
        }
    }

    fn is_compute(self) -> bool {
        matches!(self, Self::Compute(_))
    }

    /// Below [`NUM_DEEDS`].
    fn slot(self) -> usize {
        match self {
            F => 0,
            I => 1,
            W => 2,
            B => 3,
            SEND_F => 4,
            RECV_F => 5,
            SEND_B => 6,
            RECV_B => 7,
            R => 8,
            WAIT_SEND_F => 9,
            WAIT_SEND_B => 10,
        }
    }
}

const NUM_DEEDS: usize = 11;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Occurrence {
    microbatch: MicroBatch,
    deed: Deed,
    place: Place,
}

impl Occurrence {
    fn located(self, stage: Stage) -> Located {
        located(self.deed.action(stage, self.microbatch), self.place)
    }
}

fn located(action: Action, place: Place) -> Located {
    let step = usize::try_from(place.step).expect("a step of a row in memory");
    Located { rank: place.rank, step, action }
}

/// All actions by stage, then microbatch, then deed.
///
/// It takes memory for the actions there are, not for those that their numbers suggest: a table may
/// well name stage 60000 and nothing else.
pub(super) struct Index {
    stages: Vec<Vec<Occurrence>>,
    /// What concerns stages as a whole, in the order of the rows.
    pub(super) wholes: Vec<Located>,
    pub(super) num_ranks: usize,
    /// By stage, the rank that computes most of it, if any computes it.
    pub(super) owners: Vec<Option<Rank>>,
    /// Stages that more ranks compute, with the first place on each.
    pub(super) strays: Vec<Located>,
    /// One more than the largest microbatch that is computed.
    pub(super) num_microbatches: usize,
    pub(super) has_backward: bool,
}

impl Index {
    /// Sorts out the cells of a table that has been checked for its size.
    pub(super) fn new(
        rows: impl ExactSizeIterator<Item = impl Iterator<Item = Option<Action>>>,
    ) -> Self {
        let num_ranks = rows.len();
        let mut stages: Vec<Vec<Occurrence>> = Vec::new();
        let mut wholes = Vec::new();
        for (rank, row) in rows.enumerate() {
            let rank = Rank::new(rank);
            for (step, action) in (0u32..).zip(row) {
                let Some(action) = action else { continue };
                let place = Place { rank, step };
                if Deed::of(action).is_none() && action.work().is_none() {
                    wholes.push(located(action, place));
                }
                let parts = action.computes().map(Action::Compute);
                let single = (action.work().is_none()).then_some(action);
                for (stage, microbatch, deed) in parts.chain(single).filter_map(Deed::of) {
                    if stage.index() >= stages.len() {
                        stages.resize_with(stage.index() + 1, Vec::new);
                    }
                    stages[stage.index()].push(Occurrence { microbatch, deed, place });
                }
            }
        }
        let (mut owners, mut strays) = (Vec::new(), Vec::new());
        let (mut num_microbatches, mut has_backward) = (0, false);
        for (stage, occurrences) in stages.iter_mut().enumerate() {
            occurrences.sort();
            let owner = owner(Stage::new(stage), occurrences, &mut strays);
            owners.push(owner);
            for occurrence in occurrences.iter().filter(|o| o.deed.is_compute()) {
                num_microbatches = num_microbatches.max(occurrence.microbatch.index() + 1);
                has_backward |= occurrence.deed != F;
            }
        }
        Self { stages, wholes, num_ranks, owners, strays, num_microbatches, has_backward }
    }

    /// How many stages any action names.
    pub(super) fn num_named(&self) -> usize {
        self.stages.len()
    }

    /// One more than the last stage that is computed.
    pub(super) fn num_stages(&self) -> usize {
        self.owners.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }

    /// What is true of the whole table if it breaks no rule of placement.
    pub(super) fn facts(&self) -> Option<Facts> {
        let owners: Option<Vec<Rank>> = self.owners[..self.num_stages()].iter().copied().collect();
        let placement = Placement::new(owners?).ok()?;
        let &Self { num_microbatches, has_backward, .. } = self;
        let peak_activations = self.peaks();
        Some(Facts { placement, num_microbatches, has_backward, peak_activations })
    }

    /// The most activations that each rank holds.
    fn peaks(&self) -> Vec<usize> {
        let mut changes: Vec<(Place, bool)> = Vec::new();
        for occurrence in self.stages.iter().flatten() {
            if let Deed::Compute(op) = occurrence.deed
                && (op == ComputeOp::Forward || op.frees())
            {
                changes.push((occurrence.place, op.frees()));
            }
        }
        changes.sort();
        let mut held = vec![(0usize, 0usize); self.num_ranks];
        for (place, frees) in changes {
            let (alive, peak) = &mut held[place.rank.index()];
            *alive = if frees { alive.saturating_sub(1) } else { *alive + 1 };
            *peak = (*peak).max(*alive);
        }
        held.into_iter().map(|(_, peak)| if self.has_backward { peak } else { 0 }).collect()
    }

    /// The last computation that completes gradients of a stage.
    pub(super) fn last_backward(&self, stage: Stage) -> Option<Located> {
        let occurrences = self.stages.get(stage.index())?.iter();
        let frees = |o: &&Occurrence| matches!(o.deed, Deed::Compute(op) if op.frees());
        let last = occurrences.filter(frees).max_by_key(|occurrence| occurrence.place)?;
        Some(last.located(stage))
    }

    /// The computations of a stage, in the order of its rank's row.
    pub(super) fn computes(&self, stage: Stage) -> Vec<Located> {
        let occurrences = self.stages.get(stage.index()).map_or(&[][..], Vec::as_slice);
        let computes = occurrences.iter().filter(|occurrence| occurrence.deed.is_compute());
        let mut computes: Vec<Located> = computes.map(|o| o.located(stage)).collect();
        computes.sort_by_key(|at| (at.rank, at.step));
        computes
    }

    /// The microbatches of a stage, ascending, those that any action names.
    pub(super) fn cells(&self, stage: usize) -> impl Iterator<Item = Cell> {
        let occurrences = self.stages.get(stage).map_or(&[][..], Vec::as_slice);
        let same = |a: &Occurrence, b: &Occurrence| a.microbatch == b.microbatch;
        occurrences.chunk_by(same).map(move |chunk| {
            let mut places = [None; NUM_DEEDS];
            for occurrence in chunk.iter().rev() {
                places[occurrence.deed.slot()] = Some(occurrence.place);
            }
            Cell { stage: Stage::new(stage), microbatch: chunk[0].microbatch, places }
        })
    }

    /// The cells of a stage and the next, side by side where they are of the same microbatch.
    pub(super) fn neighbours(
        &self,
        stage: usize,
    ) -> impl Iterator<Item = (Option<Cell>, Option<Cell>)> {
        Neighbours { lower: self.cells(stage).peekable(), upper: self.cells(stage + 1).peekable() }
    }

    /// Actions that stand in the table before, each with its first place.
    pub(super) fn duplicates(&self) -> impl Iterator<Item = (Located, Located)> {
        self.stages.iter().enumerate().flat_map(|(stage, occurrences)| {
            let stage = Stage::new(stage);
            let same =
                |a: &Occurrence, b: &Occurrence| (a.microbatch, a.deed) == (b.microbatch, b.deed);
            occurrences.chunk_by(same).flat_map(move |chunk| {
                let first = chunk[0].located(stage);
                chunk[1..].iter().map(move |again| (again.located(stage), first))
            })
        })
    }

    /// Every send, receive and wait for a send.
    pub(super) fn transfers(&self) -> impl Iterator<Item = Located> {
        self.stages.iter().enumerate().flat_map(|(stage, occurrences)| {
            let transfers = occurrences.iter().filter(|o| !o.deed.is_compute());
            transfers.map(move |occurrence| occurrence.located(Stage::new(stage)))
        })
    }
}

/// The rank with most of a stage's computations; the others go to the strays.
fn owner(stage: Stage, occurrences: &[Occurrence], strays: &mut Vec<Located>) -> Option<Rank> {
    let mut ranks: BTreeMap<Rank, (usize, Place, Action)> = BTreeMap::new();
    for occurrence in occurrences.iter().filter(|o| o.deed.is_compute()) {
        let here = (occurrence.place, occurrence.deed.action(stage, occurrence.microbatch));
        let entry = ranks.entry(occurrence.place.rank).or_insert((0, here.0, here.1));
        entry.0 += 1;
        (entry.1, entry.2) = here.min((entry.1, entry.2));
    }
    // The first of those with the most.
    let owner = ranks.iter().rev().max_by_key(|(_, (count, ..))| *count).map(|(&rank, _)| rank);
    let others = ranks.into_iter().filter(|&(rank, _)| Some(rank) != owner);
    strays.extend(others.map(|(_, (_, place, action))| located(action, place)));
    owner
}

/// What is done with one microbatch on one stage, and where.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) stage: Stage,
    pub(super) microbatch: MicroBatch,
    places: [Option<Place>; NUM_DEEDS],
}

impl Cell {
    /// The action and its (first) place, if it is done.
    pub(super) fn get(&self, deed: Deed) -> Option<Located> {
        let place = self.places[deed.slot()]?;
        Some(located(deed.action(self.stage, self.microbatch), place))
    }
}

/// Merges two ascending sequences of cells.
struct Neighbours<L: Iterator, U: Iterator> {
    lower: Peekable<L>,
    upper: Peekable<U>,
}

impl<L, U> Iterator for Neighbours<L, U>
where
    L: Iterator<Item = Cell>,
    U: Iterator<Item = Cell>,
{
    type Item = (Option<Cell>, Option<Cell>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.lower.peek(), self.upper.peek()) {
            (None, None) => return None,
            (Some(lower), Some(upper)) => lower.microbatch.cmp(&upper.microbatch),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
        };
        let lower = if order.is_le() { self.lower.next() } else { None };
        let upper = if order.is_ge() { self.upper.next() } else { None };
        Some((lower, upper))
    }
}
