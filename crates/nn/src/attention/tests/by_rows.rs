//! Tests of attention some rows at a time.

use super::*;
use crate::attention::by_rows;

/// One row, a few, and more than there are.
const NUM_ROWS: [usize; 3] = [1, 7, 1000];

#[test]
fn any_number_of_rows_at_a_time_agrees_with_all_at_once() {
    let none = Parameters::new();
    for (dtype, tolerance) in DTYPES {
        for (mask, queries, keys) in [
            (Mask::Causal, 2, 2),
            (Mask::Causal, 40, 40),
            (window(5), 40, 40),
            (Mask::Full, 23, 11),
            (Mask::Full, 3, 60),
        ] {
            for attention in
                [Attention::new(SCALE, mask), Attention::new(SCALE, mask).with_softcap(0.8)]
            {
                let vars = variables(&Extent { heads: 4, kv_heads: 2, queries, keys }, dtype);
                let [q, k, v] = &vars;
                let slow = || composed(&attention, q, k, v);
                for num_rows in NUM_ROWS {
                    let blocks = || by_rows::forward_by(num_rows, &attention, [q, k, v], None);
                    assert_agree(&vars.each_ref(), &none, tolerance, blocks, slow);
                }
            }
        }
    }
}

#[test]
fn packed_documents_some_rows_at_a_time_do_not_see_each_other() {
    let none = Parameters::new();
    let lengths = [vec![3, 1, 4], vec![8]];
    let segments = Segments::from_lengths(&lengths).unwrap();
    let vars = variables(&Extent { heads: 4, kv_heads: 2, queries: 8, keys: 8 }, DType::F64);
    let [q, k, v] = vars.each_ref().map(Var::as_tensor);
    for mask in [Mask::Causal, Mask::Full, window(2)] {
        let attention = Attention::new(SCALE, mask);
        for num_rows in [1, 3, 8] {
            let blocks = || by_rows::forward_by(num_rows, &attention, [q, k, v], Some(&segments));
            let slow = || one_by_one(&attention, [q, k, v], &lengths);
            assert_agree(&vars.each_ref(), &none, 1e-11, blocks, slow);
        }
    }
}

#[test]
fn some_rows_at_a_time_have_the_right_derivative() {
    let vars = variables(&Extent { heads: 2, kv_heads: 1, queries: 5, keys: 5 }, DType::F64);
    for attention in
        [Attention::new(SCALE, Mask::Causal), Attention::new(SCALE, Mask::Full).with_softcap(0.8)]
    {
        assert_derivative(&vars.each_ref(), &Parameters::new(), || {
            by_rows::forward_by(2, &attention, [&vars[0], &vars[1], &vars[2]], None)
        });
    }
}

/// What nobody wants the gradient of has none, and without any there is no graph.
#[test]
fn gradients_are_those_that_are_wanted() {
    let [q, k, v] = variables(&Extent { heads: 2, kv_heads: 1, queries: 5, keys: 5 }, DType::F64);
    let attention = Attention::new(SCALE, Mask::Causal);
    let fixed = [k.as_detached_tensor(), v.as_detached_tensor()];
    let y = by_rows::forward_by(2, &attention, [&q, &fixed[0], &fixed[1]], None).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&q).is_some() && grads.get(&fixed[0]).is_none());
    let all = [&q.as_detached_tensor(), &fixed[0], &fixed[1]];
    assert!(!by_rows::forward_by(2, &attention, all, None).unwrap().track_op());
}
