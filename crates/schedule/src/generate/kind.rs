//! The schedules that can be generated, under the names that torch has for them.

use std::fmt;
use std::str::FromStr;

use crate::listing::{and, excerpt};

/// A schedule that can be generated.
///
/// Its text is the name that torch's `get_schedule_class` takes, in any case; the names of torch's
/// classes are understood too.
///
/// # Examples
/// ```
/// use autopipe_schedule::Kind;
///
/// let kind: Kind = "1f1b".parse()?;
/// assert_eq!(kind.to_string(), "1F1B");
/// assert_eq!(kind.class_name(), "Schedule1F1B");
/// # Ok::<(), autopipe_schedule::UnknownKind>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// All forwards, then all backwards.
    GPipe,
    /// One backward for every forward as soon as there are gradients: 1F1B.
    OneFOneB,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::GPipe, Self::OneFOneB];

    /// The name of torch's class.
    #[must_use]
    pub fn class_name(self) -> &'static str {
        match self {
            Self::GPipe => "ScheduleGPipe",
            Self::OneFOneB => "Schedule1F1B",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::GPipe => "GPipe",
            Self::OneFOneB => "1F1B",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name under which nothing can be generated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownKind {
    /// A schedule that torch or NeMo AutoModel knows.
    #[error(
        "`{name}` is not generated yet, only {} are; its table can be read from torch's CSV",
        and(Kind::ALL)
    )]
    NotGenerated {
        /// The name.
        name: String,
    },
    /// No schedule at all.
    #[error("there is no schedule `{name}`, the schedules are {}{}", and(Kind::ALL), did_you_mean(.nearest))]
    NoSchedule {
        /// The name, cut short if it is long.
        name: String,
        /// The kind that it is most like, if it is much like one.
        nearest: Option<Kind>,
    },
}

/// The other schedules of torch, and the names that NeMo AutoModel's documentation has for them.
const NOT_GENERATED: [&str; 10] = [
    "Interleaved1F1B",
    "LoopedBFS",
    "InterleavedZeroBubble",
    "ZBVZeroBubble",
    "DualPipeV",
    "interleaved_1f1b",
    "looped_bfs",
    "zero_bubble",
    "v_schedule",
    "dfs",
];

fn did_you_mean(nearest: &Option<Kind>) -> String {
    nearest.map(|kind| format!("; did you mean {kind}?")).unwrap_or_default()
}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Takes torch's names and the names of its classes.
    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let is_named = |kind: &Self| {
            [kind.name(), kind.class_name()].iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        if let Some(kind) = Self::ALL.into_iter().find(is_named) {
            return Ok(kind);
        }
        let bare = name.get(..8).filter(|start| start.eq_ignore_ascii_case("schedule"));
        let bare = bare.map_or(name, |start| &name[start.len()..]);
        if NOT_GENERATED.iter().any(|known| known.eq_ignore_ascii_case(bare)) {
            return Err(UnknownKind::NotGenerated { name: name.to_owned() });
        }
        let name = excerpt(name);
        Err(UnknownKind::NoSchedule { nearest: nearest(&name), name })
    }
}

fn nearest(name: &str) -> Option<Kind> {
    let name = name.to_ascii_lowercase();
    let likeness = |kind: Kind| strsim::jaro_winkler(&name, &kind.name().to_ascii_lowercase());
    Kind::ALL
        .into_iter()
        .map(|kind| (likeness(kind), kind))
        .filter(|&(likeness, _)| likeness >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, kind)| kind)
}
