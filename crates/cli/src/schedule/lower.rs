//! `autopipe schedule lower`: from what is computed to what a rank does.

use anyhow::{bail, ensure};
use autopipe_schedule::lower::{
    self, Lowering, OptimizerSteps, Receives, ReduceGrads, Sharding, WaitSends, lower_observed,
    lower_row, lower_with, merge_backward, recompute,
};
use autopipe_schedule::{Plan, Program, Rank, validate};

use super::Usage;
use super::read::{self, Input, Table};
use super::write::{Shown, drawn, form, write, write_text};
use crate::args::{self, Form, Lower, Passes};
use crate::output;

/// Prints the lowered schedule, or one row of it.
///
/// # Errors
/// If the schedule is lowered already, or cannot be lowered as asked.
pub(super) fn run(args: &Lower) -> anyhow::Result<()> {
    let lowering = lowering(&args.passes)?;
    let Input { name, table } = read::one(&args.source)?;
    let plan = match table {
        Table::Plan(plan) => plan,
        Table::Program(program) | Table::Measured { program, .. } => {
            bail!("{}", already(&name, &program))
        }
    };
    let rank = args.rank.map(Rank::new);
    if let Some(rank) = rank {
        let num_ranks = plan.num_ranks();
        ensure!(
            rank.index() < num_ranks,
            "{name} has the ranks 0 to {}, not {rank}",
            num_ranks - 1
        );
    }
    if args.explain {
        return explain(plan, &lowering, args, rank);
    }
    let plan = replan(plan, &args.passes, &mut |_, _| {});
    match rank {
        Some(rank) => {
            let row = lower_row(&plan, rank, &lowering)?;
            write_text(row_text(row, rank, form(&args.write)), &args.write)
        }
        None => {
            let program = lower_with(&plan, &lowering)?;
            warn(&program);
            write(Shown::Program(&program), &args.write)
        }
    }
}

/// Says that no rank should run what has been made.
fn warn(program: &Program) {
    if let Err(violations) = validate(program.clone()) {
        output::warning(&format!(
            "the program that comes of it is not right: {violations}\n\
             `autopipe schedule validate` shows it in its table"
        ));
    }
}

fn already(name: &str, program: &Program) -> String {
    let rows = program.rows().iter().enumerate();
    let mut actions = rows.flat_map(|(rank, row)| row.iter().map(move |&action| (rank, action)));
    let example = actions
        .find(|(_, action)| action.work().is_none())
        .map_or_else(String::new, |(rank, action)| format!(", as {action} of rank {rank}"));
    format!("{name} is lowered already{example}; lower takes a compute-only table")
}

/// The options of the library, from those of the command.
fn lowering(passes: &Passes) -> anyhow::Result<Lowering> {
    let mut lowering = if passes.torch { Lowering::TORCH } else { Lowering::default() };
    if let Some(max_active_stages) = passes.max_active_stages {
        lowering.sharding = Some(Sharding { max_active_stages, ..Sharding::TORCH });
    }
    if let Some(args::Lookahead(lookahead)) = &passes.unshard_lookahead {
        let Some(sharding) = &mut lowering.sharding else {
            bail!(Usage(
                "--unshard-lookahead is for sharded parameters; give --max-active-stages as well"
                    .to_owned()
            ));
        };
        sharding.lookahead = lookahead.clone();
    }
    if let Some(reduce_grads) = passes.reduce_grads {
        lowering.reduce_grads = match reduce_grads {
            args::ReduceGrads::Never => ReduceGrads::Never,
            args::ReduceGrads::Immediate => ReduceGrads::Immediate,
            args::ReduceGrads::Deferred => ReduceGrads::Deferred,
        };
    }
    if passes.wait_sends {
        lowering.wait_sends = WaitSends::WhenTaken;
    }
    if let Some(limit) = passes.max_sends {
        lowering.wait_sends = WaitSends::AtMost(limit);
    }
    if let Some(receives) = passes.receives {
        lowering.receives = match receives {
            args::Receives::Early => Receives::Early,
            args::Receives::Late => Receives::Late,
            args::Receives::Deferred => Receives::Deferred,
        };
    }
    lowering.tied = passes.tie.iter().map(|args::Tie(stages)| stages.clone()).collect();
    if let Some(steps) = passes.optimizer_steps {
        lowering.optimizer_steps = match steps {
            args::OptimizerSteps::Never => OptimizerSteps::Never,
            args::OptimizerSteps::WhenReady => OptimizerSteps::WhenReady,
            args::OptimizerSteps::AtEnd => OptimizerSteps::AtEnd,
        };
    }
    Ok(lowering)
}

/// Runs the passes that make a plan of a plan.
fn replan(mut plan: Plan, passes: &Passes, observe: &mut dyn FnMut(&str, &Plan)) -> Plan {
    if passes.merge_backward {
        plan = merge_backward(&plan);
        observe("merge_backward", &plan);
    }
    if let Some(which) = &passes.recompute {
        let which = match which {
            args::Recompute::All => lower::Recompute::All,
            args::Recompute::Stages(stages) => lower::Recompute::Stages(stages),
            args::Recompute::EveryNth(n) => lower::Recompute::EveryNth(*n),
        };
        plan = recompute(&plan, which);
        observe("recompute", &plan);
    }
    plan
}

/// Prints the program after each pass.
fn explain(
    plan: Plan,
    lowering: &Lowering,
    args: &Lower,
    rank: Option<Rank>,
) -> anyhow::Result<()> {
    let mut story = Story { text: String::new(), last: String::new() };
    let form = form(&args.write);
    let plan_text = |plan: &Plan| match (rank, form) {
        (Some(rank), _) => {
            let row = plan.rows()[rank.index()].iter().map(|&work| work.into()).collect();
            row_text(row, rank, form)
        }
        (None, Form::Table) => drawn(Shown::Plan(plan)),
        (None, Form::Csv) => autopipe_schedule::csv::plan_to_string(plan),
    };
    story.tell("plan", plan_text(&plan));
    let plan = replan(plan, &args.passes, &mut |pass, plan| story.tell(pass, plan_text(plan)));
    let program = lower_observed(&plan, lowering, &mut |pass, program| {
        story.tell(
            pass,
            match (rank, form) {
                (Some(rank), _) => row_text(program.rows()[rank.index()].clone(), rank, form),
                (None, Form::Table) => drawn(Shown::Program(program)),
                (None, Form::Csv) => autopipe_schedule::csv::program_to_string(program),
            },
        );
    })?;
    warn(&program);
    write_text(story.text, &args.write)
}

/// What is told of pass after pass.
struct Story {
    text: String,
    last: String,
}

impl Story {
    fn tell(&mut self, pass: &str, program: String) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&format!("== {pass} ==\n"));
        if program == self.last {
            self.text.push_str("same as above\n");
        } else {
            self.text.push_str(&program);
            self.last = program;
        }
    }
}

/// One rank's row, in the same forms as a whole program.
fn row_text(row: Vec<autopipe_schedule::Action>, rank: Rank, form: Form) -> String {
    let program = Program::new(vec![row]);
    match form {
        Form::Csv => autopipe_schedule::csv::program_to_string(&program),
        // The table takes its only row for that of rank 0, whose name is as long or shorter.
        Form::Table => {
            drawn(Shown::Program(&program)).replacen("Rank 0", &format!("Rank {rank}"), 1)
        }
    }
}
