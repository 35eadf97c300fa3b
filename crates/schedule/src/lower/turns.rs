//! Which ranks can act, lowest first.

/// The ranks that can act in this sweep over all ranks, and those that can in the next.
pub(super) struct Turns {
    current: Set,
    next: Set,
}

impl Turns {
    pub(super) fn new(num_ranks: usize) -> Self {
        Self { current: Set::new(num_ranks), next: Set::new(num_ranks) }
    }

    /// Whose turn it is, or none if nobody can act any more.
    pub(super) fn take(&mut self) -> Option<usize> {
        if let Some(rank) = self.current.take_first() {
            return Some(rank);
        }
        std::mem::swap(&mut self.current, &mut self.next);
        self.current.take_first()
    }

    /// A rank can act in the next sweep.
    pub(super) fn next_sweep(&mut self, rank: usize) {
        self.next.insert(rank);
    }

    /// A rank, not yet looked at, can act in this sweep.
    pub(super) fn this_sweep(&mut self, rank: usize) {
        self.current.insert(rank);
    }
}

/// A set of small numbers as a tree of bits: a bit of a level says whether the word below it has
/// any. So the lowest number is found in as many steps as there are levels, of which 65536 ranks
/// need three.
struct Set {
    /// The numbers themselves first, a single word last.
    levels: Vec<Vec<u64>>,
}

impl Set {
    fn new(size: usize) -> Self {
        let mut levels = Vec::new();
        let mut len = size;
        loop {
            len = len.div_ceil(64).max(1);
            levels.push(vec![0; len]);
            if len == 1 {
                return Self { levels };
            }
        }
    }

    fn insert(&mut self, mut number: usize) {
        for level in &mut self.levels {
            level[number / 64] |= 1 << (number % 64);
            number /= 64;
        }
    }

    fn take_first(&mut self) -> Option<usize> {
        let mut number = 0;
        for level in self.levels.iter().rev() {
            let bit = level[number].trailing_zeros();
            // Only the top can be empty: below it there is a number wherever its bit says so.
            if bit == u64::BITS {
                return None;
            }
            number = number * 64 + usize::try_from(bit).expect("a bit of a word is below 64");
        }
        let mut emptied = number;
        for level in &mut self.levels {
            let word = &mut level[emptied / 64];
            *word &= !(1 << (emptied % 64));
            if *word != 0 {
                break;
            }
            emptied /= 64;
        }
        Some(number)
    }
}
