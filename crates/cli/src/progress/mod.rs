//! What a person sees of a run: a bar on a terminal, plain lines anywhere else.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use autopipe_trainer::{Event, StepRecord};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::output;

/// How many lines a run writes where there is no terminal to draw a bar on.
const NUM_LINES: usize = 20;

/// And how long it says nothing at most, step for step.
const MAX_SILENCE: f64 = 30.0;

/// How much the newest step counts in the shown throughput.
const SMOOTHING: f64 = 0.1;

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
            Event::Planned { summary, num_documents, num_empty, num_sequences, num_steps } => {
                let left_out = match num_empty {
                    0 => String::new(),
                    _ => format!(" ({num_empty} empty left out)"),
                };
                output::message(&format!(
                    "{summary}\nData {num_documents} files{left_out}, {num_sequences} sequences an epoch\n"
                ));
                state.num_steps = num_steps;
                state.bar = self.is_terminal.then(|| bar(num_steps));
            }
            Event::Step(record) => state.step(&record),
            Event::Saved { step, path } => {
                state.tell(&format!("saved {} after step {step}", path.display()));
            }
            Event::Measured { timeline, path } => {
                let bubble = 100.0 * timeline.bubble_rate();
                let file = path.map(|path| format!(", timeline {}", path.display()));
                state.tell(&format!(
                    "Measured bubble {bubble:.1}% in the last step{}",
                    file.unwrap_or_default()
                ));
            }
            Event::Finished { num_steps, tokens, seconds, loss } => {
                if let Some(bar) = state.bar.take() {
                    bar.finish_and_clear();
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
        let now = record.tokens_per_second();
        let rate = self.tokens_per_second.map_or(now, |before| before + SMOOTHING * (now - before));
        self.tokens_per_second = Some(rate);
        let StepRecord { step, loss, grad_norm, lr, seconds, .. } = record;
        if let Some(bar) = &self.bar {
            bar.set_message(format!("loss {loss:.3}  {rate:.0} tokens/s"));
            bar.set_position(*step as u64);
            return;
        }
        let every = self.num_steps.div_ceil(NUM_LINES);
        self.silence += seconds;
        let is_due = step.is_multiple_of(every) || self.silence >= MAX_SILENCE;
        if *step == 1 || *step == self.num_steps || is_due {
            self.silence = 0.0;
            output::message(&format!(
                "step {step}/{}  loss {loss:.3}  grad norm {grad_norm:.2}  lr {lr:.2e}  {rate:.0} tokens/s",
                self.num_steps
            ));
        }
    }
}

fn bar(num_steps: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {elapsed} gone, {eta} left")
            .expect("the template is a constant that a test has read");
    let bar = ProgressBar::new(num_steps as u64).with_style(style);
    // The first step may take minutes: show that it has begun, and that time goes by.
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

#[cfg(test)]
mod tests;
