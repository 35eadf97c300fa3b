//! Ctrl-C: the first asks the run to save and leave, the second leaves.

use std::process;

use anyhow::Context as _;
use autopipe::communicator::Watch;
use autopipe_trainer::Stop;

use crate::output;

/// What a shell reports of a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Listens for Ctrl-C and for what ends a process in a job scheduler. The process has one listener. Of
/// a rank that is a process, it is told what it waits for: what starts processes ends all of them when
/// one has died, and the others know best which that was.
///
/// # Errors
/// If the system takes none.
pub(crate) fn listen(stop: Stop, rank: Option<Watch>) -> anyhow::Result<()> {
    ctrlc::set_handler(move || {
        if stop.is_requested() {
            output::message("leaving at once");
            process::exit(INTERRUPTED.into());
        }
        stop.request();
        let Some(rank) = &rank else {
            output::message("saving after this step; a second Ctrl-C leaves at once");
            return;
        };
        let number = rank.rank();
        let doing = match rank.waiting() {
            Some(waiting) => format!("waits for {waiting}"),
            None => "computes".to_owned(),
        };
        output::message(&format!(
            "rank {number} is told to end while it {doing}; all save after this step, if all are there"
        ));
    })
    .context("cannot listen for Ctrl-C")
}
