//! From a layout to the shortest text that a person would write for it.

use std::fmt;

use super::{Layout, LayoutStage};

/// So many equal things are written as one with a number.
const MANY: usize = 3;

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.stages.as_slice();
        let mut after_group = false;
        while let [first, behind @ ..] = rest {
            // The last stage has no `|` behind it, and so is in no group.
            let equal = behind.iter().take_while(|stage| *stage == first).count() + 1;
            let grouped = equal.min(rest.len() - 1);
            if grouped >= MANY {
                write!(f, "({first}|)*{grouped}")?;
                rest = &rest[grouped..];
                after_group = true;
                continue;
            }
            let comma = if after_group { "," } else { "" };
            let bar = if behind.is_empty() { "" } else { "|" };
            write!(f, "{comma}{first}{bar}")?;
            rest = behind;
            after_group = false;
        }
        Ok(())
    }
}

impl fmt::Display for LayoutStage {
    /// The letters of one stage.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (letter, count) in self.counts() {
            if count >= MANY {
                write!(f, "{letter}*{count}")?;
            } else {
                f.write_str(&letter.to_string().repeat(count))?;
            }
        }
        Ok(())
    }
}
