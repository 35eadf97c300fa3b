//! Comparisons.
#![allow(
    clippy::neg_cmp_op_on_partial_ord,
    clippy::double_comparisons,
    clippy::eq_op,
    reason = "what is no number is neither equal nor unequal, and one type has it and another not"
)]

use super::function::Two;
use super::number::{BF16, F16, Number};

/// Whether `a` and `b` are as a comparison of a type says. Those that end with `u` are true of what is
/// no number.
pub(super) fn comparison(name: &str, of: &str) -> Option<Two> {
    macro_rules! how {
        ($type:ty, |$a:ident, $b:ident| $body:expr) => {{
            fn run(a: u64, b: u64) -> u64 {
                let ($a, $b) = (<$type>::of(a), <$type>::of(b));
                u64::from($body)
            }
            Some(run as Two)
        }};
    }
    macro_rules! whole {
        ($type:ty) => {
            match name {
                "eq" => how!($type, |a, b| a == b),
                "ne" => how!($type, |a, b| a != b),
                "lt" | "lo" => how!($type, |a, b| a < b),
                "le" | "ls" => how!($type, |a, b| a <= b),
                "gt" | "hi" => how!($type, |a, b| a > b),
                "ge" | "hs" => how!($type, |a, b| a >= b),
                _ => None,
            }
        };
    }
    macro_rules! float {
        ($type:ty) => {
            match name {
                "eq" => how!($type, |a, b| a == b),
                "ne" => how!($type, |a, b| a < b || a > b),
                "lt" => how!($type, |a, b| a < b),
                "le" => how!($type, |a, b| a <= b),
                "gt" => how!($type, |a, b| a > b),
                "ge" => how!($type, |a, b| a >= b),
                "equ" => how!($type, |a, b| !(a < b || a > b)),
                "neu" => how!($type, |a, b| a != b),
                "ltu" => how!($type, |a, b| !(a >= b)),
                "leu" => how!($type, |a, b| !(a > b)),
                "gtu" => how!($type, |a, b| !(a <= b)),
                "geu" => how!($type, |a, b| !(a < b)),
                "num" => how!($type, |a, b| a == a && b == b),
                "nan" => how!($type, |a, b| a != a || b != b),
                _ => None,
            }
        };
    }
    match of {
        "u16" | "b16" => whole!(u16),
        "s16" => whole!(i16),
        "u32" | "b32" => whole!(u32),
        "s32" => whole!(i32),
        "u64" | "b64" => whole!(u64),
        "s64" => whole!(i64),
        "f16" => float!(F16),
        "bf16" => float!(BF16),
        "f32" => float!(f32),
        "f64" => float!(f64),
        _ => None,
    }
}

/// One as a comparison's result is written in a type, if it is true.
pub(super) fn truth(of: &str) -> Option<u64> {
    match of {
        "f32" => Some(1f32.bits()),
        "f16" => Some(F16(1.).bits()),
        "bf16" => Some(BF16(1.).bits()),
        "u32" | "s32" => Some(0xffff_ffff),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_unordered() {
        let (nan, one) = (f32::NAN.bits(), 1f32.bits());
        for (name, expected) in
            [("lt", 0), ("geu", 1), ("eq", 0), ("neu", 1), ("ne", 0), ("nan", 1)]
        {
            assert_eq!(comparison(name, "f32").unwrap()(nan, one), expected, "{name}");
        }
        assert_eq!(comparison("lt", "s32").unwrap()(0xffff_ffff, 0), 1);
        assert_eq!(comparison("lt", "u32").unwrap()(0xffff_ffff, 0), 0);
    }
}
