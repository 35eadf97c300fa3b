//! Runs a valid program against the clock.

use std::collections::BTreeMap;

use super::transport::{End, Message, Transport};
use super::{Costs, Span, Timeline};
use crate::{Action, Compute, Direction, Stage, Transfer, ValidProgram};

/// Runs a program against the clock.
///
/// Ranks work at the same time, each on its own row in order. A computation starts when its rank is
/// free and its tensors are there. Sending and receiving take none of a rank's time; when a message
/// arrives is a matter of [`Communication`](crate::Communication). `UNSHARD` and `REDUCE_GRAD` run
/// on a stream of their own, one after the other: the stage's next computation waits for the
/// former, `WAIT_REDUCE_GRAD` and `OPTIMIZER_STEP` for the latter. `REDUCE_TIED` starts when the
/// last of its group's ranks has come to it, and they all wait until it is over; a rank with several
/// of its stages waits once, at the last.
///
/// # Examples
/// ```
/// use autopipe_schedule::{Costs, Extent, Kind, generate, lower, simulate, validate};
///
/// let extent = Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 8 };
/// let program = validate(lower(&generate(Kind::OneFOneB, &extent)?))?;
/// let timeline = simulate(&program, &Costs::UNIT);
/// assert_eq!(timeline.makespan(), 33.0); // (8 + 4 - 1) * 3
/// assert_eq!(timeline.bubble_rate(), 3.0 / 11.0);
/// assert_eq!(timeline.peak_activations(), [4, 3, 2, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn simulate(program: &ValidProgram, costs: &Costs) -> Timeline {
    let mut clock = Clock::new(program, costs);
    while let Some(rank) = clock.ready.pop() {
        let row = &program.rows()[rank];
        while let Some(&action) = row.get(clock.ranks[rank].spans.len()) {
            if let Err(wait) = clock.happen(rank, action) {
                clock.ranks[rank].waits = Some(wait);
                break;
            }
            clock.tell_news();
        }
    }
    clock.into_timeline()
}

/// What a rank stands still for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Message(usize),
    Ties(u16),
}

/// One rank on its way through its row.
struct Progress {
    now: f64,
    /// When the last of its collectives is over.
    stream: f64,
    waits: Option<Wait>,
    spans: Vec<Span>,
}

/// The ranks that share parameters, on their way to sum the gradients up.
#[derive(Default)]
struct Ties {
    /// How many actions of the group nobody has come to.
    missing: usize,
    /// The same by rank.
    missing_of: BTreeMap<usize, usize>,
    /// The ranks that wait for the others.
    waiting: Vec<usize>,
    /// When the last one came, and how long it takes.
    start: f64,
    time: f64,
}

struct Clock<'a> {
    program: &'a ValidProgram,
    costs: &'a Costs,
    num_microbatches: usize,
    num_cells: usize,
    ranks: Vec<Progress>,
    transport: Transport,
    /// By stage, when its parameters are whole, and when its gradients are summed up.
    unsharded: Vec<f64>,
    reduced: Vec<f64>,
    ties: BTreeMap<u16, Ties>,
    ready: Vec<usize>,
}

impl<'a> Clock<'a> {
    fn new(program: &'a ValidProgram, costs: &'a Costs) -> Self {
        let (num_stages, num_microbatches) = (program.num_stages(), program.num_microbatches());
        let num_cells = num_stages * num_microbatches;
        let progress = |row: &Vec<Action>| {
            let spans = Vec::with_capacity(row.len());
            Progress { now: 0.0, stream: 0.0, waits: None, spans }
        };
        let mut ties: BTreeMap<u16, Ties> = BTreeMap::new();
        for (rank, row) in program.rows().iter().enumerate() {
            for &action in row {
                if let Action::ReduceTied { group, .. } = action {
                    let ties = ties.entry(group).or_default();
                    ties.missing += 1;
                    ties.time = ties.time.max(costs.of(action));
                    *ties.missing_of.entry(rank).or_default() += 1;
                }
            }
        }
        Self {
            program,
            costs,
            num_microbatches,
            num_cells,
            ranks: program.rows().iter().map(progress).collect(),
            transport: Transport::new(program, costs, 2 * num_cells),
            unsharded: vec![0.0; num_stages],
            reduced: vec![0.0; num_stages],
            ties,
            ready: (0..program.num_ranks()).rev().collect(),
        }
    }

    /// Does what a rank has come to, or says what it has to wait for.
    fn happen(&mut self, rank: usize, action: Action) -> Result<(), Wait> {
        let now = self.ranks[rank].now;
        match action {
            Action::Compute(compute) => {
                let start = now.max(self.inputs(compute)?);
                self.push(rank, action, start, start + self.costs.of(action));
            }
            Action::Overlap(overlap) => {
                let forward = self.inputs(overlap.forward())?;
                let start = now.max(forward).max(self.inputs(overlap.backward())?);
                self.push(rank, action, start, start + self.costs.of(action));
            }
            Action::Send(transfer) => {
                self.begin(rank, action, now);
                self.transport.post(self.of_send(transfer), End::Send, now);
            }
            Action::Recv(transfer) => {
                self.begin(rank, action, now);
                self.transport.post(self.of_recv(transfer), End::Recv, now);
            }
            Action::WaitSend(transfer) => {
                let key = self.of_send(transfer).key;
                let sent = self.transport.sent(key, now).ok_or(Wait::Message(key))?;
                self.push(rank, action, now, now.max(sent));
            }
            Action::Unshard(stage) => self.unsharded[stage.index()] = self.collect(rank, action),
            Action::ReduceGrad(stage) => self.reduced[stage.index()] = self.collect(rank, action),
            Action::WaitReduceGrad(stage) => {
                self.push(rank, action, now, now.max(self.reduced[stage.index()]));
            }
            Action::ReduceTied { group, .. } => self.reduce_tied(rank, action, group)?,
            Action::OptimizerStep(stage) => {
                let start = now.max(self.reduced[stage.index()]);
                self.push(rank, action, start, start + self.costs.of(action));
            }
            Action::Reshard(_) => self.push(rank, action, now, now + self.costs.of(action)),
        }
        Ok(())
    }

    /// An action that the rank is busy with, or waits at.
    fn push(&mut self, rank: usize, action: Action, start: f64, end: f64) {
        self.ranks[rank].now = end;
        self.ranks[rank].spans.push(Span::new(action, start, end));
    }

    /// An action that the rank goes on from at once, and whose end is not known.
    fn begin(&mut self, rank: usize, action: Action, now: f64) {
        self.ranks[rank].spans.push(Span::new(action, now, now));
    }

    /// A collective, which runs after those before it and beside the rank's computations.
    fn collect(&mut self, rank: usize, action: Action) -> f64 {
        let progress = &mut self.ranks[rank];
        let start = progress.now;
        let end = start.max(progress.stream) + self.costs.of(action);
        progress.stream = end;
        progress.spans.push(Span::new(action, start, end));
        end
    }

    fn reduce_tied(&mut self, rank: usize, action: Action, group: u16) -> Result<(), Wait> {
        let progress = &self.ranks[rank];
        let now = progress.now;
        let ties = self.ties.get_mut(&group).expect("counted in the beginning");
        // A rank that has waited comes here again, and has been counted.
        if let Some(missing) = ties.missing_of.get_mut(&rank) {
            ties.start = ties.start.max(now);
            ties.missing -= 1;
            *missing -= 1;
            if *missing > 0 {
                self.begin(rank, action, now);
                return Ok(());
            }
            ties.missing_of.remove(&rank);
            if ties.missing == 0 {
                for other in std::mem::take(&mut ties.waiting) {
                    self.ranks[other].waits = None;
                    self.ready.push(other);
                }
            } else {
                ties.waiting.push(rank);
            }
        }
        if ties.missing > 0 {
            return Err(Wait::Ties(group));
        }
        let end = ties.start + ties.time;
        self.push(rank, action, now, end);
        Ok(())
    }

    /// When all is there that a computation needs from elsewhere.
    fn inputs(&self, compute: Compute) -> Result<f64, Wait> {
        let Compute { op, stage, microbatch } = compute;
        let whole = self.unsharded[stage.index()];
        let Some(direction) = op.direction() else { return Ok(whole) };
        let placement = self.program.placement();
        let sender = placement.sender_to(direction, stage);
        if sender.is_none_or(|(_, rank)| rank == placement.rank_of(stage)) {
            return Ok(whole);
        }
        let key = self.key(direction, stage, microbatch.index());
        let arrival = self.transport.arrival(key).ok_or(Wait::Message(key))?;
        Ok(whole.max(arrival))
    }

    fn key(&self, direction: Direction, receiver: Stage, microbatch: usize) -> usize {
        let cell = receiver.index() * self.num_microbatches + microbatch;
        direction.index() * self.num_cells + cell
    }

    fn of_send(&self, send: Transfer) -> Message {
        self.of_recv(Transfer { stage: send.receiver(), ..send })
    }

    fn of_recv(&self, recv: Transfer) -> Message {
        let rank_of = |stage| self.program.placement().rank_of(stage).index();
        Message {
            key: self.key(recv.direction, recv.stage, recv.microbatch.index()),
            from: rank_of(recv.counterpart().stage),
            to: rank_of(recv.stage),
            time: self.costs.received(recv),
        }
    }

    /// Wakes the ranks that have waited for what has arrived.
    fn tell_news(&mut self) {
        while let Some(message) = self.transport.news.pop() {
            for rank in [message.from, message.to] {
                if self.ranks[rank].waits == Some(Wait::Message(message.key)) {
                    self.ranks[rank].waits = None;
                    self.ready.push(rank);
                }
            }
        }
    }

    /// Now that all messages have arrived, says when in the spans of their ends.
    fn into_timeline(mut self) -> Timeline {
        let done = self.ranks.iter().zip(self.program.rows());
        debug_assert!(
            done.into_iter().all(|(rank, row)| rank.spans.len() == row.len()),
            "validated: every rank comes to its end"
        );
        let mut rows: Vec<Vec<Span>> =
            self.ranks.iter_mut().map(|rank| std::mem::take(&mut rank.spans)).collect();
        for span in rows.iter_mut().flatten() {
            let end = match span.action {
                Action::Send(transfer) => {
                    self.transport.sent(self.of_send(transfer).key, span.start)
                }
                Action::Recv(transfer) => self.transport.arrival(self.of_recv(transfer).key),
                Action::Compute(_)
                | Action::Overlap(_)
                | Action::WaitSend(_)
                | Action::Unshard(_)
                | Action::Reshard(_)
                | Action::ReduceGrad(_)
                | Action::WaitReduceGrad(_)
                | Action::ReduceTied { .. }
                | Action::OptimizerStep(_) => None,
            };
            span.end = end.unwrap_or(span.end).max(span.end);
        }
        Timeline::new(rows)
    }
}
