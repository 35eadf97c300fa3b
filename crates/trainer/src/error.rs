//! What can go wrong in a training run.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use autopipe::schedule::csv::CsvErrors;
use autopipe::{OutOfMemory, Split};
use autopipe_config::{DType, RecipeErrors, UnevenBatch};

use crate::data::{CorpusProblem, DocumentsProblem, LoaderProblem, RecordProblem};
use crate::generate::{GenerateProblem, SamplingProblem};
use crate::state::StateProblem;
use crate::tokenizer::TokenizerProblem;
use crate::verify::BatchProblem;
use crate::{GpuProblem, LrProblem, NoSpace, NonFinite, ProcessProblem};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The recipe asks for what cannot be run; everything at once.
    #[error("{0}")]
    Recipe(RecipeErrors),
    /// The ranks have not the GPUs that they are to compute on.
    #[error(transparent)]
    Gpu(#[from] GpuProblem),
    /// A step is not a whole number of batches.
    #[error(transparent)]
    UnevenBatch(#[from] UnevenBatch),
    /// The files of the corpus cannot be used; holds everything that is wrong, at least one problem.
    #[error("{}", joined(.0))]
    Corpus(Vec<CorpusProblem>),
    /// The files of a source cannot be used; holds everything that is wrong, at least one problem.
    #[error("{}", joined(.0))]
    Documents(Vec<DocumentsProblem>),
    /// One record of the data is at fault; others can still be read.
    #[error(transparent)]
    Record(#[from] Box<RecordProblem>),
    /// There is not one whole sequence in the corpus.
    #[error(
        "a sequence of {seq_len} tokens needs {} bytes of text, the corpus has {num_tokens} with its \
         separators; add text or lower `seq_len`",
        u128::from(*seq_len) + 1
    )]
    CorpusTooShort {
        /// The sequence length asked for.
        seq_len: u64,
        /// Tokens of the corpus: the bytes of all files and one separator after each.
        num_tokens: u64,
    },
    /// A file of the corpus could be read when the run began and cannot be read now.
    #[error(
        "cannot read `{}`, which had {num_bytes} bytes when the run began: {source}",
        path.display()
    )]
    ReadCorpus {
        /// The file.
        path: PathBuf,
        /// Its length when the corpus was opened.
        num_bytes: u64,
        /// Why.
        source: io::Error,
    },
    /// A count that has to be positive is not.
    #[error("`{name}` is 0, the smallest is 1")]
    Zero {
        /// The count's name.
        name: &'static str,
    },
    /// The batch does not fit into memory.
    #[error("a batch of {batch_size} sequences of {seq_len} tokens does not fit into memory")]
    BatchTooLarge {
        /// Sequences asked for.
        batch_size: usize,
        /// Tokens of each.
        seq_len: usize,
    },
    /// No batch can be made of the data, or none is left.
    #[error(transparent)]
    Data(#[from] LoaderProblem),
    /// The learning rate's parameters make no schedule; holds at least one problem.
    #[error("{}", joined(.0))]
    LearningRate(Vec<LrProblem>),
    /// The folder of the run cannot be made or written to.
    #[error(
        "cannot write to `{}`: {source}; choose another folder for the run, or free this one",
        path.display()
    )]
    WriteRunDir {
        /// The file or folder in question.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder has a run in it.
    #[error(
        "`{}` holds a run already (there is `{}`); choose another checkpoint_dir, or remove this one",
        root.display(),
        path.display()
    )]
    RunExists {
        /// The folder.
        root: PathBuf,
        /// What a run has left in it.
        path: PathBuf,
    },
    /// A process trains in the folder.
    #[error(
        "another process trains in `{}`; wait for it, or choose another checkpoint_dir",
        root.display()
    )]
    RunInUse {
        /// The folder.
        root: PathBuf,
    },
    /// A run cannot go on from a checkpoint, or leave one.
    #[error(transparent)]
    State(#[from] StateProblem),
    /// A loss or a gradient is no number.
    #[error(
        "{0}; lower the learning rate, look at the data of this step, or set `optimizer.on_non_finite`"
    )]
    NonFinite(NonFinite),
    /// Too many steps in a row have changed nothing.
    #[error(
        "{num_steps} steps in a row have changed nothing, the last because {last}; lower the learning rate"
    )]
    TooManySkipped {
        /// How many.
        num_steps: usize,
        /// What was wrong with the last.
        last: NonFinite,
    },
    /// Checkpoints were left out, and the last one too.
    #[error("rank {rank} cannot write the checkpoint after step {step}: {reason}")]
    Save {
        /// The step.
        step: usize,
        /// The rank that could not.
        rank: usize,
        /// Why.
        reason: String,
    },
    /// The thread that writes a checkpoint has panicked.
    #[error("the thread that writes the checkpoint after step {step} has panicked")]
    WriterPanicked {
        /// The step.
        step: usize,
    },
    /// A trace is asked for of a step that does not come, or has nowhere to go.
    #[error("step {step} cannot be traced: {reason}")]
    Trace {
        /// The step asked for.
        step: usize,
        /// Why.
        reason: &'static str,
    },
    /// Something in the folder of the run cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    ReadRunDir {
        /// The file or folder in question.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The metrics of a run that has not come far enough.
    #[error("`{}` has no step yet; wait for the run's first", path.display())]
    NoSteps {
        /// The file.
        path: PathBuf,
    },
    /// A line of the metrics file is no record of a run.
    #[error(
        "line {line} of `{}` is no record of a run: {source}; remove it, or the file",
        path.display()
    )]
    MetricsLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// There is no checkpoint of this name.
    #[error("there is no checkpoint folder `{}`", path.display())]
    NoCheckpoint {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file that names the newest checkpoint says something else.
    #[error(
        "`{}` should name a checkpoint, like `step-000300`, but says `{content}`",
        path.display()
    )]
    Latest {
        /// The file.
        path: PathBuf,
        /// What it says; its beginning, where it is long.
        content: String,
    },
    /// A line of metrics could not be written.
    #[error("cannot write the metrics of step {step}: {source}")]
    WriteMetrics {
        /// The step.
        step: usize,
        /// Why.
        source: io::Error,
    },
    /// The model has no token for every byte.
    #[error(
        "bytes need a vocabulary of {needed}, the model has {vocab_size}; set vocab_size in its config"
    )]
    Vocabulary {
        /// The model's.
        vocab_size: usize,
        /// What the tokenizer makes.
        needed: usize,
    },
    /// Sequences longer than the model's positions.
    #[error(
        "sequences of {seq_len} tokens are longer than the model's max_position_embeddings {max}; lower `dataset.seq_len`"
    )]
    SequenceTooLong {
        /// The recipe's.
        seq_len: usize,
        /// The model's.
        max: usize,
    },
    /// The file of `pp_schedule_csv` cannot be opened.
    #[error("cannot read the schedule `{}`: {source}", path.display())]
    ReadSchedule {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The table has communication in it.
    #[error(
        "the schedule `{}` has sends and receives; give the table of what is computed alone: they are \
         added, and the whole is proved right, before it runs",
        path.display()
    )]
    ScheduleLevel {
        /// The file.
        path: PathBuf,
    },
    /// The step's tokens cannot be counted.
    #[error(
        "a step of {global_batch_size} sequences of {seq_len} tokens is too large to be counted"
    )]
    StepTooLarge {
        /// Sequences of a step.
        global_batch_size: usize,
        /// Tokens of each.
        seq_len: usize,
    },
    /// The file of `pp_schedule_csv` is not a schedule.
    #[error("`{}` is not a schedule: {source}", path.display())]
    Schedule {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        source: CsvErrors,
    },
    /// A way to split what is not split.
    #[error(
        "one stage has the whole model, so that the split `{split}` has no effect; leave it out, or \
         use more ranks"
    )]
    SplitOfOne {
        /// The way given.
        split: Split,
    },
    /// Numbers of a type that nothing is trained in.
    #[error("nothing is trained in {dtype}; choose float32, bfloat16 or float16")]
    Precision {
        /// The type asked for.
        dtype: DType,
    },
    /// A folder that would be overwritten.
    #[error("there is something at `{}`, which is not overwritten; choose another folder", path.display())]
    OutputInUse {
        /// The folder.
        path: PathBuf,
    },
    /// A tolerance that nothing can be measured by.
    #[error("a tolerance of {tolerance} is none; 0 demands the same bits, 1e-4 is usual")]
    Tolerance {
        /// The number given.
        tolerance: f64,
    },
    /// The table has another number of microbatches.
    #[error(
        "the schedule `{}` has {table} microbatches, not {asked}; leave the number out",
        path.display()
    )]
    TableMicrobatches {
        /// The file.
        path: PathBuf,
        /// What it has.
        table: usize,
        /// What was asked for.
        asked: usize,
    },
    /// What is wrong with several sources of data; holds at least two problems.
    #[error("{}", joined(.0))]
    Sources(Vec<Error>),
    /// Another rank has ended the run.
    #[error("rank {rank} has ended the run: {reason}")]
    Elsewhere {
        /// The rank.
        rank: usize,
        /// Why.
        reason: String,
    },
    /// A run that has got on while it was looked at, to be gone on with.
    #[error(
        "the run in `{}` has got on meanwhile: a process that trained there has just ended; begin again",
        root.display()
    )]
    RunChanged {
        /// The run's folder.
        root: PathBuf,
    },
    /// The processes of a run do not go together.
    #[error(transparent)]
    Process(#[from] ProcessProblem),
    /// The disk has no room for what the run is to save.
    #[error(transparent)]
    NoSpace(#[from] NoSpace),
    /// A batch that the model cannot compute.
    #[error(transparent)]
    Batch(#[from] BatchProblem),
    /// What the unsplit model computes says nothing of a split one.
    #[error(
        "the {what} of the unsplit model is {value}, so that there is nothing to compare with; look at \
         the model's weights"
    )]
    Unsplit {
        /// What was computed.
        what: &'static str,
        /// What came out: no number, or a gradient of zeros.
        value: f64,
    },
    /// Two gradients that should be of one parameter.
    #[error("the gradient of `{parameter}` has {unsplit} numbers unsplit and {split} split")]
    GradientSizes {
        /// The parameter.
        parameter: String,
        /// Numbers of the unsplit one.
        unsplit: usize,
        /// Numbers of the split one.
        split: usize,
    },
    /// Gradients cannot be written to a file.
    #[error("cannot write the gradients to `{}`: {source}", path.display())]
    WriteGradients {
        /// The file.
        path: PathBuf,
        /// Why.
        source: safetensors::SafeTensorError,
    },
    /// A model's tokenizer cannot be used.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerProblem),
    /// No text can be generated.
    #[error(transparent)]
    Generate(#[from] GenerateProblem),
    /// Tokens cannot be drawn; holds at least one problem.
    #[error("{}", joined(.0))]
    Sampling(Vec<SamplingProblem>),
    /// The model cannot be read, built or written.
    #[error(transparent)]
    Model(#[from] autopipe_models::Error),
    /// The pipeline cannot be built, or a step of it failed.
    #[error(transparent)]
    Pipeline(#[from] autopipe::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(candle_core::Error),
    /// The same between steps, for which the GPU has too little memory.
    #[error(transparent)]
    OutOfMemory(OutOfMemory),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        OutOfMemory::of(error).map_or_else(Self::Tensor, Self::OutOfMemory)
    }
}

fn joined(problems: &[impl Display]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
