//! Writes schedules as tables or as CSV, to a file or to standard output.

use std::path::Path;

use autopipe_schedule::{Plan, Program, csv, program_table, table};

use super::color::paint;
use crate::args::{Form, Write};
use crate::output;

/// A schedule at one of its two levels.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    Plan(&'a Plan),
    Program(&'a Program),
}

/// Writes a schedule as asked.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write(shown: Shown<'_>, args: &Write) -> anyhow::Result<()> {
    let file = args.output.as_deref();
    match form(args) {
        Form::Csv => write_csv(shown, file),
        Form::Table => write_text(drawn(shown), args),
    }
}

/// Writes a text about schedules as asked.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_text(text: String, args: &Write) -> anyhow::Result<()> {
    let file = args.output.as_deref();
    let text = paint(text, args.color.color, file.is_some());
    output::to(file, |out| out.write_all(text.as_bytes()))
}

/// The form that is asked for, or that the file's name tells.
pub(super) fn form(args: &Write) -> Form {
    let by_name = || {
        let is_csv = args.output.as_deref().is_some_and(|file| has_ending(file, "csv"));
        if is_csv { Form::Csv } else { Form::Table }
    };
    args.format.unwrap_or_else(by_name)
}

/// Writes a schedule as torch does.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_csv(shown: Shown<'_>, file: Option<&Path>) -> anyhow::Result<()> {
    output::to(file, |out| match shown {
        Shown::Plan(plan) => csv::write_plan(plan, out),
        Shown::Program(program) => csv::write_program(program, out),
    })
}

/// A schedule as a table for people.
pub(super) fn drawn(shown: Shown<'_>) -> String {
    match shown {
        Shown::Plan(plan) => table(plan),
        Shown::Program(program) => program_table(program),
    }
}

pub(super) fn has_ending(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|given| given.eq_ignore_ascii_case(ending))
}
