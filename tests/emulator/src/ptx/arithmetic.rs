//! What instructions compute of their operands, one by one: by name, modifiers and type.
//!
//! A function takes and gives the bits of registers. What is not here is not emulated.

use super::function::{Four, One, Three, Two};
use super::number::{BF16, F16, Number};
use super::wide::{self, Toward};

macro_rules! one {
    ($type:ty, |$a:ident| $body:expr) => {{
        fn run(a: u64) -> u64 {
            let $a = <$type>::of(a);
            Number::bits($body)
        }
        Some(run as One)
    }};
}

macro_rules! two {
    ($type:ty, |$a:ident, $b:ident| $body:expr) => {{
        fn run(a: u64, b: u64) -> u64 {
            let ($a, $b) = (<$type>::of(a), <$type>::of(b));
            Number::bits($body)
        }
        Some(run as Two)
    }};
}

macro_rules! three {
    ($type:ty, |$a:ident, $b:ident, $c:ident| $body:expr) => {{
        fn run(a: u64, b: u64, c: u64) -> u64 {
            let ($a, $b, $c) = (<$type>::of(a), <$type>::of(b), <$type>::of(c));
            Number::bits($body)
        }
        Some(run as Three)
    }};
}

/// One of the macros for whichever whole type it is.
macro_rules! whole {
    ($how:ident, $of:expr, $($closure:tt)*) => {
        match $of {
            "u16" | "b16" => $how!(u16, $($closure)*),
            "s16" => $how!(i16, $($closure)*),
            "u32" | "b32" => $how!(u32, $($closure)*),
            "s32" => $how!(i32, $($closure)*),
            "u64" | "b64" => $how!(u64, $($closure)*),
            "s64" => $how!(i64, $($closure)*),
            _ => None,
        }
    };
}

macro_rules! signed {
    ($how:ident, $of:expr, $($closure:tt)*) => {
        match $of {
            "s16" => $how!(i16, $($closure)*),
            "s32" => $how!(i32, $($closure)*),
            "s64" => $how!(i64, $($closure)*),
            _ => None,
        }
    };
}

macro_rules! halves {
    ($how:ident, $of:expr, |$($name:ident),*| $body:expr) => {
        match $of {
            "f16" => $how!(F16, |$($name),*| { $(let $name = $name.0;)* F16($body) }),
            "bf16" => $how!(BF16, |$($name),*| { $(let $name = $name.0;)* BF16($body) }),
            _ => None,
        }
    };
}

macro_rules! floats {
    ($how:ident, $of:expr, $($closure:tt)*) => {
        match $of {
            "f32" => $how!(f32, $($closure)*),
            "f64" => $how!(f64, $($closure)*),
            _ => None,
        }
    };
}

macro_rules! bits {
    ($how:ident, $of:expr, $($closure:tt)*) => {
        match $of {
            "pred" => $how!(bool, $($closure)*),
            _ => whole!($how, $of, $($closure)*),
        }
    };
}

/// Numbers too small for a normal float as zero, as `.ftz` has it.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

pub(super) fn one(name: &str, how: &[&str], of: &str) -> Option<One> {
    match (name, how) {
        ("mov" | "cvta", _) => match of {
            "f32" | "f64" | "f16" | "bf16" => {
                one(name, how, if of == "f64" { "b64" } else { "b32" })
            }
            _ => bits!(one, of, |a| a),
        },
        ("not", []) => bits!(one, of, |a| !a),
        ("neg", []) => match of {
            "f32" => one!(f32, |a| -a),
            "f64" => one!(f64, |a| -a),
            "f16" | "bf16" => one!(u16, |a| a ^ 0x8000),
            _ => signed!(one, of, |a| a.wrapping_neg()),
        },
        ("abs", []) => match of {
            "f32" => one!(f32, |a| a.abs()),
            "f64" => one!(f64, |a| a.abs()),
            "f16" | "bf16" => one!(u16, |a| a & 0x7fff),
            _ => signed!(one, of, |a| a.wrapping_abs()),
        },
        ("clz", []) => whole!(one, of, |a| a.leading_zeros()),
        ("popc", []) => whole!(one, of, |a| a.count_ones()),
        ("brev", []) => whole!(one, of, |a| a.reverse_bits()),
        ("sqrt", ["rn"]) => floats!(one, of, |a| a.sqrt()),
        ("rcp", ["rn"]) => floats!(one, of, |a| 1. / a),
        // The upper half of a double.
        ("rcp", ["approx", "ftz"]) if of == "f64" => {
            one!(f64, |a| f64::from_bits((1. / a).to_bits() & !0xffff_ffff))
        }
        (_, ["approx"]) if of == "f32" => approximate(name),
        (_, ["approx", "ftz"]) if of == "f32" => approximate_flushed(name),
        _ => None,
    }
}

/// Rounded once: the GPU's own approximations are not reproduced.
fn approximate(name: &str) -> Option<One> {
    match name {
        "sqrt" => one!(f32, |a| f64::from(a).sqrt() as f32),
        "rsqrt" => one!(f32, |a| (1. / f64::from(a).sqrt()) as f32),
        "rcp" => one!(f32, |a| (1. / f64::from(a)) as f32),
        "ex2" => one!(f32, |a| f64::from(a).exp2() as f32),
        "lg2" => one!(f32, |a| f64::from(a).log2() as f32),
        "sin" => one!(f32, |a| f64::from(a).sin() as f32),
        "cos" => one!(f32, |a| f64::from(a).cos() as f32),
        "tanh" => one!(f32, |a| f64::from(a).tanh() as f32),
        _ => None,
    }
}

fn approximate_flushed(name: &str) -> Option<One> {
    match name {
        "sqrt" => one!(f32, |a| flushed(f64::from(flushed(a)).sqrt() as f32)),
        "rsqrt" => one!(f32, |a| flushed((1. / f64::from(flushed(a)).sqrt()) as f32)),
        "rcp" => one!(f32, |a| flushed((1. / f64::from(flushed(a))) as f32)),
        "ex2" => one!(f32, |a| flushed(f64::from(flushed(a)).exp2() as f32)),
        "lg2" => one!(f32, |a| flushed(f64::from(flushed(a)).log2() as f32)),
        "sin" => one!(f32, |a| flushed(f64::from(flushed(a)).sin() as f32)),
        "cos" => one!(f32, |a| flushed(f64::from(flushed(a)).cos() as f32)),
        _ => None,
    }
}

pub(super) fn two(name: &str, how: &[&str], of: &str) -> Option<Two> {
    match (name, how) {
        ("add", []) if of.starts_with(['u', 's', 'b']) && of != "bf16" => {
            whole!(two, of, |a, b| a.wrapping_add(b))
        }
        ("sub", []) if of.starts_with(['u', 's', 'b']) && of != "bf16" => {
            whole!(two, of, |a, b| a.wrapping_sub(b))
        }
        ("mul", ["lo"]) => whole!(two, of, |a, b| a.wrapping_mul(b)),
        ("mul", ["hi"]) => match of {
            "u32" => two!(u32, |a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32),
            "s32" => two!(i32, |a, b| ((i64::from(a) * i64::from(b)) >> 32) as i32),
            "u64" => two!(u64, |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64),
            "s64" => two!(i64, |a, b| ((i128::from(a) * i128::from(b)) >> 64) as i64),
            _ => None,
        },
        ("mul", ["wide"]) => match of {
            "u16" => two!(u16, |a, b| u32::from(a) * u32::from(b)),
            "s16" => two!(i16, |a, b| i32::from(a) * i32::from(b)),
            "u32" => two!(u32, |a, b| u64::from(a) * u64::from(b)),
            "s32" => two!(i32, |a, b| i64::from(a) * i64::from(b)),
            _ => None,
        },
        // By zero: what GPUs have been seen to give.
        ("div", []) => whole!(two, of, |a, b| if b == 0 { !b } else { a.wrapping_div(b) }),
        ("rem", []) => whole!(two, of, |a, b| if b == 0 { a } else { a.wrapping_rem(b) }),
        ("min", []) if !of.contains('f') => whole!(two, of, |a, b| a.min(b)),
        ("max", []) if !of.contains('f') => whole!(two, of, |a, b| a.max(b)),
        ("and", []) => bits!(two, of, |a, b| a & b),
        ("or", []) => bits!(two, of, |a, b| a | b),
        ("xor", []) => bits!(two, of, |a, b| a ^ b),
        ("shl" | "shr", []) => shift(name, of),
        ("copysign", []) => floats!(two, of, |a, b| b.copysign(a)),
        ("add", [] | ["rn"]) => {
            either(of, floats!(two, of, |a, b| a + b), halves!(two, of, |a, b| a + b))
        }
        ("sub", [] | ["rn"]) => {
            either(of, floats!(two, of, |a, b| a - b), halves!(two, of, |a, b| a - b))
        }
        ("mul", [] | ["rn"]) => {
            either(of, floats!(two, of, |a, b| a * b), halves!(two, of, |a, b| a * b))
        }
        ("div", ["rn"]) => floats!(two, of, |a, b| a / b),
        ("div", ["approx" | "full"]) => match of {
            "f32" => two!(f32, |a, b| a / b),
            _ => None,
        },
        ("add", ["rz"]) => match of {
            "f32" => two!(f32, |a, b| wide::fused(a, 1., b, Toward::Zero)),
            "f64" => two!(f64, |a, b| wide::sum_to_zero(a, b)),
            _ => None,
        },
        // Of a number and none it is the number.
        ("min", []) => {
            either(of, floats!(two, of, |a, b| a.min(b)), halves!(two, of, |a, b| a.min(b)))
        }
        ("max", []) => {
            either(of, floats!(two, of, |a, b| a.max(b)), halves!(two, of, |a, b| a.max(b)))
        }
        ("min", ["NaN"]) => either(
            of,
            floats!(two, of, |a, b| if a.is_nan() {
                a
            } else if b.is_nan() || b < a {
                b
            } else {
                a
            }),
            halves!(two, of, |a, b| if a.is_nan() {
                a
            } else if b.is_nan() || b < a {
                b
            } else {
                a
            }),
        ),
        ("max", ["NaN"]) => either(
            of,
            floats!(two, of, |a, b| if a.is_nan() {
                a
            } else if b.is_nan() || b > a {
                b
            } else {
                a
            }),
            halves!(two, of, |a, b| if a.is_nan() {
                a
            } else if b.is_nan() || b > a {
                b
            } else {
                a
            }),
        ),
        _ => None,
    }
}

fn either<T>(of: &str, floats: Option<T>, halves: Option<T>) -> Option<T> {
    if of.ends_with("f16") { halves } else { floats }
}

/// By more than the width, nothing is left, or the sign.
fn shift(name: &str, of: &str) -> Option<Two> {
    macro_rules! by {
        ($type:ty, $shift:ident, $rest:expr) => {{
            fn run(a: u64, b: u64) -> u64 {
                let a = <$type>::of(a);
                let rest: fn($type) -> $type = $rest;
                Number::bits(a.$shift(b as u32).unwrap_or_else(|| rest(a)))
            }
            Some(run as Two)
        }};
    }
    match (name, of) {
        ("shl", "b16") => by!(u16, checked_shl, |_| 0),
        ("shl", "b32") => by!(u32, checked_shl, |_| 0),
        ("shl", "b64") => by!(u64, checked_shl, |_| 0),
        ("shr", "u16" | "b16") => by!(u16, checked_shr, |_| 0),
        ("shr", "u32" | "b32") => by!(u32, checked_shr, |_| 0),
        ("shr", "u64" | "b64") => by!(u64, checked_shr, |_| 0),
        ("shr", "s16") => by!(i16, checked_shr, |a| a >> 15),
        ("shr", "s32") => by!(i32, checked_shr, |a| a >> 31),
        ("shr", "s64") => by!(i64, checked_shr, |a| a >> 63),
        _ => None,
    }
}

pub(super) fn three(name: &str, how: &[&str], of: &str) -> Option<Three> {
    match (name, how) {
        ("mad", ["lo"]) => whole!(three, of, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        ("mad", ["wide"]) => {
            // The third operand is as wide as what comes out.
            fn unsigned(a: u64, b: u64, c: u64) -> u64 {
                (u64::from(a as u32) * u64::from(b as u32)).wrapping_add(c)
            }
            fn signed(a: u64, b: u64, c: u64) -> u64 {
                (i64::from(a as i32) * i64::from(b as i32)).wrapping_add(c as i64) as u64
            }
            match of {
                "u32" => Some(unsigned),
                "s32" => Some(signed),
                _ => None,
            }
        }
        ("fma", ["rn"]) => match of {
            "bf16x2" => Some(|a, b, c| {
                let of = |shift: u32| {
                    let [a, b, c] = [a, b, c].map(|pair| BF16::of(pair >> shift).0);
                    BF16(wide::fused_halves(a, b, c)).bits()
                };
                of(0) | of(16) << 16
            }),
            "f32" | "f64" => floats!(three, of, |a, b, c| a.mul_add(b, c)),
            _ => halves!(three, of, |a, b, c| wide::fused_halves(a, b, c)),
        },
        ("fma", ["rm"]) if of == "f32" => three!(f32, |a, b, c| wide::fused(a, b, c, Toward::Down)),
        ("fma", ["rp"]) if of == "f32" => three!(f32, |a, b, c| wide::fused(a, b, c, Toward::Up)),
        ("fma", ["rz"]) if of == "f32" => three!(f32, |a, b, c| wide::fused(a, b, c, Toward::Zero)),
        ("selp", []) => Some(|a, b, which| if which != 0 { a } else { b }),
        ("prmt", []) if of == "b32" => Some(|a, b, order| {
            let bytes = (a & 0xffff_ffff) | b << 32;
            let byte = |place: u64| {
                let choice = order >> (place * 4) & 15;
                let byte = bytes >> ((choice & 7) * 8) & 255;
                let byte = if choice & 8 == 0 { byte } else { (byte >> 7) * 255 };
                byte << (place * 8)
            };
            (0..4).map(byte).sum()
        }),
        // Of the pair the second is the upper half.
        ("shf", ["l", "wrap"]) if of == "b32" => {
            Some(|low, high, by| ((high << 32 | (low & 0xffff_ffff)) << (by & 31)) >> 32)
        }
        ("shf", ["r", "wrap"]) if of == "b32" => {
            Some(|low, high, by| (high << 32 | (low & 0xffff_ffff)) >> (by & 31) & 0xffff_ffff)
        }
        ("bfe", []) => match of {
            "u32" | "u64" => Some(|a, at, len| {
                let len = len & 255;
                let kept = if len >= 64 { u64::MAX } else { (1 << len) - 1 };
                a.checked_shr((at & 255) as u32).unwrap_or(0) & kept
            }),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn four(name: &str, how: &[&str], of: &str) -> Option<Four> {
    match (name, how, of) {
        ("bfi", [], "b32" | "b64") => Some(|put, into, at, len| {
            let (at, len) = ((at & 255).min(64) as u32, (len & 255).min(64) as u32);
            let mask = if len == 64 { u64::MAX } else { (1 << len) - 1 };
            let mask = mask.checked_shl(at).unwrap_or(0);
            (into & !mask) | (put.checked_shl(at).unwrap_or(0) & mask)
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_width() {
        assert_eq!(two("add", &[], "s32").unwrap()(u64::MAX, 2), 1);
        assert_eq!(two("sub", &[], "s16").unwrap()(0, 1), 0xffff);
        assert_eq!(two("shr", &[], "s32").unwrap()(0x8000_0000, 40), 0xffff_ffff);
        assert_eq!(two("div", &[], "u32").unwrap()(7, 0), 0xffff_ffff);
        assert_eq!(two("mul", &["wide"], "s32").unwrap()(u64::MAX, 2), (-2i64) as u64);
        assert_eq!(one("not", &[], "pred").unwrap()(1), 0);
        assert_eq!(
            three("prmt", &[], "b32").unwrap()(0x0403_0201, 0x0807_0605, 0x7531),
            0x0806_0402
        );
        let turn = |how| three("shf", &[how, "wrap"], "b32").unwrap();
        assert_eq!(turn("l")(0x8000_0001, 0x4000_0002, 33), 0x8000_0005);
        assert_eq!(turn("r")(0x8000_0001, 0x4000_0003, 1), 0xc000_0000);
        assert_eq!(four("bfi", &[], "b32").unwrap()(0xf, 0, 4, 2), 0x30);
    }

    #[test]
    fn floats_are_rounded_as_they_say() {
        let fma = three("fma", &["rn"], "bf16").unwrap();
        // 1 + 2^-8 lies between two numbers, and more than that nearer to the upper one.
        assert_eq!(fma(0x3f80, 0x3f80, 0x3b80), 0x3f80);
        assert_eq!(two("max", &["NaN"], "bf16").unwrap()(0x7fc0, 0x3f80), 0x7fff);
        assert_eq!(two("max", &[], "f32").unwrap()(0x7fc0_0000, 0x3f80_0000), 0x3f80_0000);
        assert_eq!(two("copysign", &[], "f32").unwrap()(0xbf80_0000, 0x4000_0000), 0xc000_0000);
        assert_eq!(one("ex2", &["approx", "ftz"], "f32").unwrap()(0xc316_0000), 0);
    }
}
