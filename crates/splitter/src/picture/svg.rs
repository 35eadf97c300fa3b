//! A split as SVG: a box per stage, one below the other, and what passes between them.

use super::link::{Link, links};
use super::words::{batch, figures, modules, title};
use super::{MOST_STAGES, Picture};
use crate::StageModules;

/// All lengths are in pixels, and whole.
const MARGIN: usize = 16;
const HEAD: usize = 44;
const LINE: usize = 17;
const WIDTH: usize = 640;
const FIGURES: usize = 380;
const BAR: usize = 236;
const FIGURE: usize = 28;
const BETWEEN: usize = 26;
const LANE: usize = 14;
const LABEL: usize = 24;

/// About how wide a character is: tenths of a pixel.
const CHARACTER: usize = 64;

/// How many colours there are for ranks.
const NUM_COLORS: usize = 6;

/// In pairs for light pages and dark ones. Neighbours differ in lightness, so that they can be told
/// apart without the hue; the number of the rank stands beside anyway.
const COLORS: [(&str, &str); NUM_COLORS] = [
    ("#3a76c4", "#4f87d6"),
    ("#f0a13a", "#eda23f"),
    ("#0d6535", "#2c7d4d"),
    ("#86d8d0", "#86dcd2"),
    ("#6d4a9c", "#8a63bd"),
    ("#cfa9e8", "#d8baee"),
];

pub(super) fn svg(picture: &Picture<'_>) -> String {
    let stages = picture.partition.stages();
    let drawn = &stages[..stages.len().min(MOST_STAGES)];
    let (links, left_out) = links(picture);
    let (skips, next): (Vec<Link>, Vec<Link>) = links.into_iter().partition(Link::skips);
    let mut most = [0.0_f64; 3];
    for stage in drawn {
        for (most, (_, value, _)) in most.iter_mut().zip(figures(picture, stage)) {
            *most = most.max(value);
        }
    }
    let mut body = String::new();
    text(&mut body, "title", MARGIN, MARGIN + 12, &format!("{} stages", stages.len()));
    text(&mut body, "soft", MARGIN, MARGIN + 30, &batch(picture.shape));
    let mut places = Vec::new();
    let mut y = MARGIN + HEAD;
    for (number, stage) in drawn.iter().enumerate() {
        let arriving: usize =
            skips.iter().filter(|link| link.to == number).map(|link| link.lines.len()).sum();
        let place = Place { y, height: height(stage, arriving) };
        draw_stage(&mut body, picture, number, place, most);
        y += place.height;
        let link = next.iter().find(|link| link.from == number && !link.is_tied);
        y += draw_next(&mut body, link, y, number + 1 < drawn.len());
        places.push(place);
    }
    for line in more(stages.len() - drawn.len(), left_out) {
        text(&mut body, "soft", MARGIN, y + 4, &line);
        y += LINE;
    }
    let right = draw_skips(&mut body, &skips, &places);
    let (width, height) = (right + MARGIN, y + MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"A model in {} stages\">\n\
         {}{body}</svg>\n",
        stages.len(),
        style()
    )
}

/// Where a stage's box is.
#[derive(Clone, Copy, Debug)]
struct Place {
    y: usize,
    height: usize,
}

fn height(stage: &StageModules, arriving: usize) -> usize {
    let names = 34 + modules(stage).len() * LINE;
    // What arrives from further above is named beside the box.
    names.max(10 + 3 * FIGURE).max(arriving * LINE + 22) + 8
}

fn draw_stage(
    body: &mut String,
    picture: &Picture<'_>,
    number: usize,
    place: Place,
    most: [f64; 3],
) {
    let Some(stage) = picture.partition.stages().get(number) else { return };
    let (x, y) = (MARGIN, place.y);
    let height = place.height;
    body.push_str(&format!(
        "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{height}\" rx=\"4\"/>\n"
    ));
    let color = picture.ranks.get(number).map_or(0, |rank| rank % NUM_COLORS);
    body.push_str(&format!(
        "<rect class=\"c{color}\" x=\"{x}\" y=\"{y}\" width=\"6\" height=\"{height}\" rx=\"3\"/>\n"
    ));
    text(body, "name", x + 18, y + 21, &title(picture, number));
    for (line, name) in modules(stage).iter().enumerate() {
        text(body, "", x + 18, y + 42 + line * LINE, name);
    }
    for (row, ((name, value, words), most)) in
        figures(picture, stage).into_iter().zip(most).enumerate()
    {
        let (x, y) = (x + FIGURES, y + 21 + row * FIGURE);
        text(body, "soft", x, y, name);
        text(body, "end", x + BAR, y, &words);
        body.push_str(&format!(
            "<rect class=\"rail\" x=\"{x}\" y=\"{0}\" width=\"{BAR}\" height=\"5\" rx=\"2\"/>\
             <rect class=\"c{color}\" x=\"{x}\" y=\"{0}\" width=\"{1}\" height=\"5\" rx=\"2\"/>\n",
            y + 5,
            part(value, most, BAR)
        ));
    }
}

/// The arrow to the next stage and what it carries; how much room it takes. Between stages that are
/// not connected there is room and no arrow.
fn draw_next(body: &mut String, link: Option<&Link>, y: usize, is_inner: bool) -> usize {
    let lines = link.map_or(&[][..], |link| &link.lines);
    let room = if is_inner { (lines.len() * LINE + 14).max(BETWEEN) } else { 12 };
    if link.is_some() && is_inner {
        let x = MARGIN + 40;
        body.push_str(&format!("<path class=\"arrow\" d=\"M{x} {}V{}\"/>\n", y + 1, y + room - 7));
        head(body, &format!("M{x} {}l-5 -8h10z", y + room - 1));
        for (line, words) in lines.iter().enumerate() {
            text(body, "soft", x + 14, y + 18 + line * LINE, words);
        }
    }
    room
}

/// The arrows past stages, in lanes to the right of the boxes; how far to the right all of it goes.
fn draw_skips(body: &mut String, skips: &[Link], places: &[Place]) -> usize {
    let lanes = lanes(skips);
    let num_lanes = lanes.iter().map(|lane| lane + 1).max().unwrap_or(0);
    let edge = MARGIN + WIDTH;
    let labels = edge + num_lanes * LANE + LABEL;
    let mut right = edge;
    // How much has arrived at each stage, and left it.
    let (mut arrived, mut left) = (vec![0; places.len()], vec![0; places.len()]);
    for (link, lane) in skips.iter().zip(lanes) {
        let (Some(from), Some(to)) = (places.get(link.from), places.get(link.to)) else { continue };
        let start = (from.y + from.height).saturating_sub(8 + 4 * left[link.from]).max(from.y + 4);
        let end = to.y + 14 + arrived[link.to] * LINE;
        let x = edge + (lane + 1) * LANE;
        left[link.from] += 1;
        arrived[link.to] += link.lines.len().max(1);
        let class = if link.is_tied { "tied" } else { "skip" };
        body.push_str(&format!(
            "<path class=\"{class}\" d=\"M{edge} {start}H{x}V{end}H{}\"/>\n",
            edge + if link.is_tied { 0 } else { 8 }
        ));
        if !link.is_tied {
            head(body, &format!("M{edge} {end}l8 -5v10z"));
        }
        let from = if link.is_tied { "tied with stage" } else { "from stage" };
        for (line, words) in link.lines.iter().enumerate() {
            let (indent, words) = if line == 0 {
                (0, format!("{from} {}: {words}", link.from))
            } else {
                (12, words.clone())
            };
            text(body, "soft", labels + indent, end + 4 + line * LINE, &words);
            right = right.max(labels + indent + words.chars().count() * CHARACTER / 10);
        }
    }
    right
}

/// Links that share a part of their way are in different lanes, the short ones nearer to the boxes.
fn lanes(skips: &[Link]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..skips.len()).collect();
    order.sort_by_key(|&i| skips[i].to - skips[i].from);
    let mut taken: Vec<Vec<usize>> = Vec::new();
    let mut lanes = vec![0; skips.len()];
    for i in order {
        let meets =
            |&other: &usize| skips[i].from <= skips[other].to && skips[other].from <= skips[i].to;
        let free = taken.iter().position(|lane| !lane.iter().any(meets));
        let lane = free.unwrap_or(taken.len());
        if lane == taken.len() {
            taken.push(Vec::new());
        }
        taken[lane].push(i);
        lanes[i] = lane;
    }
    lanes
}

fn more(num_stages: usize, num_links: usize) -> Vec<String> {
    let stages = (num_stages > 0).then(|| format!("and {num_stages} more stages"));
    let links = (num_links > 0).then(|| format!("and {num_links} more links past stages"));
    stages.into_iter().chain(links).collect()
}

/// `value` of `most` as a part of `length`, which is seen if it is not nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "between 0 and a few hundred pixels"
)]
fn part(value: f64, most: f64, length: usize) -> usize {
    if !(value > 0.0 && most > 0.0 && most.is_finite()) {
        return 0;
    }
    ((value / most * length as f64).round() as usize).clamp(2, length)
}

fn head(body: &mut String, path: &str) {
    body.push_str(&format!("<path class=\"head\" d=\"{path}\"/>\n"));
}

fn text(body: &mut String, class: &str, x: usize, y: usize, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    body.push_str(&format!("<text{class} x=\"{x}\" y=\"{y}\">{}</text>\n", escaped(text)));
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no place for these.
            '\u{fffe}' | '\u{ffff}' => escaped.push(' '),
            _ if character.is_control() => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn style() -> String {
    let colors = |pick: fn(&(&'static str, &'static str)) -> &'static str| -> String {
        COLORS.iter().enumerate().map(|(i, pair)| format!("--c{i}:{};", pick(pair))).collect()
    };
    let fills: String = (0..NUM_COLORS).map(|i| format!(".c{i}{{fill:var(--c{i})}}")).collect();
    format!(
        "<style>svg{{{}--page:#ffffff;--ink:#1b1f24;--soft:#59616c;--line:#8a929e;--box:#f3f5f7;\
         --rail:#dfe3e8;background:var(--page);font:12px system-ui,sans-serif}}\
         @media(prefers-color-scheme:dark){{svg{{{}--page:#14171c;--ink:#e8eaed;--soft:#a4acb8;\
         --line:#78818e;--box:#1c2026;--rail:#343a43}}}}\
         text{{fill:var(--ink)}}.title{{font-size:15px;font-weight:600}}.name{{font-weight:600}}\
         .soft{{fill:var(--soft)}}.end{{text-anchor:end}}.box{{fill:var(--box)}}\
         .rail{{fill:var(--rail)}}.head{{fill:var(--line)}}\
         .arrow,.skip,.tied{{fill:none;stroke:var(--line);stroke-width:1.5}}\
         .skip{{stroke-dasharray:6 4}}.tied{{stroke-dasharray:1.5 4;stroke-linecap:round}}\
         {fills}</style>\n",
        colors(|pair| pair.0),
        colors(|pair| pair.1),
    )
}
