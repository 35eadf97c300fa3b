//! Collects what is wrong with a recipe while it is read.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::Value;

use crate::{
    document::Place,
    report::{Problem, RecipeErrors, Texts},
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

/// The problems and warnings found so far, and the texts to quote.
#[derive(Debug)]
pub(crate) struct Problems {
    texts: Texts,
    /// A cell, because sections that are open at the same time report to one list.
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// The schemas of the sections, by path, where reading is done for their sake.
    pub(super) schemas: Option<RefCell<BTreeMap<String, Value>>>,
}

impl Problems {
    pub(crate) fn new(texts: Texts) -> Self {
        Problems { texts, errors: RefCell::default(), warnings: RefCell::default(), schemas: None }
    }

    /// For a reading that is done to learn what could be read.
    pub(crate) fn to_declare() -> Self {
        let schemas = Some(RefCell::default());
        Problems { schemas, ..Problems::new(Texts::new([])) }
    }

    /// The schema of what was read, if the reading was done for its sake.
    pub(crate) fn into_schema(self) -> Option<Value> {
        self.schemas?.into_inner().remove("")
    }

    /// The schema of a section that has been read.
    pub(super) fn schema_of(&self, path: &str) -> Value {
        let schema = self.schemas.as_ref().and_then(|schemas| schemas.borrow_mut().remove(path));
        schema.unwrap_or_default()
    }

    pub(crate) fn num_texts(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn text(&self, text: usize) -> &str {
        self.texts.text(text)
    }

    pub(crate) fn line(&self, text: usize, line: usize) -> &str {
        self.texts.line(text, line)
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
            errors.push(self.texts.problem(place, key, message.into(), help));
        }
        Reported(())
    }

    pub(crate) fn warn(&self, place: Place, key: &str, message: &str, help: &str) {
        let warning = self.texts.problem(place, key, message.into(), Some(help.into()));
        self.warnings.borrow_mut().push(warning);
    }

    /// Ends the reading: what was read, the warnings and the texts, or else everything that is wrong.
    pub(crate) fn finish<T>(
        self,
        read: Result<T, Reported>,
    ) -> Result<(T, Vec<Problem>, Texts), RecipeErrors> {
        match (RecipeErrors::new(self.errors.into_inner()), read) {
            (None, Ok(value)) => {
                let mut warnings = self.warnings.into_inner();
                warnings.sort_by_key(Problem::order);
                Ok((value, warnings, self.texts))
            }
            // A value is only withheld against a report.
            (errors, _) => Err(errors.expect("a value is only withheld against a report")),
        }
    }
}
