//! A failure as bytes: its rank, its place and its cause. Actions go in the schedule's notation.

use super::{Reader, WireError, put_text, put_word};
use crate::{Failure, Place, StepPart};

const NOWHERE: u64 = 0;
const START: u64 = 1;
const ACTION: u64 = 2;
const LOSSES: u64 = 3;
const OUTPUTS: u64 = 4;
const TIMES: u64 = 5;
const RECOVERY: u64 = 6;

pub(super) fn put(bytes: &mut Vec<u8>, failure: &Failure) {
    let Failure { rank, at, cause } = failure;
    put_word(bytes, *rank as u64);
    put_text(bytes, cause);
    let Some(Place { step, part }) = at else { return put_word(bytes, NOWHERE) };
    let code = match part {
        StepPart::Start => START,
        StepPart::Action(_) => ACTION,
        StepPart::Losses => LOSSES,
        StepPart::Outputs => OUTPUTS,
        StepPart::Times => TIMES,
        StepPart::Recovery => RECOVERY,
    };
    put_word(bytes, code);
    put_word(bytes, *step as u64);
    if let StepPart::Action(action) = part {
        put_text(bytes, &action.to_string());
    }
}

pub(super) fn get(reader: &mut Reader<'_>) -> Result<Failure, WireError> {
    let (rank, cause, code) = (reader.number()?, reader.text()?, reader.word()?);
    if code == NOWHERE {
        return Ok(Failure { rank, at: None, cause });
    }
    let step = reader.number()?;
    let part = match code {
        START => StepPart::Start,
        ACTION => {
            let action = reader.text()?;
            StepPart::Action(action.parse().map_err(|_| WireError::Action(action))?)
        }
        LOSSES => StepPart::Losses,
        OUTPUTS => StepPart::Outputs,
        TIMES => StepPart::Times,
        RECOVERY => StepPart::Recovery,
        kind => return Err(WireError::Kind { kind }),
    };
    Ok(Failure { rank, at: Some(Place { step, part }), cause })
}
