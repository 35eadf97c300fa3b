//! Reads actions back from text: only what an action prints, to the last character.

use std::str::FromStr;

use super::{Action, Compute, ComputeOp, Direction, Overlap, Transfer};
use crate::listing::excerpt;
use crate::{MicroBatch, Stage};

/// Why a text is no action. Columns count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseActionError {
    /// Something else was expected at a column.
    #[error(
        "`{text}` is no action: expected {expected} at column {column}, found {found}; a valid one is `2F0` or `0SEND_F1`"
    )]
    Unexpected {
        /// The text, cut short if it is long.
        text: String,
        /// Where it goes wrong.
        column: usize,
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// The word behind the stage is no operation.
    #[error("`{text}` is no action: expected F, I, W, B, R, SEND_F or another operation at column {column}, found `{found}`{}", did_you_mean(.nearest))]
    UnknownOp {
        /// The text, cut short if it is long.
        text: String,
        /// Where the word starts.
        column: usize,
        /// The word.
        found: String,
        /// The operation that it is most like, if it is much like one.
        nearest: Option<&'static str>,
    },
    /// A number is too large for what it counts.
    #[error(
        "`{text}` is no action: the {what} at column {column} is too large, the largest is {largest}"
    )]
    TooLarge {
        /// The text, cut short if it is long.
        text: String,
        /// Where the number starts.
        column: usize,
        /// `stage`, `microbatch` or `group`.
        what: &'static str,
        /// The largest number there is of it.
        largest: usize,
    },
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map(|op| format!(", did you mean {op}?")).unwrap_or_default()
}

/// What a word stands for, short of the numbers around it.
#[derive(Clone, Copy)]
enum Op {
    Compute(ComputeOp),
    /// Of a stage and a microbatch.
    Transfer(fn(Transfer) -> Action, Direction),
    /// Of a stage.
    Stage(fn(Stage) -> Action),
    ReduceTied,
}

const OPS: [(&str, Op); 17] = [
    ("F", Op::Compute(ComputeOp::Forward)),
    ("I", Op::Compute(ComputeOp::BackwardInput)),
    ("W", Op::Compute(ComputeOp::BackwardWeight)),
    ("B", Op::Compute(ComputeOp::Backward)),
    ("R", Op::Compute(ComputeOp::Recompute)),
    ("SEND_F", Op::Transfer(Action::Send, Direction::Forward)),
    ("RECV_F", Op::Transfer(Action::Recv, Direction::Forward)),
    ("SEND_B", Op::Transfer(Action::Send, Direction::Backward)),
    ("RECV_B", Op::Transfer(Action::Recv, Direction::Backward)),
    ("WAIT_SEND_F", Op::Transfer(Action::WaitSend, Direction::Forward)),
    ("WAIT_SEND_B", Op::Transfer(Action::WaitSend, Direction::Backward)),
    ("UNSHARD", Op::Stage(Action::Unshard)),
    ("RESHARD", Op::Stage(Action::Reshard)),
    ("REDUCE_GRAD", Op::Stage(Action::ReduceGrad)),
    ("WAIT_REDUCE_GRAD", Op::Stage(Action::WaitReduceGrad)),
    ("REDUCE_TIED", Op::ReduceTied),
    ("OPTIMIZER_STEP", Op::Stage(Action::OptimizerStep)),
];

/// The only operation that is written behind its parts, which stand in parentheses.
const OVERLAP: &str = "OVERLAP_F_B";

impl FromStr for Action {
    type Err = ParseActionError;

    fn from_str(text: &str) -> Result<Self, ParseActionError> {
        let mut text = Text { whole: text, at: 0 };
        let action = if text.whole.starts_with('(') { text.overlap()? } else { text.single()? };
        if text.at < text.whole.len() {
            return Err(text.unexpected(text.at, "the end"));
        }
        Ok(action)
    }
}

/// A text on its way to be read. All before `at` is ASCII: a byte is a column.
struct Text<'a> {
    whole: &'a str,
    at: usize,
}

impl Text<'_> {
    fn single(&mut self) -> Result<Action, ParseActionError> {
        let stage = self.number("stage", "a stage number", Stage::LIMIT)?;
        let stage = Stage::new(stage);
        Ok(match self.op()? {
            Op::Compute(op) => Compute { op, stage, microbatch: self.microbatch()? }.into(),
            Op::Transfer(action, direction) => {
                action(Transfer { direction, stage, microbatch: self.microbatch()? })
            }
            Op::Stage(action) => action(stage),
            Op::ReduceTied => {
                let group = self.number("group", "the number of a group", 1 << 16)?;
                let group = u16::try_from(group).expect("below its limit");
                Action::ReduceTied { stage, group }
            }
        })
    }

    fn microbatch(&mut self) -> Result<MicroBatch, ParseActionError> {
        self.number("microbatch", "a microbatch number", MicroBatch::LIMIT).map(MicroBatch::new)
    }

    /// A forward and a backward in parentheses; torch reads over spaces behind the semicolon.
    fn overlap(&mut self) -> Result<Action, ParseActionError> {
        self.expect("(", "`(`")?;
        let forward = self.part("F", "F, the forward,")?;
        self.expect(";", "`;` and a backward")?;
        while self.rest().starts_with(' ') {
            self.at += 1;
        }
        let backward = self.part("B", "B, the backward,")?;
        self.expect(")", "`)`")?;
        self.expect(OVERLAP, "OVERLAP_F_B")?;
        let overlap = Overlap::new(forward, backward);
        Ok(overlap.expect("the numbers are below the limits of an overlap").into())
    }

    fn part(
        &mut self,
        op: &'static str,
        expected: &'static str,
    ) -> Result<(Stage, MicroBatch), ParseActionError> {
        let stage = self.number("stage", "a stage number", Overlap::STAGE_LIMIT)?;
        self.expect(op, expected)?;
        let limit = Overlap::MICROBATCH_LIMIT;
        let microbatch = self.number("microbatch", "a microbatch number", limit)?;
        Ok((Stage::new(stage), MicroBatch::new(microbatch)))
    }

    fn rest(&self) -> &str {
        &self.whole[self.at..]
    }

    fn expect(&mut self, word: &str, expected: &'static str) -> Result<(), ParseActionError> {
        if !self.rest().starts_with(word) {
            return Err(self.unexpected(self.at, expected));
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads a number below `limit` without needless zeros.
    fn number(
        &mut self,
        what: &'static str,
        expected: &'static str,
        limit: usize,
    ) -> Result<usize, ParseActionError> {
        let start = self.at;
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let number = &self.whole[start..start + digits];
        match number.as_bytes() {
            [] => return Err(self.unexpected(start, expected)),
            [b'0', _, ..] => {
                return Err(self.unexpected(start, "a number without leading zeros"));
            }
            _ => {}
        }
        self.at = start + digits;
        let too_large = || ParseActionError::TooLarge {
            text: excerpt(self.whole),
            column: start + 1,
            what,
            largest: limit - 1,
        };
        number.parse().ok().filter(|&number: &usize| number < limit).ok_or_else(too_large)
    }

    fn op(&mut self) -> Result<Op, ParseActionError> {
        let start = self.at;
        let letters =
            self.rest().bytes().take_while(|&b| b.is_ascii_alphabetic() || b == b'_').count();
        let word = &self.whole[start..start + letters];
        self.at = start + letters;
        if let Some(&(_, op)) = OPS.iter().find(|(name, _)| *name == word) {
            return Ok(op);
        }
        if word.is_empty() {
            return Err(self.unexpected(start, "an operation, as F or SEND_B,"));
        }
        if word == OVERLAP {
            return Err(self.unexpected(0, "an overlap's parts in parentheses, as `(0F1;3B0)`,"));
        }
        let found = excerpt(word);
        let nearest = nearest(&found);
        let text = excerpt(self.whole);
        Err(ParseActionError::UnknownOp { text, column: start + 1, found, nearest })
    }

    fn unexpected(&self, at: usize, expected: &'static str) -> ParseActionError {
        let found = match self.whole[at..].chars().next() {
            Some(found) => format!("`{}`", found.escape_debug()),
            None => "the end".to_owned(),
        };
        let text = excerpt(self.whole);
        ParseActionError::Unexpected { text, column: at + 1, expected, found }
    }
}

/// The operation that a word is most like.
fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_uppercase();
    let likeness = |name: &str| strsim::jaro_winkler(&word, name);
    OPS.iter()
        .map(|&(name, _)| (likeness(name), name))
        .filter(|&(likeness, _)| likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
