//! `autopipe init`: a recipe for a model and data, with what fits them filled in.

mod choose;
mod data;
mod draft;
mod length;
mod rate;
mod starting;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use autopipe::splitter::{HfNesting, hf_model, short_bytes, with_commas};
use autopipe_trainer::model_config;

use crate::args::Init;
use crate::output;
use crate::schedule::figures::{counted, percent};
use crate::setting::microbatches;
use choose::{Choice, choose};
use draft::{Draft, Steps, quoted};
use starting::Starting;

/// `autopipe init`.
///
/// # Errors
/// If model or data cannot be read, do not fit each other or the ranks, or the recipe is there already.
pub(crate) fn run(args: &Init) -> anyhow::Result<()> {
    // Before the work; whoever makes the file meanwhile is met when it is written.
    if args.output.exists() {
        bail!(exists(&args.output));
    }
    let starting = Starting::of(&args.model)?;
    let mut draft = Draft {
        name: name(&args.output)?,
        file: args.output.display().to_string(),
        pp_size: args.pp,
        has_weights: starting.has_weights,
        model: starting.section,
        paths: data::pattern(&args.data)?,
        form: data::form(&args.data)?,
        chat_template: args.chat_template.as_deref().map(quoted).transpose()?,
        seq_len: 1,
        batch_size: choose::batch_size(args.pp),
        steps: Steps::LEAST,
        lr: 1.0,
        choice: Choice::default(),
    };
    let recipe = draft.recipe()?;
    let model = hf_model(&model_config(&recipe.model.source)?, HfNesting::default())?;
    let measured = length::measure(&recipe, &draft.form, model.vocab_size)?;
    let num_parameters = model.graph.num_parameters();
    draft.seq_len = measured.seq_len(&draft.form, model.max_positions);
    draft.lr = rate::learning_rate(num_parameters, draft.has_weights);
    draft.steps = measured.steps(&draft);
    draft.choice = choose(&draft, args.memory)?;
    // What is written has been read as `autopipe train` reads it.
    draft.recipe()?;
    let written =
        File::create_new(&args.output).and_then(|mut file| file.write_all(draft.text().as_bytes()));
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(exists(&args.output)),
        written => written.with_context(|| format!("cannot write `{}`", args.output.display()))?,
    }
    output::message(&format!(
        "Model {}, {} parameters, {}",
        model.model_type,
        with_commas(num_parameters),
        if draft.has_weights { "with its weights" } else { "random weights" },
    ));
    output::message(&format!("Data {measured}, rows of {}", counted(draft.seq_len, "token")));
    let num = measured.num_longer(draft.seq_len);
    if num > 0 && draft.form.is_apart() {
        output::warning(&format!(
            "{num} of the {} read are longer than a row and lose their end; see `too_long`",
            counted(measured.num_read(), "sample")
        ));
    }
    output::message(&told(&draft));
    output::result(&format!("recipe  {}\n", args.output.display()))
}

/// What is predicted of the choice.
fn told(draft: &Draft) -> String {
    let Choice { schedule, local_batch_size, microbatch_size, bubble, peak_bytes, .. } =
        &draft.choice;
    let memory = format!("at most {} on a rank", short_bytes(*peak_bytes));
    if draft.pp_size == 1 {
        return format!("One rank, batches of {local_batch_size}, {memory}");
    }
    format!(
        "Schedule {schedule}, {} of {}, predicted bubble {}, {memory}",
        microbatches(local_batch_size / microbatch_size),
        counted(*microbatch_size, "sample"),
        percent(*bubble),
    )
}

fn exists(path: &Path) -> String {
    format!("`{}` is there already, and no file is overwritten; name another", path.display())
}

/// What the run is called, as its recipe.
fn name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_stem().and_then(|name| name.to_str());
    name.map(str::to_owned).with_context(|| {
        format!("`{}` is no name of a recipe, such as recipe.yaml", path.display())
    })
}
