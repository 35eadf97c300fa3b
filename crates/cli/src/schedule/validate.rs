//! `autopipe schedule validate`: what is proved of a schedule, or all that is wrong with it.

use std::process::ExitCode;

use anyhow::bail;
use autopipe_schedule::csv::{CellError, CsvErrors};
use autopipe_schedule::{
    Communication, Located, Placement, PlacementStyle, ValidProgram, Violation, Violations,
    validate,
};
use serde_json::{Value, json};

use super::color::paint;
use super::figures::{counted, counts};
use super::placement::stages_of;
use super::read::{self, Content, Origin, Table};
use crate::args::Validate;
use crate::output;

/// Prints the verdict.
///
/// # Errors
/// If the schedule cannot be read at all.
pub(super) fn run(args: &Validate) -> anyhow::Result<ExitCode> {
    let Origin { name, content } = read::open(&args.source)?;
    let verdict = match content {
        Content::Plan(plan) => judge(Table::Plan(plan), args.max_activations),
        Content::Csv(bytes) => {
            read::check_is_csv(&name, &bytes)?;
            match read::parse(&bytes) {
                Ok(table) => judge(table, args.max_activations),
                Err(CsvErrors::Cells(cells)) => Verdict::Unreadable(cells),
                Err(CsvErrors::Invalid(violations)) => Verdict::Wrong(violations),
                Err(error) => bail!("{name}: {error}"),
            }
        }
    };
    if args.json {
        output::result(&format!("{:#}\n", verdict.json()))?;
    } else {
        let text = paint(verdict.text(&name), args.color.color, false);
        output::result(&text)?;
    }
    let is_right = matches!(verdict, Verdict::Right { .. });
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

enum Verdict {
    Right { program: ValidProgram, is_plan: bool, limit: Option<usize> },
    Wrong(Violations),
    Unreadable(Vec<CellError>),
}

fn judge(table: Table, limit: Option<usize>) -> Verdict {
    let is_plan = matches!(table, Table::Plan(_));
    let proved = validate(table.into_program());
    let bounded = proved.and_then(|program| match limit {
        Some(limit) => program.within(limit),
        None => Ok(program),
    });
    match bounded {
        Ok(program) => Verdict::Right { program, is_plan, limit },
        Err(violations) => Verdict::Wrong(violations),
    }
}

impl Verdict {
    fn text(&self, name: &str) -> String {
        match self {
            Self::Right { program, is_plan, limit } => {
                let facts = facts(program, *is_plan, *limit);
                format!("{name} is right\n\n{facts}")
            }
            Self::Wrong(violations) => {
                let num = counted(violations.iter().len(), "rule");
                let list = listed(violations.iter());
                format!("{name} breaks {num}\n{list}\n{}", violations.marked_table())
            }
            Self::Unreadable(cells) => {
                let num = counted(cells.len(), "cell");
                format!("{name} has {num} that cannot be read\n{}", listed(cells.iter()))
            }
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Right { program, is_plan, .. } => json!({
                "valid": true,
                "level": if *is_plan { "compute" } else { "comms" },
                "num_ranks": program.num_ranks(),
                "num_stages": program.num_stages(),
                "num_microbatches": program.num_microbatches(),
                "has_backward": program.has_backward(),
                "placement": {
                    "style": style(program.placement()).map(|style| style.to_string()),
                    "stages_of": stages_of(program.placement()),
                },
                "peak_activations": program.peak_activations(),
                "communication": Communication::ALL,
            }),
            Self::Wrong(violations) => json!({
                "valid": false,
                "violations": violations.iter().map(violation).collect::<Vec<_>>(),
            }),
            Self::Unreadable(cells) => json!({
                "valid": false,
                "cells": cells.iter().map(|cell| json!({
                    "row": cell.row,
                    "column": cell.column,
                    "message": cell.problem.to_string(),
                })).collect::<Vec<_>>(),
            }),
        }
    }
}

fn facts(program: &ValidProgram, is_plan: bool, limit: Option<usize>) -> String {
    let placement = program.placement();
    let style = style(placement)
        .map_or_else(|| "neither loop, v nor snake".to_owned(), |style| style.to_string());
    let kind = if is_plan {
        "compute-only, proved with sends and receives added"
    } else {
        "with sends and receives"
    };
    let direction = if program.has_backward() { "forward and backward" } else { "forward only" };
    let limit = limit.map_or_else(String::new, |limit| format!("; the limit is {limit}"));
    format!(
        "table             {kind}\n\
         computes          {direction}\n\
         ranks             {}\n\
         stages            {}, placement {style}\n\
         microbatches      {}\n\
         peak activations  {}{limit}\n\
         transports        buffered, rendezvous, NCCL's order: every rank comes to its end\n",
        program.num_ranks(),
        program.num_stages(),
        program.num_microbatches(),
        counts(program.peak_activations()),
    )
}

/// How the stages lie, if it has a name.
fn style(placement: &Placement) -> Option<PlacementStyle> {
    let (num_ranks, num_stages) = (placement.num_ranks(), placement.num_stages());
    let is_it = |style: &PlacementStyle| {
        style.place(num_ranks, num_stages / num_ranks).is_ok_and(|same| same == *placement)
    };
    PlacementStyle::ALL.into_iter().find(is_it)
}

fn listed(items: impl Iterator<Item = impl std::fmt::Display>) -> String {
    items.map(|item| format!("- {item}\n")).collect()
}

fn violation(violation: &Violation) -> Value {
    let located = |at: &Located| json!({ "rank": at.rank.index(), "step": at.step, "action": at.action.to_string() });
    json!({
        "message": violation.rule.to_string(),
        "at": violation.at.iter().map(located).collect::<Vec<_>>(),
    })
}
