//! The training run: data in, learning rate, clipping, metrics and the run's folder.
//!
//! Three nouns carry it. A [`Corpus`](data::Corpus) is text on disk that is never held in memory.
//! A [`Loader`](data::Loader) cuts it into sequences and hands them out in an order that depends on
//! nothing but seed and epoch; its [`Position`](data::Position) is all that is needed to go on later
//! as if nothing had happened. A [`RunDir`] is where a run leaves its checkpoints and its metrics.
//!
//! ```
//! use autopipe_trainer::data::{Corpus, Loader};
//! use autopipe_trainer::{Decay, LrSchedule};
//! use candle_core::Device;
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("a.txt"), "a pipeline has stages, and stages have work")?;
//!
//! let corpus = Corpus::open(&["*.txt"], folder.path())?;
//! let mut loader = Loader::new(corpus, 8, 1111)?;
//! let batch = loader.next_batch(2, &Device::Cpu)?;
//! assert_eq!(batch.input_ids.dims(), [2, 8]);
//!
//! let lr = LrSchedule::new(3e-4, Decay::Cosine { min_lr: 3e-5 }, 10, 100)?;
//! assert_eq!(lr.at(10), 3e-4); // the warm-up is over
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here prints: what happens is told as [`Event`]s to whoever runs the training. The clock
//! is read in one place, [`Stopwatch`], and no number that training computes depends on it.

mod clip;
mod clock;
pub mod data;
mod error;
mod lr;
mod metrics;
mod run_dir;
mod train;

pub use autopipe::ThreadOptions;
pub use clip::{clip_coefficient, grad_norm};
pub use clock::Stopwatch;
pub use error::Error;
pub use lr::{Decay, LrProblem, LrSchedule};
pub use metrics::{Event, MetricsWriter, StepRecord};
pub use run_dir::{Checkpoint, RunDir};
pub use train::{Finished, TrainError, train}; // in the signature of `train`
