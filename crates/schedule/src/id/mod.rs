//! The ids of the schedule language: ranks, stages and microbatches.

#[cfg(test)]
mod tests;

use std::fmt;

/// Two bytes an id, so that an [`Action`](crate::Action) takes eight.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Counted from 0 and printed as the bare number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u16);

        impl $name {
            /// How many there can be: every index is below it.
            pub const LIMIT: usize = 1 << 16;

            /// The id of an index that is known to be in range.
            ///
            /// # Panics
            /// If `index` is not below [`LIMIT`](Self::LIMIT); an index that comes from outside
            /// goes through [`try_new`](Self::try_new).
            #[must_use]
            #[track_caller]
            pub fn new(index: usize) -> Self {
                Self::try_new(index).expect("an index below the limit of its kind of id")
            }

            /// The id of an index, or none if it is not below [`LIMIT`](Self::LIMIT).
            #[must_use]
            pub fn try_new(index: usize) -> Option<Self> {
                u16::try_from(index).ok().map(Self)
            }

            /// The number, to index with.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// One of the workers that share out the model, each with a row of the schedule.
    Rank
}

id! {
    /// One of the consecutive parts that the model is cut into.
    Stage
}

id! {
    /// One of the equal parts that a step's batch is cut into.
    MicroBatch
}

impl Stage {
    /// The stage that takes this one's activations, unless the numbers end here.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// The stage that takes this one's gradients; the first has none.
    pub(crate) fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}
