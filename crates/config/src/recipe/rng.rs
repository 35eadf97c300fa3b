//! The section `rng`: where randomness begins.

use crate::section::{Reported, Section, whole};

/// Where randomness begins: the first weights and the order of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rng {
    /// Equal seeds give equal runs.
    pub seed: u64,
}

impl Rng {
    pub(super) fn read(mut section: Section<'_>) -> Result<Self, Reported> {
        let seed = section.or("seed", 1111, whole);
        section.finish();
        Ok(Rng { seed: seed? })
    }
}
