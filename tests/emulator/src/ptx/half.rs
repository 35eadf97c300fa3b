//! Numbers of 16 bits, by their bits.

/// A number with its fraction cut to so many bits, ties to even, as bits of a float of 16.
fn narrow(number: f64, exponent_bits: u32, fraction_bits: u32) -> u16 {
    let sign = if number.is_sign_negative() { 1u16 << 15 } else { 0 };
    let most = (1u64 << exponent_bits) - 1;
    if number.is_nan() {
        return 0x7fff;
    }
    let bias = i64::from((1u32 << (exponent_bits - 1)) - 1);
    let bits = number.abs().to_bits();
    if bits == 0 {
        return sign;
    }
    let exponent = (bits >> 52) as i64 - 1023 + bias;
    let fraction = (bits & ((1 << 52) - 1)) | (1 << 52);
    // Below the smallest exponent the leading one is written out.
    let (shift, exponent) = if exponent <= 0 {
        ((52 - i64::from(fraction_bits)) + 1 - exponent, 0)
    } else {
        (52 - i64::from(fraction_bits), exponent)
    };
    if shift > 60 {
        return sign;
    }
    let (kept, lost) = (fraction >> shift, fraction & ((1 << shift) - 1));
    let half = 1u64 << (shift - 1);
    let kept = kept + u64::from(lost > half || lost == half && kept & 1 == 1);
    // A leading one that the exponent stands for adds one to it.
    let magnitude =
        if exponent == 0 { kept } else { (((exponent - 1) as u64) << fraction_bits) + kept };
    sign | magnitude.min(most << fraction_bits) as u16
}

pub(crate) fn to_f16(number: f64) -> u16 {
    narrow(number, 5, 10)
}

pub(crate) fn to_bf16(number: f64) -> u16 {
    narrow(number, 8, 7)
}

pub(crate) fn from_f16(bits: u16) -> f32 {
    let (exponent, fraction) = ((bits >> 10) & 31, f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0. => f32::INFINITY,
        31 => f32::NAN,
        _ => (1. + fraction / 1024.) * 2f32.powi(i32::from(exponent) - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

pub(crate) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_to_even() {
        assert_eq!(to_bf16(1.0), 0x3f80);
        assert_eq!(to_bf16(f64::from(f32::from_bits(0x3f80_8000))), 0x3f80);
        assert_eq!(to_bf16(f64::from(f32::from_bits(0x3f81_8000))), 0x3f82);
        assert_eq!(to_bf16(f64::from(f32::from_bits(0x3fff_ffff))), 0x4000);
        assert_eq!(to_bf16(f64::from(f32::MAX)), 0x7f80);
        assert_eq!(to_f16(65504.0), 0x7bff);
        assert_eq!(to_f16(65520.0), 0x7c00);
        assert_eq!(to_f16(-2f64.powi(-24)), 0x8001);
        assert_eq!(to_f16(2f64.powi(-25)), 0);
    }

    #[test]
    fn every_half_comes_back() {
        for bits in 0..=u16::MAX {
            let (f16, bf16) = (from_f16(bits), from_bf16(bits));
            assert!(f16.is_nan() || to_f16(f64::from(f16)) == bits, "{bits:#x}");
            assert!(bf16.is_nan() || to_bf16(f64::from(bf16)) == bits, "{bits:#x}");
        }
    }
}
