//! Timelines as a Chrome trace, which Perfetto and chrome://tracing open.

mod beside;
mod read;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

pub use beside::trace_beside;
pub use read::{TraceError, read_trace};
use serde_json::{Map, Value, json};

use super::Chart;
use super::look::{Lane, Look};
use crate::{Action, Place, Span};

/// The trace's own unit is the microsecond.
const MICROSECONDS: f64 = 1000.0;

/// Where an event is shown. Perfetto takes process 0 and thread 0 for the system's idle task, so both
/// are counted from 1.
#[derive(Clone, Copy)]
struct Thread {
    process: usize,
    thread: usize,
}

/// Writes a timeline in the trace event format (JSON object form).
///
/// **One unit of the timeline is one millisecond of the trace**, since costs are mostly measured in
/// milliseconds. Each rank is a thread with the name `rank 0`; sends, receives and collectives go
/// on beside its computations and have threads of their own below it, as many as go on at once.
/// Every action is a complete event (`X`) named as the language writes it, in the category
/// `compute`, `communication`, `collective` or `optimizer`. Arrows (`s` to `f`) lead from each send
/// to its receive, or where nothing is sent from a computation to those of other ranks that wait
/// for it. Counters (`C`) follow the live activations of each rank, and the live bytes: measured ones
/// if the spans have them, or else those of the costs if they name any. What a span says of sizes is
/// in its event's `args`, as `moved`, `held` and `peak`.
#[must_use]
pub fn trace(chart: &Chart<'_>) -> String {
    let mut events = Vec::new();
    let mut threads = Threads { of: Vec::new(), next: Thread { process: 1, thread: 1 } };
    events.push(metadata("process_name", threads.next, "name", chart.title.into()));
    for (rank, row) in chart.timeline.rows().iter().enumerate() {
        threads.add(&format!("rank {rank}"), row, &mut events);
    }
    let mut timed = Vec::new();
    for (rank, row) in chart.timeline.rows().iter().enumerate() {
        for (step, span) in row.iter().enumerate() {
            timed.push(complete(chart, rank, step, span, threads.of(rank, step)));
        }
        counters(chart, rank, threads.next.process, &mut timed);
    }
    arrows(chart, &threads, &mut timed);
    written(events, timed)
}

/// The file: what names processes and threads, then what happens in the order of time.
fn written(mut events: Vec<Value>, mut timed: Vec<Timed>) -> String {
    timed.sort_by(|a, b| a.time.total_cmp(&b.time).then(a.order.cmp(&b.order)));
    events.extend(timed.into_iter().map(|event| event.json));
    let mut text = String::from("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            text.push_str(",\n");
        }
        text.push_str(&event.to_string());
    }
    text.push_str("\n]}\n");
    text
}

/// An event with what it is sorted by.
///
/// A reader gives an arrow's end to the event that is open on its thread when it comes, so the
/// order of events at one time matters: arrows leave before the next event opens, and arrive after.
struct Timed {
    time: f64,
    order: Order,
    json: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    LeavesWhatHasLasted,
    Action,
    LeavesWhatTakesNoTime,
    Arrives,
    Counter,
}

/// Which thread shows which action.
struct Threads {
    of: Vec<Vec<Thread>>,
    next: Thread,
}

impl Threads {
    /// Gives a row's actions threads of this name in the process, after those that it has.
    fn add(&mut self, row_name: &str, row: &[Span], events: &mut Vec<Value>) {
        let tracks = tracks(row);
        let of_track =
            |track: usize| Thread { thread: self.next.thread + track, process: self.next.process };
        let num_tracks = tracks.iter().max().map_or(1, |last| last + 1);
        for track in 0..num_tracks {
            let name = match track {
                0 => row_name.to_owned(),
                1 => format!("{row_name} communication"),
                _ => format!("{row_name} communication {track}"),
            };
            let at = of_track(track);
            events.push(metadata("thread_name", at, "name", name.into()));
            events.push(metadata("thread_sort_index", at, "sort_index", at.thread.into()));
        }
        self.of.push(tracks.iter().map(|&track| of_track(track)).collect());
        self.next.thread += num_tracks;
    }

    fn of(&self, rank: usize, step: usize) -> Thread {
        self.of[rank][step]
    }
}

/// The track of each action of a row: 0 for what the rank does itself, and for the rest the first
/// further one that is free, since the events of a thread must not overlap. An event that starts
/// when another ends gets a track of its own too, or it would catch the other's arrow.
fn tracks(row: &[Span]) -> Vec<usize> {
    let mut tracks = vec![0; row.len()];
    let mut beside: Vec<usize> =
        (0..row.len()).filter(|&step| Look::of(row[step].action).lane() == Lane::Beside).collect();
    beside.sort_by(|&a, &b| row[a].start.total_cmp(&row[b].start));
    // Tracks by the bits of the time at which they are free, which sort as the times do.
    let mut busy: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let (mut free, mut num_tracks) = (BTreeSet::new(), 0);
    for step in beside {
        let Span { start, end, .. } = row[step];
        while let Some(&Reverse((until, track))) = busy.peek()
            && f64::from_bits(until) < start
        {
            busy.pop();
            free.insert(track);
        }
        let track = free.pop_first().unwrap_or_else(|| {
            num_tracks += 1;
            num_tracks
        });
        busy.push(Reverse((end.to_bits(), track)));
        tracks[step] = track;
    }
    tracks
}

fn metadata(name: &str, at: Thread, key: &str, value: Value) -> Value {
    let mut args = Map::new();
    args.insert(key.to_owned(), value);
    json!({ "name": name, "ph": "M", "pid": at.process, "tid": at.thread, "args": args })
}

fn complete(chart: &Chart<'_>, rank: usize, step: usize, span: &Span, at: Thread) -> Timed {
    let slack = chart.analysis.slack.get(rank).and_then(|row| row.get(step));
    let mut args = Map::new();
    args.insert("rank".to_owned(), rank.into());
    args.insert("step".to_owned(), step.into());
    args.insert("slack".to_owned(), slack.copied().into());
    let sizes = [
        ("moved", span.moved),
        ("held", span.held.map(|held| held.end)),
        ("peak", span.held.map(|held| held.peak)),
    ];
    let known = sizes.into_iter().filter_map(|(key, size)| Some((key, size?)));
    args.extend(known.map(|(key, size)| (key.to_owned(), size.into())));
    let json = json!({
        "name": span.action.to_string(),
        "cat": Look::of(span.action).category(),
        "ph": "X",
        "ts": span.start * MICROSECONDS,
        "dur": (span.end - span.start) * MICROSECONDS,
        "pid": at.process,
        "tid": at.thread,
        "args": args,
    });
    Timed { time: span.start, order: Order::Action, json }
}

/// The memory of a rank over time; bytes only if there are any.
fn counters(chart: &Chart<'_>, rank: usize, process: usize, timed: &mut Vec<Timed>) {
    let points = chart.analysis.memory.get(rank).map_or(&[][..], Vec::as_slice);
    let has_bytes = points.iter().any(|point| point.bytes > 0.0);
    let mut count = |time: f64, name: &str, key: &str, value: Value| {
        let mut args = Map::new();
        args.insert(key.to_owned(), value);
        let name = format!("rank {rank} {name}");
        let ts = time * MICROSECONDS;
        let json = json!({ "name": name, "ph": "C", "ts": ts, "pid": process, "args": args });
        timed.push(Timed { time, order: Order::Counter, json });
    };
    for point in points {
        count(point.time, "activations", "live", point.activations.into());
        if has_bytes {
            count(point.time, "memory", "bytes", point.bytes.into());
        }
    }
}

fn arrows(chart: &Chart<'_>, threads: &Threads, timed: &mut Vec<Timed>) {
    let mut num_arrows = 0_usize;
    for (rank, row) in chart.analysis.dependencies.iter().enumerate() {
        for (step, needs) in row.iter().enumerate() {
            let Some(span) = span(chart, rank, step) else { continue };
            for &Place { rank: from, step: from_step } in needs {
                let Some(cause) = span_of(chart, Place { rank: from, step: from_step }) else {
                    continue;
                };
                if from.index() == rank || !is_drawn(cause.action, span.action) {
                    continue;
                }
                let event = |phase: &str, time: f64, at: Thread, order: Order| {
                    let mut json = json!({
                        "name": "message", "cat": "flow", "ph": phase, "id": num_arrows,
                        "ts": time * MICROSECONDS, "pid": at.process, "tid": at.thread,
                    });
                    if phase == "f" {
                        // It ends at the event that is open, not at the next one.
                        json["bp"] = "e".into();
                    }
                    Timed { time, order, json }
                };
                let lasts = cause.end > cause.start;
                let order =
                    if lasts { Order::LeavesWhatHasLasted } else { Order::LeavesWhatTakesNoTime };
                timed.push(event("s", cause.end, threads.of(from.index(), from_step), order));
                // A receive has its tensors at its end; a computation had to have them at its start.
                let is_receive = matches!(span.action, Action::Recv(_));
                let arrival = if is_receive { span.end } else { span.start }.max(cause.end);
                timed.push(event("f", arrival, threads.of(rank, step), Order::Arrives));
                num_arrows += 1;
            }
        }
    }
}

fn span<'a>(chart: &Chart<'a>, rank: usize, step: usize) -> Option<&'a Span> {
    chart.timeline.rows().get(rank)?.get(step)
}

fn span_of<'a>(chart: &Chart<'a>, place: Place) -> Option<&'a Span> {
    span(chart, place.rank.index(), place.step)
}

/// Whether an arrow is worth drawing: messages, and what one computation gives another directly.
fn is_drawn(from: Action, to: Action) -> bool {
    let is_message = matches!((from, to), (Action::Send(_), Action::Recv(_)));
    is_message || (from.work().is_some() && to.work().is_some())
}
