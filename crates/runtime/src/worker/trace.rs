//! When the actions of a step really happen: what the simulator predicts, measured.

use std::collections::BTreeMap;
use std::time::Instant;

use autopipe_schedule::{Action, Span, Transfer};

/// The spans of one rank in the making.
pub(super) struct Trace {
    origin: Instant,
    spans: Vec<Span>,
    /// The receives that wait for a send, as places in `spans`.
    posted: BTreeMap<Transfer, usize>,
    /// When the action that is going on began to do something.
    start: f64,
}

impl Trace {
    /// Starts the clock.
    #[expect(clippy::disallowed_methods, reason = "measuring is what this file is for")]
    pub(super) fn start() -> Self {
        Self { origin: Instant::now(), spans: Vec::new(), posted: BTreeMap::new(), start: 0.0 }
    }

    fn now(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    pub(super) fn begin(&mut self) {
        self.start = self.now();
    }

    /// The tensors of a send are here; the computation that waited for them starts now.
    pub(super) fn arrived(&mut self, sent: Transfer) {
        let now = self.now();
        if let Some(place) = self.posted.remove(&sent) {
            self.spans[place].end = now;
        }
        self.start = now;
    }

    pub(super) fn end(&mut self, action: Action) {
        if let Action::Recv(transfer) = action {
            self.posted.insert(transfer.counterpart(), self.spans.len());
        }
        self.spans.push(Span { action, start: self.start, end: self.now() });
    }

    pub(super) fn into_spans(self) -> Vec<Span> {
        self.spans
    }
}
