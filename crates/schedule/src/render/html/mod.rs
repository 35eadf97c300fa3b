//! Timelines as one page that needs nothing but a browser.

mod data;

use super::look::{Look, variables};
use super::{Chart, escaped};

const STYLE: &str = include_str!("page.css");
/// What is loaded, how it is drawn, what one can do: in one scope, in this order.
const SCRIPT: &str =
    concat!(include_str!("model.js"), include_str!("draw.js"), include_str!("page.js"));

/// Nothing is fetched from anywhere, whatever a title says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Draws timelines as one self-contained page: no network, no libraries.
///
/// The schedules stand one above the other on one time axis, which zooms and pans by wheel, mouse,
/// buttons and keys. Pointing at an action or reaching it with the arrow keys shows its facts and
/// lights up what it waits for and what waits for it; a click holds on to it. A switch shows the
/// critical path, and each rank's memory runs below. The page follows its reader's light or dark
/// mode and stays quick with some 100 000 actions.
///
/// What is selected is text in the element `facts`, for people who listen to pages and for scripts.
/// For the latter, `schedules.box(chart, rank, step)` says where in the window an action is drawn.
#[must_use]
pub fn html(charts: &[Chart<'_>]) -> String {
    let titles: Vec<String> = charts.iter().map(|chart| escaped(chart.title)).collect();
    let title = titles.join(", ");
    let light = variables(|colors| (colors.light, colors.on_light));
    let dark = variables(|colors| (colors.dark, colors.on_dark));
    let sections: String = charts.iter().enumerate().map(|(i, c)| section(i, c)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n:root{{{light}}}\n\
         @media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n{STYLE}</style>\n</head>\n<body>\n\
         {header}<div id=\"page\">\n<main>\n\
         <div id=\"axis\"><canvas aria-hidden=\"true\"></canvas></div>\n{sections}</main>\n\
         {facts}</div>\n<script type=\"application/json\" id=\"data\">{data}</script>\n\
         <script type=\"module\">\n{SCRIPT}</script>\n</body>\n</html>\n",
        header = header(charts),
        facts = FACTS,
        data = data::data(charts),
    )
}

/// Where the script writes what is selected; what stands there first is the manual.
const FACTS: &str = "<aside>\n\
<section id=\"facts\" aria-live=\"polite\" aria-label=\"Selected action\"></section>\n\
<details open><summary>How to look around</summary>\n<dl id=\"keys\">\n\
<dt>point</dt><dd>facts of an action</dd><dt>click</dt><dd>keep it selected</dd>\n\
<dt>wheel</dt><dd>zoom</dd><dt>drag</dt><dd>pan</dd>\n\
<dt><kbd>\u{2190}</kbd> <kbd>\u{2192}</kbd></dt><dd>along the rank</dd>\n\
<dt><kbd>\u{2191}</kbd> <kbd>\u{2193}</kbd></dt><dd>to another rank</dd>\n\
<dt><kbd>+</kbd> <kbd>\u{2212}</kbd> <kbd>0</kbd></dt><dd>zoom, all</dd>\n\
<dt><kbd>Enter</kbd> <kbd>Esc</kbd></dt><dd>keep, let go</dd>\n</dl></details>\n</aside>\n";

fn header(charts: &[Chart<'_>]) -> String {
    let spans = || charts.iter().flat_map(|chart| chart.timeline.rows().iter().flatten());
    let mut looks = [false; Look::ALL.len()];
    for span in spans() {
        let look = Look::of(span.action);
        if let Some(index) = Look::ALL.iter().position(|listed| *listed == look) {
            looks[index] = true;
        }
    }
    let legend: String = (Look::ALL.iter().zip(looks))
        .filter(|(_, occurs)| *occurs)
        .map(|(look, _)| {
            let (letter, name) = (look.letter(), look.name());
            format!(
                "<li><b class=\"swatch {letter}\" aria-hidden=\"true\">{letter}</b> {name}</li>\n"
            )
        })
        .collect();
    let points = || charts.iter().flat_map(|chart| chart.analysis.memory.iter().flatten());
    let has_bytes = points().any(|point| point.bytes > 0.0);
    let memory = if has_bytes {
        "<label>Memory in <select id=\"memory\"><option value=\"activations\">activations</option>\
         <option value=\"bytes\">bytes</option></select></label>\n"
    } else {
        ""
    };
    format!(
        "<header>\n<h1>Pipeline schedule{s}</h1>\n<div id=\"tools\" role=\"toolbar\" aria-label=\"View\">\n\
         <button id=\"in\" aria-label=\"Zoom in\">+</button>\n\
         <button id=\"out\" aria-label=\"Zoom out\">\u{2212}</button>\n\
         <button id=\"all\">Show all</button>\n\
         <label><input type=\"checkbox\" id=\"critical\" role=\"switch\"> Critical path</label>\n\
         {memory}</div>\n<ul id=\"legend\" aria-label=\"Colours\">\n{legend}</ul>\n</header>\n",
        s = if charts.len() == 1 { "" } else { "s" },
    )
}

/// One chart's place in the page; the script fills in the canvases.
fn section(index: usize, chart: &Chart<'_>) -> String {
    let title = escaped(chart.title);
    let num_ranks = chart.timeline.rows().len();
    format!(
        "<section class=\"chart\" aria-labelledby=\"title-{index}\">\n\
         <h2 id=\"title-{index}\">{title}</h2>\n<p>{summary}</p>\n\
         <div class=\"plot\"><canvas class=\"timeline\" tabindex=\"0\" role=\"application\" \
         aria-roledescription=\"timeline\" aria-describedby=\"facts\" \
         aria-label=\"Timeline of {title}, {num_ranks} ranks\"></canvas></div>\n\
         <details open><summary>Memory by rank</summary>\n\
         <div class=\"plot\"><canvas class=\"memory\" role=\"img\" \
         aria-label=\"Memory of {title}: {peaks}\"></canvas></div></details>\n</section>\n",
        summary = chart.summary(),
        peaks = peaks(chart),
    )
}

/// The memory curve in words.
fn peaks(chart: &Chart<'_>) -> String {
    let peaks = chart.timeline.peak_activations();
    let listed: Vec<String> = (peaks.iter().enumerate())
        .take(32)
        .map(|(rank, peak)| format!("rank {rank} at most {peak}"))
        .collect();
    let more = if peaks.len() > listed.len() { " and so on" } else { "" };
    format!("live activations, {}{more}", listed.join(", "))
}
