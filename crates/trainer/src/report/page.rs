//! The page itself: head, curves, timeline and tables in one file.

use autopipe::schedule::render::escaped;

use super::chart::charts;
use super::facts::facts;
use super::read::Run;
use super::table::tables;
use super::timeline::step;

const STYLE: &str = include_str!("page.css");
/// Scales and paths, then what is drawn and done: in one scope, in this order.
const SCRIPT: &str = concat!(include_str!("plot.js"), include_str!("page.js"));

/// Nothing is fetched from anywhere, whatever a folder is called.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

pub(super) fn page(run: &Run) -> String {
    let name = run
        .root
        .file_name()
        .map_or_else(|| run.root.display().to_string(), |name| name.to_string_lossy().into_owned());
    let charts = charts(run);
    let data = serde_json::to_string(&charts)
        .expect("strings, numbers and lists are always JSON")
        // Whatever a text says, it does not end the element or begin a comment in it.
        .replace('<', "\\u003c");
    let figures: String = charts.iter().enumerate().map(|(i, c)| figure(i, c.title)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{name}: training run</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{name}</h1>\n\
         <dl id=\"facts\">\n{facts}</dl>\n</header>\n<main>\n{left_out}\
         <section>\n<div class=\"bar\"><h2>Curves</h2>\n<label>Smoothing <input type=\"range\" \
         id=\"smoothing\" min=\"0\" max=\"0.99\" step=\"0.01\" value=\"0\"><output for=\"smoothing\" \
         id=\"smoothed\">0</output></label></div>\n<div id=\"charts\">\n{figures}</div>\n\
         <noscript><p>Curves are drawn by a script, which is switched off here.</p></noscript>\n\
         </section>\n{timeline}{tables}</main>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n\
         <script type=\"module\">\n{SCRIPT}</script>\n</body>\n</html>\n",
        name = escaped(&name),
        facts = listed(run),
        left_out = left_out(run),
        timeline = timeline(run),
        tables = tables(run),
    )
}

fn listed(run: &Run) -> String {
    let facts = facts(run).into_iter();
    facts.map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")).collect()
}

fn left_out(run: &Run) -> String {
    if run.left_out.is_empty() {
        return String::new();
    }
    let items: String =
        run.left_out.iter().map(|what| format!("<li>{}</li>\n", escaped(what))).collect();
    format!("<section class=\"note\">\n<h2>Not on this page</h2>\n<ul>\n{items}</ul>\n</section>\n")
}

/// A chart's place; the script draws what is in it.
fn figure(index: usize, title: &str) -> String {
    format!(
        "<figure data-chart=\"{index}\">\n<figcaption><h3 id=\"chart-{index}\">{title}</h3>\
         <span class=\"tools\"></span></figcaption>\n<div class=\"plot\" tabindex=\"0\" role=\"application\" \
         aria-roledescription=\"chart\" aria-labelledby=\"chart-{index}\" \
         aria-describedby=\"readout-{index}\"></div>\n\
         <output class=\"readout\" id=\"readout-{index}\" aria-live=\"polite\"></output>\n</figure>\n"
    )
}

fn timeline(run: &Run) -> String {
    let Some(timeline) = &run.timeline else { return String::new() };
    let step = step(timeline);
    let summary = step.summary.map(|text| format!("<pre>{text}</pre>\n"));
    format!(
        "<section>\n<h2>Measured step</h2>\n{}<iframe title=\"Timeline of the measured step\" \
         srcdoc=\"{}\"></iframe>\n</section>\n",
        summary.unwrap_or_default(),
        step.page.replace('&', "&amp;").replace('"', "&quot;"),
    )
}
