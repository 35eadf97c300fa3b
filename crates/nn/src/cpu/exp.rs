//! Exponentials without branches or calls, so that loops over them become vector code, and with
//! the same bits on every machine, which the C library's do not promise.

/// Adding this to a small number leaves its nearest integer in the low bits of the sum: 1.5 * 2^23.
const ROUND_F32: f32 = 12_582_912.0;
/// The same for f64: 1.5 * 2^52.
const ROUND_F64: f64 = 6_755_399_441_055_744.0;

/// `e^x`, within two units in the last place; zero below -87.3, where the true value is subnormal,
/// and infinity above 88.37 (the true limit is 88.72).
///
/// `x = n ln 2 + r` with an integer `n` and `|r| <= ln 2 / 2`, so `e^x = 2^n e^r`: the power of two
/// is put together from its bits, and a polynomial (the coefficients are Cephes') gives `e^r`.
/// ln 2 is in two parts, the first so short that its product with `n` is exact.
#[inline(always)]
pub(super) fn exp_f32(x: f32) -> f32 {
    let shifted = x * std::f32::consts::LOG2_E + ROUND_F32;
    let n = shifted - ROUND_F32;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let e_to_r = p * r * r + r + 1.0;
    let two_to_n = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let result = e_to_r * two_to_n;
    let result = if x < -87.336_54 { 0.0 } else { result };
    if x > 88.376_26 { f32::INFINITY } else { result }
}

/// The same for f64, with Taylor's polynomial; zero below -708.3 and infinity above 709.4 (the true
/// limit is 709.78).
#[inline(always)]
pub(super) fn exp_f64(x: f64) -> f64 {
    /// 1/13! to 1/2!.
    const TAYLOR: [f64; 12] = [
        1. / 6_227_020_800.,
        1. / 479_001_600.,
        1. / 39_916_800.,
        1. / 3_628_800.,
        1. / 362_880.,
        1. / 40_320.,
        1. / 5_040.,
        1. / 720.,
        1. / 120.,
        1. / 24.,
        1. / 6.,
        1. / 2.,
    ];
    let shifted = x * std::f64::consts::LOG2_E + ROUND_F64;
    let n = shifted - ROUND_F64;
    let r = x - n * 6.931_471_803_691_238e-1 - n * 1.908_214_929_270_587_7e-10;
    let mut p = 0.;
    for coefficient in TAYLOR {
        p = p * r + coefficient;
    }
    let e_to_r = p * r * r + r + 1.0;
    let two_to_n = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    let result = e_to_r * two_to_n;
    let result = if x < -708.3 { 0.0 } else { result };
    if x > 709.4 { f64::INFINITY } else { result }
}
