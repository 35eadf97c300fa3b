//! Compares two schedules at the costs of a real model, the 14.6 billion parameters of the Zero
//! Bubble paper on 16 ranks: how long they take, where the idle time comes from, and what decides it.
//! With a path, both become one page to look at.
//!
//! `cargo run -p autopipe-schedule --example compare_two -- page.html`
#![expect(clippy::print_stdout, reason = "an example shows what it finds")]

use std::error::Error;

use autopipe_schedule::render::{Chart, html};
use autopipe_schedule::{
    Analysis, Costs, Extent, Kind, Timeline, analyze, generate, lower, simulate, validate,
};

fn timed(kind: Kind, costs: &Costs) -> Result<(Timeline, Analysis), Box<dyn Error>> {
    let extent = Extent { num_ranks: 16, stages_per_rank: 1, num_microbatches: 48 };
    let program = validate(lower(&generate(kind, &extent)?))?;
    let timeline = simulate(&program, costs);
    let analysis = analyze(&timeline, costs);
    Ok((timeline, analysis))
}

fn main() -> Result<(), Box<dyn Error>> {
    // Milliseconds: forward, gradient of the inputs, gradient of the weights, a message's latency.
    let costs = Costs::uniform(11.347, 11.248, 8.132, 0.377)?;
    let kinds = [Kind::OneFOneB, Kind::ZbH1];
    let results = [timed(kinds[0], &costs)?, timed(kinds[1], &costs)?];

    for (kind, (timeline, analysis)) in kinds.iter().zip(&results) {
        println!("{kind}: {:.0} ms, bubble {:.4}", timeline.span(), timeline.bubble_rate());
        println!("  activations held: {:?}", timeline.peak_activations());
        let shown = [0, 8, 15].map(|rank| (rank, analysis.bubble[rank]));
        for (rank, idle) in shown {
            println!(
                "  rank {rank:2} idles {:5.0} ms before its first action, {:5.0} for other ranks, {:3.0} for \
                 messages, {:5.0} at the end",
                idle.warm_up, idle.dependency, idle.communication, idle.tail,
            );
        }
        let ranks = analysis.critical_path.iter().map(|place| place.rank);
        let mut visited: Vec<usize> = ranks.map(|rank| rank.index()).collect();
        visited.dedup();
        println!(
            "  critical path: {} actions, {} changes of rank\n",
            analysis.critical_path.len(),
            visited.len() - 1,
        );
    }

    if let Some(path) = std::env::args().nth(1).filter(|path| path.ends_with(".html")) {
        let titles = kinds.map(|kind| kind.to_string());
        let charts = [0, 1].map(|i| Chart {
            title: &titles[i],
            timeline: &results[i].0,
            analysis: &results[i].1,
        });
        std::fs::write(&path, html(&charts))?;
        println!("wrote {path}");
    }
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
