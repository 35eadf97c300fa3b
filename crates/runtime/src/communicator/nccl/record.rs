//! What ranks tell each other of tensors that go by lane, as numbers in a tensor: the transport below
//! carries those.

use candle_core::{Device, Tensor};

use super::NcclError;
use super::carrier::{Form, LaneId};
use crate::communicator::wire::{code_of, dtype_of, num_bytes};

/// What the receiver needs to receive the tensors of a message, whether or not somebody has asked for
/// it: a lane keeps its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// How often the sender's world had begun anew.
    pub(super) num_resets: u64,
    /// Counts the messages of the lane, from 0.
    pub(super) number: u64,
    /// The lane, in its first record.
    pub(super) lane: Option<LaneId>,
    pub(super) forms: Vec<Form>,
}

/// What comes in a message's place, before those of its tensors that do not go by lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// All of its tensors are here.
    Whole,
    /// The others go by lane.
    Parted {
        number: u64,
        /// Of each tensor whether it goes by lane.
        by_lane: Vec<bool>,
    },
}

/// The receiver of a lane is at its end: it takes so many messages and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) count: u64,
}

/// Why numbers are no record.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("a record is {0} tensors of other types than one of I64")]
    NoNumbers(usize),
    #[error("it ends where more was to come")]
    TooShort,
    #[error("{0} numbers are left over at its end")]
    LeftOver(usize),
    #[error("{0} is neither no nor yes")]
    Flag(u64),
    #[error("there is no number type {0}")]
    Dtype(u64),
    #[error("a tensor of shape {0:?} does not fit into memory")]
    Shape(Vec<usize>),
    #[error("{0} is beyond what this machine can count")]
    Number(u64),
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<RecordError> for NcclError {
    fn from(error: RecordError) -> Self {
        Self::Unreadable { cause: error.to_string() }
    }
}

impl Record {
    pub(super) fn write(&self) -> Result<Tensor, NcclError> {
        let mut words = vec![self.num_resets, self.number, u64::from(self.lane.is_some())];
        if let Some(LaneId(bytes)) = &self.lane {
            let (parts, _) = bytes.as_chunks();
            words.extend(parts.iter().map(|part| u64::from_le_bytes(*part)));
        }
        for Form { dtype, dims } in &self.forms {
            let unsendable = || RecordError::Dtype(u64::MAX);
            words.extend([code_of(*dtype).ok_or_else(unsendable)?, dims.len() as u64]);
            words.extend(dims.iter().map(|&dim| dim as u64));
        }
        write(words)
    }

    pub(super) fn read(tensors: &[Tensor]) -> Result<Self, NcclError> {
        let mut words = Words::of(tensors)?;
        let (num_resets, number) = (words.next()?, words.next()?);
        let lane = if words.flag()? { Some(words.lane_id()?) } else { None };
        let mut forms = Vec::new();
        while !words.0.is_empty() {
            let code = words.next()?;
            let dtype = dtype_of(code).ok_or(RecordError::Dtype(code))?;
            let num_dims = words.next()?;
            let dims = (0..num_dims).map(|_| words.count()).collect::<Result<Vec<_>, _>>()?;
            if num_bytes(dtype, &dims).is_none() {
                return Err(RecordError::Shape(dims).into());
            }
            forms.push(Form { dtype, dims });
        }
        Ok(Self { num_resets, number, lane, forms })
    }
}

impl Header {
    pub(super) fn write(&self) -> Result<Tensor, NcclError> {
        write(match self {
            Self::Whole => Vec::new(),
            Self::Parted { number, by_lane } => {
                std::iter::once(*number).chain(by_lane.iter().map(|&is| u64::from(is))).collect()
            }
        })
    }

    pub(super) fn read(tensor: Option<Tensor>) -> Result<Self, NcclError> {
        let mut words = Words::of(tensor.as_slice())?;
        if words.0.is_empty() {
            return Ok(Self::Whole);
        }
        let number = words.next()?;
        let mut by_lane = Vec::new();
        while !words.0.is_empty() {
            by_lane.push(words.flag()?);
        }
        Ok(Self::Parted { number, by_lane })
    }
}

impl Last {
    pub(super) fn write(self) -> Result<Tensor, NcclError> {
        write(vec![self.count])
    }

    pub(super) fn read(tensors: &[Tensor]) -> Result<Self, NcclError> {
        let mut words = Words::of(tensors)?;
        let count = words.next()?;
        match words.0.len() {
            0 => Ok(Self { count }),
            left => Err(RecordError::LeftOver(left).into()),
        }
    }
}

fn write(words: Vec<u64>) -> Result<Tensor, NcclError> {
    let words: Vec<i64> = words.into_iter().map(u64::cast_signed).collect();
    let len = words.len();
    Ok(Tensor::from_vec(words, len, &Device::Cpu)?)
}

/// What is still to be read, the next at the end.
struct Words(Vec<i64>);

impl Words {
    fn of(tensors: &[Tensor]) -> Result<Self, RecordError> {
        let [tensor] = tensors else { return Err(RecordError::NoNumbers(tensors.len())) };
        let mut words =
            tensor.to_vec1::<i64>().map_err(|_| RecordError::NoNumbers(tensors.len()))?;
        words.reverse();
        Ok(Self(words))
    }

    fn next(&mut self) -> Result<u64, RecordError> {
        self.0.pop().map(i64::cast_unsigned).ok_or(RecordError::TooShort)
    }

    fn count(&mut self) -> Result<usize, RecordError> {
        let word = self.next()?;
        usize::try_from(word).map_err(|_| RecordError::Number(word))
    }

    fn flag(&mut self) -> Result<bool, RecordError> {
        match self.next()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(RecordError::Flag(other)),
        }
    }

    fn lane_id(&mut self) -> Result<LaneId, RecordError> {
        let mut bytes = [0; 128];
        let (parts, _) = bytes.as_chunks_mut();
        for part in parts {
            *part = self.next()?.to_le_bytes();
        }
        Ok(LaneId(bytes))
    }
}
