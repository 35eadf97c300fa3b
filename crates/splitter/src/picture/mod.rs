//! A split as a picture: its stages with what they have, and what passes between them.

mod dot;
mod link;
mod svg;
#[cfg(test)]
mod tests;
mod words;

use crate::{BatchShape, ModuleGraph, Partition};

/// A partition to be drawn, as Graphviz text or as SVG.
///
/// There is one box per stage, with runs of numbered modules drawn together, and an arrow for what
/// each stage sends to each other one: also past stages, where a module skips some. Parameters that
/// are tied over two stages are a dotted line. Of large graphs the first stages, modules and arrows
/// are drawn, and how many more there are is said.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// The graph that was split.
    pub graph: &'a ModuleGraph,
    /// How.
    pub partition: &'a Partition,
    /// The microbatch that operations and bytes are told for.
    pub shape: BatchShape,
    /// The rank of each stage; empty to draw none.
    pub ranks: &'a [usize],
}

/// How many stages, modules (or runs of them) in each, and arrows past stages are drawn at most.
const MOST_STAGES: usize = 256;
const MOST_MODULES: usize = 10;
const MOST_LINKS: usize = 64;

impl Picture<'_> {
    /// Text for Graphviz: `dot -Tsvg`.
    pub fn dot(&self) -> String {
        dot::dot(self)
    }

    /// A whole SVG file, which names nothing outside itself, and is light or dark as its reader's
    /// system is.
    pub fn svg(&self) -> String {
        svg::svg(self)
    }
}
