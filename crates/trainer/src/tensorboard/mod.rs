//! Event files that TensorBoard shows: the figures of steps and evaluations as curves.
//!
//! ```text
//! RUN/tensorboard/events.out.tfevents.1700000000.autopipe
//! ```
//!
//! An event file is a sequence of records (`record`), each of which is one event (`message`) in
//! protobuf's encoding. This file says which figures become which curves.

mod message;
mod record;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{EvalRecord, StepRecord};
use message::{scalars, version};

/// Writes an event file. Times are given with every call: seconds since 1970, as
/// [`wall_time`](crate::wall_time) has them.
#[derive(Debug)]
pub struct EventWriter<W> {
    writer: W,
}

impl EventWriter<File> {
    /// Begins a file in a folder, which is made if it is not there. A run that is resumed begins
    /// another beside those that are there: TensorBoard puts the files of a folder together, and of two
    /// values for a step shows the later.
    ///
    /// # Errors
    /// If folder or file cannot be made or written.
    pub fn create(folder: &Path, wall_time: f64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // Two files of one second are told apart by a number at the end.
        for number in 0.. {
            match OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path(folder, wall_time, number))
            {
                Ok(file) => return Self::new(file, wall_time),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("every name is taken"))
    }
}

impl<W: Write> EventWriter<W> {
    /// Begins a file, whose first event says in which version of the format it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(mut writer: W, wall_time: f64) -> io::Result<Self> {
        record::write(&mut writer, &version(wall_time))?;
        writer.flush()?;
        Ok(Self { writer })
    }

    /// Adds a point to each of the curves of a training step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn step(&mut self, record: &StepRecord, wall_time: f64) -> io::Result<()> {
        let mut values = vec![
            ("train/loss", record.loss),
            ("train/grad_norm", record.grad_norm),
            ("train/lr", record.lr),
            ("train/epoch", record.epoch),
            ("speed/tokens_per_second", record.tokens_per_second()),
            ("speed/model_flops_per_second", record.model_flops_per_second()),
        ];
        values.extend(record.mfu().map(|mfu| ("speed/mfu", mfu)));
        values.extend(record.measured_bubble.map(|bubble| ("speed/measured_bubble", bubble)));
        let mut values: Vec<(String, f64)> =
            values.into_iter().map(|(tag, value)| (tag.to_owned(), value)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a curve has few digits")]
        let memory = record.memory_bytes.iter().map(|&bytes| bytes as f64).enumerate();
        values.extend(memory.map(|(rank, bytes)| (format!("memory/rank_{rank}"), bytes)));
        self.write(record.step, &values, wall_time)
    }

    /// Adds a point to each of the curves of an evaluation.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn evaluation(&mut self, record: &EvalRecord, wall_time: f64) -> io::Result<()> {
        let values = [("val/loss", record.loss), ("val/perplexity", record.perplexity())];
        self.write(record.step, &values.map(|(tag, value)| (tag.to_owned(), value)), wall_time)
    }

    /// One event, flushed, so that whoever watches sees it and a run that dies has it.
    fn write(&mut self, step: usize, values: &[(String, f64)], wall_time: f64) -> io::Result<()> {
        record::write(&mut self.writer, &scalars(step, values, wall_time))?;
        self.writer.flush()
    }
}

/// TensorBoard looks for `tfevents` in a name and reads the files of a folder in the order of names.
fn path(folder: &Path, wall_time: f64, number: usize) -> PathBuf {
    let seconds = wall_time.max(0.0).trunc();
    let ending = if number == 0 { String::new() } else { format!(".{number}") };
    folder.join(format!("events.out.tfevents.{seconds:010}.autopipe{ending}"))
}
