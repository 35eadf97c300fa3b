//! Finds the schedule that a name means, or says which names there are.

use std::str::FromStr;

use super::Kind;
use crate::listing::{and, excerpt};

/// A name under which nothing can be generated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownKind {
    /// A name in NeMo AutoModel's documentation that no implementation has ever had.
    #[error(
        "`{name}` is a name that NeMo AutoModel documents but no schedule stands for; the \
         schedules are {}, of which {} goes depth-first",
        and(Kind::ALL),
        Kind::InterleavedOneFOneB
    )]
    OnlyDocumented {
        /// The name.
        name: &'static str,
    },
    /// No schedule at all.
    #[error(
        "there is no schedule `{name}`, the schedules are {}{}",
        and(Kind::ALL),
        did_you_mean(.nearest)
    )]
    NoSchedule {
        /// The name, cut short if it is long.
        name: String,
        /// The kind that it is most like, if it is much like one.
        nearest: Option<Kind>,
    },
}

/// Papers call the order of interleaved 1F1B depth-first, and that of looped BFS breadth-first;
/// only the second name has ever been torch's.
const ONLY_DOCUMENTED: &str = "dfs";

fn did_you_mean(nearest: &Option<Kind>) -> String {
    nearest.map(|kind| format!("; did you mean {kind}?")).unwrap_or_default()
}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Takes names, those of torch's classes, and NeMo AutoModel's, all in any case.
    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let is_named = |kind: &Self| names(*kind).any(|known| known.eq_ignore_ascii_case(name));
        if let Some(kind) = Self::ALL.into_iter().find(is_named) {
            return Ok(kind);
        }
        if name.eq_ignore_ascii_case(ONLY_DOCUMENTED) {
            return Err(UnknownKind::OnlyDocumented { name: ONLY_DOCUMENTED });
        }
        let name = excerpt(name);
        Err(UnknownKind::NoSchedule { nearest: nearest(&name), name })
    }
}

fn names(kind: Kind) -> impl Iterator<Item = &'static str> {
    let aliases = kind.aliases().iter().copied();
    std::iter::once(kind.name()).chain(kind.class_name()).chain(aliases)
}

fn nearest(name: &str) -> Option<Kind> {
    let name = name.to_ascii_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&name, &known.to_ascii_lowercase());
    Kind::ALL
        .into_iter()
        .flat_map(|kind| names(kind).map(move |known| (kind, known)))
        .map(|(kind, known)| (likeness(known), kind))
        .filter(|&(likeness, _)| likeness >= 0.7)
        // Of equally near ones the first, so that torch's come before others.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, kind)| kind)
}
