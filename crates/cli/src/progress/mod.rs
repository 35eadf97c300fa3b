//! What a person sees of a run: a bar on a terminal, plain lines anywhere else.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use autopipe::splitter::{short, short_bytes};
use autopipe_trainer::{EvalRecord, Event, StepRecord};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle, WeakProgressBar};

use crate::output;

/// How many lines a run writes where there is no terminal to draw a bar on.
const NUM_LINES: usize = 20;

/// And how long it says nothing at most, step for step.
const MAX_SILENCE: f64 = 30.0;

/// How much the newest step counts in the shown throughput.
const SMOOTHING: f64 = 0.1;

/// The bar that is on the terminal now, which whatever else is written there must not run into.
static SHOWN: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// Writes to the terminal while no bar is on it.
pub(crate) fn without_bar<T>(write: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown.and_then(|bar| bar.upgrade()) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Shows the events of one run.
pub(crate) struct Progress {
    is_terminal: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bar: Option<ProgressBar>,
    num_steps: usize,
    tokens_per_second: Option<f64>,
    /// Seconds that the steps after the first have taken, and how many they are.
    paced: (f64, usize),
    /// Whether a step is done.
    has_begun: bool,
    /// Seconds of the steps since the last line.
    silence: f64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), state: Mutex::default() }
    }

    pub(crate) fn show(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Planned { summary, num_steps } => {
                output::message(&format!("{summary}\n"));
                state.num_steps = num_steps;
                state.bar = self.is_terminal.then(|| bar(num_steps));
            }
            Event::Resumed { step, path } => {
                if let Some(bar) = &state.bar {
                    bar.set_position(step as u64);
                    bar.reset_eta();
                }
                state.tell(&format!("going on after step {step}, from {}", path.display()));
            }
            Event::Step(record) => state.step(&record),
            Event::Evaluated(record) => state.tell(&evaluation(&record)),
            Event::Skipped { step, what, reason } => {
                state.tell(&format!("step {step}: skipped {what}: {reason}"));
            }
            Event::Saving { step, path } => {
                state.tell(&format!("saving {} after step {step}", path.display()));
            }
            Event::Saved { step, path } => {
                state.tell(&format!("saved {} after step {step}", path.display()));
            }
            Event::Stopping { step } => {
                state.tell(&format!("stopping after step {step}, with a checkpoint"));
            }
            Event::Measured { timeline, path } => {
                let bubble = 100.0 * timeline.bubble_rate();
                let file = path.map(|path| format!(", timeline {}", path.display()));
                state.tell(&format!("Measured bubble {bubble:.1}%{}", file.unwrap_or_default()));
            }
            Event::Traced { step, path, summary } => {
                state.tell(&format!(
                    "step {step} beside its prediction: {}\n{summary}",
                    path.display()
                ));
            }
            Event::Finished { num_steps, tokens, seconds, loss, left_out } => {
                if let Some(bar) = state.bar.take() {
                    bar.finish_and_clear();
                }
                if left_out.total() > 0 {
                    output::message(&format!(
                        "Left out {} records that cannot be read, {} samples that are too long and {} \
                         of which nothing is learnt",
                        left_out.bad, left_out.too_long, left_out.unlabelled
                    ));
                }
                if num_steps == 0 {
                    return;
                }
                let rate = tokens as f64 / seconds;
                output::message(&format!(
                    "{num_steps} steps in {}: loss {loss:.3}, {rate:.0} tokens/s with start and saving",
                    HumanDuration(Duration::from_secs_f64(seconds)),
                ));
            }
            // The trainer may learn to tell more; an event that nobody knows here is not shown.
            _ => {}
        }
    }
}

impl State {
    /// A line that stays, above the bar if there is one.
    fn tell(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => output::message(text),
        }
    }

    fn step(&mut self, record: &StepRecord) {
        self.pace(record);
        let now = record.tokens_per_second();
        let rate = self.tokens_per_second.map_or(now, |before| before + SMOOTHING * (now - before));
        self.tokens_per_second = Some(rate);
        let step = record.step;
        if let Some(bar) = &self.bar {
            bar.set_message(figures(record, rate));
            bar.set_position(step as u64);
            return;
        }
        let every = self.num_steps.div_ceil(NUM_LINES).max(1);
        self.silence += record.seconds;
        let is_due = step.is_multiple_of(every) || self.silence >= MAX_SILENCE;
        if step == 1 || step == self.num_steps || is_due {
            self.silence = 0.0;
            let left = self.time_left(step);
            let left = left.map(|left| format!("  {} left", HumanDuration(left)));
            output::message(&format!(
                "step {step}/{}  {}{}",
                self.num_steps,
                figures(record, rate),
                left.unwrap_or_default()
            ));
        }
    }

    /// Notes how long a step took; the first is slower than those after it.
    fn pace(&mut self, record: &StepRecord) {
        if self.has_begun {
            self.paced.0 += record.seconds;
            self.paced.1 += 1;
        }
        self.has_begun = true;
    }

    /// How long the steps after this one will take, if that is known.
    fn time_left(&self, step: usize) -> Option<Duration> {
        let (seconds, num) = self.paced;
        let num_left = self.num_steps.checked_sub(step).filter(|&left| left > 0)?;
        if num == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 steps")]
        let left = seconds / num as f64 * num_left as f64;
        Duration::try_from_secs_f64(left).ok()
    }
}

/// A step in one line.
fn figures(record: &StepRecord, tokens_per_second: f64) -> String {
    let StepRecord { loss, grad_norm, lr, .. } = record;
    let mut text = format!(
        "loss {loss:.3}  grad norm {grad_norm:.2}  lr {lr:.2e}  {tokens_per_second:.0} tokens/s"
    );
    // As smooth as the tokens, of which it is a multiple.
    let smooth = tokens_per_second / record.tokens_per_second();
    let is_known = |rate: &f64| rate.is_finite() && *rate > 0.0;
    let flops = Some(smooth * record.model_flops_per_second()).filter(is_known);
    let mfu = record.mfu().map(|mfu| smooth * mfu).filter(is_known);
    // Writing to a string cannot fail.
    let _ = match (mfu, flops) {
        (Some(mfu), _) => write!(text, "  MFU {:.1}%", 100.0 * mfu),
        (None, Some(flops)) => {
            let number = short(flops);
            let blank = if number.contains(' ') { "" } else { " " };
            write!(text, "  {number}{blank}FLOP/s")
        }
        (None, None) => Ok(()),
    };
    if let Some(bubble) = record.measured_bubble {
        let _ = write!(text, "  bubble {:.1}%", 100.0 * bubble);
    }
    if let Some(&most) = record.memory_bytes.iter().max() {
        #[expect(clippy::cast_precision_loss, reason = "shown to three digits")]
        let most = short_bytes(most as f64);
        let _ = write!(text, "  {most}");
    }
    text
}

fn evaluation(record: &EvalRecord) -> String {
    let EvalRecord { step, loss, tokens, seconds } = record;
    let perplexity = record.perplexity();
    format!(
        "step {step}: validation loss {loss:.3}, perplexity {perplexity:.2}, of {tokens} tokens in {seconds:.1} s"
    )
}

fn bar(num_steps: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:20} {pos}/{len}  {elapsed} gone, {eta} left  {msg}")
            .expect("the template is a constant that a test has read");
    let bar = ProgressBar::new(num_steps as u64).with_style(style);
    // The first step may take minutes: show that it has begun, and that time goes by.
    bar.enable_steady_tick(Duration::from_secs(1));
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
    bar
}

#[cfg(test)]
mod tests;
