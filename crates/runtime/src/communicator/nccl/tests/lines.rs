//! What lines do when a world begins anew, step by step.

use std::sync::Arc;

use super::super::NcclOptions;
use super::super::carrier::{Carrier as _, Side};
use super::super::line::Line;
use super::super::lines::Lines;
use super::super::record::Record;
use super::memory::{Exchange, Memory};
use super::{ALL, LONG};
use crate::communicator::in_process;
use crate::communicator::tests::conformance::{failure, tensor};

fn memory(exchange: &Arc<Exchange>) -> Memory {
    Memory { exchange: Arc::clone(exchange), dtypes: ALL, fails_at: None }
}

#[test]
fn records_of_a_world_that_has_begun_anew_wait_and_those_of_a_former_one_are_dropped() {
    let carrier = memory(&Arc::default());
    let mut line = Line::new(Side::Receiver);
    let record = |num_resets, number| {
        let lane = (number == 0).then(|| carrier.name().unwrap());
        Record { num_resets, number, lane, forms: Vec::new() }
    };
    line.accept(&carrier, record(0, 0));
    for number in 0..3 {
        line.accept(&carrier, record(1, number));
    }
    line.accept(&carrier, record(0, 1));
    assert_eq!(line.count(), 2);
    assert!(line.begin_anew(&carrier).is_some());
    assert_eq!(line.count(), 3);
    line.accept(&carrier, record(0, 3));
    assert_eq!(line.count(), 3);
    assert!(line.fault().is_none());
    line.accept(&carrier, record(1, 4));
    let error = line.fault().unwrap().to_string();
    let words = "what was told of them cannot be read: a record has number 4, and 3 have come";
    assert!(error.starts_with(words), "{error}");
}

#[test]
fn lanes_are_broken_off_as_long_as_the_world_has_failed() {
    let exchange = Arc::default();
    let mut ends = in_process(2, LONG);
    let options = NcclOptions { timeout: LONG, ..NcclOptions::default() };
    let lines = Lines::new(Box::new(ends.remove(0)), memory(&exchange), options);
    lines.send(1, vec![tensor(1.0)], |_| Ok(())).unwrap();
    lines.break_off_failed();
    assert_eq!(exchange.ends().broken, 0);
    lines.abort(failure(0, "enough"));
    lines.break_off_failed();
    assert_eq!(exchange.ends().broken, 1);
}
