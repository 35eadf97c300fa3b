//! Tests of the loops that all kernels are made of.

use half::bf16;

use super::{Matrix, Number, Real, add_product, max, product, put_product, sum, sum2, vectorised};

#[test]
fn exp_is_within_two_units_in_the_last_place() {
    let mut x = -87.3f32;
    while x < 88.37 {
        let (actual, expected) = (f64::from(Real::exp(x)), f64::from(x).exp());
        let error = (actual - expected).abs() / expected;
        assert!(error < 2. * f64::from(f32::EPSILON), "exp({x}) = {actual}, should be {expected}");
        x += 0.003_1;
    }
    assert_eq!(Real::exp(0f32), 1.);
    let mut x = -708.3f64;
    while x < 709.4 {
        let (actual, expected) = (Real::exp(x), x.exp());
        let error = (actual - expected).abs() / expected;
        assert!(error < 2. * f64::EPSILON, "exp({x}) = {actual}, should be {expected}");
        x += 0.031;
    }
    assert_eq!(Real::exp(0f64), 1.);
}

#[test]
fn tanh_is_within_three_units_in_the_last_place() {
    for i in -40_000..40_000i32 {
        let x = f64::from(i) / 3_000.;
        let (actual, expected) = (Real::tanh(x), x.tanh());
        let error = (actual - expected).abs();
        assert!(
            error <= 3. * f64::EPSILON * expected.abs(),
            "tanh({x}) = {actual}, not {expected}"
        );
        let x: f32 = Real::constant(x);
        let (actual, expected) = (f64::from(Real::tanh(x)), f64::from(x).tanh());
        let error = (actual - expected).abs();
        let limit = 3. * f64::from(f32::EPSILON) * expected.abs();
        assert!(error <= limit, "tanh({x}) = {actual}, not {expected}");
    }
    assert_eq!(
        [f32::NEG_INFINITY, -1e6, 0., 1e6, f32::INFINITY].map(Real::tanh),
        [-1., -1., 0., 1., 1.]
    );
    assert_eq!([f64::MIN, -1e-300, 1e-300, f64::MAX].map(Real::tanh), [-1., -1e-300, 1e-300, 1.]);
    assert!(Real::tanh(f32::NAN).is_nan() && Real::tanh(f64::NAN).is_nan());
}

#[test]
fn exp_at_the_ends_of_its_range() {
    assert_eq!(Real::exp(-88f32), 0.);
    assert_eq!(Real::exp(f32::MIN), 0.);
    assert_eq!(Real::exp(f32::NEG_INFINITY), 0.);
    assert_eq!(Real::exp(89f32), f32::INFINITY);
    assert_eq!(Real::exp(f32::INFINITY), f32::INFINITY);
    assert!(Real::exp(f32::NAN).is_nan());
    assert_eq!(Real::exp(-709f64), 0.);
    assert_eq!(Real::exp(f64::MIN), 0.);
    assert_eq!(Real::exp(f64::NEG_INFINITY), 0.);
    assert_eq!(Real::exp(710f64), f64::INFINITY);
    assert_eq!(Real::exp(f64::INFINITY), f64::INFINITY);
    assert!(Real::exp(f64::NAN).is_nan());
}

/// Distribution function and density with twenty digits; the smallest are almost subnormal.
const NORMAL: [(f64, f64, f64); 9] = [
    (-37.5, 4.605_353_009_581_955e-308, 1.728_233_732_284_105_2e-306),
    (-30., 4.906_713_927_148_187e-198, 1.473_646_134_878_547_5e-196),
    (-12.5, 3.732_564_298_877_713e-36, 4.695_195_357_975_146e-35),
    (-5., 2.866_515_718_791_939e-7, 1.486_719_514_734_297_7e-6),
    (-1., 0.158_655_253_931_457_05, 0.241_970_724_519_143_35),
    (-0.125, 0.450_261_775_169_887_1, 0.395_837_686_944_749_5),
    (0.75, 0.773_372_647_623_131_8, 0.301_137_432_154_804_4),
    (2., 0.977_249_868_051_820_8, 0.053_990_966_513_188_05),
    (6., 0.999_999_999_013_412_4, 6.075_882_849_823_285e-9),
];

#[test]
fn the_normal_distribution_is_within_a_few_units_in_the_last_place() {
    let assert_close = |what: &str, x: f64, [actual, expected]: [f64; 2], tolerance: f64| {
        let error = (actual - expected).abs() / expected;
        assert!(error < tolerance, "{what}({x}) = {actual}, should be {expected}: off by {error}");
    };
    for (x, below, density) in NORMAL {
        let actual = x.standard_normal();
        assert_close("distribution", x, [actual.0, below], 6. * f64::EPSILON);
        assert_close("density", x, [actual.1, density], 4. * f64::EPSILON);
    }
    let mut x = -13f32;
    while x < 14. {
        let (wide, actual) = (f64::from(x), Real::standard_normal(x));
        let below = 0.5 * candle_core::cpu::erf::erfc_f64(-wide * std::f64::consts::FRAC_1_SQRT_2);
        let epsilon = f64::from(f32::EPSILON);
        assert_close("distribution", wide, [actual.0.into(), below], 6. * epsilon);
        if x < 13. {
            let density = (-0.5 * wide * wide).exp() * 0.398_942_280_401_432_7;
            assert_close("density", wide, [actual.1.into(), density], 4. * epsilon);
        }
        x += 0.003_1;
    }
}

#[test]
fn the_normal_distribution_at_the_ends_of_its_range() {
    for x in [f32::NEG_INFINITY, f32::MIN, -14.] {
        assert_eq!(Real::standard_normal(x), (0., 0.));
        assert_eq!(Real::standard_normal(-x), (1., 0.));
        assert_eq!(Real::standard_normal(3. * f64::from(x)), (0., 0.));
        assert_eq!(Real::standard_normal(-3. * f64::from(x)), (1., 0.));
    }
    assert!((Real::standard_normal(0f32).0 - 0.5).abs() <= f32::EPSILON);
    assert!((Real::standard_normal(0f64).0 - 0.5).abs() <= f64::EPSILON);
    assert!(
        Real::standard_normal(f32::NAN).0.is_nan() && Real::standard_normal(f64::NAN).1.is_nan()
    );
}

#[test]
fn bfloat16_is_rounded_as_half_rounds_it() {
    let specials = [0, 1, 0x7f80_0000, 0x7f80_0001, 0x7fbf_ffff, 0x7fff_ffff, 0x7f7f_ffff];
    let spread = (0..200_000u32).map(|i| i.wrapping_mul(0x9e37_79b9));
    for bits in spread.chain(specials).flat_map(|bits| [bits, bits ^ 0x8000_0000]) {
        let x = f32::from_bits(bits);
        let (actual, expected) = (bf16::narrow(x), bf16::from_f32(x));
        assert_eq!(actual.to_bits(), expected.to_bits(), "{x} of bits {bits:x}");
        assert!(actual.wide() == expected.to_f32() || x.is_nan());
    }
}

/// The loops of several kernels over all lengths of a rest: whatever their result's bits are, they
/// are a hash of the order and rounding of every operation.
#[inline(always)]
fn many_loops<T: Real>(x: &[T], y: &[T]) -> Vec<f64> {
    let mut bits = Vec::new();
    for len in 0..x.len() {
        let (x, y) = (&x[..len], &y[..len]);
        bits.push(sum(x, |x| x.exp()).into());
        bits.push(sum2(x, y, |x, y| x * y + x / y).into());
        bits.push(sum(x, |x| x.standard_normal().0).into());
        bits.push(sum(x, |x| x.standard_normal().1).into());
        bits.push(max(x).into());
        let turned = x.iter().zip(y).map(|(&x, &y)| (x * y - y * x.exp()).into());
        bits.extend(turned);
    }
    bits
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    fn check<T: Real>(numbers: impl Fn(u32) -> T) {
        let x: Vec<T> = (0..150).map(|i| numbers(i * 7 + 1)).collect();
        let y: Vec<T> = (0..150).map(|i| numbers(i * 13 + 5)).collect();
        let best = vectorised(
            #[inline(always)]
            || many_loops(&x, &y),
        );
        let bits = |numbers: Vec<f64>| numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        // Called as it is, a loop is compiled for what every machine of this kind has.
        assert_eq!(bits(best), bits(many_loops(&x, &y)));
    }
    check(|i| f64::from(i % 97).sin() * 3.);
    #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
    check(|i| (f64::from(i % 97).sin() * 3.) as f32);
}

#[test]
fn reductions_take_every_number_once_at_any_length() {
    for len in 0..100u32 {
        let x: Vec<f64> = (1..=len).map(f64::from).collect();
        let n = f64::from(len);
        assert_eq!(sum(&x, |x| x), n * (n + 1.) / 2.);
        assert_eq!(sum2(&x, &x, |a, b| a * b), n * (n + 1.) * (2. * n + 1.) / 6.);
        assert_eq!(max(&x), if len == 0 { f64::NEG_INFINITY } else { n });
        let negative: Vec<f64> = x.iter().map(|x| -x).collect();
        assert_eq!(max(&negative), if len == 0 { f64::NEG_INFINITY } else { -1. });
    }
}

/// `a b` of whole numbers, which no order of additions changes.
fn naive(
    a: &[f64],
    b: &[f64],
    [m, n, k]: [usize; 3],
    at: impl Fn(usize, usize) -> usize,
) -> Vec<f64> {
    let number = |i: usize| {
        let (row, column) = (i / n, i % n);
        (0..k).map(|j| a[row * k + j] * b[at(j, column)]).sum()
    };
    (0..m * n).map(number).collect()
}

#[test]
fn products_are_written_and_added() {
    let whole = |len: usize| {
        (0..11u8).cycle().take(len).map(|i| f64::from(i * 7 % 11) - 5.).collect::<Vec<_>>()
    };
    for [m, n, k] in [[1, 1, 1], [3, 5, 7], [64, 33, 20], [5, 4, 0], [0, 4, 3], [4, 0, 3]] {
        let (a, b) = (whole(m * k), whole(n * k));
        let a_matrix = Matrix::of_rows(&a, m, k).unwrap();
        let turned = Matrix::of_rows(&b, n, k).unwrap().t();
        let expected = naive(&a, &b, [m, n, k], |j, column| column * k + j);
        let mut c = product(a_matrix, turned).unwrap();
        assert_eq!(c, expected);
        add_product(&mut c, a_matrix, turned).unwrap();
        assert_eq!(c, expected.iter().map(|c| 2. * c).collect::<Vec<_>>());
        put_product(&mut c, a_matrix, turned).unwrap();
        assert_eq!(c, expected);
        let straight = Matrix::of_rows(&b, k, n).unwrap();
        let expected = naive(&a, &b, [m, n, k], |j, column| j * n + column);
        assert_eq!(product(a_matrix, straight).unwrap(), expected);
    }
}

#[test]
fn products_take_as_many_threads_as_the_pool_has() {
    let numbers: Vec<f32> = (0..512 * 512u32).map(|i| (i % 97) as f32 - 48.).collect();
    let matrix = Matrix::of_rows(&numbers, 512, 512).unwrap();
    let run = |num_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
        pool.install(|| product(matrix, matrix.t()).unwrap())
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn matrices_that_do_not_fit_are_refused() {
    let numbers = [1f64; 12];
    assert!(Matrix::of_rows(&numbers, 3, 4).is_ok());
    let message = Matrix::of_rows(&numbers, 4, 4).err().unwrap().to_string();
    assert!(
        message.contains("a matrix of 4 x 4 with strides 4 and 1 does not fit into 12"),
        "{message}"
    );
    assert!(Matrix::new(&numbers, [2, 4], [8, 1]).is_ok());
    assert!(Matrix::new(&numbers, [2, 4], [9, 1]).is_err());
    assert!(Matrix::new(&numbers, [usize::MAX, 2], [usize::MAX, 1]).is_err());
    assert!(Matrix::new(&numbers, [2, 2], [1, usize::MAX]).is_err());
    let matrix = Matrix::of_rows(&numbers, 3, 4).unwrap();
    let message = product(matrix, matrix).err().unwrap().to_string();
    assert!(
        message.contains("a matrix of 3 x 4 cannot be multiplied by one of 3 x 4"),
        "{message}"
    );
    assert!(add_product(&mut [0.; 8], matrix, matrix.t()).is_err());
    assert!(put_product(&mut [0.; 10], matrix, matrix.t()).is_err());
}
