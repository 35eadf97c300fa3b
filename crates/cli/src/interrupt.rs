//! Ctrl-C: the first asks the run to save and leave, the second leaves.

use std::process;

use anyhow::Context as _;
use autopipe_trainer::Stop;

use crate::output;

/// What a shell reports of a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Listens for Ctrl-C and for what ends a process in a job scheduler. The process has one listener.
///
/// # Errors
/// If the system takes none.
pub(crate) fn listen(stop: Stop) -> anyhow::Result<()> {
    ctrlc::set_handler(move || {
        if stop.is_requested() {
            output::message("leaving at once");
            process::exit(INTERRUPTED.into());
        }
        stop.request();
        output::message("saving after this step; a second Ctrl-C leaves at once");
    })
    .context("cannot listen for Ctrl-C")
}
