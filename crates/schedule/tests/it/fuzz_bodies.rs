//! What is true of any bytes, however they were made: the bodies of the fuzz targets in `fuzz`, which
//! the tests run over a small corpus and its mutations.
//!
//! Each body takes the bytes of one input, panics if a promise is broken, and says whether the input
//! was accepted.

use autopipe_schedule::csv::{self, CsvErrors};
use autopipe_schedule::{
    Action, Communication, Costs, Plan, Program, Violations, analyze, lower, program_table,
    simulate, simulate_plan, table, timetable, validate,
};

use crate::fuzz_program::program;

/// No message is longer than this, whatever it is about.
const MESSAGE: usize = 10_000;

/// No marked table is longer than this: 40 marks, their ranks side by side.
const MARKED_TABLE: usize = 400_000;

/// Above this many actions, what is accepted is not also simulated in every way.
const SMALL: usize = 4_000;

/// A text is an action or is refused; an action prints what was read, but for spaces.
pub(crate) fn action(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<Action>() {
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() < 500, "{} bytes of message", message.len());
            assert!(!message.contains('\n'), "one line: {message}");
            false
        }
        Ok(action) => {
            let printed = action.to_string();
            assert_eq!(printed, text.replace(' ', ""));
            assert_eq!(printed.parse(), Ok(action));
            assert!(action.computes().count() <= 2);
            assert_eq!(action.work().is_some(), action.computes().count() > 0);
            true
        }
    }
}

/// A file is a plan, a program, both or neither; what it is can be written and read again.
pub(crate) fn table_file(bytes: &[u8]) -> bool {
    let is_plan = match csv::read_plan(bytes) {
        Ok(plan) => accepted_plan(&plan),
        Err(error) => refused_file(&error),
    };
    let is_valid = match csv::read_program(bytes) {
        Err(error) => refused_file(&error),
        Ok(program) => {
            let text = csv::program_to_string(&program);
            // A row without actions at the end of a file is a blank line, which is no row.
            let mut rows = csv::read_program(text.as_bytes()).unwrap().into_rows();
            rows.resize(program.rows().len(), Vec::new());
            assert_eq!(rows, program.rows());
            judge(program)
        }
    };
    is_plan || is_valid
}

/// A program that was made, lowered and spoiled as the bytes say is refused, or can be run.
pub(crate) fn schedule(bytes: &[u8]) -> bool {
    judge(program(bytes))
}

/// What the validator accepts, every part of the crate can work with.
fn judge(program: Program) -> bool {
    let num_actions: usize = program.rows().iter().map(Vec::len).sum();
    let valid = match validate(program.clone()) {
        Err(violations) => return refused(&violations),
        Ok(valid) => valid,
    };
    assert_eq!(valid.program(), &program);
    let text = csv::program_to_string(&program);
    assert_eq!(csv::read_program(text.as_bytes()).unwrap(), program);
    if num_actions > SMALL {
        return true;
    }
    assert_eq!(program_table(&program).lines().count(), 1 + longest(program.rows()));
    let mut makespan = 0.0;
    for communication in Communication::ALL {
        let costs = Costs::uniform(1.0, 1.0, 1.0, 0.5).unwrap().with_communication(communication);
        let timeline = simulate(&valid, &costs);
        assert_eq!(timeline.rows().iter().map(Vec::len).sum::<usize>(), num_actions);
        assert!(timeline.makespan() >= makespan, "{communication} is faster than the one before");
        makespan = timeline.makespan();
        let analysis = analyze(&timeline, &costs);
        assert!((analysis.critical_length - makespan).abs() <= 1e-9 * makespan);
    }
    let peak = valid.peak_activations().iter().copied().max().unwrap();
    assert!(valid.clone().within(peak).is_ok());
    if let Some(limit) = peak.checked_sub(1) {
        refused(&valid.within(limit).unwrap_err());
    }
    true
}

/// A plan can be printed, read again, and lowered to a valid program that takes as long.
fn accepted_plan(plan: &Plan) -> bool {
    let text = csv::plan_to_string(plan);
    assert_eq!(&csv::read_plan(text.as_bytes()).unwrap(), plan);
    let lowered = lower(plan);
    let num_actions: usize = lowered.rows().iter().map(Vec::len).sum();
    if num_actions > SMALL {
        return true;
    }
    assert_eq!(table(plan).lines().count(), 1 + longest(&timetable(plan)));
    let valid = validate(lowered).unwrap();
    assert_eq!(valid.placement(), plan.placement());
    assert_eq!(valid.peak_activations(), plan.peak_activations());
    let [planned, lowered] =
        [simulate_plan(plan, &Costs::UNIT), simulate(&valid, &Costs::UNIT)].map(|t| t.makespan());
    assert!((planned - lowered).abs() <= 1e-9 * lowered, "{planned} and {lowered}");
    assert!(validate(lower(&plan.forward_only())).is_ok());
    true
}

fn refused_file(error: &CsvErrors) -> bool {
    bounded(&error.to_string());
    match error {
        CsvErrors::Invalid(violations) => return refused(violations),
        CsvErrors::Cells(cells) => assert!(!cells.is_empty()),
        _ => unreachable!("bytes in memory can be read"),
    }
    false
}

fn refused(violations: &Violations) -> bool {
    assert!(violations.iter().len() > 0);
    bounded(&violations.to_string());
    for violation in violations.iter().take(100) {
        bounded(&violation.to_string());
    }
    let table = violations.marked_table();
    assert!(table.len() < MARKED_TABLE, "a marked table of {} bytes", table.len());
    false
}

fn bounded(message: &str) {
    assert!(message.len() < MESSAGE, "a message of {} bytes: {message}", message.len());
}

fn longest<T>(rows: &[Vec<T>]) -> usize {
    rows.iter().map(Vec::len).max().unwrap_or(0)
}
