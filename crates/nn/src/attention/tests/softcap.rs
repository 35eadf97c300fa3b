//! Tests of attention whose scores are bounded.

use super::*;

const CAP: f64 = 0.8;

fn capped(mask: Mask) -> Attention {
    Attention::new(SCALE, mask).with_softcap(CAP)
}

/// Attention from scores that are bounded one by one.
fn slow(q: &Tensor, k: &Tensor, v: &Tensor, mask: Mask) -> Result<Tensor> {
    let group = q.dim(1)? / k.dim(1)?;
    let repeated = |x: &Tensor| {
        let (batch, heads, len, width) = x.dims4()?;
        x.unsqueeze(2)?.repeat((1, 1, group, 1, 1))?.reshape((batch, heads * group, len, width))
    };
    let scores = (q.matmul(&repeated(k)?.t()?)? * SCALE)?;
    let (_, _, queries, keys) = scores.dims4()?;
    let hidden = (0..queries).flat_map(|i| (0..keys).map(move |j| (i, j)));
    let hidden = hidden.map(|(i, j)| if sees(mask, i, j) { 0. } else { f64::NEG_INFINITY });
    let hidden = Tensor::from_vec(hidden.collect::<Vec<_>>(), (queries, keys), &Device::Cpu)?;
    // (e^2u - 1) / (e^2u + 1) is the hyperbolic tangent of u.
    let exp = (scores * (2. / CAP))?.exp()?;
    let bounded = (((&exp - 1.)? / (exp + 1.)?)? * CAP)?;
    let weights = bounded.broadcast_add(&hidden.to_dtype(q.dtype())?)?.exp()?;
    weights.broadcast_div(&weights.sum_keepdim(3)?)?.matmul(&repeated(v)?)
}

#[test]
fn both_forms_bound_the_scores_under_every_mask() {
    let none = Parameters::new();
    for (dtype, tolerance) in DTYPES {
        for (mask, queries, keys) in [
            (Mask::Causal, 5, 5),
            (Mask::Causal, 150, 150),
            (window(20), 300, 300),
            (Mask::Full, 70, 33),
            (Mask::Full, 3, 600),
        ] {
            let vars = variables(&Extent { heads: 4, kv_heads: 2, queries, keys }, dtype);
            let ([q, k, v], attention) = (&vars, capped(mask));
            let expected = || slow(q, k, v, mask);
            assert_agree(&[q, k, v], &none, tolerance, || attention.forward(q, k, v), expected);
            let composed = || composed(&attention, q, k, v);
            assert_agree(&[q, k, v], &none, tolerance, composed, expected);
        }
    }
}

#[test]
fn packed_documents_and_half_precision_are_bounded_too() {
    let none = Parameters::new();
    let lengths = [vec![100, 30, 20], vec![1, 149]];
    let segments = Segments::from_lengths(&lengths).unwrap();
    for mask in [Mask::Causal, Mask::Full, window(30)] {
        let attention = capped(mask);
        let extent = Extent { heads: 4, kv_heads: 2, queries: 150, keys: 150 };
        let vars = variables(&extent, DType::F64);
        let [q, k, v] = vars.each_ref().map(Var::as_tensor);
        let expected = || one_by_one(&attention, [q, k, v], &lengths);
        let fused = || attention.forward_packed(q, k, v, &segments);
        assert_agree(&vars.each_ref(), &none, 1e-12, fused, expected);

        let vars = variables(&extent, DType::BF16);
        let [q, k, v] = vars.each_ref().map(Var::as_tensor);
        let wide = |x: &Tensor| x.to_dtype(DType::F32);
        let expected = || slow(&wide(q)?, &wide(k)?, &wide(v)?, mask)?.to_dtype(DType::BF16);
        let fused = || attention.forward(q, k, v);
        assert_agree(&vars.each_ref(), &none, 0.01, fused, expected);
        let half = [q, k, v].map(|x| x.to_dtype(DType::F16).unwrap());
        let y = attention.forward(&half[0], &half[1], &half[2]).unwrap();
        assert_close("f16", &y, &expected().unwrap(), 0.01);
    }
}

#[test]
fn has_the_right_derivative() {
    for mask in [Mask::Causal, Mask::Full, window(2)] {
        let vars = variables(&Extent { heads: 2, kv_heads: 1, queries: 3, keys: 3 }, DType::F64);
        let attention = capped(mask);
        assert_derivative(&vars.each_ref(), &Parameters::new(), || {
            attention.forward(&vars[0], &vars[1], &vars[2])
        });
    }
}

#[test]
fn a_large_cap_changes_nothing_and_a_wrong_one_is_refused() {
    let x = random(&[1, 2, 4, 6], 1, DType::F64);
    let plain = Attention::new(SCALE, Mask::Causal);
    let y = plain.clone().with_softcap(1e8).forward(&x, &x, &x).unwrap();
    assert_close("output", &y, &plain.forward(&x, &x, &x).unwrap(), 1e-13);
    for cap in [0., -1., f64::NAN, f64::INFINITY] {
        let error = plain.clone().with_softcap(cap).forward(&x, &x, &x).unwrap_err().to_string();
        assert_eq!(error, format!("softcap must be positive, got {cap}"));
    }
}
