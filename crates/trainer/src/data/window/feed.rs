//! One thread that reads ahead for all ranks of a process.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::{Window, WindowShape};
use crate::Error;
use crate::data::{Loader, LoaderProblem};

/// What the thread says: a window, or why there are no more.
type Message = Result<Arc<Window>, Arc<Error>>;

/// One rank's end of a feed.
///
/// Dropping it waits for nothing. When the last one is dropped, the thread ends after the window
/// that it is reading.
#[derive(Debug)]
pub struct Reader {
    windows: Receiver<Message>,
    /// What ended the feed: every later window fails for the same reason.
    failed: Option<Arc<Error>>,
}

impl Reader {
    /// The next window, the same for every reader; waits until it is read.
    ///
    /// # Errors
    /// If it cannot be read, for every reader and from then on; or if the thread has panicked.
    pub fn next_window(&mut self) -> Result<Arc<Window>, Error> {
        let failed = match &self.failed {
            Some(error) => Arc::clone(error),
            None => match self.windows.recv() {
                Ok(Ok(window)) => return Ok(window),
                Ok(Err(error)) => error,
                // The thread tells every other end of its own.
                Err(_) => Arc::new(LoaderProblem::Panicked.into()),
            },
        };
        self.failed = Some(Arc::clone(&failed));
        Err(LoaderProblem::Ahead(failed).into())
    }
}

/// Starts a thread that reads windows, up to `depth` of them before they are asked for, and hands
/// each to `num_readers` readers. All of them have to read on for any to get further.
///
/// # Errors
/// If a count is 0, or there can be no thread.
pub fn feed(
    loader: Loader,
    shape: WindowShape,
    num_readers: usize,
    depth: usize,
) -> Result<Vec<Reader>, Error> {
    if num_readers == 0 {
        return Err(Error::Zero { name: "num_readers" });
    }
    // One window is in the thread's hands, the others wait in the channels.
    let capacity = depth.checked_sub(1).ok_or(Error::Zero { name: "prefetch" })?;
    let (senders, readers) = (0..num_readers)
        .map(|_| {
            let (sender, windows) = sync_channel(capacity);
            (sender, Reader { windows, failed: None })
        })
        .unzip();
    thread::Builder::new()
        .name("data".to_owned())
        .spawn(move || read_ahead(loader, shape, senders))
        .map_err(|source| LoaderProblem::Thread { source })?;
    Ok(readers)
}

/// Reads until nobody listens or nothing more can be read.
fn read_ahead(mut loader: Loader, shape: WindowShape, mut senders: Vec<SyncSender<Message>>) {
    while !senders.is_empty() {
        let message = loader.next_window(shape).map(Arc::new).map_err(Arc::new);
        senders.retain(|sender| sender.send(message.clone()).is_ok());
        if message.is_err() {
            return;
        }
    }
}
