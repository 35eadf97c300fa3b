//! A split as text for Graphviz.

use super::link::links;
use super::words::{batch, figures, modules, title};
use super::{MOST_STAGES, Picture};

pub(super) fn dot(picture: &Picture<'_>) -> String {
    let stages = picture.partition.stages();
    let mut text = "digraph stages {\n  node [shape=box, fontname=\"sans-serif\"];\n  \
                    edge [fontname=\"sans-serif\", fontsize=10];\n"
        .to_owned();
    text.push_str(&format!(
        "  label=\"{}\"; labelloc=t; fontname=\"sans-serif\";\n",
        escaped(&batch(picture.shape))
    ));
    for (number, stage) in stages.iter().take(MOST_STAGES).enumerate() {
        let figures = figures(picture, stage).map(|(name, _, value)| format!("{name} {value}"));
        let mut lines = vec![title(picture, number), figures.join(", ")];
        lines.extend(modules(stage));
        text.push_str(&format!("  s{number} [label=\"{}\"];\n", left(&lines)));
    }
    let (links, left_out) = links(picture);
    for link in links {
        let look = match (link.is_tied, link.skips()) {
            (true, _) => ", style=dotted, dir=none, constraint=false",
            (false, true) => ", style=dashed, constraint=false",
            (false, false) => "",
        };
        text.push_str(&format!(
            "  s{} -> s{} [label=\"{}\"{look}];\n",
            link.from,
            link.to,
            left(&link.lines)
        ));
    }
    let mut more = Vec::new();
    if stages.len() > MOST_STAGES {
        more.push(format!("and {} more stages", stages.len() - MOST_STAGES));
    }
    if left_out > 0 {
        more.push(format!("and {left_out} more links past stages"));
    }
    if !more.is_empty() {
        text.push_str(&format!("  more [shape=plaintext, label=\"{}\"];\n", left(&more)));
    }
    text.push_str("}\n");
    text
}

/// Lines that begin at the left.
fn left(lines: &[String]) -> String {
    lines.iter().map(|line| escaped(line) + "\\l").collect()
}

/// Text within quotation marks. Graphviz also knows entities and, behind `\`, words of its own.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '&' => escaped.push_str("&amp;"),
            _ if character.is_control() => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}
