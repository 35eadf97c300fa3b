//! Packed sequences: where one document ends and the next begins.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use super::masks::Masks;
use crate::Error;

/// The documents that the sequences of a batch are packed from, for
/// [`Attention::forward_packed`](super::Attention::forward_packed).
///
/// It belongs to a microbatch and serves all of its layers; cloning is cheap.
///
/// # Examples
/// ```
/// use autopipe_nn::Segments;
/// use candle_core::Device;
///
/// // Two sequences of five tokens: one of two documents, one that is whole.
/// let segments = Segments::from_lengths(&[vec![2, 3], vec![5]])?;
/// let positions = segments.positions(&Device::Cpu)?; // what rotary embeddings turn by
/// assert_eq!(positions.to_vec2::<u32>()?, [[0, 1, 0, 1, 2], [0, 1, 2, 3, 4]]);
/// # candle_core::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Segments {
    inner: Arc<Inner>,
}

struct Inner {
    /// Where the documents of each sequence begin, and last its end, which is the same for all.
    offsets: Vec<Vec<usize>>,
    len: usize,
    masks: Masks,
}

impl Segments {
    /// Segments from the lengths of each sequence's documents, in order.
    ///
    /// # Errors
    /// If the lengths of one sequence do not add up to those of another.
    pub fn from_lengths(lengths: &[Vec<usize>]) -> Result<Self> {
        let offsets = lengths.iter().map(|lengths| {
            let ends = lengths.iter().scan(0usize, |end, &length| {
                *end = end.saturating_add(length);
                Some(*end)
            });
            std::iter::once(0).chain(ends).collect()
        });
        Self::new(offsets.collect())
    }

    /// Segments from cumulative lengths as other libraries' `cu_seqlens`: those of each sequence
    /// begin with 0 and end with its length. An offset that is there again adds nothing.
    ///
    /// # Errors
    /// If offsets do not begin with 0, fall, or end elsewhere than those of another sequence.
    pub fn from_offsets(offsets: &[Vec<usize>]) -> Result<Self> {
        let rising = |row: &Vec<usize>| row.first() == Some(&0) && row.is_sorted();
        let wrong: Vec<_> = offsets.iter().filter(|row| !rising(row)).cloned().collect();
        if !wrong.is_empty() {
            return Err(Error::SegmentOffsets { wrong }.into());
        }
        Self::new(offsets.to_vec())
    }

    fn new(offsets: Vec<Vec<usize>>) -> Result<Self> {
        let ends = offsets.iter().map(|row| row.last().copied().unwrap_or(0));
        let ends: Vec<_> = ends.collect();
        let len = ends.first().copied().unwrap_or(0);
        if ends.iter().any(|&end| end != len) {
            return Err(Error::SegmentLengths { lengths: ends }.into());
        }
        Ok(Self { inner: Arc::new(Inner { offsets, len, masks: Masks::default() }) })
    }

    /// How many sequences the batch has.
    pub fn num_sequences(&self) -> usize {
        self.inner.offsets.len()
    }

    /// How many positions each sequence has.
    pub fn sequence_len(&self) -> usize {
        self.inner.len
    }

    /// Each token's position in its own document, u32 of shape `[batch, sequence]`.
    ///
    /// # Errors
    /// If a document is longer than u32 can count, or the device fails.
    pub fn positions(&self, device: &Device) -> Result<Tensor> {
        let mut positions = Vec::new();
        for row in &self.inner.offsets {
            for (&start, &end) in row.iter().zip(row.iter().skip(1)) {
                positions.extend(0..u32::try_from(end - start).map_err(candle_core::Error::wrap)?);
            }
        }
        Tensor::from_vec(positions, (self.num_sequences(), self.sequence_len()), device)
    }

    /// The positions of the document that has `position` in the `batch`-th sequence.
    pub(super) fn around(&self, batch: usize, position: usize) -> Range<usize> {
        let row = &self.inner.offsets[batch];
        let next = row.partition_point(|&start| start <= position);
        row[next - 1]..row[next]
    }

    /// What is seen, without the CPU's kernels: all layers of a microbatch share it.
    pub(super) fn masks(&self) -> &Masks {
        &self.inner.masks
    }
}

impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segments").field("offsets", &self.inner.offsets).finish_non_exhaustive()
    }
}
