//! An exponential for f32 without branches or calls, so that loops over it become vector code.

/// Adding this to a small number leaves its nearest integer in the low bits of the sum: 1.5 * 2^23.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the product of the first with a small integer is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Below this the result would be subnormal.
const LOWEST: f32 = -87.336_54;
/// Above this the result would be infinite.
const HIGHEST: f32 = 88.376_26;

/// `e^x`, within two units in the last place; zero below -87.3, where the true value is subnormal,
/// and infinity above 88.37 (the true limit is 88.72).
///
/// `x = n ln 2 + r` with an integer `n` and `|r| <= ln 2 / 2`, so `e^x = 2^n e^r`: the power of two
/// is put together from its bits, and a polynomial (the coefficients are Cephes') gives `e^r`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let e_to_r = p * r * r + r + 1.0;
    let two_to_n = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let result = e_to_r * two_to_n;
    let result = if x < LOWEST { 0.0 } else { result };
    if x > HIGHEST { f32::INFINITY } else { result }
}
