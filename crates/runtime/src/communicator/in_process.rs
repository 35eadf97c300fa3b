//! Ranks as threads of one process: a message shares the sender's tensors.

use std::sync::Arc;
use std::time::Duration;

use super::End;
use super::mailbox::PostOffice;

/// One thread's end of a group of threads; made by [`in_process`].
pub type InProcess = End;

/// Makes a world of `size` ranks, to be given to a thread each. A rank that waits longer than
/// `timeout` for another gets an error.
pub fn in_process(size: usize, timeout: Duration) -> Vec<InProcess> {
    let office = Arc::new(PostOffice::new(size, timeout));
    (0..size).map(|rank| End::of_world(Arc::clone(&office), rank)).collect()
}
