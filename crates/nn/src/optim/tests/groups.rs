//! Which constants a parameter is updated with.

use candle_core::DType;

use super::{ADAMW, SGD};
use crate::Parameters;
use crate::optim::{Group, Optimizer, Rule};
use crate::oracle::{numbers, parameter};

/// By what a step without any gradient multiplies each parameter, at a learning rate of 0.1.
fn kept(rule: impl Into<Rule>, groups: Vec<Group>, parameters: [(&str, &[usize]); 3]) -> [f64; 3] {
    let mut set = Parameters::new();
    let all = parameters.map(|(name, dims)| parameter(&mut set, name, dims, DType::F64));
    let before = all.each_ref().map(|p| numbers(p.value())[0]);
    for p in &all {
        p.set_grad(Some(p.value().detach().zeros_like().unwrap()));
    }
    Optimizer::new(rule, groups).unwrap().step(&set, 0.1).unwrap();
    let kept = [0, 1, 2].map(|i| numbers(all[i].value())[0] / before[i]);
    kept.map(|kept| (kept * 1e12).round() / 1e12)
}

const NAMES: [(&str, &[usize]); 3] =
    [("embedding.weight", &[2, 2]), ("up.weight", &[2, 2]), ("norm.weight", &[2])];

#[test]
fn vectors_do_not_decay_unless_a_group_says_so() {
    assert_eq!(kept(ADAMW, Vec::new(), NAMES), [0.97, 0.97, 1.]);
    assert_eq!(kept(SGD, Vec::new(), NAMES), [0.975, 0.975, 1.]);
    let norms = Group { weight_decay: Some(0.2), ..Group::new(|name| name.contains("norm")) };
    assert_eq!(kept(ADAMW, vec![norms], NAMES), [0.97, 0.97, 0.98]);
    // Without a decay of its own, a group has the rule's, for what is no vector.
    let fast = Group { lr_factor: 2., ..Group::new(|_| true) };
    assert_eq!(kept(ADAMW, vec![fast], NAMES), [0.94, 0.94, 1.]);
}

#[test]
fn the_first_group_that_matches_counts() {
    let none = Group { weight_decay: Some(0.), ..Group::new(|name| name.starts_with("embedding")) };
    let half = Group { lr_factor: 0.5, ..Group::new(|name| name.ends_with(".weight")) };
    assert_eq!(kept(ADAMW, vec![none.clone(), half.clone()], NAMES), [1., 0.985, 1.]);
    assert_eq!(kept(ADAMW, vec![half, none], NAMES), [0.985, 0.985, 1.]);
}

#[test]
fn constants_out_of_range_are_named() {
    let message = |group| Optimizer::new(ADAMW, vec![group]).unwrap_err().to_string();
    assert_eq!(
        message(Group { lr_factor: f64::NAN, ..Group::new(|_| true) }),
        "lr_factor of a group must be at least 0, got NaN"
    );
    assert_eq!(
        message(Group { weight_decay: Some(-0.1), ..Group::new(|_| true) }),
        "weight_decay of a group must be at least 0, got -0.1"
    );
}
