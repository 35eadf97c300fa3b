//! Timelines as a picture: SVG, one schedule above the other on one time axis.

use std::collections::BTreeMap;

use super::look::{Lane, Look, variables};
use super::number::{number, pixels, ticks};
use super::{Chart, escaped};
use crate::{Action, Span};

/// All lengths are in pixels.
const MARGIN: f64 = 16.0;
const LABELS: f64 = 60.0;
const TITLE: f64 = 46.0;
const ROW: f64 = 24.0;
const BOX: f64 = 20.0;
const BESIDE: f64 = 6.0;
const AXIS: f64 = 22.0;
const BETWEEN: f64 = 20.0;
const LEGEND: f64 = 24.0;

/// How wide the shortest computation would like to be, for its label to fit, and how wide the
/// picture becomes at least and at most for that.
const WISH: f64 = 30.0;
const WIDTH: (f64, f64) = (560.0, 2400.0);

/// About how wide a character of a label is.
const CHARACTER: f64 = 6.2;

/// Draws timelines one above the other on one time axis, a row for each rank, with a legend.
///
/// A box is labelled where the label fits, and shows action and times when pointed at; smaller ones
/// are joined to one shape for each rank and kind, which keeps a large picture small. Communication
/// is a narrow strip below its rank's computations. The picture is light or dark as its reader's
/// system is, and names nothing outside itself.
#[must_use]
pub fn svg(charts: &[Chart<'_>]) -> String {
    let end = charts.iter().map(|chart| chart.timeline.makespan()).fold(0.0, f64::max);
    let width = width(charts, end);
    let scale = if end > 0.0 { width / end } else { 0.0 };
    let mut body = String::new();
    let mut looks = Vec::new();
    let mut y = MARGIN;
    for chart in charts {
        let picture = Picture { chart, scale, width, top: y };
        picture.draw(&mut body, &mut looks);
        y += picture.height() + BETWEEN;
    }
    looks.sort_unstable();
    looks.dedup();
    y = y - BETWEEN + LEGEND;
    let rows = legend(&mut body, &looks, y, width);
    let (whole_width, height) = (width + LABELS + 2.0 * MARGIN, y + rows * LEGEND);
    let titles: Vec<String> = charts.iter().map(|chart| escaped(chart.title)).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
         role=\"img\" aria-label=\"Timeline of {}\">\n{}{body}</svg>\n",
        titles.join(", "),
        style(),
        w = pixels(whole_width),
        h = pixels(height),
    )
}

/// How wide the time axis is: wide enough for the labels if that is not too wide.
fn width(charts: &[Chart<'_>], end: f64) -> f64 {
    let spans = charts.iter().flat_map(|chart| chart.timeline.rows().iter().flatten());
    let shortest = spans
        .filter(|span| Look::of(span.action).lane() == Lane::Rank && span.end > span.start)
        .map(|span| span.end - span.start)
        .fold(f64::INFINITY, f64::min);
    let wish = end / shortest * WISH;
    if wish.is_finite() { wish.clamp(WIDTH.0, WIDTH.1) } else { WIDTH.0 }
}

fn style() -> String {
    let light = variables(|colors| (colors.light, colors.on_light));
    let dark = variables(|colors| (colors.dark, colors.on_dark));
    let fills: String = (Look::ALL.iter())
        .map(|look| {
            let letter = look.letter();
            format!(".{letter}{{fill:var(--{letter})}}.{letter} text{{fill:var(--on-{letter})}}")
        })
        .collect();
    format!(
        "<style>svg{{{light}--page:#ffffff;--ink:#1b1f24;--soft:#59616c;--line:#d9dde2;--row:#f3f5f7;\
         background:var(--page);font:11px system-ui,sans-serif}}\
         @media(prefers-color-scheme:dark){{svg{{{dark}--page:#14171c;--ink:#e8eaed;--soft:#a4acb8;\
         --line:#343a43;--row:#1c2026}}}}\
         text{{fill:var(--ink)}}.title{{font-size:15px;font-weight:600}}.soft{{fill:var(--soft)}}\
         .middle{{text-anchor:middle}}.end{{text-anchor:end}}.line{{stroke:var(--line)}}\
         .row{{fill:var(--row)}}{fills}</style>\n"
    )
}

/// One chart and where it goes.
struct Picture<'a> {
    chart: &'a Chart<'a>,
    scale: f64,
    width: f64,
    top: f64,
}

impl Picture<'_> {
    fn row_height(&self) -> f64 {
        let spans = self.chart.timeline.rows().iter().flatten();
        let has_beside = { spans }.any(|span| Look::of(span.action).lane() == Lane::Beside);
        if has_beside { ROW + BESIDE + 2.0 } else { ROW }
    }

    fn height(&self) -> f64 {
        TITLE + lossless(self.chart.timeline.rows().len()) * self.row_height() + AXIS
    }

    fn draw(&self, body: &mut String, looks: &mut Vec<Look>) {
        let Chart { title, timeline, .. } = *self.chart;
        let left = MARGIN + LABELS;
        text(body, "title", MARGIN, self.top + 14.0, &escaped(title));
        text(body, "soft", MARGIN, self.top + 32.0, &self.chart.summary());
        let (top, row_height) = (self.top + TITLE, self.row_height());
        let bottom = top + lossless(timeline.rows().len()) * row_height;
        self.axis(body, top, bottom);
        for (rank, row) in timeline.rows().iter().enumerate() {
            let y = top + lossless(rank) * row_height;
            let label = format!("rank {rank}");
            text(body, "soft end", left - 8.0, y + BOX * 0.5 + 4.0, &label);
            body.push_str(&format!(
                "<rect class=\"row\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
                pixels(left),
                pixels(y),
                pixels(self.width),
                pixels(row_height - 4.0)
            ));
            self.boxes(body, row, left, y);
            looks.extend(row.iter().map(|span| Look::of(span.action)));
            looks.sort_unstable();
            looks.dedup();
        }
    }

    /// The boxes of a rank: the small ones as one path a kind, then those with a label.
    fn boxes(&self, body: &mut String, row: &[Span], left: f64, top: f64) {
        let mut small: BTreeMap<Look, String> = BTreeMap::new();
        let mut large = String::new();
        for span in row {
            let look = Look::of(span.action);
            let (y, height) = match look.lane() {
                Lane::Rank => (top, BOX),
                Lane::Beside => (top + BOX + 2.0, BESIDE),
            };
            let x = left + span.start * self.scale;
            // What takes no time is to be seen nevertheless.
            let width = ((span.end - span.start) * self.scale).max(1.0);
            let name = span.action.to_string();
            // Seams between boxes of one colour, where there is room for them.
            let seam = if width > 4.0 { 1.0 } else { 0.0 };
            let label = label(span.action);
            let fits = lossless(label.len()) * CHARACTER <= width - 2.0;
            if look.lane() == Lane::Beside || !fits {
                small.entry(look).or_default().push_str(&format!(
                    "M{} {}h{}v{}h-{}z",
                    pixels(x),
                    pixels(y),
                    pixels(width - seam),
                    pixels(height),
                    pixels(width - seam)
                ));
                continue;
            }
            large.push_str(&format!(
                "<g class=\"{}\"><title>{name}, {} to {}</title>\
                 <rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\"/>",
                look.letter(),
                number(span.start),
                number(span.end),
                pixels(x),
                pixels(y),
                pixels(width - seam),
                pixels(height)
            ));
            let middle = x + (width - seam) * 0.5;
            text(&mut large, "middle", middle, y + height * 0.5 + 4.0, &label);
            large.push_str("</g>\n");
        }
        for (look, path) in small {
            body.push_str(&format!("<path class=\"{}\" d=\"{path}\"/>\n", look.letter()));
        }
        body.push_str(&large);
    }

    fn axis(&self, body: &mut String, top: f64, bottom: f64) {
        let end = if self.scale > 0.0 { self.width / self.scale } else { 0.0 };
        for tick in ticks(end, self.width / 64.0) {
            let x = MARGIN + LABELS + tick * self.scale;
            body.push_str(&format!(
                "<path class=\"line\" d=\"M{} {}V{}\"/>\n",
                pixels(x),
                pixels(top - 4.0),
                pixels(bottom + 2.0)
            ));
            text(body, "soft middle", x, bottom + 15.0, &number(tick));
        }
    }
}

/// An action as it stands in its box: the parts of an overlap, and of others their text.
fn label(action: Action) -> String {
    match action {
        Action::Overlap(overlap) => format!("{}+{}", overlap.forward(), overlap.backward()),
        other => other.to_string(),
    }
}

/// The kinds that occur, in as many lines as they need; how many those are.
fn legend(body: &mut String, looks: &[Look], top: f64, width: f64) -> f64 {
    let (mut x, mut row) = (MARGIN, 0.0);
    for look in looks {
        let needs = 34.0 + lossless(look.name().len()) * CHARACTER;
        if x > MARGIN && x + needs > width + LABELS + MARGIN {
            (x, row) = (MARGIN, row + 1.0);
        }
        let y = top + row * LEGEND;
        let letter = look.letter();
        body.push_str(&format!(
            "<g class=\"{letter}\"><rect x=\"{}\" y=\"{}\" width=\"16\" height=\"16\" rx=\"2\"/>",
            pixels(x),
            pixels(y - 12.0)
        ));
        text(body, "middle", x + 8.0, y, &letter.to_string());
        body.push_str("</g>\n");
        text(body, "", x + 22.0, y, look.name());
        x += needs;
    }
    row + 1.0
}

fn text(body: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let (x, y) = (pixels(x), pixels(y));
    body.push_str(&format!("<text{class} x=\"{x}\" y=\"{y}\">{text}</text>\n"));
}

/// A count as a length. Counts beyond 2^32 do not occur in a picture.
fn lossless(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
