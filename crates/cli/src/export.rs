//! `autopipe export`: a model's folder written anew.

use autopipe::splitter::with_commas;
use autopipe_trainer::export::{Options, export};

use crate::args::Export;
use crate::hub;
use crate::output;

/// `autopipe export`.
///
/// # Errors
/// If model or adapters cannot be read or do not fit each other, or the output has something in it
/// or cannot be written.
pub(crate) fn run(args: &Export) -> anyhow::Result<()> {
    let options = Options {
        model: hub::resolve(&args.model)?,
        adapter: args.adapter.clone(),
        dtype: args.dtype,
        output: args.output.clone(),
    };
    let exported = export(&options)?;
    output::message(&format!(
        "{} parameters in {}",
        with_commas(exported.num_parameters),
        exported.dtype
    ));
    output::result(&format!("model  {}\n", args.output.display()))
}
