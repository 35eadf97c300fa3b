//! A partition as a table for people.

use std::fmt;

use crate::short::short;
use crate::{BatchShape, Partition};

/// A row per stage: parameters, operations and modules, with runs of numbered ones drawn together.
///
/// ```text
/// stage  parameters  flops/token  modules
///     0      108800       219136  model.embed_tokens, model.layers.0-1, model.rotary_emb
///     1      108864       252032  model.layers.2-3, model.norm, lm_head, model.rotary_emb
/// ```
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self
            .stages()
            .iter()
            .map(|stage| [stage.num_parameters().to_string(), stage.flops_per_token().to_string()]);
        f.write_str(&self.rows(["parameters", "flops/token"], rows))
    }
}

impl Partition {
    /// The table for a batch of some shape: also what its forward pass takes on each stage, in
    /// operations and in bytes that it keeps for the backward pass, to three digits.
    ///
    /// ```text
    /// stage  parameters  flops  activation bytes  modules
    ///     0      108800  115 M            2.36 M  model.embed_tokens, model.layers.0-1
    ///     1      108864  132 M            2.36 M  model.layers.2-3, model.norm, lm_head
    /// ```
    pub fn table(&self, shape: BatchShape) -> String {
        let rows = self.stages().iter().map(|stage| {
            let (flops, bytes) = (stage.flops(shape), stage.activation_bytes(shape));
            [stage.num_parameters().to_string(), short(flops), short(bytes)]
        });
        self.rows(["parameters", "flops", "activation bytes"], rows)
    }

    /// A line of names and one per stage, with the stage before its numbers and the modules behind.
    fn rows<const N: usize>(
        &self,
        names: [&str; N],
        numbers: impl Iterator<Item = [String; N]>,
    ) -> String {
        let row = |stage: &str, numbers: &[String], modules: String| {
            let mut row = vec![stage.to_owned()];
            row.extend_from_slice(numbers);
            row.push(modules);
            row
        };
        let mut rows = vec![row("stage", &names.map(ToOwned::to_owned), "modules".to_owned())];
        rows.extend(self.stages().iter().zip(numbers).enumerate().map(|(i, (stage, numbers))| {
            row(&i.to_string(), &numbers, runs(stage.modules()).join(", "))
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..=N).map(width).collect();
        let lines = rows.iter().map(|row| {
            let numbers = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}  "));
            numbers.collect::<String>() + &row[N + 1]
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// `a.0, a.1, a.2, b` as `a.0-2` and `b`.
pub(crate) fn runs(names: &[String]) -> Vec<String> {
    let mut parts: Vec<(&str, Option<[&str; 2]>)> = Vec::new();
    for name in names {
        let numbered = name.rsplit_once('.').filter(|(_, number)| number.parse::<usize>().is_ok());
        let Some((stem, number)) = numbered else {
            parts.push((name, None));
            continue;
        };
        match parts.last_mut() {
            Some((last, Some([_, end]))) if *last == stem && follows(end, number) => *end = number,
            Some(_) | None => parts.push((stem, Some([number, number]))),
        }
    }
    parts
        .into_iter()
        .map(|(stem, run)| match run {
            None => stem.to_owned(),
            Some([first, last]) if first == last => format!("{stem}.{first}"),
            Some([first, last]) => format!("{stem}.{first}-{last}"),
        })
        .collect()
}

fn follows(end: &str, number: &str) -> bool {
    let after = end.parse::<usize>().ok().and_then(|end| end.checked_add(1));
    after.is_some() && after == number.parse().ok()
}
