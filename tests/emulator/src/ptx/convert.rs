//! Conversions between types.

use super::function::One;
use super::half::{to_bf16, to_f16};
use super::number::{BF16, F16, Number};
use super::wide::{Toward, narrowed};

/// The conversion of a type to another; `how` it rounds, and whether it is cut to [0, 1].
pub(super) fn conversion(how: &[&str], to: &str, from: &str) -> Option<One> {
    macro_rules! run {
        ($from:ty, |$a:ident| $body:expr) => {{
            fn run(a: u64) -> u64 {
                let $a = <$from>::of(a);
                Number::bits($body)
            }
            Some(run as One)
        }};
    }
    macro_rules! whole_to {
        ($from:ty) => {
            match (how, to) {
                ([], "u8" | "b8") => run!($from, |a| a as u8),
                ([], "s8") => run!($from, |a| (a as i8) as i32),
                ([], "u16" | "b16") => run!($from, |a| a as u16),
                ([], "s16") => run!($from, |a| a as i16),
                ([], "u32" | "b32") => run!($from, |a| a as u32),
                ([], "s32") => run!($from, |a| a as i32),
                ([], "u64" | "b64") => run!($from, |a| a as u64),
                ([], "s64") => run!($from, |a| a as i64),
                (["rn"], "f32") => run!($from, |a| a as f32),
                (["rz"], "f32") => run!($from, |a| narrowed(a as f64, Toward::Zero)),
                (["rm"], "f32") => run!($from, |a| narrowed(a as f64, Toward::Down)),
                (["rp"], "f32") => run!($from, |a| narrowed(a as f64, Toward::Up)),
                (["rn"], "f64") => run!($from, |a| a as f64),
                (["rn"], "f16") => run!($from, |a| F16(a as f64)),
                (["rn"], "bf16") => run!($from, |a| BF16(a as f64)),
                _ => None,
            }
        };
    }
    /// A whole number of a float: what is too large is the largest, what is no number is zero.
    macro_rules! float_to {
        ($from:ty, $wide:expr) => {{
            fn wide(a: $from) -> f64 {
                let wide: fn($from) -> f64 = $wide;
                wide(a)
            }
            macro_rules! to_whole {
                ($round:expr) => {{
                    fn round(a: f64) -> f64 {
                        let round: fn(f64) -> f64 = $round;
                        round(a)
                    }
                    match to {
                        "u8" => run!($from, |a| round(wide(a)) as u8),
                        "s8" => run!($from, |a| (round(wide(a)) as i8) as i32),
                        "u16" => run!($from, |a| round(wide(a)) as u16),
                        "s16" => run!($from, |a| round(wide(a)) as i16),
                        "u32" => run!($from, |a| round(wide(a)) as u32),
                        "s32" => run!($from, |a| round(wide(a)) as i32),
                        "u64" => run!($from, |a| round(wide(a)) as u64),
                        "s64" => run!($from, |a| round(wide(a)) as i64),
                        "f32" => run!($from, |a| round(wide(a)) as f32),
                        "f64" => run!($from, |a| round(wide(a))),
                        "f16" => run!($from, |a| F16(round(wide(a)))),
                        "bf16" => run!($from, |a| BF16(round(wide(a)))),
                        _ => None,
                    }
                }};
            }
            match (how, to) {
                (["rzi"], _) => to_whole!(f64::trunc),
                (["rni"], _) => to_whole!(f64::round_ties_even),
                (["rmi"], _) => to_whole!(f64::floor),
                (["rpi"], _) => to_whole!(f64::ceil),
                (["rn"], "bf16") => run!($from, |a| to_bf16(wide(a))),
                (["rn"], "f16") => run!($from, |a| to_f16(wide(a))),
                ([] | ["rn"], "f32") => run!($from, |a| wide(a) as f32),
                (["rz"], "f32") => run!($from, |a| narrowed(wide(a), Toward::Zero)),
                (["rm"], "f32") => run!($from, |a| narrowed(wide(a), Toward::Down)),
                (["rp"], "f32") => run!($from, |a| narrowed(wide(a), Toward::Up)),
                ([], "f64") => run!($from, |a| wide(a)),
                // What is no number comes out as zero.
                (["sat"], "f32") => run!($from, |a| wide(a).max(0.).min(1.) as f32),
                (["sat"], "f64") => run!($from, |a| wide(a).max(0.).min(1.)),
                _ => None,
            }
        }};
    }
    match from {
        "u8" => whole_to!(u8),
        "s8" => whole_to!(i8),
        "u16" => whole_to!(u16),
        "s16" => whole_to!(i16),
        "u32" => whole_to!(u32),
        "s32" => whole_to!(i32),
        "u64" => whole_to!(u64),
        "s64" => whole_to!(i64),
        "f16" => float_to!(F16, |a| a.0),
        "bf16" => float_to!(BF16, |a| a.0),
        "f32" => float_to!(f32, f64::from),
        "f64" => float_to!(f64, |a| a),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(how: &[&str], to: &str, from: &str, bits: u64) -> u64 {
        conversion(how, to, from).unwrap()(bits)
    }

    #[test]
    fn signs_go_on() {
        assert_eq!(convert(&[], "s64", "s32", 0xffff_ffff), u64::MAX);
        assert_eq!(convert(&[], "u64", "u32", u64::MAX), 0xffff_ffff);
        assert_eq!(convert(&[], "s32", "s8", 0x80), 0xffff_ff80);
    }

    #[test]
    fn numbers_are_rounded_as_they_say() {
        assert_eq!(convert(&["rzi"], "s32", "f32", (-1.9f32).bits()), 0xffff_ffff);
        assert_eq!(convert(&["rzi"], "u32", "f32", (-1.9f32).bits()), 0);
        assert_eq!(convert(&["rni"], "f32", "f32", 2.5f32.bits()), 2f32.bits());
        assert_eq!(convert(&["rp"], "f32", "s32", 16_777_217), 16_777_218f32.bits());
        assert_eq!(convert(&["sat"], "f32", "f32", f32::NAN.bits()), 0);
        assert_eq!(convert(&["rn"], "bf16", "f32", 1f32.bits()), 0x3f80);
    }
}
