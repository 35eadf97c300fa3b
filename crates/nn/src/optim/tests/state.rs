//! What is remembered, saved and loaded again.

use candle_core::{DType, Tensor};

use super::{ADAMW, LION, RULES, optimizer};
use crate::Parameters;
use crate::optim::{MasterWeights, Optimizer, Rule, State};
use crate::oracle::{numbers, parameter, random};

/// Steps number `from` to `to` on gradients that depend on their number.
fn run(optimizer: &mut Optimizer, set: &Parameters, steps: std::ops::Range<u64>) {
    for step in steps {
        for (p, seed) in set.iter().zip(0..) {
            let grad = random(p.shape().dims(), 10 * step + seed, p.grad_dtype());
            p.set_grad(Some(grad));
        }
        optimizer.step(set, 0.1 / (step as f64 + 1.)).unwrap();
    }
}

fn parameters(dtype: DType) -> Parameters {
    let mut set = Parameters::new();
    parameter(&mut set, "matrix", &[7, 13], dtype);
    parameter(&mut set, "vector", &[5], dtype);
    set
}

#[test]
fn a_run_goes_on_from_its_state_to_the_bit() {
    for (rule, dtype) in
        RULES.iter().flat_map(|r| [DType::F32, DType::BF16, DType::F64, DType::F16].map(|d| (r, d)))
    {
        let unbroken = parameters(dtype);
        let mut optimizer = optimizer(*rule);
        run(&mut optimizer, &unbroken, 0..3);

        // As from files: values and states, by name.
        let mut resumed = Parameters::new();
        let mut other = super::optimizer(*rule);
        for p in &unbroken {
            let value = p.value().detach().copy().unwrap();
            let copy = resumed.add(p.name(), value, true).unwrap();
            let state = optimizer.state(p.name()).unwrap().unwrap();
            assert!(state.tensors.keys().all(|name| other.state_names(dtype).contains(&&**name)));
            other.load_state(&copy, &state).unwrap();
        }
        run(&mut optimizer, &unbroken, 3..6);
        run(&mut other, &resumed, 3..6);
        for (a, b) in unbroken.iter().zip(&resumed) {
            assert_eq!(numbers(a.value()), numbers(b.value()), "{rule:?} {dtype:?}");
            let [a, b] = [&optimizer, &other].map(|o| o.state(a.name()).unwrap().unwrap());
            assert_eq!((a.step, b.step), (6, 6));
            for (name, tensor) in &a.tensors {
                assert_eq!(numbers(tensor), numbers(&b.tensors[name]), "{rule:?} {name}");
            }
        }
        // Without the state it would not be the same run, if anything is remembered.
        let fresh = parameters(dtype);
        run(&mut super::optimizer(*rule), &fresh, 3..6);
        assert_ne!(
            numbers(fresh.iter().next().unwrap().value()),
            numbers(resumed.iter().next().unwrap().value())
        );
    }
}

#[test]
fn a_saved_state_does_not_change_with_later_steps() {
    let set = parameters(DType::BF16);
    let mut optimizer = optimizer(ADAMW);
    run(&mut optimizer, &set, 0..1);
    let state = optimizer.state("vector").unwrap().unwrap();
    let numbers_of = |state: &State| state.tensors.values().map(numbers).collect::<Vec<_>>();
    let before = numbers_of(&state);
    run(&mut optimizer, &set, 1..2);
    assert_eq!(numbers_of(&state), before);
    assert_ne!(numbers_of(&optimizer.state("vector").unwrap().unwrap()), before);
    assert!(optimizer.state("matrices").unwrap().is_none());
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let set = parameters(DType::F32);
    let vector = set.get("vector").unwrap();
    let mut adamw = optimizer(ADAMW);
    run(&mut adamw, &set, 0..2);
    let state = adamw.state("vector").unwrap().unwrap();
    let refused = |rule: Rule, state: &State| {
        optimizer(rule).load_state(vector, state).unwrap_err().to_string()
    };
    assert_eq!(
        refused(LION.into(), &state),
        "the optimiser's state of `vector` has `exp_avg`, `exp_avg_sq`, needs `exp_avg`; load one of \
         the same rule and the same kind of master weights"
    );
    let none = State { step: 1, tensors: Default::default() };
    assert!(refused(ADAMW.into(), &none).contains("has no tensors, needs `exp_avg`, `exp_avg_sq`"));
    let with = |tensor: Tensor| {
        let mut changed = state.clone();
        changed.tensors.insert("exp_avg_sq".to_owned(), tensor);
        refused(ADAMW.into(), &changed)
    };
    assert_eq!(
        with(random(&[6], 1, DType::F32)),
        "`exp_avg_sq` in the optimiser's state of `vector` has shape [6] and dtype F32, needs [5] \
         and F32"
    );
    assert!(with(random(&[5], 1, DType::F64)).ends_with("dtype F64, needs [5] and F32"));

    // What is remembered is as it was.
    let wrong = State { step: 9, ..none };
    assert!(adamw.load_state(vector, &wrong).is_err());
    assert_eq!(adamw.state("vector").unwrap().unwrap().step, 2);

    let half = parameters(DType::BF16);
    let message = adamw.load_state(half.get("vector").unwrap(), &state).unwrap_err().to_string();
    assert!(message.contains("needs `exp_avg`, `exp_avg_sq`, `master`"), "{message}");
    let mut without = optimizer(ADAMW).with_master_weights(MasterWeights::None);
    without.load_state(half.get("vector").unwrap(), &state).unwrap();
}

#[test]
fn another_parameter_of_the_same_name_is_refused() {
    let mut optimizer = optimizer(ADAMW);
    let mut first = Parameters::new();
    parameter(&mut first, "p", &[2, 3], DType::F32);
    run(&mut optimizer, &first, 0..1);
    for (dims, dtype) in [(&[3, 3][..], DType::F32), (&[2, 3], DType::BF16)] {
        let mut second = Parameters::new();
        let p = parameter(&mut second, "p", dims, dtype);
        p.set_grad(Some(random(dims, 1, DType::F32)));
        let message = optimizer.step(&second, 0.1).unwrap_err().to_string();
        let expected = format!(
            "the optimiser remembers a `p` of shape [2, 3] and dtype F32, not {dims:?} and \
             {dtype:?}; an optimiser knows parameters by their names"
        );
        assert_eq!(message, expected);
    }
}
