//! Before a step the ranks agree that they take it: whoever cannot is not waited for in vain.

use autopipe_schedule::ValidProgram;

use super::Worker;
use super::interpret::communication;
use super::{Outputs, StepOptions};
use crate::communicator::Reduction;
use crate::{Batch, Error, Place, StepPart};

impl Worker {
    /// Whether all ranks take the same step. If not, all learn who does not and why, and nothing
    /// has happened on any.
    pub(super) fn agree(
        &mut self,
        program: &ValidProgram,
        batch: &Batch,
        options: StepOptions,
    ) -> Result<(), Error> {
        let own = batch.check(&self.needs(program)).err().map(Box::new);
        let unusable = self.failed.as_ref().map(|failed| Error::Unusable(failed.words.clone()));
        let objection = unusable.as_ref().map(ToString::to_string);
        let objection = objection.or_else(|| own.as_ref().map(ToString::to_string));
        let place = Place { step: self.num_steps, part: StepPart::Start };
        let outcome = self.guarded(place, |worker| {
            worker.vote(Call::new(program, options), objection.as_deref()).map_err(communication)
        });
        match (unusable, outcome) {
            // After a failure it is also how the vote ends that is no news.
            (Some(unusable), _) => Err(unusable),
            (None, Ok(None)) => Ok(()),
            (None, Ok(Some(Dissent::Refusals(refusals)))) => Err(Error::Refused { refusals, own }),
            (None, Ok(Some(Dissent::Calls(calls)))) => Err(Error::DifferentCalls { calls }),
            (None, Err(error)) => {
                self.note_failure(&error, false);
                Err(error)
            }
        }
    }

    /// What stands against the step, on all ranks the same.
    fn vote(&self, call: Call, objection: Option<&str>) -> Result<Option<Dissent>, Error> {
        let code = call.code();
        let objects = if objection.is_some() { 1.0 } else { 0.0 };
        let most = self.comm.all_reduce(&[code, -code, objects], Reduction::Max)?;
        let by_rank = |texts: Vec<String>| self.comm.members().iter().copied().zip(texts);
        if most[0] != -most[1] {
            let calls = by_rank(self.comm.all_gather_text(&call.to_string())?).collect();
            return Ok(Some(Dissent::Calls(calls)));
        }
        if most[2] == 0.0 {
            return Ok(None);
        }
        let said = by_rank(self.comm.all_gather_text(objection.unwrap_or_default())?);
        Ok(Some(Dissent::Refusals(said.filter(|(_, objection)| !objection.is_empty()).collect())))
    }
}

/// Why there is no step, with the ranks in the world's numbers.
enum Dissent {
    Refusals(Vec<(usize, String)>),
    Calls(Vec<(usize, String)>),
}

/// What a rank is asked for.
#[derive(Clone, Copy)]
struct Call {
    trains: bool,
    options: StepOptions,
}

impl Call {
    fn new(program: &ValidProgram, options: StepOptions) -> Self {
        Self { trains: program.has_backward(), options }
    }

    /// A number of its own for each.
    fn code(self) -> f64 {
        let bits = [
            self.trains,
            self.options.outputs == Outputs::Keep,
            self.options.outputs == Outputs::Everywhere,
            self.options.measure,
        ];
        bits.into_iter().fold(0.0, |code, bit| 2.0 * code + f64::from(u8::from(bit)))
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.trains { "training" } else { "evaluation" })?;
        f.write_str(match self.options.outputs {
            Outputs::Drop => "",
            Outputs::Keep => " with outputs",
            Outputs::Everywhere => " with outputs everywhere",
        })?;
        f.write_str(if self.options.measure { ", measured" } else { "" })
    }
}
