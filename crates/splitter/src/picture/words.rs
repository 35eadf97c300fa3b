//! What stands in the boxes and beside the arrows, before it is escaped.

use super::{MOST_MODULES, Picture};
use crate::partition::runs;
use crate::short::short;
use crate::{BatchShape, Dim, ElementType, StageModules, TensorSpec};

/// How many characters of a name are drawn.
const MOST_CHARACTERS: usize = 48;

/// A name of bounded length: its end tells more than its middle.
pub(super) fn clipped(name: &str) -> String {
    let length = name.chars().count();
    if length <= MOST_CHARACTERS {
        return name.to_owned();
    }
    let half = MOST_CHARACTERS / 2;
    let (start, end) = (name.chars().take(half), name.chars().skip(length - half + 1));
    start.chain(std::iter::once('…')).chain(end).collect()
}

/// `stage 2, rank 0`.
pub(super) fn title(picture: &Picture<'_>, stage: usize) -> String {
    match picture.ranks.get(stage) {
        Some(rank) => format!("stage {stage}, rank {rank}"),
        None => format!("stage {stage}"),
    }
}

/// The modules of a stage, a line for each run of them.
pub(super) fn modules(stage: &StageModules) -> Vec<String> {
    let runs = runs(stage.modules());
    let most = if runs.len() > MOST_MODULES { MOST_MODULES - 1 } else { MOST_MODULES };
    let mut lines: Vec<String> = runs.iter().take(most).map(|run| clipped(run)).collect();
    if runs.len() > most {
        lines.push(format!("and {} more", runs.len() - most));
    }
    lines
}

/// What a stage takes: its name, the number and the number in words.
pub(super) fn figures(
    picture: &Picture<'_>,
    stage: &StageModules,
) -> [(&'static str, f64, String); 3] {
    #[expect(clippy::cast_precision_loss, reason = "for people, to three digits")]
    let parameters = stage.num_parameters() as f64;
    let (flops, bytes) = (stage.flops(picture.shape), stage.activation_bytes(picture.shape));
    [
        ("parameters", parameters, short(parameters)),
        ("forward", flops, unit(flops, "FLOP")),
        ("activations", bytes, unit(bytes, "B")),
    ]
}

/// `hidden_states [batch, sequence, 64] f32, 16.4 kB`.
pub(super) fn tensor(spec: &TensorSpec, shape: BatchShape) -> String {
    let dims = spec.dims.iter().take(8).map(|dim| match dim {
        Dim::Batch => "batch".to_owned(),
        Dim::Sequence => "sequence".to_owned(),
        Dim::Fixed(size) => size.to_string(),
    });
    let dots = if spec.dims.len() > 8 { ", …" } else { "" };
    let dims = dims.collect::<Vec<_>>().join(", ");
    let dtype = match spec.dtype {
        ElementType::F64 => "f64",
        ElementType::F32 => "f32",
        ElementType::F16 => "f16",
        ElementType::Bf16 => "bf16",
        ElementType::I64 => "i64",
        ElementType::U32 => "u32",
        ElementType::U8 => "u8",
    };
    let bytes = unit(spec.num_bytes(shape), "B");
    format!("{} [{dims}{dots}] {dtype}, {bytes}", clipped(&spec.name))
}

/// `per microbatch of 2 x 1024 tokens`.
pub(super) fn batch(shape: BatchShape) -> String {
    format!("per microbatch of {} × {} tokens", shape.batch_size, shape.seq_len)
}

/// `12.3 kB`: the letter for thousands belongs to the unit.
fn unit(value: f64, unit: &str) -> String {
    let short = short(value);
    if short.contains(' ') { format!("{short}{unit}") } else { format!("{short} {unit}") }
}
