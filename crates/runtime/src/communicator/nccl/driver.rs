//! The thread that goes on with the lines of a rank while that computes, and brings them to their end.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::NcclError;
use super::bell::{End, Motion, pause};
use super::carrier::{Carrier, Lane as _};
use super::lines::Lines;
use super::wreck::Wreck;
use crate::panic::catch;
use crate::{Error, Failure};

/// How long an error of NCCL's waits for the transport below to tell of the end of a rank, which it would
/// come from: that says more.
const HEARSAY: Duration = Duration::from_secs(1);
/// The longest rests while something is to be begun, while the device is at something, and else.
const LONGEST: Duration = Duration::from_millis(1);
const STILL: Duration = Duration::from_millis(10);

/// Lines with their thread, until the last end of their rank is dropped: then all that was sent leaves,
/// unless the world has failed, and the rank has ended.
pub(super) struct Driven<C: Carrier> {
    // Dropped in this order: the thread is told before it is waited for.
    lines: Told<C>,
    _thread: Joined,
}

struct Told<C: Carrier>(Arc<Lines<C>>);

impl<C: Carrier> Drop for Told<C> {
    fn drop(&mut self) {
        // Whoever panics may have sent half of what the others wait for: they are to hear of it soon.
        self.0.bell.end(if thread::panicking() { End::AtOnce } else { End::InOrder });
    }
}

struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        // Its panic, if any, was told.
        self.0.take().map(JoinHandle::join);
    }
}

impl<C: Carrier> Driven<C> {
    pub(super) fn start(lines: Lines<C>) -> Result<Self, Error> {
        let lines = Arc::new(lines);
        let (own, span) = (Arc::clone(&lines), tracing::Span::current());
        let work = move || {
            let _rank = span.enter();
            if let Err(message) = catch(|| drive(&own)) {
                let rank = own.world_rank();
                let cause =
                    format!("the thread that goes on with its messages panicked: {message}");
                own.abort(Failure { rank, at: None, cause });
                own.break_off();
            }
            close(own);
        };
        let thread = thread::Builder::new().name("nccl".to_owned()).spawn(work);
        let thread = thread.map_err(NcclError::Thread)?;
        Ok(Self { lines: Told(lines), _thread: Joined(Some(thread)) })
    }

    pub(super) fn lines(&self) -> &Lines<C> {
        &self.lines.0
    }
}

/// Goes on until the rank is at its end and what it has sent has left, or never will.
#[expect(clippy::disallowed_methods, reason = "ranks that do not answer are not waited for")]
fn drive<C: Carrier>(lines: &Lines<C>) {
    let mut num_idle = 0;
    let mut suspected: Option<Instant> = None;
    let mut ending: Option<Instant> = None;
    loop {
        let end = lines.bell.ended();
        if end == Some(End::InOrder) && ending.is_none() {
            ending = Some(Instant::now());
            lines.tell_end();
        }
        if end == Some(End::AtOnce) {
            return lines.break_off();
        }
        let motion = match lines.go_on() {
            Ok(motion) => motion,
            Err(_) => {
                lines.break_off_failed();
                Motion::Still
            }
        };
        lines.clear_wrecks();
        match lines.fault() {
            None => suspected = None,
            Some((failure, may_be_end)) => {
                let since = suspected.get_or_insert_with(Instant::now);
                if !may_be_end || since.elapsed() >= HEARSAY {
                    lines.abort(failure);
                }
            }
        }
        if let Some(since) = ending {
            if motion == Motion::Still && suspected.is_none() {
                return;
            }
            if since.elapsed() >= lines.options.timeout {
                return lines.break_off();
            }
        }
        let has_rung = match motion {
            Motion::Still => lines.bell.rest(STILL),
            Motion::Device => lines.bell.rest(LONGEST),
            Motion::Moving => pause(num_idle, LONGEST, |rest| lines.bell.rest(rest)),
        };
        num_idle = if has_rung || motion != Motion::Moving { 0 } else { num_idle + 1 };
    }
}

/// The rank has ended. Its lanes are closed together with the other ranks', which may take them a while.
#[expect(clippy::disallowed_methods, reason = "ranks that do not answer are not waited for")]
fn close<C: Carrier>(lines: Arc<Lines<C>>) {
    let (mut lanes, mut wrecks) = lines.take();
    let (carrier, grace) = (Arc::clone(&lines.carrier), lines.options.grace);
    drop(lines);
    let since = Instant::now();
    while since.elapsed() < grace {
        // One that cannot be closed is broken off.
        lanes.retain_mut(|lane| matches!(lane.close(), Ok(false)));
        wrecks.retain(|wreck| !wreck.is_still(&*carrier));
        if lanes.is_empty() && wrecks.is_empty() {
            return;
        }
        thread::park_timeout(LONGEST);
    }
    wrecks.into_iter().for_each(Wreck::leak);
}
