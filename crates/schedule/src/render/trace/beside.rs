//! Two timelines of one schedule in one trace: what was measured, and below it what was predicted.

use serde_json::Value;

use super::super::Chart;
use super::{Thread, Threads, arrows, complete, counters, metadata, written};

/// Writes two timelines of the same ranks in the trace event format, with one clock: **one unit is one
/// millisecond**, as in [`trace`](super::trace).
///
/// Each rank is a process, in which the threads of the first timeline stand above those of the second;
/// they have the charts' titles. Arrows and counters are those of the first.
/// [`read_trace`](super::read_trace) reads the first timeline.
#[must_use]
pub fn trace_beside(first: &Chart<'_>, second: &Chart<'_>) -> String {
    let (mut events, mut timed) = (Vec::new(), Vec::new());
    // Threads are counted through all processes, for some readers ask for no more than their number.
    let mut next = Thread { process: process_of(0), thread: 1 };
    let mut places = [first, second].map(|_| Threads { of: Vec::new(), next });
    let num_ranks = first.timeline.rows().len().max(second.timeline.rows().len());
    for rank in 0..num_ranks {
        next.process = process_of(rank);
        events.push(metadata("process_name", next, "name", format!("rank {rank}").into()));
        events.push(metadata("process_sort_index", next, "sort_index", rank.into()));
        for (chart, threads) in [first, second].into_iter().zip(&mut places) {
            if let Some(row) = chart.timeline.rows().get(rank) {
                threads.next = next;
                threads.add(chart.title, row, &mut events);
                next = threads.next;
            }
        }
    }
    let [of_first, of_second] = places;
    for (rank, row) in first.timeline.rows().iter().enumerate() {
        for (step, span) in row.iter().enumerate() {
            timed.push(complete(first, rank, step, span, of_first.of(rank, step)));
        }
        counters(first, rank, process_of(rank), &mut timed);
    }
    arrows(first, &of_first, &mut timed);
    for (rank, row) in second.timeline.rows().iter().enumerate() {
        for (step, span) in row.iter().enumerate() {
            let mut event = complete(second, rank, step, span, of_second.of(rank, step));
            // By these a reader finds the actions of the one timeline of a trace.
            if let Some(args) = event.json.get_mut("args").and_then(Value::as_object_mut) {
                args.retain(|key, _| key != "rank" && key != "step");
            }
            timed.push(event);
        }
    }
    written(events, timed)
}

fn process_of(rank: usize) -> usize {
    rank + 1
}
