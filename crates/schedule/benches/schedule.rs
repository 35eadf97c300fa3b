//! How fast the crate is at a size of everyday: interleaved 1F1B on 32 ranks with 2 stages each and
//! 256 microbatches, which are 32768 computations. Figures are in actions each second.
//!
//! `cargo bench -p autopipe-schedule --bench schedule`
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::hint::black_box;

use autopipe_schedule::lower::{Lowering, lower_with};
use autopipe_schedule::render::{Chart, html, trace};
use autopipe_schedule::search::{Chunks, Memory, Problem, StageCost, search};
use autopipe_schedule::{
    Action, Costs, Extent, Kind, Plan, Program, analyze, csv, generate, lower, simulate,
    simulate_plan, validate,
};
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, measurement::WallTime};

const EXTENT: Extent = Extent { num_ranks: 32, stages_per_rank: 2, num_microbatches: 256 };

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let plan = generate(Kind::InterleavedOneFOneB, &EXTENT).unwrap();
    let num_computes = count(plan.rows());
    let mut group = criterion.benchmark_group("plan");
    group.throughput(Throughput::Elements(num_computes));
    plans(&mut group, &plan);
    group.finish();

    let program = lower(&plan);
    let mut group = criterion.benchmark_group("program");
    group.throughput(Throughput::Elements(count(program.rows())));
    programs(&mut group, &plan, &program);
    group.finish();

    let mut group = criterion.benchmark_group("program with torch's passes");
    let full = lower_with(&plan, &Lowering::TORCH).unwrap();
    group.throughput(Throughput::Elements(count(full.rows())));
    group.bench_function("lower", |b| b.iter(|| lower_with(&plan, &Lowering::TORCH)));
    group.bench_function("validate", |b| {
        b.iter_batched(|| full.clone(), validate, BatchSize::LargeInput);
    });
    group.finish();

    let mut group = criterion.benchmark_group("text");
    texts(&mut group, &program);
    group.finish();
    searches(&mut criterion);
    criterion.final_summary();
}

fn count<T>(rows: &[Vec<T>]) -> u64 {
    u64::try_from(rows.iter().map(Vec::len).sum::<usize>()).unwrap()
}

fn plans(group: &mut BenchmarkGroup<'_, WallTime>, plan: &Plan) {
    group.bench_function("generate and prove", |b| {
        b.iter(|| generate(Kind::InterleavedOneFOneB, black_box(&EXTENT)));
    });
    group.bench_function("prove", |b| {
        b.iter_batched(|| plan.rows().to_vec(), Plan::from_rows, BatchSize::LargeInput);
    });
    group.bench_function("simulate", |b| b.iter(|| simulate_plan(plan, &Costs::UNIT)));
    group.bench_function("simulate with memory", |b| {
        b.iter(|| simulate_plan(plan, &Costs::UNIT).peak_activations());
    });
    let timeline = simulate_plan(plan, &Costs::UNIT);
    group.bench_function("analyze", |b| b.iter(|| analyze(&timeline, &Costs::UNIT)));
    let analysis = analyze(&timeline, &Costs::UNIT);
    let chart = Chart { title: "interleaved 1F1B", timeline: &timeline, analysis: &analysis };
    group.bench_function("draw as a page", |b| b.iter(|| html(&[chart])));
    group.bench_function("write as a trace", |b| b.iter(|| trace(&chart)));
}

fn programs(group: &mut BenchmarkGroup<'_, WallTime>, plan: &Plan, program: &Program) {
    group.bench_function("lower", |b| b.iter(|| lower(plan)));
    group.bench_function("validate", |b| {
        b.iter_batched(|| program.clone(), validate, BatchSize::LargeInput);
    });
    let valid = validate(program.clone()).unwrap();
    group.bench_function("simulate", |b| b.iter(|| simulate(&valid, &Costs::UNIT)));
}

fn texts(group: &mut BenchmarkGroup<'_, WallTime>, program: &Program) {
    let actions: Vec<String> = program.rows()[0].iter().map(Action::to_string).collect();
    group.throughput(Throughput::Elements(u64::try_from(actions.len()).unwrap()));
    group.bench_function("parse actions", |b| {
        b.iter(|| actions.iter().filter(|text| text.parse::<Action>().is_ok()).count());
    });
    let file = csv::program_to_string(program);
    group.throughput(Throughput::Elements(count(program.rows())));
    group.bench_function("read a CSV file", |b| b.iter(|| csv::read_program(file.as_bytes())));
    group.bench_function("write a CSV file", |b| b.iter(|| csv::program_to_string(program)));
}

/// Not in actions each second: how long one answer takes.
fn searches(criterion: &mut Criterion) {
    let problem = Problem {
        num_ranks: 8,
        chunks: Chunks::One,
        num_microbatches: 32,
        costs: vec![StageCost { forward: 29.8, input: 29.4, weight: 19.5 }; 8],
        latency: 0.6,
        memory: Memory { activation: 2, weight_input: 1, limits: vec![2 * 16; 8] },
        effort: Problem::EFFORT,
    };
    let mut group = criterion.benchmark_group("search");
    group.sample_size(10);
    group.bench_function("8 ranks, 32 microbatches, twice 1F1B's memory", |b| {
        b.iter(|| search(&problem));
    });
    group.finish();
}
