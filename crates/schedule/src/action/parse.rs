//! Reads actions back from text: only what an action prints, to the last character.

use std::str::FromStr;

use super::{Action, Compute, ComputeOp, Direction, Transfer};
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
    /// The word between the two numbers is no operation.
    #[error("`{text}` is no action: expected F, I, W, B, SEND_F, RECV_F, SEND_B or RECV_B at column {column}, found `{found}`{}", did_you_mean(.nearest))]
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
    /// torch has this operation, this crate not yet.
    #[error(
        "`{text}` is not supported yet: {op} at column {column}; the operations are F, I, W, B, SEND_F, RECV_F, SEND_B and RECV_B"
    )]
    Unsupported {
        /// The text, cut short if it is long.
        text: String,
        /// Where the operation starts.
        column: usize,
        /// torch's name of it.
        op: &'static str,
    },
    /// A number is too large for a stage or a microbatch.
    #[error(
        "`{text}` is no action: the {what} at column {column} is too large, the largest is {largest}"
    )]
    TooLarge {
        /// The text, cut short if it is long.
        text: String,
        /// Where the number starts.
        column: usize,
        /// `stage` or `microbatch`.
        what: &'static str,
        /// The largest number there is of it.
        largest: usize,
    },
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map(|op| format!(", did you mean {op}?")).unwrap_or_default()
}

/// What a word stands for, short of stage and microbatch.
#[derive(Clone, Copy)]
enum Op {
    Compute(ComputeOp),
    Send(Direction),
    Recv(Direction),
}

const OPS: [(&str, Op); 8] = [
    ("F", Op::Compute(ComputeOp::Forward)),
    ("I", Op::Compute(ComputeOp::BackwardInput)),
    ("W", Op::Compute(ComputeOp::BackwardWeight)),
    ("B", Op::Compute(ComputeOp::Backward)),
    ("SEND_F", Op::Send(Direction::Forward)),
    ("RECV_F", Op::Recv(Direction::Forward)),
    ("SEND_B", Op::Send(Direction::Backward)),
    ("RECV_B", Op::Recv(Direction::Backward)),
];

/// torch's operations that have no counterpart here yet.
const UNSUPPORTED: [&str; 7] = [
    "UNSHARD",
    "RESHARD",
    "REDUCE_GRAD",
    "WAIT_REDUCE_GRAD",
    "WAIT_SEND_F",
    "WAIT_SEND_B",
    OVERLAP,
];

/// The only operation that is written behind its parts, in parentheses.
const OVERLAP: &str = "OVERLAP_F_B";

impl FromStr for Action {
    type Err = ParseActionError;

    fn from_str(text: &str) -> Result<Self, ParseActionError> {
        if text.starts_with('(') {
            return Err(ParseActionError::Unsupported {
                text: excerpt(text),
                column: 1,
                op: OVERLAP,
            });
        }
        // Everything before `at` is ASCII: a byte is a column.
        let mut at = 0;
        let stage = number(text, &mut at, "stage", Stage::LIMIT, "a stage number")?;
        let op = op(text, &mut at)?;
        let microbatch =
            number(text, &mut at, "microbatch", MicroBatch::LIMIT, "a microbatch number")?;
        if at < text.len() {
            return Err(unexpected(text, at, "the end"));
        }
        let (stage, microbatch) = (Stage::new(stage), MicroBatch::new(microbatch));
        Ok(match op {
            Op::Compute(op) => Self::Compute(Compute { op, stage, microbatch }),
            Op::Send(direction) => Self::Send(Transfer { direction, stage, microbatch }),
            Op::Recv(direction) => Self::Recv(Transfer { direction, stage, microbatch }),
        })
    }
}

/// Reads the number at `at`, which is below `limit` and has no needless zeros, and goes past it.
fn number(
    text: &str,
    at: &mut usize,
    what: &'static str,
    limit: usize,
    expected: &'static str,
) -> Result<usize, ParseActionError> {
    let start = *at;
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    let number = &text[start..start + digits];
    match number.as_bytes() {
        [] => return Err(unexpected(text, start, expected)),
        [b'0', _, ..] => {
            return Err(unexpected(text, start, "a number without leading zeros"));
        }
        _ => {}
    }
    *at = start + digits;
    let too_large = || ParseActionError::TooLarge {
        text: excerpt(text),
        column: start + 1,
        what,
        largest: limit - 1,
    };
    number.parse().ok().filter(|&number: &usize| number < limit).ok_or_else(too_large)
}

/// Reads the operation at `at` and goes past it.
fn op(text: &str, at: &mut usize) -> Result<Op, ParseActionError> {
    let start = *at;
    let letters =
        text[start..].bytes().take_while(|&b| b.is_ascii_alphabetic() || b == b'_').count();
    let word = &text[start..start + letters];
    *at = start + letters;
    if let Some(&(_, op)) = OPS.iter().find(|(name, _)| *name == word) {
        return Ok(op);
    }
    let (column, whole) = (start + 1, excerpt(text));
    if let Some(&op) = UNSUPPORTED.iter().find(|&&name| name == word) {
        return Err(ParseActionError::Unsupported { text: whole, column, op });
    }
    if word.is_empty() {
        return Err(unexpected(text, start, "an operation, as F or SEND_B,"));
    }
    let found = excerpt(word);
    let nearest = nearest(&found);
    Err(ParseActionError::UnknownOp { text: whole, column, found, nearest })
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

fn unexpected(text: &str, at: usize, expected: &'static str) -> ParseActionError {
    let found = match text[at..].chars().next() {
        Some(found) => format!("`{}`", found.escape_debug()),
        None => "the end".to_owned(),
    };
    ParseActionError::Unexpected { text: excerpt(text), column: at + 1, expected, found }
}
