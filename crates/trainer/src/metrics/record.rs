//! The figures of a step and of an evaluation, as a line of the metrics file has them.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The numbers of one optimiser step, the same on every rank but for the time.
///
/// As JSON it has what is known of the fields below, and what follows from them, in this order:
///
/// ```
/// # use autopipe_trainer::StepRecord;
/// let record = StepRecord {
///     step: 3,
///     epoch: 0.5,
///     loss: 5.5,
///     grad_norm: 1.25,
///     lr: 3e-4,
///     tokens: 4096,
///     num_tokens: 8192,
///     seconds: 0.5,
///     model_flops: 1e12,
///     peak_flops: Some(8e12),
///     measured_bubble: None,
///     memory_bytes: vec![300_000, 200_000],
///     skipped: None,
/// };
/// assert_eq!(
///     serde_json::to_string(&record)?,
///     r#"{"step":3,"epoch":0.5,"loss":5.5,"grad_norm":1.25,"lr":0.0003,"tokens":4096,"num_tokens":8192,"#
///         .to_owned()
///         + r#""seconds":0.5,"tokens_per_second":8192.0,"model_flops_per_second":2000000000000.0,"#
///         + r#""mfu":0.25,"memory_bytes":[300000,200000]}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// `num_tokens` is left out where it is `tokens`. JSON knows no infinity and no NaN; where a number is
/// one of them it says `null`.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRecord {
    /// The step, counted from 1.
    pub step: usize,
    /// How often the data has been gone through when the step is over, parts included.
    pub epoch: f64,
    /// The mean over the step's label tokens, in nats.
    pub loss: f64,
    /// The norm of all gradients before they were clipped.
    pub grad_norm: f64,
    /// The learning rate that the step used.
    pub lr: f64,
    /// Label tokens of the step, over all its batches.
    pub tokens: usize,
    /// All tokens that went through the model: those without a label too, and padding.
    pub num_tokens: usize,
    /// How long the step took, on the rank that reports.
    pub seconds: f64,
    /// The operations that the model needs for the step ([`model_flops`](super::model_flops)),
    /// however often a schedule computes some of them again.
    pub model_flops: f64,
    /// Operations per second that all ranks together could do at best, if that is known.
    pub peak_flops: Option<f64>,
    /// The part of the step in which even the busiest rank waited
    /// ([`Timeline::bubble_rate`](autopipe::schedule::Timeline::bubble_rate)), if it was measured.
    pub measured_bubble: Option<f64>,
    /// By rank, the most bytes held during the step ([`peak_memory`](super::peak_memory)); empty if
    /// nothing counts them.
    pub memory_bytes: Vec<u64>,
    /// Why the weights stayed as they were, if they did.
    pub skipped: Option<String>,
}

impl StepRecord {
    /// Label tokens per second of the whole pipeline; infinite if no time has passed.
    pub fn tokens_per_second(&self) -> f64 {
        float(self.tokens) / self.seconds
    }

    /// Operations per second that went into the model; infinite if no time has passed.
    pub fn model_flops_per_second(&self) -> f64 {
        self.model_flops / self.seconds
    }

    /// Which part of the ranks' best is that: the model FLOP/s utilisation of the PaLM paper
    /// (<https://arxiv.org/abs/2204.02311>, appendix B).
    pub fn mfu(&self) -> Option<f64> {
        self.peak_flops.map(|peak| self.model_flops_per_second() / peak)
    }
}

impl Serialize for StepRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { step, epoch, loss, grad_norm, lr, tokens, num_tokens, seconds, .. } = self;
        let mut record = serializer.serialize_map(None)?;
        record.serialize_entry("step", step)?;
        record.serialize_entry("epoch", epoch)?;
        record.serialize_entry("loss", loss)?;
        record.serialize_entry("grad_norm", grad_norm)?;
        record.serialize_entry("lr", lr)?;
        record.serialize_entry("tokens", tokens)?;
        if num_tokens != tokens {
            record.serialize_entry("num_tokens", num_tokens)?;
        }
        record.serialize_entry("seconds", seconds)?;
        record.serialize_entry("tokens_per_second", &self.tokens_per_second())?;
        record.serialize_entry("model_flops_per_second", &self.model_flops_per_second())?;
        if let Some(mfu) = self.mfu() {
            record.serialize_entry("mfu", &mfu)?;
        }
        if let Some(bubble) = self.measured_bubble {
            record.serialize_entry("measured_bubble", &bubble)?;
        }
        if !self.memory_bytes.is_empty() {
            record.serialize_entry("memory_bytes", &self.memory_bytes)?;
        }
        if let Some(reason) = &self.skipped {
            record.serialize_entry("skipped", reason)?;
        }
        record.end()
    }
}

/// What an evaluation on the validation data came to.
///
/// ```
/// # use autopipe_trainer::EvalRecord;
/// let record = EvalRecord { step: 100, loss: 0.0, tokens: 512, seconds: 0.25 };
/// assert_eq!(
///     serde_json::to_string(&record)?,
///     r#"{"step":100,"val_loss":0.0,"val_perplexity":1.0,"val_tokens":512,"seconds":0.25}"#,
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvalRecord {
    /// The step after which it was.
    pub step: usize,
    /// The mean over all its label tokens, in nats.
    pub loss: f64,
    /// Those tokens.
    pub tokens: usize,
    /// How long it took.
    pub seconds: f64,
}

impl EvalRecord {
    /// Among how many tokens the model is undecided, as it were: e to the loss.
    pub fn perplexity(&self) -> f64 {
        self.loss.exp()
    }
}

impl Serialize for EvalRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { step, loss, tokens, seconds } = self;
        let mut record = serializer.serialize_map(Some(5))?;
        record.serialize_entry("step", step)?;
        record.serialize_entry("val_loss", loss)?;
        record.serialize_entry("val_perplexity", &self.perplexity())?;
        record.serialize_entry("val_tokens", tokens)?;
        record.serialize_entry("seconds", seconds)?;
        record.end()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a step has far fewer than 2^53 tokens")]
fn float(count: usize) -> f64 {
    count as f64
}
