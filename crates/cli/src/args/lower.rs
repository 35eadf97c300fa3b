//! The options of `autopipe schedule lower`, a pass each.

use std::num::NonZeroUsize;
use std::str::FromStr;

use autopipe_schedule::{Rank, Stage};
use clap::ValueEnum;
use clap::builder::Resettable;

use super::{Source, Write};

#[derive(Debug, clap::Args)]
pub(crate) struct Lower {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) passes: Passes,
    /// Print the program after each pass
    #[arg(long, help_heading = Resettable::Reset)]
    pub(crate) explain: bool,
    /// Lower this rank's row only
    #[arg(long, value_name = "R", value_parser = index("rank", Rank::LIMIT), help_heading = Resettable::Reset)]
    pub(crate) rank: Option<usize>,
    #[command(flatten)]
    pub(crate) write: Write,
}

/// What to add; without any of these, sends and receives alone.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Passes, in their order")]
pub(crate) struct Passes {
    /// Start from torch's defaults: --max-active-stages 3 --unshard-lookahead full --reduce-grads
    /// immediate --wait-sends
    #[arg(long)]
    pub(crate) torch: bool,
    /// Join the I and W of a microbatch to B where nothing stands between them
    #[arg(long)]
    pub(crate) merge_backward: bool,
    /// Compute activations again before the backward: on all stages, on some as in 0,2, or on all
    /// for one in N microbatches
    #[arg(long, value_name = "all|STAGE,..|every:N")]
    pub(crate) recompute: Option<Recompute>,
    /// Parameters are sharded: gather those of at most N stages of a rank at a time
    #[arg(long, value_name = "N")]
    pub(crate) max_active_stages: Option<usize>,
    /// How many stages ahead to gather them: as many as may be (full), fewer on the first ranks
    /// (auto), or a number for each rank as in 1,2,2 [default: full]
    #[arg(long, value_name = "full|auto|N,..")]
    pub(crate) unshard_lookahead: Option<Lookahead>,
    /// Sum each stage's gradients over its replicas, and wait for it at once or later
    #[arg(long, value_enum, value_name = "WHEN")]
    pub(crate) reduce_grads: Option<ReduceGrads>,
    /// Wait for every send once it is known to have been taken
    #[arg(long)]
    pub(crate) wait_sends: bool,
    /// Wait earlier where need be, so that at most N sends of a rank are under way
    #[arg(long, value_name = "N")]
    pub(crate) max_sends: Option<usize>,
    /// Where receives stand
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) receives: Option<Receives>,
    /// These stages share a parameter, whose gradients are summed; may be repeated
    #[arg(long, value_name = "STAGE+STAGE..")]
    pub(crate) tie: Vec<Tie>,
    /// Update each stage's parameters when its gradients are final, or all at the end
    #[arg(long, value_enum, value_name = "WHEN")]
    pub(crate) optimizer_steps: Option<OptimizerSteps>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReduceGrads {
    /// Not at all
    Never,
    /// Wait directly behind the reduction
    Immediate,
    /// Wait before the rank's next reduction
    Deferred,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Receives {
    /// As early as can be, so that messages travel while the rank computes
    Early,
    /// As late as the order of messages allows
    Late,
    /// As torch's defer_pp_recv does, which not every schedule survives
    Deferred,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerSteps {
    /// Outside of the program
    Never,
    /// As soon as a stage's gradients are final
    WhenReady,
    /// Behind everything else
    AtEnd,
}

/// Whose activations are computed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recompute {
    All,
    Stages(Vec<Stage>),
    EveryNth(NonZeroUsize),
}

impl FromStr for Recompute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        if let Some(number) = text.strip_prefix("every:") {
            let wrong = |_| format!("`{number}` is no number of 1 or more, as in every:2");
            return number.parse().map(Self::EveryNth).map_err(wrong);
        }
        text.split(',').map(stage).collect::<Result<_, _>>().map(Self::Stages)
    }
}

/// How many stages are gathered ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookahead(pub(crate) autopipe_schedule::lower::Lookahead);

impl FromStr for Lookahead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use autopipe_schedule::lower::Lookahead as Of;
        let number = |text: &str| {
            text.trim().parse().map_err(|_| {
                format!("`{text}` is no number of stages; give full, auto, or one for each rank")
            })
        };
        Ok(Self(match text {
            "full" => Of::Full,
            "auto" => Of::Auto,
            _ => Of::PerRank(text.split(',').map(number).collect::<Result<_, _>>()?),
        }))
    }
}

/// Stages that share a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tie(pub(crate) Vec<Stage>);

impl FromStr for Tie {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split('+').map(stage).collect::<Result<_, _>>().map(Self)
    }
}

fn stage(text: &str) -> Result<Stage, String> {
    let number = index("stage", Stage::LIMIT)(text.trim());
    number.map(Stage::new)
}

/// Reads a number that an id can have.
fn index(what: &'static str, limit: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|&number: &usize| number < limit);
        number.ok_or_else(|| format!("`{text}` is no {what}, a number from 0 to {}", limit - 1))
    }
}
