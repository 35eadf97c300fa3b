//! Which stages a rank of the pipeline has.

#[cfg(test)]
mod tests;

use crate::Error;
use crate::error::MOST_LISTED;

/// How the stages lie on the ranks.
///
/// ```text
///          rank  0  1  2  3
/// Loop           0  1  2  3
///                4  5  6  7
/// V              0  1  2  3
///                7  6  5  4
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacementStyle {
    /// Round and round: after the last rank comes the first.
    Loop,
    /// There and back, two stages per rank: the first rank has the first stage and the last.
    V,
}

/// The stages of rank `pp_rank`, in ascending order.
///
/// ```
/// use autopipe_splitter::{PlacementStyle, stage_ids_this_rank};
///
/// assert_eq!(stage_ids_this_rank(1, 4, 8, PlacementStyle::Loop)?, [1, 5]);
/// assert_eq!(stage_ids_this_rank(1, 4, 8, PlacementStyle::V)?, [1, 6]);
/// # Ok::<(), autopipe_splitter::Error>(())
/// ```
///
/// # Errors
/// If the rank is not one of `pp_size`, the ranks cannot share the stages evenly, or there is a V
/// of another number than two stages per rank; or if there are more than a million stages.
pub fn stage_ids_this_rank(
    pp_rank: usize,
    pp_size: usize,
    num_stages: usize,
    style: PlacementStyle,
) -> Result<Vec<usize>, Error> {
    if pp_rank >= pp_size {
        return Err(Error::UnknownRank { pp_rank, pp_size });
    }
    match style {
        PlacementStyle::Loop if !num_stages.is_multiple_of(pp_size) => {
            Err(Error::UnevenPlacement { num_stages, pp_size })
        }
        PlacementStyle::Loop if num_stages > MOST_LISTED => {
            Err(Error::TooMany { what: "stages", number: num_stages })
        }
        PlacementStyle::Loop => Ok((pp_rank..num_stages).step_by(pp_size).collect()),
        PlacementStyle::V if pp_size.checked_mul(2) != Some(num_stages) => {
            Err(Error::NotTwoStagesPerRank { num_stages, pp_size })
        }
        PlacementStyle::V => Ok(vec![pp_rank, num_stages - 1 - pp_rank]),
    }
}
