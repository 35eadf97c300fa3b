//! Reads a table that torch wrote with `_dump_csv(path, format="compute_only")`, proves it, and makes
//! of it what torch's runtime would. Without a path it takes a DualPipeV of torch's own.
//!
//! `cargo run -p autopipe-schedule --example read_torch_csv -- schedule.csv`
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use std::error::Error;

use autopipe_schedule::lower::{Lowering, lower_observed};
use autopipe_schedule::{Costs, Program, Rank, csv, simulate, validate};

const DUAL_PIPE_V: &str = include_str!("../tests/golden/DualPipeV/pp4_v2_mb8.compute_only.csv");

fn main() -> Result<(), Box<dyn Error>> {
    let text = match std::env::args().nth(1).filter(|path| path.ends_with(".csv")) {
        Some(path) => std::fs::read_to_string(path)?,
        None => DUAL_PIPE_V.to_owned(),
    };
    // Either a plan, or all that is wrong with the file.
    let plan = csv::read_plan(text.as_bytes())?;
    println!(
        "{} ranks, {} stages, {} microbatches",
        plan.num_ranks(),
        plan.num_stages(),
        plan.num_microbatches()
    );
    for rank in (0..plan.num_ranks()).map(Rank::new) {
        let stages = plan.placement().stages_of(rank).iter().map(|stage| stage.to_string());
        println!("rank {rank} has the stages {}", stages.collect::<Vec<_>>().join(" and "));
    }

    println!("\ntorch's passes:");
    let count = |program: &Program| program.rows().iter().map(Vec::len).sum::<usize>();
    let program = lower_observed(&plan, &Lowering::TORCH, &mut |pass, program| {
        println!("  after {pass:<12} {:>4} actions", count(program));
    })?;
    let row: Vec<String> = program.rows()[0].iter().take(8).map(ToString::to_string).collect();
    println!("rank 0 begins with {}", row.join(" "));

    let valid = validate(program)?;
    let timeline = simulate(&valid, &Costs::UNIT);
    println!(
        "\ntakes {} if F, I and W take 1 each; {:.1}% of that even the busiest rank waits; activations by \
         rank {:?}",
        timeline.makespan(),
        100.0 * timeline.makespan_bubble_rate(),
        timeline.peak_activations(),
    );
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
