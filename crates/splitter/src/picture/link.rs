//! What leads from one stage to another: tensors, or a shared parameter.

use std::collections::BTreeMap;

use super::words::{clipped, tensor};
use super::{MOST_LINKS, MOST_STAGES, Picture};

/// How many tensors of one link are named.
const MOST_TENSORS: usize = 4;

/// Lines by the module that makes the tensor and the tensor's name.
type Tensors<'a> = BTreeMap<(&'a str, &'a str), String>;

/// One link between stages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) is_tied: bool,
    /// What it carries, a line each.
    pub(super) lines: Vec<String>,
}

impl Link {
    /// Whether it leads past stages.
    pub(super) fn skips(&self) -> bool {
        self.is_tied || self.to > self.from + 1
    }
}

/// The links between stages that are drawn, and how many are not. The links to a stage's neighbour
/// come first, each in the order of the stages.
pub(super) fn links(picture: &Picture<'_>) -> (Vec<Link>, usize) {
    let partition = picture.partition;
    let mut tensors: BTreeMap<(usize, usize), Tensors<'_>> = BTreeMap::new();
    for (from, to, specs) in picture.graph.edges() {
        let (Some(start), Some(end)) =
            (partition.stage_of(&from.name), partition.stage_of(&to.name))
        else {
            continue;
        };
        if start == end {
            continue;
        }
        let link = tensors.entry((start, end)).or_default();
        for spec in specs {
            link.entry((&from.name, &spec.name)).or_insert_with(|| tensor(spec, picture.shape));
        }
    }
    let sent = tensors.into_iter().map(|((from, to), tensors)| Link {
        from,
        to,
        is_tied: false,
        lines: some(tensors.into_values().collect()),
    });
    let mut shared: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for tied in partition.tied() {
        let line = format!("{} = {}", clipped(&tied.owner), clipped(&tied.parameter));
        let (first, second) = (tied.owner_stage.min(tied.stage), tied.owner_stage.max(tied.stage));
        shared.entry((first, second)).or_default().push(line);
    }
    let shared = shared.into_iter().map(|((from, to), lines)| Link {
        from,
        to,
        is_tied: true,
        lines: some(lines),
    });
    let drawn = |link: &Link| link.from < MOST_STAGES && link.to < MOST_STAGES;
    let (skips, mut links): (Vec<Link>, Vec<Link>) = sent.chain(shared).partition(Link::skips);
    links.retain(drawn);
    let num_skips = skips.len();
    let skips: Vec<Link> = skips.into_iter().filter(drawn).take(MOST_LINKS).collect();
    let left_out = num_skips - skips.len();
    links.extend(skips);
    (links, left_out)
}

/// The first lines, and how many more there are.
fn some(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > MOST_TENSORS {
        let more = lines.len() - (MOST_TENSORS - 1);
        lines.truncate(MOST_TENSORS - 1);
        lines.push(format!("and {more} more"));
    }
    lines
}
