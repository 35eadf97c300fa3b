//! A checked problem as flat numbers: what every candidate is evaluated against.

/// One kind of action of a rank. The microbatch is not part of it: every kind of a rank takes the
/// microbatches in their order, so the `n`-th `F0` of a row is that of microbatch `n`.
///
/// Nothing is lost by that. Whatever the numbering, the `n`-th step of a stage to start has at least
/// `n` steps of its maker before it, hence the maker's `n`-th. So any schedule can be numbered in
/// order without moving a step, and memory does not look at numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    F0,
    F1,
    I0,
    I1,
    W0,
    W1,
}

impl Step {
    /// How many kinds there are.
    pub(super) const NUM: usize = 6;

    /// The kind as an index.
    pub(super) fn index(self) -> usize {
        match self {
            Step::F0 => 0,
            Step::F1 => 1,
            Step::I0 => 2,
            Step::I1 => 3,
            Step::W0 => 4,
            Step::W1 => 5,
        }
    }

    /// Which of the rank's chunks it computes.
    pub(super) fn chunk(self) -> usize {
        match self {
            Step::F0 | Step::I0 | Step::W0 => 0,
            Step::F1 | Step::I1 | Step::W1 => 1,
        }
    }

    /// The weight half of an input half.
    pub(super) fn weight(self) -> Self {
        match self {
            Step::F0 | Step::I0 | Step::W0 => Step::W0,
            Step::F1 | Step::I1 | Step::W1 => Step::W1,
        }
    }

    /// Whether it computes a forward.
    pub(super) fn is_forward(self) -> bool {
        matches!(self, Step::F0 | Step::F1)
    }
}

/// The numbers of a problem, by rank.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) num_ranks: usize,
    /// 1, or 2 in a V.
    pub(super) num_chunks: usize,
    pub(super) num_microbatches: usize,
    /// By rank and [`Step::index`], what it takes.
    pub(super) durations: Vec<[f64; Step::NUM]>,
    pub(super) latency: f64,
    /// What a forward adds to the memory of its rank, until its I.
    pub(super) activation: u64,
    /// What is left of it from I to W, at most `activation`.
    pub(super) weight_input: u64,
    /// By rank, what memory may come to, at least `num_chunks` activations.
    pub(super) limits: Vec<u64>,
}

impl Instance {
    pub(super) fn num_stages(&self) -> usize {
        self.num_ranks * self.num_chunks
    }

    /// The stage of a rank's chunk: there, and in a V back.
    pub(super) fn stage(&self, rank: usize, chunk: usize) -> usize {
        if chunk == 0 { rank } else { 2 * self.num_ranks - 1 - rank }
    }

    /// The rank of a stage.
    pub(super) fn rank(&self, stage: usize) -> usize {
        if stage < self.num_ranks { stage } else { 2 * self.num_ranks - 1 - stage }
    }

    /// The chunk of a stage.
    pub(super) fn chunk(&self, stage: usize) -> usize {
        usize::from(stage >= self.num_ranks)
    }

    /// The time of a stage's F.
    pub(super) fn forward(&self, stage: usize) -> f64 {
        self.durations[self.rank(stage)][self.chunk(stage)]
    }

    /// The time of a stage's I.
    pub(super) fn input(&self, stage: usize) -> f64 {
        self.durations[self.rank(stage)][2 + self.chunk(stage)]
    }

    /// What a message from this stage to the next or back takes.
    pub(super) fn hop(&self, stage: usize) -> f64 {
        if stage + 1 == self.num_ranks && self.num_chunks == 2 { 0.0 } else { self.latency }
    }

    /// Whether a rank that keeps `memory`, within its limit, may keep so much more.
    pub(super) fn has_room(&self, rank: usize, memory: u64, more: u64) -> bool {
        self.limits[rank] - memory >= more
    }

    /// How many activations a rank may hold.
    pub(super) fn capacity(&self, rank: usize) -> usize {
        let most = self.num_microbatches * self.num_chunks;
        match self.limits[rank].checked_div(self.activation) {
            Some(held) => usize::try_from(held).unwrap_or(most).min(most),
            None => most,
        }
    }

    /// What a rank computes for all microbatches.
    pub(super) fn work(&self, rank: usize) -> f64 {
        let per_microbatch: f64 = (0..Step::NUM)
            .filter(|step| step % 2 < self.num_chunks)
            .map(|step| self.durations[rank][step])
            .sum();
        per_microbatch * count(self.num_microbatches)
    }
}

/// A count as a factor of a time.
pub(super) fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
