//! How many numbers a forward keeps for its backward.

use std::ops::{Add, Mul};

use autopipe_splitter::{Cost, ElementType, Kept};

/// Numbers per token: the results of operations, which candle holds as long as the graph of the
/// backward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// What each tensor-parallel rank has all of.
    pub(crate) whole: usize,
    /// What they share out.
    pub(crate) cut: usize,
    /// What each has besides if there are several.
    pub(crate) added: usize,
}

impl Numbers {
    pub(crate) fn whole(whole: usize) -> Self {
        Self { whole, ..Self::default() }
    }

    pub(crate) fn cut(cut: usize) -> Self {
        Self { cut, ..Self::default() }
    }

    /// Copies that tensor-parallel ranks make: a layer that is cut begins with one of its input, and
    /// ends with the sum beside its own summand.
    pub(crate) fn added(added: usize) -> Self {
        Self { added, ..Self::default() }
    }

    /// As bytes.
    pub(crate) fn bytes(self, element: ElementType) -> Kept {
        let bytes = |numbers: usize| Cost::per_token((numbers * element.size_in_bytes()) as u64);
        let Self { whole, cut, added } = self;
        Kept { whole: bytes(whole), cut: bytes(cut), added: bytes(added) }
    }
}

impl Add for Numbers {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            whole: self.whole + other.whole,
            cut: self.cut + other.cut,
            added: self.added + other.added,
        }
    }
}

impl Mul<Numbers> for usize {
    type Output = Numbers;

    fn mul(self, numbers: Numbers) -> Numbers {
        let Numbers { whole, cut, added } = numbers;
        Numbers { whole: self * whole, cut: self * cut, added: self * added }
    }
}
