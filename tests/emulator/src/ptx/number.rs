//! The numbers that registers hold, as types.

use super::half::{from_bf16, from_f16, to_bf16, to_f16};

/// A number in the lower bits of a register; the other bits are not looked at, and written as zeros.
pub(crate) trait Number: Copy {
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! whole {
    ($($type:ty as $unsigned:ty),*) => {
        $(impl Number for $type {
            fn of(bits: u64) -> Self {
                bits as Self
            }
            fn bits(self) -> u64 {
                self as $unsigned as u64
            }
        })*
    };
}
whole!(u8 as u8, i8 as u8, u16 as u16, i16 as u16, u32 as u32, i32 as u32, u64 as u64, i64 as u64);

impl Number for f32 {
    fn of(bits: u64) -> Self {
        Self::from_bits(bits as u32)
    }
    fn bits(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Number for f64 {
    fn of(bits: u64) -> Self {
        Self::from_bits(bits)
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// A predicate.
impl Number for bool {
    fn of(bits: u64) -> Self {
        bits != 0
    }
    fn bits(self) -> u64 {
        u64::from(self)
    }
}

/// As wide as what is computed with it: rounded once when it is written.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct F16(pub(crate) f64);

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct BF16(pub(crate) f64);

impl Number for F16 {
    fn of(bits: u64) -> Self {
        Self(f64::from(from_f16(bits as u16)))
    }
    fn bits(self) -> u64 {
        u64::from(to_f16(self.0))
    }
}

impl Number for BF16 {
    fn of(bits: u64) -> Self {
        Self(f64::from(from_bf16(bits as u16)))
    }
    fn bits(self) -> u64 {
        u64::from(to_bf16(self.0))
    }
}
