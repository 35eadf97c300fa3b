//! Writes tables as torch does. No cell needs quotes.

use std::fmt::Display;
use std::io::{self, Write};

use crate::{Action, Plan, Program, Work, timetable};

/// Writes a compute-only table, with idle cells as [`timetable`] has them.
///
/// # Errors
/// If writing fails.
pub fn write_plan(plan: &Plan, output: impl Write) -> io::Result<()> {
    write(&timetable(plan), output, |&cell: &Option<Work>| cell)
}

/// Writes a table with sends and receives.
///
/// # Errors
/// If writing fails.
pub fn write_program(program: &Program, output: impl Write) -> io::Result<()> {
    write(program.rows(), output, |&action: &Action| Some(action))
}

/// A compute-only table as text.
#[must_use]
pub fn plan_to_string(plan: &Plan) -> String {
    text(|output| write_plan(plan, output))
}

/// A table with sends and receives as text.
#[must_use]
pub fn program_to_string(program: &Program) -> String {
    text(|output| write_program(program, output))
}

fn write<T, D: Display>(
    rows: &[Vec<T>],
    mut output: impl Write,
    cell: impl Fn(&T) -> Option<D>,
) -> io::Result<()> {
    for row in rows {
        for (column, value) in row.iter().enumerate() {
            if column > 0 {
                output.write_all(b",")?;
            }
            if let Some(value) = cell(value) {
                write!(output, "{value}")?;
            }
        }
        output.write_all(b"\r\n")?;
    }
    Ok(())
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).expect("writing to memory does not fail");
    String::from_utf8(bytes).expect("actions are ASCII")
}
