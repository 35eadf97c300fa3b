//! The section `rng`, or the key `seed`: where randomness begins.

use crate::{
    choice::choices,
    section::{Fixed, Kind as _, Only, Reported, Section, Whole, section},
};

section! {
    /// Where randomness begins: the first weights and the order of the data.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Rng {
        /// Equal seeds give equal runs.
        seed: u64 = Whole.or(DEFAULT),
    }
}

const DEFAULT: u64 = 1111;

choices! {
    /// What NeMo draws random numbers with.
    pub(super) enum Generator("`_target_`") {
        /// Seeds for every library of Python.
        StatefulRng = "nemo_automodel.components.training.rng.StatefulRNG",
    }
}

const FIXED: &[Fixed] = &[Fixed {
    key: "ranked",
    only: &[Only::Flag(true), Only::Flag(false)],
    reason: "no random number depends on the rank: weights are drawn by name, and data is shared out",
}];

/// Reads the section and the key, of which either may give the seed.
pub(super) fn read(root: &mut Section<'_>) -> Result<Rng, Reported> {
    let short = root.field("seed", "The same as `rng.seed`.", Whole.optional());
    let in_section = root.within("rng", "", |section| {
        let is_written = section.is_set("seed");
        let target = section.target::<Generator>("What NeMo draws random numbers with.");
        let draft = Draft::keys(section);
        section.fixed(FIXED);
        target?;
        Ok((is_written, draft.settle()?))
    });
    let (short, (is_written, rng)) = (short?, in_section??);
    match short {
        Some(seed) if is_written && seed != rng.seed => {
            let message = format!("{seed} differs from `rng.seed` {}", rng.seed);
            Err(root.refuse("seed", message, "remove one of the two"))
        }
        Some(seed) => Ok(Rng { seed }),
        None => Ok(rng),
    }
}
