//! Rotary embeddings from a config, which transformers 4 and 5 spell differently.

use serde_json::{Value, json};

use super::table::Table;
use super::{Rope, Scaling, Yarn};
use crate::config::{ConfigProblem, Fields, Min};

/// What a rotary embedding takes from the rest of the config.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// The base where none is given.
    pub(crate) theta: f64,
    pub(crate) head_dim: usize,
    pub(crate) max_positions: usize,
    pub(crate) dialect: Dialect,
}

/// Whose fields they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Most families': all of a head is turned.
    Usual,
    /// Phi-3's: part of a head may be, the length of the first training has a default, and
    /// transformers 4 takes a `rope_scaling` of three entries only.
    Phi3,
}

/// Phi-3's length of the first training.
const PHI3_ORIGINAL: usize = 4096;

/// The keys of transformers 5 and 4.
const TABLES: [&str; 2] = ["rope_parameters", "rope_scaling"];

const TYPES: &str = "`default`, `dynamic`, `linear`, `llama3`, `longrope` or `yarn`";

/// The embedding of all layers, from `rope_parameters` (transformers 5), or `rope_theta`,
/// `rope_scaling` and `partial_rotary_factor` (transformers 4). It is written back in both ways.
pub(crate) fn read(fields: &mut Fields, context: Context) -> Rope {
    let flat = fields.optional_number("rope_theta", None, Min::AboveZero);
    let mut table = Table::take(fields, &TABLES);
    let theta = agreed(fields, &mut table, "rope_theta", flat).unwrap_or(context.theta);
    let partial = fields.optional_number("partial_rotary_factor", None, Min::AboveZero);
    let partial = agreed(fields, &mut table, "partial_rotary_factor", partial);
    if let Some(part) = partial.filter(|&part| part != 1.0 && context.dialect == Dialect::Usual) {
        fields.refuse("partial_rotary_factor", &json!(part), "1.0");
    }
    let default = (context.dialect == Dialect::Phi3).then_some(PHI3_ORIGINAL);
    let original = fields.optional_size("original_max_position_embeddings", default);
    let (rope, entries) =
        embedding(fields, table, [theta, partial.unwrap_or(1.0)], original, context);
    for (key, value) in [
        ("rope_theta", Some(Value::from(theta))),
        ("partial_rotary_factor", partial.map(Value::from)),
        ("original_max_position_embeddings", original.map(Value::from)),
    ] {
        match value {
            Some(value) => fields.set(key, value),
            None => fields.unset(key),
        }
    }
    fields.set("rope_scaling", scaling(&rope, &entries, context.dialect));
    fields.set("rope_parameters", entries);
    rope
}

/// The embeddings of the layers with full attention and of those with a window, as Gemma 3 has them:
/// `rope_parameters` with a table for each, or `rope_theta`, `rope_scaling` and
/// `rope_local_base_freq`.
pub(crate) fn per_layer_type(
    fields: &mut Fields,
    context: Context,
    local_theta: f64,
) -> (Rope, Rope) {
    let flat = fields.optional_number("rope_theta", None, Min::AboveZero);
    let flat_local = fields.optional_number("rope_local_base_freq", None, Min::AboveZero);
    let mut tables = Table::take(fields, &["rope_parameters"]);
    let mut full = tables.inner(fields, "full_attention");
    let mut local = tables.inner(fields, "sliding_attention");
    tables.finish(fields, "`full_attention` and `sliding_attention`");
    full.add(fields, "rope_scaling");
    let theta = agreed(fields, &mut full, "rope_theta", flat).unwrap_or(context.theta);
    let local_theta = agreed(fields, &mut local, "rope_theta", flat_local).unwrap_or(local_theta);
    let (full, full_entries) = embedding(fields, full, [theta, 1.0], None, context);
    let (local, local_entries) = embedding(fields, local, [local_theta, 1.0], None, context);
    fields.set("rope_theta", theta);
    fields.set("rope_local_base_freq", local_theta);
    fields.set("rope_scaling", scaling(&full, &full_entries, context.dialect));
    let both = json!({"full_attention": full_entries, "sliding_attention": local_entries});
    fields.set("rope_parameters", both);
    (full, local)
}

/// An embedding's `rope_scaling`, for transformers 4.
fn scaling(rope: &Rope, entries: &Value, dialect: Dialect) -> Value {
    let is_own = |key| entries.get(key).is_some();
    match (&rope.scaling, dialect) {
        (Scaling::None, _) => Value::Null,
        // A factor of its own has no place there: it stays as transformers 5 has it.
        (Scaling::LongRope { .. }, Dialect::Phi3)
            if !is_own("factor") && !is_own("attention_factor") =>
        {
            let (short, long) = (&entries["short_factor"], &entries["long_factor"]);
            json!({"type": "longrope", "short_factor": short, "long_factor": long})
        }
        _ => entries.clone(),
    }
}

/// A number that may stand in the table, beside it, or in both.
fn agreed(
    fields: &mut Fields,
    table: &mut Table,
    key: &'static str,
    flat: Option<f64>,
) -> Option<f64> {
    let inner = table.number(fields, key, Min::AboveZero);
    if let (Some(flat), Some(inner)) = (flat, inner)
        && flat != inner
    {
        fields.disagree((key.to_owned(), &json!(flat)), (table.path(key), &json!(inner)));
    }
    inner.or(flat)
}

/// The embedding of one table, and the table as it was understood.
fn embedding(
    fields: &mut Fields,
    mut table: Table,
    [theta, partial]: [f64; 2],
    original: Option<usize>,
    context: Context,
) -> (Rope, Value) {
    let kind = table.get("rope_type").unwrap_or_else(|| json!("default"));
    let dim = turned(fields, context.head_dim, partial);
    let original_given = table.size(fields, "original_max_position_embeddings");
    let original = original.or(original_given).unwrap_or(context.max_positions);
    let scaling = match kind.as_str() {
        Some("default") => Scaling::None,
        Some("linear") => Scaling::Linear { factor: table.needed(fields, "factor") },
        Some("dynamic") => {
            if dim <= 2 {
                fields.refuse("rope_type", &kind, "heads of more than two numbers for it");
            }
            let factor = table.needed(fields, "factor");
            Scaling::Dynamic { factor, max_positions: context.max_positions }
        }
        Some("llama3") => Scaling::Llama3 {
            factor: table.needed(fields, "factor"),
            low_freq_factor: table.needed(fields, "low_freq_factor"),
            high_freq_factor: table.needed(fields, "high_freq_factor"),
            original,
        },
        Some("yarn") => yarn(fields, &mut table, context.max_positions, original),
        // `su` is its first name.
        Some("longrope" | "su") => {
            let factor = table.number(fields, "factor", Min::AboveZero);
            let factor = factor.unwrap_or(ratio(context.max_positions, original));
            Scaling::LongRope {
                short: table.divisors(fields, "short_factor", dim / 2),
                long: table.divisors(fields, "long_factor", dim / 2),
                attention_factor: table
                    .number(fields, "attention_factor", Min::AboveZero)
                    .unwrap_or_else(|| longrope_attention_factor(factor, original)),
                original,
            }
        }
        _ => {
            let path = table.path("rope_type");
            fields.refuse(&path, &kind, TYPES);
            // What belongs to it would be reported again, one by one.
            return (Rope { dim, theta, scaling: Scaling::None }, Value::Null);
        }
    };
    table.set("rope_type", if kind == "su" { json!("longrope") } else { kind });
    table.set("rope_theta", theta);
    let entries = table.finish(fields, "what belongs to its `rope_type`");
    (Rope { dim, theta, scaling }, entries)
}

fn yarn(fields: &mut Fields, table: &mut Table, max_positions: usize, original: usize) -> Scaling {
    let factor = table
        .number(fields, "factor", Min::AboveZero)
        .unwrap_or_else(|| ratio(max_positions, original));
    let scale = |mscale: f64| {
        if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
    };
    let mscale = table.number(fields, "mscale", Min::Zero).filter(|&x| x > 0.0);
    let mscale_all_dim = table.number(fields, "mscale_all_dim", Min::Zero).filter(|&x| x > 0.0);
    let computed = match (mscale, mscale_all_dim) {
        (Some(mscale), Some(all)) => scale(mscale) / scale(all),
        _ => scale(1.0),
    };
    let given = table.number(fields, "attention_factor", Min::AboveZero);
    let mut or = |key, default| table.number(fields, key, Min::AboveZero).unwrap_or(default);
    let (beta_fast, beta_slow) = (or("beta_fast", 32.0), or("beta_slow", 1.0));
    Scaling::Yarn(Yarn {
        factor,
        beta_fast,
        beta_slow,
        truncate: table.flag(fields, "truncate").unwrap_or(true),
        attention_factor: given.unwrap_or(computed),
        original,
    })
}

/// How many of a head's numbers are turned.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "part of a head, which has at most 2^24 numbers"
)]
fn turned(fields: &mut Fields, head_dim: usize, partial: f64) -> usize {
    if partial > 1.0 {
        let key = "partial_rotary_factor".to_owned();
        let expected = "above 0 and at most 1";
        fields.report(ConfigProblem::Number { key, value: partial, expected });
        return head_dim;
    }
    let dim = (head_dim as f64 * partial) as usize;
    if dim == 0 || !dim.is_multiple_of(2) {
        fields.report(ConfigProblem::OddHeadDim { dim });
    }
    dim
}

fn longrope_attention_factor(factor: f64, original: usize) -> f64 {
    if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / float(original).ln()).sqrt() }
}

fn ratio(a: usize, b: usize) -> f64 {
    float(a) / float(b)
}

#[expect(clippy::cast_precision_loss, reason = "lengths of sequences are far below 2^53")]
fn float(length: usize) -> f64 {
    length as f64
}
