//! `autopipe plan`: what a run would do and take, from a model's config alone.

mod json;
mod request;
mod text;

use std::path::Path;

use anyhow::bail;
use autopipe::splitter::Picture;
use autopipe::{
    Forecast, PipelinePlan, Suggestion, Warning, forecast, plan, split, suggest, warnings,
};
use autopipe_config::Recipe;

use crate::args::{Machine, Plan};
use crate::output;
use request::Request;

/// What is found of a request.
pub(crate) struct Planned {
    request: Request,
    plan: PipelinePlan,
    pub(crate) forecast: Forecast,
    warnings: Vec<Warning>,
    pub(crate) suggestion: Option<Suggestion>,
}

/// `autopipe plan`.
///
/// # Errors
/// If the recipe or the config cannot be read, anything is wrong with them, or the picture cannot be
/// written.
pub(crate) fn run(args: &Plan) -> anyhow::Result<()> {
    let planned = Planned::of(Request::new(args)?)?;
    if let Some(path) = &args.output {
        draw(&planned, path)?;
    }
    let text =
        if args.json { format!("{:#}\n", json::json(&planned)) } else { text::text(&planned) };
    output::result(&text)
}

impl Planned {
    /// What `autopipe plan` finds of a recipe.
    pub(crate) fn of_recipe(recipe: &Recipe, machine: Machine) -> anyhow::Result<Self> {
        Self::of(Request::of_recipe(recipe, machine)?)
    }

    fn of(request: Request) -> anyhow::Result<Self> {
        let Request { config, table, pp_size, model, split: way, workload, .. } = &request;
        let graph = &model.graph;
        let config = split(config, table.as_ref(), *pp_size, graph, way, workload)?;
        let plan = plan(&config, table.as_ref(), *pp_size, graph)?;
        let forecast = forecast(&plan, workload);
        let warnings = warnings(&plan, &forecast, workload);
        // The lists that a split comes to are not what somebody would have to take out.
        let asked = &request.config;
        let suggestion = suggest(asked, way, *pp_size, graph, workload, &forecast);
        Ok(Self { plan, forecast, warnings, suggestion, request })
    }

    /// Whether some rank has less memory than the plan takes.
    fn is_too_large(&self) -> bool {
        let limit = self.request.workload.memory_limit;
        limit.is_some_and(|limit| self.forecast.peak_bytes() > limit)
    }

    /// Of all pipelines together; needs the speed of a rank.
    fn tokens_per_second(&self) -> f64 {
        self.request.num_pipelines * self.forecast.tokens / self.forecast.step
    }

    /// The rank of each stage.
    fn ranks(&self) -> Vec<usize> {
        self.forecast.stages.iter().map(|stage| stage.rank).collect()
    }
}

fn draw(planned: &Planned, path: &Path) -> anyhow::Result<()> {
    let picture = Picture {
        graph: &planned.request.model.graph,
        partition: &planned.plan.partition,
        shape: planned.request.workload.microbatch,
        ranks: &planned.ranks(),
    };
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let text = match ending.as_deref() {
        Some("svg") => picture.svg(),
        Some("dot" | "gv") => picture.dot(),
        _ => bail!(
            "`{}` does not say how to draw the split: the endings are .svg and .dot",
            path.display()
        ),
    };
    output::to(Some(path), |out| out.write_all(text.as_bytes()))
}
