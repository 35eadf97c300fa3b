//! Checkpoints: every rank writes what it has from a copy while training goes on, and the whole appears
//! at once when all have.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use autopipe::communicator::Reduction;
use autopipe_models::AutoModel;
use autopipe_models::checkpoint::save::{
    Content, Writing, begin, commit, finish, is_read, partial, write_shard,
};
use autopipe_nn::Parameters;
use candle_core::Tensor;

use super::RankRun;
use crate::state::{TrainingState, create, optimizer_tensors, write_optimizer};
use crate::train::Finished;
use crate::{Error, Event, RunDir};

/// How long ranks write between two meetings.
const BETWEEN_MEETINGS: Duration = Duration::from_millis(20);

/// A checkpoint of which this rank's part is being written.
pub(super) struct Pending {
    step: usize,
    is_best: bool,
    content: Content,
    /// Where the first set of parameters is: the others are equal.
    writer: Option<JoinHandle<Result<(), Error>>>,
}

/// All that a rank writes, which nobody changes any more.
struct Part {
    model: Arc<AutoModel>,
    content: Content,
    rank: usize,
    num_ranks: usize,
    folder: PathBuf,
    parameters: Vec<Parameters>,
    optimizer: Vec<(String, Tensor)>,
    /// On rank 0.
    state: Option<TrainingState>,
}

/// What is written of the parameters of a rank's stages, and of what the optimiser remembers of them.
struct Copies {
    parts: Vec<Parameters>,
    optimizer: Vec<(String, Tensor)>,
}

impl Part {
    fn write(self) -> Result<(), Error> {
        let Self { model, content, rank, num_ranks, folder, .. } = self;
        let writing = Writing { folder: &folder, model: &model, content, num_shards: num_ranks };
        write_shard(&writing, rank, &self.parameters.iter().collect::<Vec<_>>())?;
        write_optimizer(&folder, rank, num_ranks, self.optimizer)?;
        self.state.map_or(Ok(()), |state| state.write(&folder))?;
        tracing::debug!(rank, folder = %folder.display(), "this rank's part of a checkpoint is written");
        Ok(())
    }
}

impl RankRun<'_> {
    /// Saves what is to be saved after a step, and waits for it after the last.
    pub(super) fn save_after(
        &mut self,
        step: usize,
        is_last: bool,
        is_best: bool,
        finished: &mut Finished,
    ) -> Result<(), Error> {
        let Some(run_dir) = &self.job.run_dir else { return Ok(()) };
        let recipe = self.job.recipe;
        let every = recipe.step_scheduler.ckpt_every_steps;
        let is_due = every.is_some_and(|every| step.is_multiple_of(every));
        let is_best = is_best && recipe.checkpoint.save_best;
        if is_last || is_due || is_best {
            finished.checkpoint = Some(run_dir.checkpoint(step).path);
            let failed = self.begin_save(run_dir, step, is_best)?;
            if let (true, Some((rank, reason))) = (is_last, failed) {
                return Err(Error::Save { step, rank, reason });
            }
        }
        if self.pending.is_some() && (is_last || !recipe.checkpoint.is_async) {
            let failed = self.complete_save()?;
            if let (true, Some((rank, reason))) = (is_last, failed) {
                return Err(Error::Save { step, rank, reason });
            }
        }
        Ok(())
    }

    /// Lets every rank that has some of the first set of parameters write a copy, unless there is no
    /// place for it.
    fn begin_save(
        &mut self,
        run_dir: &RunDir,
        step: usize,
        is_best: bool,
    ) -> Result<Option<(usize, String)>, Error> {
        if self.pending.is_some() {
            self.complete_save()?;
        }
        let path = run_dir.checkpoint(step).path;
        let begun = match self.pipeline.world().rank() {
            0 => begin(&path).map_err(Error::from).and_then(|unfinished| create(&unfinished)),
            _ => Ok(()),
        };
        if let Some(failed) = self.first_failure(begun.as_ref().err())? {
            return self.give_up(step, is_best, &path, failed).map(Some);
        }
        let content = self.content(step);
        let writer =
            if self.is_in_first_set() { Some(self.begin_write(&path, content)?) } else { None };
        tracing::debug!(step, "what a checkpoint has is copied, and training goes on");
        self.pending = Some(Pending { step, is_best, content, writer });
        // The copies are no part of what the next step holds.
        self.peak_memory(None)?;
        if let Some(reporter) = &self.reporter
            && self.job.recipe.checkpoint.is_async
        {
            reporter.tell(Event::Saving { step, path });
        }
        Ok(None)
    }

    /// Copies what this rank has, and lets a thread write it.
    fn begin_write(
        &self,
        path: &Path,
        content: Content,
    ) -> Result<JoinHandle<Result<(), Error>>, Error> {
        let (num_turns, turn) = self.turns();
        let rank = self.pp_rank()? * num_turns + turn;
        let Copies { parts, optimizer } = self.own_copies(content)?;
        let part = Part {
            model: Arc::clone(&self.job.model),
            content,
            rank,
            num_ranks: self.num_writers(),
            folder: partial(path)?,
            parameters: parts,
            optimizer,
            state: (rank == 0).then(|| self.state.clone()),
        };
        thread::Builder::new()
            .name(format!("checkpoint {rank}"))
            .spawn(move || part.write())
            .map_err(|source| Error::WriteRunDir { path: path.to_owned(), source })
    }

    /// How many ranks write: those of a pipeline, each with those that share its parameters out or have
    /// other parts of its matrices.
    fn num_writers(&self) -> usize {
        self.job.recipe.distributed.pp_size * self.turns().0
    }

    /// How many ranks take turns to write what they have together, and which this one is.
    fn turns(&self) -> (usize, usize) {
        let (shard, tensor) = (self.pipeline.data_parallel().shard, self.pipeline.tensor_size());
        (shard * tensor, self.pipeline.shard_index() * tensor + self.pipeline.tensor_index())
    }

    /// Copies of the parameters that this rank writes, whole, and of what the optimiser remembers of
    /// them. Ranks that have them together put them together and take turns.
    fn own_copies(&self, content: Content) -> Result<Copies, Error> {
        let is_read = is_read(&self.job.model, content);
        let pipeline = &self.pipeline;
        let (num_turns, own_turn) = self.turns();
        // What is merged is written with what it is merged into.
        let merges = self.job.recipe.peft.is_some() && content == Content::Model;
        let (mut parts, mut optimizer) = (Vec::new(), Vec::new());
        for (number, part) in pipeline.parts()?.into_iter().enumerate() {
            let mut copies = Parameters::new();
            let read = part.iter().filter(|parameter| is_read(parameter.name()));
            for (turn, parameter) in read.enumerate() {
                let is_mine = own_turn == if merges { 0 } else { turn % num_turns };
                // Whoever only helps to put it together drops it at once.
                let gather = |own: &Tensor| {
                    let whole = pipeline.gather(number, parameter, own)?;
                    Ok(if is_mine { whole } else { own.clone() })
                };
                let value = gather(&parameter.value().detach())?;
                let remembered = if pipeline.is_copy(parameter.name())? {
                    Vec::new()
                } else {
                    optimizer_tensors(&self.optimizer, parameter, gather)?
                };
                if is_mine {
                    // What is frozen never changes, and what was put together is a copy.
                    let is_copy = parameter.is_slice() || parameter.cut().is_some();
                    let shares = parameter.is_trainable() && !is_copy;
                    let value = if shares { value.copy()? } else { value };
                    let added = copies.add(parameter.name(), value, false);
                    added.map_err(candle_core::Error::from)?;
                    optimizer.extend(remembered);
                }
            }
            parts.push(copies);
        }
        Ok(Copies { parts, optimizer })
    }

    /// Whether this rank's part of the pending checkpoint is written.
    pub(super) fn is_written(&self) -> bool {
        let is_done = |writer: &JoinHandle<_>| writer.is_finished();
        let pending = self.pending.as_ref();
        pending.is_some_and(|pending| pending.writer.as_ref().is_none_or(is_done))
    }

    /// Waits for the pending checkpoint and puts it in its place. All ranks call this, and learn
    /// whether a rank could not write, and why: training goes on without the checkpoint then, and the
    /// one before stays the newest.
    pub(super) fn complete_save(&mut self) -> Result<Option<(usize, String)>, Error> {
        let (Some(pending), Some(run_dir)) = (self.pending.take(), &self.job.run_dir) else {
            return Ok(None);
        };
        let Pending { step, is_best, content, writer } = pending;
        self.wait_until_written(writer.as_ref())?;
        let written = writer
            .map_or(Ok(()), |writer| writer.join().unwrap_or(Err(Error::WriterPanicked { step })));
        let path = run_dir.checkpoint(step).path;
        if let Some(failed) = self.first_failure(written.as_ref().err())? {
            return self.give_up(step, is_best, &path, failed).map(Some);
        }
        let completed = match self.pipeline.world().rank() {
            0 => self.complete(run_dir, step, is_best, content),
            _ => Ok(()),
        };
        if let Some(failed) = self.first_failure(completed.as_ref().err())? {
            return self.give_up(step, is_best, &path, failed).map(Some);
        }
        if let Some(reporter) = &self.reporter {
            reporter.tell(Event::Saved { step, path });
        }
        Ok(None)
    }

    /// Comes back when all ranks have written their parts. They meet now and then meanwhile, for the time
    /// that a rank waits for another is shorter than a large checkpoint may take.
    fn wait_until_written(
        &self,
        writer: Option<&JoinHandle<Result<(), Error>>>,
    ) -> Result<(), Error> {
        let world = self.pipeline.world();
        loop {
            let is_writing = writer.is_some_and(|writer| !writer.is_finished());
            let most = world.all_reduce(&[f64::from(is_writing)], Reduction::Max);
            if most.map_err(autopipe::Error::from)? == [0.0] {
                return Ok(());
            }
            thread::park_timeout(BETWEEN_MEETINGS);
        }
    }

    /// What one rank does for all.
    fn complete(
        &self,
        run_dir: &RunDir,
        step: usize,
        is_best: bool,
        content: Content,
    ) -> Result<(), Error> {
        let path = run_dir.checkpoint(step).path;
        let folder = partial(&path)?;
        let num_shards = self.num_writers();
        finish(&Writing { folder: &folder, model: &self.job.model, content, num_shards })?;
        commit(&folder, &path)?;
        run_dir.set_latest(step)?;
        if is_best {
            run_dir.set_best(step)?;
        }
        let pruned = self.job.recipe.checkpoint.keep.map_or(Ok(()), |keep| run_dir.prune(keep));
        // The new one is whole all the same.
        if let (Err(error), Some(reporter)) = (pruned, &self.reporter) {
            let (what, reason) = ("removing old checkpoints".to_owned(), error.to_string());
            reporter.tell(Event::Skipped { step, what, reason });
        }
        Ok(())
    }

    /// The first rank that has failed, and why, if any has.
    pub(super) fn first_failure(
        &self,
        error: Option<&Error>,
    ) -> Result<Option<(usize, String)>, Error> {
        let world = self.pipeline.world();
        let has_failed = f64::from(error.is_some());
        let num_failed =
            world.all_reduce(&[has_failed], Reduction::Sum).map_err(autopipe::Error::from)?;
        if num_failed == [0.0] {
            return Ok(None);
        }
        let reason = error.map(|error| error.to_string()).unwrap_or_default();
        let all = world.all_gather_text(&reason).map_err(autopipe::Error::from)?;
        Ok(all.into_iter().enumerate().find(|(_, reason)| !reason.is_empty()))
    }

    /// Frees what a checkpoint that cannot be finished takes, and says so.
    fn give_up(
        &mut self,
        step: usize,
        is_best: bool,
        path: &Path,
        failed: (usize, String),
    ) -> Result<(usize, String), Error> {
        if is_best {
            // A later one may be better than what is saved.
            self.state.best = self.former_best.take();
        }
        if let Some(reporter) = &self.reporter {
            // What cannot be removed either is swept up when the run goes on.
            let _ = std::fs::remove_dir_all(partial(path)?);
            let (what, reason) = (format!("the checkpoint {}", path.display()), failed.1.clone());
            reporter.tell(Event::Skipped { step, what, reason });
        }
        Ok(failed)
    }

    /// What the checkpoint after a step has: adapters, unless they are merged in the last.
    fn content(&self, step: usize) -> Content {
        match &self.job.recipe.peft {
            Some(peft) if !(peft.merge && step == self.job.num_steps()) => Content::Adapter,
            Some(_) | None => Content::Model,
        }
    }
}
