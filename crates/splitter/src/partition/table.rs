//! A partition as a table for people.

use std::fmt;

use crate::Partition;

/// A row per stage: parameters, operations and modules, with runs of numbered ones drawn together.
///
/// ```text
/// stage  parameters  flops/token  modules
///     0      108800       219136  model.embed_tokens, model.layers.0-1, model.rotary_emb
///     1      108864       252032  model.layers.2-3, model.norm, lm_head, model.rotary_emb
/// ```
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows =
            vec![["stage", "parameters", "flops/token", "modules"].map(ToOwned::to_owned)];
        rows.extend((0..).zip(self.stages()).map(|(stage, modules): (usize, _)| {
            [
                stage.to_string(),
                modules.num_parameters().to_string(),
                modules.flops_per_token().to_string(),
                runs(modules.modules()),
            ]
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let (a, b, c) = (width(0), width(1), width(2));
        for (i, [stage, parameters, flops, modules]) in rows.iter().enumerate() {
            let end = if i + 1 < rows.len() { "\n" } else { "" };
            write!(f, "{stage:>a$}  {parameters:>b$}  {flops:>c$}  {modules}{end}")?;
        }
        Ok(())
    }
}

/// `a.0, a.1, a.2, b` as `a.0-2, b`.
fn runs(names: &[String]) -> String {
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
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(stem, run)| match run {
            None => stem.to_owned(),
            Some([first, last]) if first == last => format!("{stem}.{first}"),
            Some([first, last]) => format!("{stem}.{first}-{last}"),
        })
        .collect();
    parts.join(", ")
}

fn follows(end: &str, number: &str) -> bool {
    let after = end.parse::<usize>().ok().and_then(|end| end.checked_add(1));
    after.is_some() && after == number.parse().ok()
}
