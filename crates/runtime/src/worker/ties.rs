//! Parameters of which several stages hold a copy: each step's gradients are summed over all copies.

use std::collections::{BTreeMap, BTreeSet};

use autopipe_nn::{Parameter, Parameters};
use autopipe_schedule::{Action, Stage, ValidProgram};
use candle_core::Tensor;

use super::Worker;
use super::interpret::Run;
use crate::communicator::{Tag, add};
use crate::error::communication;
use crate::{ActionError, Error};

/// A tensor of the model that several stages hold a copy of, such as an embedding that is the output
/// head's matrix too. The copies have to begin with the same values; as each gets the sum of all
/// their gradients, to the bit the same on every stage, an optimiser keeps them equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tie {
    /// By stage, the names that the tensor has in its modules, the first being usual. The stage has
    /// one parameter of these names, whatever the number of its modules that use it.
    pub copies: BTreeMap<Stage, Vec<String>>,
}

/// What a rank has of a tie.
pub(super) struct Tied {
    /// The parameters of this rank's stages, in the order of the stages.
    copies: Vec<OwnCopy>,
    /// The ranks that hold copies, in their order, each with a stage of its own that does.
    holders: BTreeMap<usize, Stage>,
}

/// A stage's copy.
struct OwnCopy {
    parameter: Parameter,
    /// The gradient of former steps, which has been summed already.
    before: Option<Tensor>,
}

impl Tied {
    /// The ties in which a rank takes part, by their group's number.
    pub(super) fn of_rank<'a>(
        ties: &[Tie],
        program: &ValidProgram,
        rank: usize,
        parameters: impl Fn(Stage) -> Option<&'a Parameters>,
    ) -> Result<BTreeMap<u16, Self>, Error> {
        check(ties, program)?;
        let mut own = BTreeMap::new();
        for (group, tie) in (0..=u16::MAX).zip(ties) {
            let mut copies = Vec::new();
            let mut holders = BTreeMap::new();
            for (&stage, names) in &tie.copies {
                let holder = program.placement().rank_of(stage).index();
                holders.entry(holder).or_insert(stage);
                if let Some(parameters) = parameters(stage).filter(|_| holder == rank) {
                    copies
                        .push(OwnCopy { parameter: copy(stage, names, parameters)?, before: None });
                }
            }
            if !copies.is_empty() {
                own.insert(group, Self { copies, holders });
            }
        }
        Ok(own)
    }

    /// The copies themselves.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.copies.iter().map(|copy| &copy.parameter)
    }

    /// Puts aside what former steps have left, so that no gradient is summed twice.
    pub(super) fn begin_step(&mut self) {
        for copy in &mut self.copies {
            copy.before = copy.parameter.take_grad();
        }
    }

    /// Drops what a failed step has put aside: its gradients are lost anyway.
    pub(super) fn forget(&mut self) {
        for copy in &mut self.copies {
            copy.before = None;
        }
    }

    /// The sum of the step's gradients of this rank's copies, none if none has any.
    fn own(&self) -> candle_core::Result<Option<Tensor>> {
        self.copies.iter().try_fold(None, |sum, copy| add(sum, copy.parameter.grad()))
    }

    /// What former steps have left, the same of each copy; none from now on.
    fn take_before(&mut self) -> Option<Tensor> {
        let before: Vec<_> = self.copies.iter_mut().map(|copy| copy.before.take()).collect();
        before.into_iter().next().flatten()
    }

    /// Ends the step with the sum over all copies.
    fn end_step(&mut self, sum: Option<&Tensor>) -> candle_core::Result<()> {
        for copy in &mut self.copies {
            // As it is: a parameter may sum what a backward adds over other ranks, which this has been.
            copy.parameter.set_grad(add(copy.before.take(), sum.cloned())?);
        }
        Ok(())
    }
}

impl Worker {
    /// Sums the step's gradients over the stages of a group. A rank with several of them does so when
    /// it comes to the last. Every rank adds in the order of the ranks, and so gets the same bits.
    pub(super) fn reduce_tied(&mut self, run: &mut Run<'_>, group: u16) -> Result<(), ActionError> {
        let reached = run.ties_reached.entry(group).or_default();
        *reached += 1;
        let tied = self.ties.get(&group).expect("checked by `new`: the program sums what is tied");
        if *reached < tied.copies.len() {
            return Ok(());
        }
        let here = self.comm.rank();
        let tag = Tag::of_tie(group);
        let own = tied.own()?;
        let mut posted = BTreeMap::new();
        for (&rank, &stage) in tied.holders.iter().filter(|(rank, _)| **rank != here) {
            let receive = self.comm.post_recv(rank, tag).map_err(communication)?;
            posted.insert(rank, (receive, Action::ReduceTied { stage, group }));
        }
        for &rank in posted.keys() {
            let message = own.iter().cloned().collect();
            self.comm.send(message, rank, tag).map_err(communication)?;
        }
        let mut sum = None;
        for rank in tied.holders.keys() {
            let part = match posted.remove(rank) {
                Some((receive, awaited)) => self.wait_for(receive, awaited)?.pop(),
                None => own.clone(),
            };
            sum = add(sum, part)?;
        }
        let tied = self.ties.get_mut(&group).expect("found above");
        if let Some(replicas) = self.replicas.as_ref().filter(|replicas| replicas.is_active()) {
            if !replicas.was_summed() {
                sum = add(tied.take_before(), sum)?;
            }
            let stage = tied.holders[&here];
            let copy = tied.copies.first().expect("a rank has a copy of what it sums");
            let (awaited, shape) = (Action::ReduceTied { stage, group }, copy.parameter.shape());
            sum = replicas.sum(tag, awaited, shape, sum)?;
        }
        Ok(tied.end_step(sum.as_ref())?)
    }
}

/// The one parameter that a stage has under one of some names.
fn copy(stage: Stage, names: &[String], parameters: &Parameters) -> Result<Parameter, Error> {
    let found: Vec<&Parameter> = names.iter().filter_map(|name| parameters.get(name)).collect();
    match found[..] {
        [copy] if copy.is_trainable() => Ok(copy.clone()),
        _ => Err(Error::TiedCopy {
            stage: stage.index(),
            names: names.to_vec(),
            found: found.iter().filter(|copy| copy.is_trainable()).count(),
        }),
    }
}

/// Checks that a program sums what is tied and nothing else.
pub(super) fn check(ties: &[Tie], program: &ValidProgram) -> Result<(), Error> {
    let mut sums: BTreeMap<usize, BTreeSet<Stage>> = BTreeMap::new();
    for &action in program.rows().iter().flatten() {
        if let Action::ReduceTied { stage, group } = action {
            sums.entry(group.into()).or_default().insert(stage);
        }
    }
    let groups: BTreeSet<usize> = sums.keys().copied().chain(0..ties.len()).collect();
    for group in groups {
        let summed: Vec<usize> =
            sums.get(&group).into_iter().flatten().map(|stage| stage.index()).collect();
        let tie = ties.get(group);
        let tied: Vec<usize> =
            tie.into_iter().flat_map(|tie| tie.copies.keys()).map(|stage| stage.index()).collect();
        if summed != tied {
            return Err(Error::WrongTie { group, summed, tied });
        }
    }
    Ok(())
}
