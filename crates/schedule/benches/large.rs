//! The largest case that anybody runs: interleaved 1F1B on 1024 ranks with 2 stages each and 4096
//! microbatches, which are 16.8 million computations, and with sends and receives 50 million
//! actions. Takes minutes and 4 GB.
//!
//! `cargo bench -p autopipe-schedule --bench large`
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::time::Duration;

use autopipe_schedule::lower::{Lowering, lower_with};
use autopipe_schedule::{Costs, Extent, Kind, generate, lower, simulate_plan, validate};
use criterion::{Criterion, SamplingMode, Throughput};

const EXTENT: Extent = Extent { num_ranks: 1024, stages_per_rank: 2, num_microbatches: 4096 };

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let plan = || generate(Kind::InterleavedOneFOneB, &EXTENT).unwrap();
    let mut group = criterion.benchmark_group("1024 ranks, 4096 microbatches, 2 stages each");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(20));

    group.throughput(Throughput::Elements(2 * 2 * 1024 * 4096));
    group.bench_function("generate and prove", |b| b.iter(plan));
    group.bench_function("generate, prove and simulate with memory", |b| {
        b.iter(|| simulate_plan(&plan(), &Costs::UNIT).peak_activations());
    });
    let plan = plan();
    group.bench_function("simulate with memory", |b| {
        b.iter(|| simulate_plan(&plan, &Costs::UNIT).peak_activations());
    });
    group.bench_function("lower and validate", |b| b.iter(|| validate(lower(&plan)).unwrap()));
    group.bench_function("lower with torch's passes and validate", |b| {
        b.iter(|| validate(lower_with(&plan, &Lowering::TORCH).unwrap()).unwrap());
    });
    group.finish();
    criterion.final_summary();
}
