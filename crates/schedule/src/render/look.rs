//! What the eye tells apart: the kinds of actions, their letters and their colours.

use crate::{Action, ComputeOp};

/// A kind of action, as it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Forward,
    Recompute,
    BackwardInput,
    BackwardWeight,
    Backward,
    Overlap,
    Communication,
    Collective,
    Optimizer,
}

/// Where a rank shows an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// The rank itself does it, one at a time.
    Rank,
    /// It goes on beside the rank's computations.
    Beside,
}

impl Look {
    /// In the order of the legend.
    pub(super) const ALL: [Self; 9] = [
        Self::Forward,
        Self::Recompute,
        Self::BackwardInput,
        Self::BackwardWeight,
        Self::Backward,
        Self::Overlap,
        Self::Communication,
        Self::Collective,
        Self::Optimizer,
    ];

    pub(super) fn of(action: Action) -> Self {
        match action {
            Action::Compute(compute) => match compute.op {
                ComputeOp::Forward => Self::Forward,
                ComputeOp::BackwardInput => Self::BackwardInput,
                ComputeOp::BackwardWeight => Self::BackwardWeight,
                ComputeOp::Backward => Self::Backward,
                ComputeOp::Recompute => Self::Recompute,
            },
            Action::Overlap(_) => Self::Overlap,
            Action::Send(_) | Action::Recv(_) | Action::WaitSend(_) => Self::Communication,
            Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. } => Self::Collective,
            Action::OptimizerStep(_) => Self::Optimizer,
        }
    }

    /// One letter, for small boxes and as a name in style sheets. The language's own where it has
    /// one.
    pub(super) fn letter(self) -> char {
        match self {
            Self::Forward => 'F',
            Self::Recompute => 'R',
            Self::BackwardInput => 'I',
            Self::BackwardWeight => 'W',
            Self::Backward => 'B',
            Self::Overlap => 'O',
            Self::Communication => 'C',
            Self::Collective => 'G',
            Self::Optimizer => 'S',
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Recompute => "recompute",
            Self::BackwardInput => "backward of the input",
            Self::BackwardWeight => "backward of the weights",
            Self::Backward => "full backward",
            Self::Overlap => "forward and backward together",
            Self::Communication => "communication",
            Self::Collective => "collective",
            Self::Optimizer => "optimizer step",
        }
    }

    /// The category of a trace event.
    pub(super) fn category(self) -> &'static str {
        match self {
            Self::Forward
            | Self::Recompute
            | Self::BackwardInput
            | Self::BackwardWeight
            | Self::Backward
            | Self::Overlap => "compute",
            Self::Communication => "communication",
            Self::Collective => "collective",
            Self::Optimizer => "optimizer",
        }
    }

    pub(super) fn lane(self) -> Lane {
        match self {
            Self::Communication | Self::Collective => Lane::Beside,
            Self::Forward
            | Self::Recompute
            | Self::BackwardInput
            | Self::BackwardWeight
            | Self::Backward
            | Self::Overlap
            | Self::Optimizer => Lane::Rank,
        }
    }

    /// Fill and text on a light and on a dark page.
    ///
    /// The hues are those of torch's visualiser. The lightness of any two computations differs as
    /// well, so that they can be told apart without the hue; the text on each has a contrast of
    /// 4.5 at least (WCAG AA). Both are tested.
    pub(super) fn colors(self) -> Colors {
        let colors = |light, on_light, dark, on_dark| Colors { light, on_light, dark, on_dark };
        match self {
            Self::Forward => colors("#3a76c4", "#ffffff", "#4f87d6", "#0b0d10"),
            Self::Recompute => colors("#cfe0f6", "#10141a", "#d5e4f8", "#0b0d10"),
            Self::BackwardInput => colors("#86d8d0", "#10141a", "#86dcd2", "#0b0d10"),
            Self::BackwardWeight => colors("#0d6535", "#ffffff", "#2c7d4d", "#ffffff"),
            Self::Backward => colors("#f0a13a", "#10141a", "#eda23f", "#0b0d10"),
            Self::Overlap => colors("#a779d6", "#10141a", "#b289df", "#0b0d10"),
            Self::Communication => colors("#9aa1ab", "#10141a", "#7f8894", "#0b0d10"),
            Self::Collective => colors("#6d7480", "#ffffff", "#a9b1bc", "#0b0d10"),
            Self::Optimizer => colors("#4a4f58", "#ffffff", "#d0d5dc", "#0b0d10"),
        }
    }
}

/// What a box is filled with and written on in, as `#rrggbb`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colors {
    pub(super) light: &'static str,
    pub(super) on_light: &'static str,
    pub(super) dark: &'static str,
    pub(super) on_dark: &'static str,
}

/// The colours as CSS variables, `--F` to fill with and `--on-F` to write with.
pub(super) fn variables(pick: impl Fn(Colors) -> (&'static str, &'static str)) -> String {
    let mut css = String::new();
    for look in Look::ALL {
        let (fill, text) = pick(look.colors());
        let letter = look.letter();
        css.push_str(&format!("--{letter}:{fill};--on-{letter}:{text};"));
    }
    css
}
