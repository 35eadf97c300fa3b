//! Rows packed from documents: what the keyword input `position_ids` says of a microbatch.

use autopipe_nn::{RotaryEmbedding, Rotation, Segments};
use autopipe_runtime::Keywords;
use candle_core::{DType, Result, Tensor};

use super::PositionProblem;
use crate::rope::Rope;

/// The name of the keyword input.
pub(super) const POSITION_IDS: &str = "position_ids";

/// The documents of a microbatch's rows, at least one row of more than one.
pub(super) struct Documents {
    segments: Segments,
    /// How many tokens each has: those of the first row, then those of the next.
    lengths: Vec<usize>,
    /// Each token's position in its own document, `[batch * sequence]`.
    positions: Tensor,
}

impl Documents {
    /// Those of a batch of hidden states `x`, `[batch, sequence, hidden]`. `None` if nothing is
    /// said, or nothing else than that each row is one document.
    ///
    /// # Errors
    /// If the positions are no packed documents, or reach `max_positions`.
    pub(super) fn of(
        keywords: &Keywords,
        x: &Tensor,
        max_positions: Option<usize>,
    ) -> Result<Option<Self>> {
        let Some(ids) = keywords.tensor(POSITION_IDS)? else { return Ok(None) };
        let (batch, seq_len, _) = x.dims3()?;
        if ids.dims() != [batch, seq_len] {
            let actual = ids.dims().to_vec();
            return Err(PositionProblem::Shape { actual, batch, seq_len }.into());
        }
        if !matches!(ids.dtype(), DType::U32 | DType::I64) {
            return Err(PositionProblem::Type { dtype: ids.dtype() }.into());
        }
        let max = max_positions.map_or(i64::MAX, |max| i64::try_from(max).unwrap_or(i64::MAX));
        let rows: Vec<Vec<i64>> = ids.to_dtype(DType::I64)?.to_vec2()?;
        let lengths: Vec<Vec<usize>> = rows
            .iter()
            .enumerate()
            .map(|(row, positions)| lengths(row, positions, max))
            .collect::<std::result::Result<_, _>>()?;
        if lengths.iter().all(|row| row.len() <= 1) {
            return Ok(None);
        }
        let segments = Segments::from_lengths(&lengths)?;
        let positions = segments.positions(x.device())?.flatten_all()?;
        Ok(Some(Self { segments, lengths: lengths.concat(), positions }))
    }

    pub(super) fn segments(&self) -> &Segments {
        &self.segments
    }

    /// What turns the heads of all rows. How fast may depend on how long a sequence is: on how long
    /// each document is, so that nothing depends on what it is packed with.
    pub(super) fn rotation(&self, rope: &Rope, dtype: DType) -> Result<Rotation> {
        // Documents that follow each other and turn alike are turned together.
        let mut runs: Vec<(RotaryEmbedding, usize)> = Vec::new();
        for &len in &self.lengths {
            let embedding = rope.embedding(len)?;
            match runs.last_mut() {
                Some((same, num_tokens)) if *same == embedding => *num_tokens += len,
                Some(_) | None => runs.push((embedding, len)),
            }
        }
        let mut start = 0;
        let mut parts = Vec::with_capacity(runs.len());
        for (embedding, num_tokens) in runs {
            let positions = self.positions.narrow(0, start, num_tokens)?;
            parts.push(embedding.rotation(&positions, dtype)?);
            start += num_tokens;
        }
        Rotation::of_rows(&parts, self.segments.num_sequences())
    }
}

/// The lengths of a row's documents. Each begins with position 0.
fn lengths(
    row: usize,
    positions: &[i64],
    max: i64,
) -> std::result::Result<Vec<usize>, PositionProblem> {
    let mut lengths: Vec<usize> = Vec::new();
    let mut next = 0;
    for (token, &position) in positions.iter().enumerate() {
        match lengths.last_mut() {
            Some(len) if position == next => *len += 1,
            _ if position == 0 => lengths.push(1),
            None => return Err(PositionProblem::Start { row, position }),
            Some(_) => return Err(PositionProblem::Jump { row, token, position, next }),
        }
        if position >= max {
            return Err(PositionProblem::TooLong { row, token, position, max });
        }
        next = position + 1;
    }
    Ok(lengths)
}
