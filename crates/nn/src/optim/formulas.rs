//! The formulas, for the tests of their kernels: as a GPU has them, and as the CPU computes them.

use candle_core::{Tensor, Var};

use super::update::{Formula, update};
use super::{AdamWConfig, LionConfig, SgdConfig, adamw, lion, sgd};
use crate::gpu::GpuFormula;

/// A formula as a GPU has it, and a step of it on the CPU.
pub(crate) type Both = (GpuFormula, Box<dyn Fn(&Var, &Tensor, &Tensor)>);

fn both<const ROWS: usize>(formula: impl Formula<ROWS> + 'static) -> Both {
    let on_gpu = formula.on_gpu();
    (on_gpu, Box::new(move |var, grad, packed| update(&formula, var, grad, packed).unwrap()))
}

pub(crate) fn adamw_formula(config: &AdamWConfig, weight_decay: f64, lr: f64, step: u32) -> Both {
    both(adamw::AdamW::new(config, weight_decay, lr, step))
}

pub(crate) fn lion_formula(config: &LionConfig, weight_decay: f64, lr: f64) -> Both {
    both(lion::Lion::new(config, weight_decay, lr))
}

pub(crate) fn sgd_formula(weight_decay: f64, lr: f64) -> Both {
    both(sgd::Plain::new(weight_decay, lr))
}

pub(crate) fn momentum_formula(config: &SgdConfig, weight_decay: f64, lr: f64, step: u32) -> Both {
    both(sgd::Momentum::new(config, weight_decay, lr, step))
}
