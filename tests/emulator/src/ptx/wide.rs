//! Sums and products rounded otherwise than to the nearest number, and those rounded to halves.

/// A sum as the nearest double and what that leaves out, both exact.
fn sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    let rest = (a - (sum - of_b)) + (b - of_b);
    (sum, if rest.is_nan() { 0. } else { rest })
}

/// A direction: to zero, down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toward {
    Zero,
    Down,
    Up,
}

/// The float beside the exact number `wide + rest` in a direction.
fn single(wide: f64, rest: f64, toward: Toward) -> f32 {
    let nearest = wide as f32;
    if !wide.is_finite() {
        return nearest;
    }
    let exact = f64::from(nearest);
    let (above, below) =
        (exact > wide || exact == wide && rest < 0., exact < wide || exact == wide && rest > 0.);
    match toward {
        Toward::Down if above => nearest.next_down(),
        Toward::Up if below => nearest.next_up(),
        Toward::Zero if above && exact > 0. => nearest.next_down(),
        Toward::Zero if below && exact < 0. => nearest.next_up(),
        _ => nearest,
    }
}

/// `a * b + c` of floats.
pub(crate) fn fused(a: f32, b: f32, c: f32, toward: Toward) -> f32 {
    let (wide, rest) = sum(f64::from(a) * f64::from(b), f64::from(c));
    single(wide, rest, toward)
}

/// The float beside a double in a direction.
pub(crate) fn narrowed(wide: f64, toward: Toward) -> f32 {
    single(wide, 0., toward)
}

/// `a + b` of doubles, toward zero.
pub(crate) fn sum_to_zero(a: f64, b: f64) -> f64 {
    let (sum, rest) = sum(a, b);
    if sum > 0. && rest < 0. {
        sum.next_down()
    } else if sum < 0. && rest > 0. {
        sum.next_up()
    } else {
        sum
    }
}

/// `a * b + c` of halves, as a double that rounds to what the exact number rounds to: where it is not
/// exact its last bit is one, so that it lies on no boundary.
pub(crate) fn fused_halves(a: f64, b: f64, c: f64) -> f64 {
    let (sum, rest) = sum(a * b, c);
    if rest == 0. || !sum.is_finite() || sum.to_bits() & 1 == 1 {
        return sum;
    }
    if rest > 0. { sum.next_up() } else { sum.next_down() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_kept() {
        let tiny = 2f32.powi(-60);
        assert_eq!(fused(1., 1., tiny, Toward::Down), 1.);
        assert_eq!(fused(1., 1., -tiny, Toward::Down), 1f32.next_down());
        assert_eq!(fused(1., 1., tiny, Toward::Up), 1f32.next_up());
        assert_eq!(fused(-1., 1., tiny, Toward::Zero), (-1f32).next_up());
        assert_eq!(narrowed(16_777_217., Toward::Up), 16_777_218.);
        assert_eq!(narrowed(16_777_217., Toward::Zero), 16_777_216.);
        assert_eq!(sum_to_zero(1., -1e-30), 1f64.next_down());
    }
}
