//! A schedule of your own, made by a few lines: 1F1B that starts one microbatch more, so that a slow
//! link delays nobody. Proves it, shows it, and says what the change costs and brings.
//!
//! `cargo run -p autopipe-schedule --example own_schedule`
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use std::error::Error;

use autopipe_schedule::{
    Compute, ComputeOp, Costs, MicroBatch, Plan, Stage, Work, simulate_plan, table,
};

const NUM_RANKS: usize = 4;
const NUM_MICROBATCHES: usize = 8;

/// What a rank computes if it starts `num_ahead` microbatches before its first backward.
fn row(rank: usize, num_ahead: usize) -> Vec<Work> {
    let work = |op, number| -> Work {
        Compute { op, stage: Stage::new(rank), microbatch: MicroBatch::new(number) }.into()
    };
    let num_ahead = num_ahead.min(NUM_MICROBATCHES);
    let mut row: Vec<Work> = (0..num_ahead).map(|m| work(ComputeOp::Forward, m)).collect();
    for microbatch in 0..NUM_MICROBATCHES {
        row.push(work(ComputeOp::Backward, microbatch));
        if num_ahead + microbatch < NUM_MICROBATCHES {
            row.push(work(ComputeOp::Forward, num_ahead + microbatch));
        }
    }
    row
}

fn main() -> Result<(), Box<dyn Error>> {
    let one_f_one_b = Plan::from_rows((0..NUM_RANKS).map(|r| row(r, NUM_RANKS - r)).collect())?;
    let eager = Plan::from_rows((0..NUM_RANKS).map(|r| row(r, 2 * (NUM_RANKS - r) - 1)).collect())?;
    print!("{}", table(&eager));

    // A message takes half as long as a forward.
    let costs = Costs::uniform(1.0, 1.0, 1.0, 0.5)?;
    println!("\n             time  bubble  activations by rank");
    for (name, plan) in [("1F1B", &one_f_one_b), ("eager 1F1B", &eager)] {
        let timeline = simulate_plan(plan, &costs);
        let (span, bubble) = (timeline.span(), 100.0 * timeline.bubble_rate());
        println!("{name:<10} {span:>6}  {bubble:>5.1}%  {:?}", timeline.peak_activations());
    }

    // And what happens to one that cannot work: rank 1 wants two forwards before its first backward,
    // rank 0 gives it the second only after that.
    let wrong = Plan::from_rows(vec![row(0, 1), row(1, 2)]);
    if let Err(violations) = wrong {
        println!("\n{violations}\n\n{}", violations.marked_table());
    }
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
