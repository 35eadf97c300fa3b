//! Reads tables, and everything that is wrong with them.

use std::io::{BufRead, BufReader, Read};

use csv::{ByteRecord, ReaderBuilder, Terminator, Trim};

use super::{CellError, CellProblem, CsvErrors};
use crate::{Action, Plan, Program};

/// Reads a compute-only table and proves it right.
///
/// # Errors
/// If reading fails; all cells that are no computations; everything that is wrong with the table.
pub fn read_plan(input: impl Read) -> Result<Plan, CsvErrors> {
    let rows = Cells::read(input)?.judge(|cell| match cell {
        None => Ok(None),
        Some(action) => match action.work() {
            Some(work) => Ok(Some(work)),
            None => Err(CellProblem::NoComputation(action)),
        },
    })?;
    Ok(Plan::from_cells(rows)?)
}

/// Reads a table with sends and receives. What it is worth is for
/// [`validate`](crate::validate()) to say.
///
/// # Errors
/// If reading fails; all cells that are no actions, empty ones included, unless they end a line.
pub fn read_program(input: impl Read) -> Result<Program, CsvErrors> {
    let mut cells = Cells::read(input)?;
    for row in &mut cells.rows {
        while row.last().is_some_and(|cell| matches!(cell, Cell::Empty)) {
            row.pop();
        }
    }
    cells.judge(|cell| cell.ok_or(CellProblem::Empty)).map(Program::new)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A cell that may be wrong; what is wrong is noted elsewhere.
#[derive(Clone, Copy)]
enum Cell {
    Empty,
    Wrong,
    Action(Action),
}

/// A file's cells, by line.
struct Cells {
    rows: Vec<Vec<Cell>>,
    errors: Vec<CellError>,
}

impl Cells {
    fn read(input: impl Read) -> Result<Self, CsvErrors> {
        let mut cells = Self { rows: Vec::new(), errors: Vec::new() };
        // Line by line, because a CSV reader skips blank lines and ranks are counted by lines.
        for line in BufReader::new(input).split(b'\n') {
            let line = line?;
            let line = match line.strip_prefix(BYTE_ORDER_MARK) {
                Some(rest) if cells.rows.is_empty() => rest,
                _ => &line,
            };
            cells.read_line(line)?;
        }
        let is_blank = |row: &Vec<Cell>| row.iter().all(|cell| matches!(cell, Cell::Empty));
        while cells.rows.last().is_some_and(is_blank) {
            cells.rows.pop();
        }
        Ok(cells)
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), CsvErrors> {
        let mut row = Vec::new();
        if !line.trim_ascii().is_empty() {
            let mut record = ByteRecord::new();
            ReaderBuilder::new()
                .has_headers(false)
                .trim(Trim::All)
                .terminator(Terminator::Any(b'\n')) // a lone CR is no line's end but a wrong cell
                .buffer_capacity(line.len())
                .from_reader(line)
                .read_byte_record(&mut record)
                .map_err(std::io::Error::from)?;
            for cell in &record {
                if cell.is_empty() {
                    row.push(Cell::Empty);
                    continue;
                }
                match String::from_utf8_lossy(cell).parse() {
                    Ok(action) => row.push(Cell::Action(action)),
                    Err(problem) => {
                        row.push(Cell::Wrong);
                        self.errors.push(CellError {
                            row: self.rows.len() + 1,
                            column: row.len(),
                            problem: CellProblem::Parse(problem),
                        });
                    }
                }
            }
        }
        self.rows.push(row);
        Ok(())
    }

    /// The cells that a table of its kind may have, or all errors in the order of their places.
    fn judge<T>(
        mut self,
        judge: impl Fn(Option<Action>) -> Result<T, CellProblem>,
    ) -> Result<Vec<Vec<T>>, CsvErrors> {
        let mut rows = Vec::with_capacity(self.rows.len());
        for (row, cells) in (1..).zip(&self.rows) {
            let mut judged = Vec::with_capacity(cells.len());
            for (column, &cell) in (1..).zip(cells) {
                let result = match cell {
                    Cell::Wrong => continue,
                    Cell::Empty => judge(None),
                    Cell::Action(action) => judge(Some(action)),
                };
                match result {
                    Ok(cell) => judged.push(cell),
                    Err(problem) => self.errors.push(CellError { row, column, problem }),
                }
            }
            rows.push(judged);
        }
        if self.errors.is_empty() {
            return Ok(rows);
        }
        self.errors.sort_by_key(|error| (error.row, error.column));
        Err(CsvErrors::Cells(self.errors))
    }
}
