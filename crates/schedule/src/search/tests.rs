//! The bound against all schedules of small problems, and the way to it.

use super::fill::{Patience, fill};
use super::instance::{Instance, Step};
use super::{Chunks, Memory, Problem, StageCost, search};
use super::{bound, problem};

fn tiny(chunks: Chunks, num_ranks: usize, num_microbatches: usize, limit: u64) -> Problem {
    Problem {
        num_ranks,
        chunks,
        num_microbatches,
        costs: vec![
            StageCost { forward: 2.0, input: 3.0, weight: 1.0 };
            num_ranks * chunks.per_rank()
        ],
        latency: 0.5,
        memory: Memory { activation: 2, weight_input: 1, limits: vec![limit; num_ranks] },
        effort: 500_000,
    }
}

/// All orders of a rank's steps that keep F before I before W.
fn orders(num_microbatches: usize) -> Vec<Vec<Step>> {
    fn go(counts: [usize; 3], num: usize, row: &mut Vec<Step>, all: &mut Vec<Vec<Step>>) {
        if counts[2] == num {
            all.push(row.clone());
            return;
        }
        let highest = [num, counts[0], counts[1]];
        for (kind, step) in [Step::F0, Step::I0, Step::W0].into_iter().enumerate() {
            if counts[kind] < highest[kind] {
                let mut counts = counts;
                counts[kind] += 1;
                row.push(step);
                go(counts, num, row, all);
                row.pop();
            }
        }
    }
    let mut all = Vec::new();
    go([0; 3], num_microbatches, &mut Vec::new(), &mut all);
    all
}

/// The longest span of two ranks' rows, timed without any cleverness; none if they cannot run.
fn cost_of_two(rows: [&[Step]; 2], instance: &Instance) -> Option<f64> {
    let m = instance.num_microbatches;
    let mut ends = vec![[[None; 2]; 3]; m];
    let (mut next, mut now, mut start) = ([0; 2], [0.0_f64; 2], [f64::NAN; 2]);
    for _ in 0..6 * m {
        for rank in 0..2 {
            let Some(&step) = rows[rank].get(next[rank]) else { continue };
            let kind = step.index() / 2;
            let microbatch = rows[rank][..next[rank]].iter().filter(|&&done| done == step).count();
            let arrival: Option<f64> = match (step, rank) {
                (Step::F0, 0) => Some(0.0),
                (Step::F0, _) => ends[microbatch][0][0].map(|end: f64| end + instance.latency),
                (Step::I0, 0) => ends[microbatch][1][1].map(|end: f64| end + instance.latency),
                (Step::I0, _) => ends[microbatch][0][1],
                _ => ends[microbatch][1][rank],
            };
            let Some(arrival) = arrival else { continue };
            let from = now[rank].max(arrival);
            if next[rank] == 0 {
                start[rank] = from;
            }
            now[rank] = from + instance.durations[rank][step.index()];
            ends[microbatch][kind][rank] = Some(now[rank]);
            next[rank] += 1;
        }
    }
    let is_done = next == [3 * m; 2];
    is_done.then(|| f64::max(now[0] - start[0], now[1] - start[1]))
}

fn fits(row: &[Step], limit: u64) -> bool {
    let mut held: u64 = 0;
    row.iter().all(|step| {
        held = if step.is_forward() { held + 2 } else { held - 1 };
        held <= limit
    })
}

/// Every schedule of two ranks and up to three microbatches: none is below the bound, and the
/// search finds the best.
#[test]
fn no_schedule_of_two_ranks_is_below_the_bound_or_better_than_what_is_found() {
    for num_microbatches in 1..=3 {
        for limit in 2..=6 {
            let problem = tiny(Chunks::One, 2, num_microbatches, limit);
            let instance = problem::check(&problem).unwrap();
            let rows: Vec<Vec<Step>> =
                orders(num_microbatches).into_iter().filter(|row| fits(row, limit)).collect();
            let pairs = rows.iter().flat_map(|first| rows.iter().map(move |last| [first, last]));
            let best = pairs
                .filter_map(|[first, last]| cost_of_two([first, last], &instance))
                .fold(f64::INFINITY, f64::min);
            let what = format!("{num_microbatches} microbatches within {limit}");
            assert!(bound::lower_bound(&instance) <= best, "{what}");
            assert_eq!(search(&problem).unwrap().cost, best, "{what}");
        }
    }
}

#[test]
fn the_bound_of_zb_1p_is_its_bubble() {
    // (p - 1) (F + I - W) and the messages of the two waits.
    let instance = problem::check(&tiny(Chunks::One, 4, 12, 8)).unwrap();
    assert_eq!(bound::lower_bound(&instance), 12.0 * 6.0 + 3.0 * (2.0 + 3.0 - 1.0) + 12.0 * 0.5);
}

#[test]
fn little_room_bounds_the_throughput() {
    // With room for one, every microbatch of the first rank goes its way alone.
    let instance = problem::check(&tiny(Chunks::One, 4, 12, 2)).unwrap();
    let way = 4.0 * (2.0 + 3.0) + 6.0 * 0.5;
    assert_eq!(bound::lower_bound(&instance), 12.0 * (way + 0.5));
}

#[test]
fn rows_that_wait_for_each_other_or_do_not_fit_are_not_filled() {
    use Step::{F0, I0};
    let instance = problem::check(&tiny(Chunks::One, 2, 2, 2)).unwrap();
    let patience = [Patience { least_gap: 0.0, most_waiting: usize::MAX }; 2];
    let one_by_one = vec![F0, I0, F0, I0];
    assert!(fill(&instance, &[one_by_one.clone(), one_by_one.clone()], &patience).is_some());
    let two = vec![F0, F0, I0, I0];
    assert!(fill(&instance, &[two.clone(), one_by_one.clone()], &patience).is_none());
    let instance = problem::check(&tiny(Chunks::One, 2, 2, 4)).unwrap();
    assert!(fill(&instance, &[one_by_one, two], &patience).is_none());
}

#[test]
fn memory_is_counted_to_the_largest_number() {
    let within = |chunks, activation, limit| {
        let memory = Memory { activation, weight_input: activation, limits: vec![limit; 2] };
        search(&Problem { memory, effort: 100_000, ..tiny(chunks, 2, 3, 0) })
    };
    assert_eq!(within(Chunks::One, u64::MAX, u64::MAX).unwrap().peaks, [u64::MAX; 2]);
    let half = u64::MAX / 2;
    assert_eq!(within(Chunks::V, half, u64::MAX).unwrap().peaks, [2 * half; 2]);
    assert_eq!(
        within(Chunks::V, half + 1, u64::MAX).unwrap_err().to_string(),
        "2 activations of 9223372036854775808 are more than any limit, which goes up to \
         18446744073709551615; use a larger unit"
    );
}
