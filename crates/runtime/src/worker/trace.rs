//! When the actions of a step really happen and what they take: what the simulator predicts, measured.

use std::collections::BTreeMap;
use std::time::Instant;

use autopipe_schedule::{Action, Held, Span, Transfer};
use candle_core::Tensor;

use crate::memory::Account;

/// The spans of one rank in the making.
pub(super) struct Trace {
    origin: Instant,
    spans: Vec<Span>,
    /// The receives that wait for a send, as places in `spans`.
    posted: BTreeMap<Transfer, usize>,
    /// When the action that is going on began to do something.
    start: f64,
    /// Whether a part of it is done already: what arrives then does not move its start.
    is_partly_done: bool,
    /// What its message weighs.
    moved: Option<f64>,
    /// Of this rank, if it has one.
    account: Option<Account>,
}

impl Trace {
    /// Starts the clock.
    #[expect(clippy::disallowed_methods, reason = "measuring is what this file is for")]
    pub(super) fn start() -> Self {
        Self {
            origin: Instant::now(),
            spans: Vec::new(),
            posted: BTreeMap::new(),
            start: 0.0,
            is_partly_done: false,
            moved: None,
            account: Account::of_thread(),
        }
    }

    fn now(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    pub(super) fn begin(&mut self) {
        self.moved = None;
        self.is_partly_done = false;
        if let Some(account) = self.account {
            account.restart_peak();
        }
        self.start = self.now();
    }

    /// A message leaves.
    pub(super) fn sends(&mut self, tensors: &[Tensor]) {
        self.moved = Some(bytes(tensors));
    }

    /// The tensors of a send are here; the computation that waited for them starts now.
    pub(super) fn arrived(&mut self, sent: Transfer, tensors: &[Tensor]) {
        let now = self.now();
        if let Some(place) = self.posted.remove(&sent) {
            self.spans[place].end = now;
            self.spans[place].moved = Some(bytes(tensors));
        }
        if !self.is_partly_done {
            self.start = now;
        }
    }

    /// A part of the action is done, and another may come.
    pub(super) fn part_done(&mut self) {
        self.is_partly_done = true;
    }

    pub(super) fn end(&mut self, action: Action) {
        if let Action::Recv(transfer) = action {
            self.posted.insert(transfer.counterpart(), self.spans.len());
        }
        let counted = self.account.and_then(|account| Some((account.held()?, account.peak()?)));
        let held = counted.map(|(end, peak)| Held { end: float(end), peak: float(peak.max(end)) });
        let (start, end) = (self.start, self.now());
        self.spans.push(Span { action, start, end, moved: self.moved, held });
    }

    pub(super) fn into_spans(self) -> Vec<Span> {
        self.spans
    }
}

fn bytes(tensors: &[Tensor]) -> f64 {
    let of = |tensor: &Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
    float(tensors.iter().map(of).sum::<usize>() as u64)
}

#[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}
