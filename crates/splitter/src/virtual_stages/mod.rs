//! How many stages a pipeline has, from the number of layers that each should hold.

#[cfg(test)]
mod tests;

use crate::Error;

/// How many stages a schedule has on each rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleStyle {
    /// Exactly one (GPipe, 1F1B).
    Single,
    /// Two or more (interleaved and V schedules).
    Multi,
}

/// Where to go from a number of stages that the ranks cannot share evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundTo {
    /// To the next multiple of the ranks: stages with fewer layers.
    Up,
    /// To the multiple before: stages with more layers.
    Down,
}

/// The number of stages of the whole pipeline, and of each rank.
///
/// Without `layers_per_stage` a rank has one stage, or two if the schedule takes several. Otherwise
/// there are `num_layers / layers_per_stage` stages, rounded up; and if `pp_size` does not divide
/// that, `round_to` says to which multiple to go.
///
/// ```
/// use autopipe_splitter::{RoundTo, ScheduleStyle, calculate_virtual_stages};
///
/// // 32 layers by fives make 7 stages; 4 ranks share 8.
/// let stages = calculate_virtual_stages(32, Some(5), 4, ScheduleStyle::Multi, Some(RoundTo::Up))?;
/// assert_eq!(stages, (8, 2));
/// # Ok::<(), autopipe_splitter::Error>(())
/// ```
///
/// # Errors
/// If there are no ranks, no layers per stage, too many ranks to count with, stages that the ranks
/// cannot share without rounding, or not as many per rank as the schedule takes.
pub fn calculate_virtual_stages(
    num_layers: usize,
    layers_per_stage: Option<usize>,
    pp_size: usize,
    style: ScheduleStyle,
    round_to: Option<RoundTo>,
) -> Result<(usize, usize), Error> {
    if pp_size == 0 {
        return Err(Error::NoRanks);
    }
    let too_many = || Error::TooManyRanks { pp_size };
    let Some(layers_per_stage) = layers_per_stage else {
        let per_rank = match style {
            ScheduleStyle::Single => 1,
            ScheduleStyle::Multi => 2,
        };
        return Ok((pp_size.checked_mul(per_rank).ok_or_else(too_many)?, per_rank));
    };
    if layers_per_stage == 0 {
        return Err(Error::NoLayersPerStage);
    }
    let wanted = num_layers.div_ceil(layers_per_stage);
    let num_stages = match round_to {
        _ if wanted.is_multiple_of(pp_size) => wanted,
        Some(RoundTo::Up) => wanted.checked_next_multiple_of(pp_size).ok_or_else(too_many)?,
        Some(RoundTo::Down) => wanted - wanted % pp_size,
        None => {
            return Err(Error::UnevenStages {
                num_layers,
                layers_per_stage,
                num_stages: wanted,
                pp_size,
            });
        }
    };
    let stages_per_rank = num_stages / pp_size;
    match style {
        ScheduleStyle::Single if stages_per_rank != 1 => Err(Error::NotOneStagePerRank {
            num_layers,
            layers_per_stage,
            stages_per_rank,
            pp_size,
        }),
        ScheduleStyle::Multi if stages_per_rank < 2 => Err(Error::NotSeveralStagesPerRank {
            num_layers,
            layers_per_stage,
            stages_per_rank,
            pp_size,
        }),
        ScheduleStyle::Single | ScheduleStyle::Multi => Ok((num_stages, stages_per_rank)),
    }
}
