//! Collects what is wrong with a recipe while it is read.

use std::cell::RefCell;

use crate::{
    document::Place,
    report::{Problem, RecipeErrors},
};

/// More problems than this are not collected: whoever mends the first ones reads the rest anew.
pub(crate) const MAX_PROBLEMS: usize = 100;

/// Proof that a problem was reported: whoever holds one has nothing more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported(());

impl Reported {
    /// For whoever has seen to the reporting itself.
    pub(super) fn already() -> Self {
        Reported(())
    }
}

/// The problems and warnings found so far, and the text to quote.
#[derive(Debug)]
pub(crate) struct Problems<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
    /// A cell, because sections that are open at the same time report to one list.
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Problems {
            file,
            lines: lines(text),
            errors: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// The text by lines, as YAML counts them.
    pub(crate) fn lines(&self) -> &[&'a str] {
        &self.lines
    }

    pub(crate) fn push(
        &self,
        place: Place,
        key: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Reported {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < MAX_PROBLEMS {
            errors.push(self.problem(place, key, message.into(), help));
        }
        Reported(())
    }

    pub(crate) fn warn(&self, place: Place, key: &str, message: &str, help: &str) {
        let warning = self.problem(place, key, message.into(), Some(help.into()));
        self.warnings.borrow_mut().push(warning);
    }

    /// Ends the reading: what was read and the warnings, or else everything that is wrong.
    pub(crate) fn finish<T>(
        self,
        read: Result<T, Reported>,
    ) -> Result<(T, Vec<Problem>), RecipeErrors> {
        let errors = self.errors.into_inner();
        match read {
            Ok(value) if errors.is_empty() => Ok((value, self.warnings.into_inner())),
            Ok(_) | Err(_) => Err(RecipeErrors::new(errors)),
        }
    }

    fn problem(&self, place: Place, key: &str, message: String, help: Option<String>) -> Problem {
        let Place { line, column, width } = place;
        let source = self.lines.get(line - 1).filter(|_| width > 0);
        let source = source.copied().unwrap_or_default().to_owned();
        let (file, key) = (self.file.to_owned(), key.to_owned());
        Problem { file, line, column, key, message, help, source, width }
    }
}

/// Lines end with a line feed, a carriage return, or both.
fn lines(text: &str) -> Vec<&str> {
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    lines.flat_map(|line| line.split('\r')).collect()
}
