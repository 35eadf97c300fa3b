//! `autopipe schedule render`: schedules to look at.

use anyhow::bail;
use autopipe_schedule::render::{Chart, Report, html, json, report, svg, trace};

use super::Usage;
use super::color::paint;
use super::read::{self, Input, Table};
use super::timed::{self, Timed};
use super::write::{Shown, drawn, has_ending, write_csv};
use crate::args::{CostsOf, Picture, Render};
use crate::output;

/// Draws schedules.
///
/// # Errors
/// If a schedule cannot be read, or is not right where its times are drawn; if the form cannot show
/// several, or has no use for costs; if it cannot be written.
pub(super) fn run(args: &Render) -> anyhow::Result<()> {
    let picture = picture(args);
    check(args, picture)?;
    let inputs = read::each(&args.sources);
    let file = args.output.as_deref();
    match picture {
        Picture::Table => {
            let text = paint(tables(&read::collect(inputs)?), args.color.color, file.is_some());
            output::to(file, |out| out.write_all(text.as_bytes()))
        }
        Picture::Csv => {
            only(inputs.len(), "CSV")?;
            let inputs = read::collect(inputs)?;
            inputs.iter().try_for_each(|input| write_csv(shown(input), file))
        }
        Picture::Trace => {
            only(inputs.len(), "trace")?;
            draw(inputs, args, |charts| charts.iter().map(trace).collect())
        }
        Picture::Html => draw(inputs, args, html),
        Picture::Svg => draw(inputs, args, svg),
        Picture::Json => draw(inputs, args, figures),
    }
}

/// Draws what has times.
fn draw(
    inputs: Vec<anyhow::Result<Input>>,
    args: &Render,
    draw: impl Fn(&[Chart<'_>]) -> String,
) -> anyhow::Result<()> {
    let all = timed::all(inputs, &args.timing)?;
    let charts: Vec<Chart<'_>> = all.iter().map(Timed::chart).collect();
    let text = draw(&charts);
    output::to(args.output.as_deref(), |out| out.write_all(text.as_bytes()))
}

/// The figures of one schedule, or a list of several.
fn figures(charts: &[Chart<'_>]) -> String {
    match charts {
        [chart] => json(chart),
        _ => {
            let reports: Vec<Report> = charts.iter().map(report).collect();
            format!("{:#}\n", serde_json::json!(reports))
        }
    }
}

/// The form that is asked for, or that the file's name tells.
fn picture(args: &Render) -> Picture {
    let by_name = || {
        let file = args.output.as_deref()?;
        let forms = [
            ("html", Picture::Html),
            ("svg", Picture::Svg),
            ("json", Picture::Json),
            ("csv", Picture::Csv),
        ];
        let is_it = |&&(ending, _): &&(&str, Picture)| has_ending(file, ending);
        forms.iter().find(is_it).map(|&(_, picture)| picture)
    };
    args.format.or_else(by_name).unwrap_or(Picture::Table)
}

/// Refuses costs for what shows no times.
fn check(args: &Render, picture: Picture) -> anyhow::Result<()> {
    let timing = &args.timing;
    let has_costs = timing.costs.costs.is_some() || timing.costs.costs_file.is_some();
    let has_timing = has_costs || timing.comm.is_some() || timing.costs_of != CostsOf::Stage;
    match picture {
        Picture::Table | Picture::Csv if has_timing => bail!(Usage(
            "a table shows no times, so costs change nothing; give --format html, svg, trace or json"
                .to_owned()
        )),
        Picture::Table
        | Picture::Csv
        | Picture::Html
        | Picture::Svg
        | Picture::Trace
        | Picture::Json => Ok(()),
    }
}

fn only(num: usize, what: &str) -> anyhow::Result<()> {
    match num {
        1 => Ok(()),
        num => bail!(Usage(format!(
            "a {what} holds one schedule, not {num}; html, svg, json and table hold several"
        ))),
    }
}

fn shown(input: &Input) -> Shown<'_> {
    match &input.table {
        Table::Plan(plan) => Shown::Plan(plan),
        Table::Program(program) | Table::Measured { program, .. } => Shown::Program(program),
    }
}

/// The tables one below the other, with their names if there are several.
fn tables(inputs: &[Input]) -> String {
    if let [input] = inputs {
        return drawn(shown(input));
    }
    let named = |input: &Input| format!("{}\n{}", input.name, drawn(shown(input)));
    inputs.iter().map(named).collect::<Vec<_>>().join("\n")
}
