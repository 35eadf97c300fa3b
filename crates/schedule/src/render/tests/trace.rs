//! Traces, read as a viewer of traces reads them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{chart, small};
use crate::render::{Chart, read_trace, trace, trace_beside};
use crate::{Costs, analyze, simulate, validate};

fn events(trace: &str) -> Vec<Value> {
    let trace: Value = serde_json::from_str(trace).unwrap();
    trace["traceEvents"].as_array().unwrap().clone()
}

#[test]
fn a_trace_has_every_action_at_its_time() {
    let small = small(0.5);
    let events = events(&trace(&chart("1F1B", &small)));
    let of_phase = |phase: &str| events.iter().filter(|e| e["ph"] == phase).collect::<Vec<_>>();
    let num_actions: usize = small.0.rows().iter().map(Vec::len).sum();
    let complete = of_phase("X");
    assert_eq!(complete.len(), num_actions);
    for event in &complete {
        let rank = usize::try_from(event["args"]["rank"].as_u64().unwrap()).unwrap();
        let step = usize::try_from(event["args"]["step"].as_u64().unwrap()).unwrap();
        let span = small.0.rows()[rank][step];
        assert_eq!(event["name"], span.action.to_string());
        assert_eq!(event["ts"], span.start * 1000.0);
        assert_eq!(event["dur"], (span.end - span.start) * 1000.0);
        let is_work = span.action.work().is_some();
        assert_eq!(event["cat"], if is_work { "compute" } else { "communication" });
    }
    let is_name = |event: &&Value| event["name"] == "thread_name";
    let names: Vec<&str> =
        events.iter().filter(is_name).map(|e| e["args"]["name"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["rank 0", "rank 0 communication"]);
    let counters = of_phase("C");
    assert!(counters.iter().any(|e| e["name"] == "rank 1 activations" && e["args"]["live"] == 1));
}

#[test]
fn a_trace_has_what_was_moved_and_held() {
    let costs: Costs = "activation=8,workspace_b=2,resident=100,bytes=4".parse().unwrap();
    let plan = crate::csv::read_plan("0F0,0B0\n1F0,1B0\n".as_bytes()).unwrap();
    let program = validate(crate::lower(&plan)).unwrap();
    let timeline = simulate(&program, &costs).with_sizes(&costs);
    // Costs that say something else count for nothing beside what the spans say.
    let analysis = analyze(&timeline, &Costs::UNIT);
    let events = events(&trace(&Chart { title: "", timeline: &timeline, analysis: &analysis }));
    let args = |name: &str| events.iter().find(|e| e["name"] == name).unwrap()["args"].clone();
    let sizes = |name: &str| ["moved", "held", "peak"].map(|key| args(name)[key].as_f64());
    assert_eq!(sizes("0F0"), [None, Some(108.0), Some(108.0)]);
    assert_eq!(sizes("0SEND_F0"), [Some(4.0), Some(108.0), Some(108.0)]);
    assert_eq!(sizes("0B0"), [None, Some(100.0), Some(110.0)]);
    let counted = events.iter().filter(|e| e["name"] == "rank 0 memory");
    let counted: Vec<f64> = counted.map(|e| e["args"]["bytes"].as_f64().unwrap()).collect();
    assert_eq!(counted, [108.0, 110.0, 100.0]);
}

#[test]
fn arrows_of_a_trace_lead_from_each_send_to_its_receive() {
    for latency in [0.0, 0.5] {
        let small = small(latency);
        let events = events(&trace(&chart("1F1B", &small)));
        assert_eq!(
            arrows(&events),
            [
                ("0SEND_F0", "1RECV_F0"),
                ("0SEND_F1", "1RECV_F1"),
                ("1SEND_B0", "0RECV_B0"),
                ("1SEND_B1", "0RECV_B1"),
            ]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
        );
    }
}

/// The two ends of each arrow, found as a reader of traces finds them: an arrow belongs to what was
/// opened last on its thread.
fn arrows(events: &[Value]) -> Vec<(String, String)> {
    let mut open: BTreeMap<u64, String> = BTreeMap::new();
    let mut from: BTreeMap<u64, String> = BTreeMap::new();
    let mut arrows = Vec::new();
    let mut last = f64::NEG_INFINITY;
    for event in events.iter().filter(|event| event["ph"] != "M") {
        let time = event["ts"].as_f64().unwrap();
        assert!(time >= last, "events are in the order of time");
        last = time;
        let thread = event["tid"].as_u64();
        match event["ph"].as_str().unwrap() {
            "X" => {
                open.insert(thread.unwrap(), event["name"].as_str().unwrap().to_owned());
            }
            "s" => {
                from.insert(event["id"].as_u64().unwrap(), open[&thread.unwrap()].clone());
            }
            "f" => {
                let start = from.remove(&event["id"].as_u64().unwrap()).expect("it has begun");
                arrows.push((start, open[&thread.unwrap()].clone()));
            }
            _ => {}
        }
    }
    assert!(from.is_empty(), "every arrow arrives");
    arrows.sort();
    arrows
}

#[test]
fn events_on_a_thread_of_a_trace_do_not_overlap() {
    // Both receives are posted at the start and are under way at once.
    let text = "0F0,0SEND_F0,0F1,0SEND_F1\n1RECV_F0,1RECV_F1,1F0,1F1\n";
    let program = validate(crate::csv::read_program(text.as_bytes()).unwrap()).unwrap();
    let timeline = simulate(&program, &Costs::UNIT);
    let analysis = analyze(&timeline, &Costs::UNIT);
    let chart = Chart { title: "", timeline: &timeline, analysis: &analysis };
    let mut busy: BTreeMap<u64, f64> = BTreeMap::new();
    let events = events(&trace(&chart));
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let busy = busy.entry(event["tid"].as_u64().unwrap()).or_insert(0.0);
        let start = event["ts"].as_f64().unwrap();
        assert!(*busy <= start, "{event}");
        *busy = start + event["dur"].as_f64().unwrap();
    }
    let threads: BTreeSet<&str> =
        events.iter().filter_map(|event| event["args"]["name"].as_str()).collect();
    assert!(threads.contains("rank 1 communication 2"), "{threads:?}");
}

#[test]
fn a_trace_is_read_as_the_timeline_that_was_drawn() {
    let costs: Costs = "F=1:0.3,B=0.7,activation=8,workspace_b=2,bytes=4,comm=0.1".parse().unwrap();
    let plan = crate::csv::read_plan("0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n".as_bytes()).unwrap();
    let program = validate(crate::lower(&plan)).unwrap();
    let timeline = simulate(&program, &costs).with_sizes(&costs);
    let analysis = analyze(&timeline, &costs);
    let text = trace(&Chart { title: "t", timeline: &timeline, analysis: &analysis });
    let again = read_trace(&text).unwrap();
    let pairs = again.rows().iter().flatten().zip(timeline.rows().iter().flatten());
    for (again, span) in pairs {
        assert_eq!((again.action, again.moved, again.held), (span.action, span.moved, span.held));
        assert!((again.start - span.start).abs() < 1e-9 && (again.end - span.end).abs() < 1e-9);
    }
    assert_eq!(again.rows().len(), 2);
}

#[test]
fn what_is_no_trace_of_a_schedule_says_why() {
    let event = |name: &str, rank: usize, step: usize, more: &str| {
        format!(
            r#"{{"name":"{name}","ph":"X","ts":0,"dur":1,"args":{{"rank":{rank},"step":{step}{more}}}}}"#
        )
    };
    let error = |events: &[String]| {
        let text = format!(r#"{{"traceEvents":[{}]}}"#, events.join(","));
        read_trace(&text).unwrap_err().to_string()
    };
    assert!(read_trace("[]").unwrap_err().to_string().starts_with("it is no trace in the JSON"));
    assert_eq!(
        error(&[r#"{"name":"x","ph":"X","ts":0,"dur":1}"#.to_owned()]),
        "it has no events of a schedule; only traces that autopipe has written can be read"
    );
    assert!(error(&[event("0F", 0, 0, "")]).starts_with("rank 0, step 0: `0F` is no action"));
    assert_eq!(
        error(&[event("0F0", 0, 0, r#","peak":1"#)]),
        "rank 0, step 0, 0F0: has only one of held and peak; give both or neither"
    );
    assert_eq!(
        error(&[event("0F0", 0, 0, ""), event("0B0", 0, 0, "")]),
        "rank 0, step 0: there are two events for it, 0F0 and 0B0"
    );
    assert_eq!(error(&[event("0F0", 7, 0, "")]), "rank 0 has no events, though there is a rank 7");
    assert_eq!(
        error(&[event("0B0", 0, 0, "")]),
        "0 of the 1 forwards of 1 stages and 1 microbatches are there; a timeline is of a whole step"
    );
}

#[test]
fn two_timelines_stand_in_each_rank_s_process() {
    let (measured, predicted) = (small(0.5), small(0.25));
    let text = trace_beside(&chart("measured", &measured), &chart("predicted", &predicted));
    let events = events(&text);
    let mut threads: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let number = |event: &Value, key: &str| event[key].as_u64().unwrap();
    for event in events.iter().filter(|e| e["name"] == "thread_name") {
        let name = event["args"]["name"].as_str().unwrap().to_owned();
        let place = (number(event, "pid"), number(event, "tid"));
        assert_eq!(threads.insert(place, name), None);
    }
    let ranks = events.iter().filter(|e| e["name"] == "process_name");
    let ranks: Vec<&Value> = ranks.map(|e| &e["args"]["name"]).collect();
    assert_eq!(ranks.len(), measured.0.rows().len());
    assert_eq!(ranks[1], "rank 1");

    // Every action is there twice, at the time of its timeline, in a thread named as that.
    for (name, timeline) in [("measured", &measured.0), ("predicted", &predicted.0)] {
        for (rank, row) in (1_u64..).zip(timeline.rows()) {
            let is_here = |event: &&Value| {
                event["ph"] == "X"
                    && number(event, "pid") == rank
                    && threads[&(rank, number(event, "tid"))].starts_with(name)
            };
            let here: BTreeMap<&str, f64> = (events.iter().filter(is_here))
                .map(|event| (event["name"].as_str().unwrap(), event["ts"].as_f64().unwrap()))
                .collect();
            assert_eq!(here.len(), row.len());
            for span in row {
                assert_eq!(here[span.action.to_string().as_str()], span.start * 1000.0);
            }
        }
    }
    let all: BTreeSet<u64> = threads.keys().map(|&(_, thread)| thread).collect();
    assert_eq!(all.len(), threads.len(), "no two threads have one number");
    assert!(events.iter().any(|event| event["ph"] == "s"));

    let read = read_trace(&text).unwrap();
    let spans = |timeline: &crate::Timeline| -> Vec<_> {
        timeline.rows().iter().flatten().map(|span| span.action).collect()
    };
    assert_eq!(spans(&read), spans(&measured.0));
    assert!((read.makespan() - measured.0.makespan()).abs() < 1e-9);
}
