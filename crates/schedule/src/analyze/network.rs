//! The events of a timeline, and which have to come before which.

use std::collections::BTreeMap;

use super::Place;
use super::lookup::Lookup;
use crate::simulate::holds_rank;
use crate::{Action, Communication, Compute, Costs, Span, Timeline, Transfer};

/// The start or the end of an action, as a number: twice that of the action, and one for its end.
pub(super) type Event = usize;

pub(super) fn start_of(node: usize) -> Event {
    2 * node
}

pub(super) fn end_of(node: usize) -> Event {
    2 * node + 1
}

/// Every event of a timeline with its time, and how long after which others it comes at least.
///
/// No event of the timeline comes sooner than that: where a measured one would, as when a message
/// was faster than the costs say, the time in between is taken as it was.
pub(super) struct Network {
    /// By event.
    pub(super) times: Vec<f64>,
    /// By action, whether it is the first of its row.
    is_first: Vec<bool>,
    /// By action, whether the next one of its row waits for its end and not for its start only.
    holds: Vec<bool>,
    /// By action, whether it takes as long as it takes; if not, its end waits for others' ends.
    is_fixed: Vec<bool>,
    /// By event, where its other conditions begin.
    offsets: Vec<usize>,
    others: Vec<(Event, f64)>,
}

impl Network {
    pub(super) fn new(timeline: &Timeline, costs: &Costs, lookup: &Lookup) -> Self {
        let num_nodes = lookup.num_nodes();
        let mut builder = Builder {
            costs,
            lookup,
            before: queue(timeline, costs, lookup),
            ties: ties(timeline, costs),
            unsharded: vec![None; lookup.num_stages()],
            reduced: vec![None; lookup.num_stages()],
            network: Self {
                times: Vec::with_capacity(2 * num_nodes),
                is_first: Vec::with_capacity(num_nodes),
                holds: Vec::with_capacity(num_nodes),
                is_fixed: Vec::with_capacity(num_nodes),
                offsets: Vec::with_capacity(2 * num_nodes + 1),
                others: Vec::new(),
            },
        };
        let spans = timeline.rows().iter().flatten();
        builder.network.times.extend(spans.flat_map(|span| [span.start, span.end]));
        builder.network.offsets.push(0);
        for (rank, row) in timeline.rows().iter().enumerate() {
            builder.row(rank, row);
        }
        builder.network
    }

    pub(super) fn num_events(&self) -> usize {
        self.times.len()
    }

    /// What an event comes after, and how long after it at least.
    pub(super) fn conditions(&self, event: Event) -> impl Iterator<Item = (Event, f64)> {
        let node = event / 2;
        let own = if event == end_of(node) {
            let time = self.times[event] - self.times[start_of(node)];
            Some((start_of(node), if self.is_fixed[node] { time } else { 0.0 }))
        } else if self.is_first[node] {
            None
        } else {
            let before = if self.holds[node - 1] { end_of(node - 1) } else { start_of(node - 1) };
            Some((before, (self.times[event] - self.times[before]).min(0.0)))
        };
        let others = &self.others[self.offsets[event]..self.offsets[event + 1]];
        own.into_iter().chain(others.iter().copied())
    }

    /// By rank and step, the actions that an action waits for.
    pub(super) fn dependencies(&self, lookup: &Lookup) -> Vec<Vec<Vec<Place>>> {
        let mut rows: Vec<Vec<Vec<Place>>> = Vec::new();
        for node in 0..self.is_first.len() {
            let mut nodes: Vec<usize> = Vec::new();
            for event in [start_of(node), end_of(node)] {
                for (before, _) in self.conditions(event) {
                    if before / 2 != node && !nodes.contains(&(before / 2)) {
                        nodes.push(before / 2);
                    }
                }
            }
            let place = lookup.place(node);
            rows.resize_with(rows.len().max(place.rank.index() + 1), Vec::new);
            let places = nodes.into_iter().map(|node| lookup.place(node)).collect();
            rows[place.rank.index()].push(places);
        }
        rows.resize_with(lookup.num_ranks(), Vec::new);
        rows
    }
}

/// A tie group: where its ranks wait, and all who have to come.
struct Ties {
    members: Vec<usize>,
    /// The last member of each rank.
    waiting: Vec<usize>,
    time: f64,
}

fn ties(timeline: &Timeline, costs: &Costs) -> BTreeMap<u16, Ties> {
    let mut groups: BTreeMap<u16, Ties> = BTreeMap::new();
    let mut node = 0;
    for row in timeline.rows() {
        let mut last: BTreeMap<u16, usize> = BTreeMap::new();
        for span in row {
            if let Action::ReduceTied { group, .. } = span.action {
                let ties = Ties { members: Vec::new(), waiting: Vec::new(), time: 0.0 };
                let ties = groups.entry(group).or_insert(ties);
                ties.members.push(node);
                ties.time = ties.time.max(costs.of(span.action));
                last.insert(group, node);
            }
            node += 1;
        }
        for (group, node) in last {
            groups.entry(group).and_modify(|ties| ties.waiting.push(node));
        }
    }
    groups
}

/// By action, the receive of the message before it in its rank's queue; empty without queues.
fn queue(timeline: &Timeline, costs: &Costs, lookup: &Lookup) -> Vec<Option<usize>> {
    if costs.communication() != Communication::Nccl {
        return Vec::new();
    }
    let mut before = Vec::with_capacity(lookup.num_nodes());
    for row in timeline.rows() {
        let mut last = None;
        for span in row {
            let node = before.len();
            before.push(last);
            match span.action {
                Action::Send(transfer) => last = lookup.recv_of(transfer).or(last),
                Action::Recv(_) => last = Some(node),
                Action::Compute(_)
                | Action::Overlap(_)
                | Action::WaitSend(_)
                | Action::Unshard(_)
                | Action::Reshard(_)
                | Action::ReduceGrad(_)
                | Action::WaitReduceGrad(_)
                | Action::ReduceTied { .. }
                | Action::OptimizerStep(_) => {}
            }
        }
    }
    before
}

struct Builder<'a> {
    costs: &'a Costs,
    lookup: &'a Lookup,
    before: Vec<Option<usize>>,
    ties: BTreeMap<u16, Ties>,
    /// By stage, the `UNSHARD` that its next computation waits for, and its `REDUCE_GRAD`.
    unsharded: Vec<Option<usize>>,
    reduced: Vec<Option<usize>>,
    network: Network,
}

impl Builder<'_> {
    fn row(&mut self, rank: usize, row: &[Span]) {
        let mut collective = None;
        for (step, span) in row.iter().enumerate() {
            let node = self.network.is_first.len();
            self.network.is_first.push(step == 0);
            self.network.holds.push(holds_rank(span.action));
            self.starts(rank, node, span.action);
            self.network.offsets.push(self.network.others.len());
            let is_fixed = self.ends(node, span.action, &mut collective);
            self.network.is_fixed.push(is_fixed);
            self.network.offsets.push(self.network.others.len());
        }
    }

    /// Event `to` comes at least `lag` after `from`.
    fn add(&mut self, to: Event, from: Event, lag: f64) {
        let times = &self.network.times;
        let lag = lag.min(times[to] - times[from]);
        self.network.others.push((from, lag));
    }

    /// What the start of an action waits for besides its rank.
    fn starts(&mut self, rank: usize, node: usize, action: Action) {
        let to = start_of(node);
        match action {
            Action::Compute(_) | Action::Overlap(_) => {
                for part in action.computes() {
                    self.inputs(rank, to, part);
                }
            }
            Action::Send(Transfer { direction, stage, microbatch }) => {
                if let Some(maker) = self.lookup.maker(direction, stage, microbatch) {
                    self.add(to, end_of(maker), 0.0);
                }
            }
            Action::OptimizerStep(stage) => {
                if let Some(reduction) = self.reduced[stage.index()] {
                    self.add(to, end_of(reduction), 0.0);
                }
            }
            Action::Recv(_)
            | Action::WaitSend(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. } => {}
        }
    }

    fn inputs(&mut self, rank: usize, to: Event, compute: Compute) {
        if let Some(recv) = self.lookup.recv_for(compute) {
            self.add(to, end_of(recv), 0.0);
        } else if let Some(source) = self.lookup.source(compute) {
            let is_near = self.lookup.is_near(source, rank);
            let lag = if is_near { 0.0 } else { self.message(compute) };
            self.add(to, end_of(source), lag);
        }
        for source in self.lookup.own_sources(compute) {
            self.add(to, end_of(source), 0.0);
        }
        if let Some(unshard) = self.unsharded[compute.stage.index()].take() {
            self.add(to, end_of(unshard), 0.0);
        }
    }

    fn message(&self, compute: Compute) -> f64 {
        let Compute { op, stage, microbatch } = compute;
        let time = |direction| self.costs.received(Transfer { direction, stage, microbatch });
        op.direction().map_or(0.0, time)
    }

    /// What the end of an action waits for. Whether the action takes its time and no more.
    fn ends(&mut self, node: usize, action: Action, collective: &mut Option<usize>) -> bool {
        let to = end_of(node);
        let model = self.costs.communication();
        match action {
            Action::Compute(_)
            | Action::Overlap(_)
            | Action::Reshard(_)
            | Action::OptimizerStep(_) => return true,
            Action::Send(transfer) => match model {
                Communication::Async => return true,
                Communication::Rendezvous | Communication::Nccl => {
                    if let Some(recv) = self.lookup.recv_of(transfer) {
                        self.add(to, end_of(recv), 0.0);
                    }
                }
            },
            Action::Recv(transfer) => self.arrival(node, transfer),
            Action::WaitSend(transfer) => {
                if let Some(send) = self.lookup.send(transfer) {
                    self.add(to, end_of(send), 0.0);
                }
            }
            Action::Unshard(stage) => {
                self.collect(node, action, collective);
                self.unsharded[stage.index()] = Some(node);
            }
            Action::ReduceGrad(stage) => {
                self.collect(node, action, collective);
                self.reduced[stage.index()] = Some(node);
            }
            Action::WaitReduceGrad(stage) => {
                if let Some(reduction) = self.reduced[stage.index()] {
                    self.add(to, end_of(reduction), 0.0);
                }
            }
            Action::ReduceTied { group, .. } => return self.tied(node, group),
        }
        false
    }

    /// A message takes its time from when it leaves, which the model says.
    fn arrival(&mut self, node: usize, recv: Transfer) {
        let (to, time) = (end_of(node), self.costs.received(recv));
        let send = self.lookup.send_of(recv);
        if let Some(send) = send {
            self.add(to, start_of(send), time);
        }
        match self.costs.communication() {
            Communication::Async => return,
            Communication::Rendezvous | Communication::Nccl => self.add(to, start_of(node), time),
        }
        let queued = |end: usize| self.before.get(end).copied().flatten();
        for before in [send.and_then(queued), queued(node)].into_iter().flatten() {
            self.add(to, end_of(before), time);
        }
    }

    /// A collective takes its time after the one before it.
    fn collect(&mut self, node: usize, action: Action, collective: &mut Option<usize>) {
        let (to, time) = (end_of(node), self.costs.of(action));
        self.add(to, start_of(node), time);
        if let Some(before) = collective.replace(node) {
            self.add(to, end_of(before), time);
        }
    }

    /// The first of those that wait comes after all, and the others after it.
    fn tied(&mut self, node: usize, group: u16) -> bool {
        let Some(ties) = self.ties.get(&group) else { return true };
        if !ties.waiting.contains(&node) {
            return true;
        }
        let hub = ties.waiting[0];
        if hub != node {
            self.add(end_of(node), end_of(hub), 0.0);
            return false;
        }
        let (members, time) = (ties.members.clone(), ties.time);
        for member in members {
            self.add(end_of(node), start_of(member), time);
        }
        false
    }
}
