//! What the libraries say of their work: lines on standard error, each with its rank.

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{fmt, registry};

use crate::progress::without_bar;

/// From which level on lines are shown, of each part of the program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Levels(Targets);

/// What is no level, in a list of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{part}` is no level: give error, warn, info, debug, trace or off, also as PART=LEVEL with a \
     crate such as autopipe_runtime"
)]
pub(crate) struct UnknownLevel {
    part: String,
}

impl FromStr for Levels {
    type Err = UnknownLevel;

    /// A level for all, and others for parts of the program: `warn,autopipe_runtime=debug`. Without the
    /// first it is `warn`.
    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let (mut for_all, mut parts) = (LevelFilter::WARN, Vec::new());
        for part in text.split(',').map(str::trim) {
            let unknown = || UnknownLevel { part: part.to_owned() };
            match part.split_once('=') {
                None => for_all = level(part).ok_or_else(unknown)?,
                Some(("", _)) => return Err(unknown()),
                Some((target, text)) => {
                    let level = level(text.trim()).ok_or_else(unknown)?;
                    parts.push((target.trim().to_owned(), level));
                }
            }
        }
        let targets = Targets::new().with_default(for_all).with_targets(parts);
        Ok(Self(targets))
    }
}

fn level(text: &str) -> Option<LevelFilter> {
    Some(match text {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        "off" => LevelFilter::OFF,
        _ => return None,
    })
}

/// Shows lines from now on, before any other thread starts.
pub(crate) fn install(levels: &Levels) {
    // A program has one log; this is the only place that sets it.
    let _ = tracing::subscriber::set_global_default(subscriber(levels, || Beside));
}

/// A line has time, level, rank and part: `.. DEBUG rank{rank=1}: autopipe_runtime::worker: ..`.
fn subscriber<W>(levels: &Levels, writer: W) -> impl tracing::Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_ansi(false).with_writer(writer);
    registry().with(levels.0.clone()).with(lines)
}

/// Standard error, while no progress bar is on it; a line comes as one write.
struct Beside;

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        without_bar(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
