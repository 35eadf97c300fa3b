//! A step as a kernel for GPUs is that of the CPU.

use candle_core::{CpuStorage, DType, Var};

use crate::gpu::{assert_same, numbers_of};
use crate::optim::update::{Formula, update};
use crate::optim::{AdamWConfig, LionConfig, Lookahead, SgdConfig, adamw, lion, on_gpu, sgd};

fn check<const ROWS: usize>(formula: &impl Formula<ROWS>) {
    const NUM: usize = 531;
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let real = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        for rows in [ROWS, ROWS + 1].into_iter().filter(|&rows| rows > 0) {
            let what = format!("{} of {dtype:?}, {rows} rows", formula.on_gpu().name);
            let start = numbers_of(&[NUM], 3, dtype);
            let packed = numbers_of(&[rows, NUM], 11, real).abs().unwrap();
            let grad = numbers_of(&[NUM], 5, real);
            let both =
                [start.copy().unwrap(), start].map(|start| Var::from_tensor(&start).unwrap());
            let memories = [packed.copy().unwrap(), packed];
            update(formula, &both[0], &grad, &memories[0]).unwrap();
            on_gpu::step::<CpuStorage, ROWS>(formula, &both[1], &grad, &memories[1]).unwrap();
            assert_same(&both[1], &both[0], &format!("value by {what}"));
            assert_same(&memories[1], &memories[0], &format!("memory by {what}"));
        }
    }
}

#[test]
fn steps_on_a_gpu_are_those_of_the_cpu() {
    check(&adamw::AdamW::new(&AdamWConfig::default(), 0.1, 1e-2, 3));
    check(&lion::Lion::new(&LionConfig::default(), 0.1, 1e-2));
    check(&sgd::Plain::new(0.1, 1e-2));
    for (lookahead, step) in [(Lookahead::None, 1), (Lookahead::Nesterov, 2)] {
        let config = SgdConfig { momentum: 0.9, dampening: 0.1, lookahead, ..SgdConfig::default() };
        check(&sgd::Momentum::new(&config, 0.1, 1e-2, step));
    }
}
