//! The schedules that can be generated, under the names that torch has for them.

use std::fmt;
use std::str::FromStr;

use crate::listing::{and, excerpt};

/// A schedule that can be generated.
///
/// Its text is the name that torch's `get_schedule_class` takes, in any case.
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

/// A name that no schedule has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no schedule `{name}`, the schedules are {}{}", and(Kind::ALL), did_you_mean(.nearest))]
pub struct UnknownKind {
    /// The name, cut short if it is long.
    pub name: String,
    /// The kind that it is most like, if it is much like one.
    pub nearest: Option<Kind>,
}

fn did_you_mean(nearest: &Option<Kind>) -> String {
    nearest.map(|kind| format!("; did you mean {kind}?")).unwrap_or_default()
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let same = |kind: &Self| kind.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(same).ok_or_else(|| {
            let name = excerpt(name);
            UnknownKind { nearest: nearest(&name), name }
        })
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
