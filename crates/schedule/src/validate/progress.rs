//! The rule that every rank comes to its end, whatever the transport.
//!
//! Three transports are tried, the most patient first. What gets through the strictest gets through
//! the others: everything that it lets happen may happen there too.

use std::collections::BTreeMap;

use super::circle::shortest;
use super::{Facts, Located, Wait};
use crate::{Action, Communication, Compute, Direction, Rank, Stage, Transfer};

/// Runs rows that keep the rules of the other files, without their work. Nothing if all ranks come
/// to their ends; otherwise the state in which none can go on.
pub(super) fn run<'a>(
    rows: &'a [Vec<Action>],
    facts: &'a Facts,
    communication: Communication,
) -> Option<Stuck<'a>> {
    let mut run = Run::new(rows, facts, communication);
    let mut ready: Vec<usize> = (0..rows.len()).rev().collect();
    while let Some(rank) = ready.pop() {
        run.is_waiting[rank] = false;
        while let Some(&action) = rows[rank].get(run.steps[rank]) {
            run.reach(rank, action, &mut ready);
            if !run.may_go_on(rank, action) {
                run.is_waiting[rank] = true;
                break;
            }
            run.steps[rank] += 1;
            run.happen(rank, action, &mut ready);
        }
    }
    let is_done = rows.iter().zip(&run.steps).all(|(row, &step)| step == row.len());
    // A message that was sent is through when its receive is posted, but for a queue in between.
    let is_empty =
        communication != Communication::Nccl || (0..rows.len()).all(|r| run.head(r).is_none());
    (!is_done || !is_empty).then_some(Stuck(run))
}

/// What has become of a message, by the cell of its receiver: `SENT << direction` and so on.
const SENT: u8 = 1;
const POSTED: u8 = 1 << 2;
const MATCHED: u8 = 1 << 4;

/// Ranks on their way through their rows.
struct Run<'a> {
    rows: &'a [Vec<Action>],
    facts: &'a Facts,
    communication: Communication,
    steps: Vec<usize>,
    is_waiting: Vec<bool>,
    messages: Vec<u8>,
    /// By rank, the step from which to look for the first message of its queue that has not been
    /// matched; for NCCL only.
    queues: Vec<usize>,
    /// Ranks whose queues have new heads: empty, but for its memory, between two actions.
    changed: Vec<usize>,
    /// By tie group, how many of its actions no rank has reached, and the ranks that stand at one.
    ties: BTreeMap<u16, (usize, Vec<usize>)>,
    /// By rank and tie group, how many of the group's actions the rank has not reached.
    own_ties: BTreeMap<(usize, u16), usize>,
    /// By rank, whether it has told the others that it is where it stands.
    has_reached: Vec<bool>,
}

/// A message seen from one of its ends.
#[derive(Clone, Copy)]
struct End {
    cell: usize,
    direction: Direction,
    peer: usize,
}

impl<'a> Run<'a> {
    fn new(rows: &'a [Vec<Action>], facts: &'a Facts, communication: Communication) -> Self {
        let mut ties: BTreeMap<u16, (usize, Vec<usize>)> = BTreeMap::new();
        let mut own_ties = BTreeMap::new();
        for (rank, row) in rows.iter().enumerate() {
            for action in row {
                if let &Action::ReduceTied { group, .. } = action {
                    ties.entry(group).or_default().0 += 1;
                    *own_ties.entry((rank, group)).or_insert(0) += 1;
                }
            }
        }
        let num_cells = facts.placement.num_stages() * facts.num_microbatches;
        Self {
            rows,
            facts,
            communication,
            steps: vec![0; rows.len()],
            is_waiting: vec![false; rows.len()],
            messages: vec![0; num_cells],
            queues: vec![0; rows.len()],
            changed: Vec::new(),
            ties,
            own_ties,
            has_reached: vec![false; rows.len()],
        }
    }

    fn rank_of(&self, stage: Stage) -> usize {
        self.facts.placement.rank_of(stage).index()
    }

    fn end(&self, receiver: Stage, peer: Stage, transfer: Transfer) -> End {
        let cell = receiver.index() * self.facts.num_microbatches + transfer.microbatch.index();
        End { cell, direction: transfer.direction, peer: self.rank_of(peer) }
    }

    fn of_send(&self, transfer: Transfer) -> End {
        let receiver = transfer.receiver();
        self.end(receiver, receiver, transfer)
    }

    fn of_recv(&self, transfer: Transfer) -> End {
        self.end(transfer.stage, transfer.counterpart().stage, transfer)
    }

    fn has(&self, end: End, what: u8) -> bool {
        self.messages[end.cell] & what << end.direction.index() != 0
    }

    fn note(&mut self, end: End, what: u8) {
        self.messages[end.cell] |= what << end.direction.index();
    }

    /// The receive that a computation waits for, if it takes tensors from another rank.
    fn input(&self, compute: Compute) -> Option<Transfer> {
        let direction = compute.op.direction()?;
        let Compute { stage, microbatch, .. } = compute;
        let (_, from) = self.facts.placement.sender_to(direction, stage)?;
        let is_far = from.index() != self.rank_of(stage);
        is_far.then_some(Transfer { direction, stage, microbatch })
    }

    fn has_arrived(&self, recv: Transfer) -> bool {
        self.has(
            self.of_recv(recv),
            if self.communication == Communication::Nccl { MATCHED } else { SENT },
        )
    }

    fn is_taken(&self, send: Transfer) -> bool {
        match self.communication {
            Communication::Async => true,
            Communication::Rendezvous => self.has(self.of_send(send), POSTED),
            Communication::Nccl => self.has(self.of_send(send), MATCHED),
        }
    }

    fn may_go_on(&self, rank: usize, action: Action) -> bool {
        match action {
            Action::Compute(_) | Action::Overlap(_) => {
                let mut inputs = action.computes().filter_map(|compute| self.input(compute));
                inputs.all(|recv| self.has_arrived(recv))
            }
            Action::WaitSend(send) => self.is_taken(send),
            // A rank with several stages of the group adds their gradients up and waits once.
            Action::ReduceTied { group, .. } => {
                self.own_ties[&(rank, group)] > 0 || self.ties[&group].0 == 0
            }
            Action::Send(_)
            | Action::Recv(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::OptimizerStep(_) => true,
        }
    }

    /// A rank comes to an action, which it may have to wait at.
    fn reach(&mut self, rank: usize, action: Action, ready: &mut Vec<usize>) {
        let Action::ReduceTied { group, .. } = action else { return };
        if std::mem::replace(&mut self.has_reached[rank], true) {
            return;
        }
        let expect = "counted in the beginning";
        *self.own_ties.get_mut(&(rank, group)).expect(expect) -= 1;
        let (missing, standing) = self.ties.get_mut(&group).expect(expect);
        *missing -= 1;
        if *missing > 0 {
            standing.push(rank);
            return;
        }
        for other in std::mem::take(standing) {
            self.wake(other, ready);
        }
    }

    fn happen(&mut self, rank: usize, action: Action, ready: &mut Vec<usize>) {
        self.has_reached[rank] = false;
        let (end, what) = match action {
            Action::Send(transfer) => (self.of_send(transfer), SENT),
            Action::Recv(transfer) => (self.of_recv(transfer), POSTED),
            Action::Compute(_)
            | Action::Overlap(_)
            | Action::WaitSend(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. }
            | Action::OptimizerStep(_) => return,
        };
        match self.communication {
            Communication::Async | Communication::Rendezvous => {
                self.note(end, what);
                self.wake(end.peer, ready);
            }
            Communication::Nccl => self.match_queues(rank, ready),
        }
    }

    fn wake(&mut self, rank: usize, ready: &mut Vec<usize>) {
        if std::mem::replace(&mut self.is_waiting[rank], false) {
            ready.push(rank);
        }
    }

    /// Completes the messages that stand at both their queues' heads, which may bring others there.
    fn match_queues(&mut self, rank: usize, ready: &mut Vec<usize>) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.push(rank);
        while let Some(rank) = changed.pop() {
            while let Some((step, action)) = self.advance_to_head(rank) {
                let (end, other) = self.message(action);
                let Some((other_step, head)) = self.advance_to_head(end.peer) else { break };
                if head != other {
                    break;
                }
                self.note(end, MATCHED);
                self.queues[rank] = step + 1;
                self.queues[end.peer] = other_step + 1;
                self.wake(rank, ready);
                self.wake(end.peer, ready);
                changed.push(end.peer);
            }
        }
        self.changed = changed;
    }

    /// A send or receive as a message, and the action at its other end.
    fn message(&self, action: Action) -> (End, Action) {
        let end = match action {
            Action::Recv(transfer) => self.of_recv(transfer),
            Action::Send(transfer) | Action::WaitSend(transfer) => self.of_send(transfer),
            Action::Compute(_)
            | Action::Overlap(_)
            | Action::Unshard(_)
            | Action::Reshard(_)
            | Action::ReduceGrad(_)
            | Action::WaitReduceGrad(_)
            | Action::ReduceTied { .. }
            | Action::OptimizerStep(_) => unreachable!("only messages stand in a queue"),
        };
        (end, action.counterpart().expect("checked: a message has two ends"))
    }

    /// The first of a rank's messages that is under way and not matched.
    fn head(&self, rank: usize) -> Option<(usize, Action)> {
        let (start, end) = (self.queues[rank], self.steps[rank]);
        let mut actions = (start..end).zip(&self.rows[rank][start..end]);
        actions
            .find(|(_, action)| matches!(action, Action::Send(_) | Action::Recv(_)))
            .map(|(step, &action)| (step, action))
    }

    fn advance_to_head(&mut self, rank: usize) -> Option<(usize, Action)> {
        let head = self.head(rank);
        self.queues[rank] = head.map_or(self.steps[rank], |(step, _)| step);
        head
    }
}

/// The state in which no rank can go on.
pub(super) struct Stuck<'a>(Run<'a>);

impl Stuck<'_> {
    /// The shortest circle of ranks that wait for each other.
    pub(super) fn circle(&self) -> Vec<Wait> {
        let waits: Vec<Vec<Wait>> = (0..self.0.rows.len()).map(|rank| self.waits(rank)).collect();
        let mut circle = shortest(&waits);
        // Only now, for to look for them in all rows takes long.
        for Wait { needs, .. } in &mut circle {
            let row = &self.0.rows[needs.rank.index()];
            let step = row.iter().position(|&action| action == needs.action);
            needs.step = step.expect("matched: what a message waits for is in its rank's row");
        }
        circle
    }

    /// What a rank waits for, the step left open, and behind what.
    fn waits(&self, rank: usize) -> Vec<Wait> {
        let Self(run) = self;
        let step = run.steps[rank];
        let next = run.rows[rank].get(step).copied();
        let located = |rank, step, action| Located { rank: Rank::new(rank), step, action };
        if let Some(Action::ReduceTied { group, .. }) = next {
            let at = located(rank, step, run.rows[rank][step]);
            let mut others = (0..run.rows.len()).filter(|&other| other != rank);
            // One that is missing is reason enough.
            let missing = others.find_map(|other| {
                let start = run.steps[other] + usize::from(run.has_reached[other]);
                let needs = find(&run.rows[other], start, |&action| {
                    matches!(action, Action::ReduceTied { group: found, .. } if found == group)
                })?;
                Some(Wait { at, needs: located(other, needs, run.rows[other][needs]) })
            });
            return missing.into_iter().collect();
        }
        let needs_of = |at: Located, action: Action| {
            let (end, other) = run.message(action);
            Wait { at, needs: located(end.peer, 0, other) }
        };
        if run.communication == Communication::Nccl {
            let head = run.head(rank);
            let wait = head.map(|(step, action)| needs_of(located(rank, step, action), action));
            return wait.into_iter().collect();
        }
        let Some(action) = next else { return Vec::new() };
        let at = located(rank, step, action);
        match action {
            Action::WaitSend(send) => vec![needs_of(at, Action::Send(send))],
            action => {
                let inputs = action.computes().filter_map(|compute| run.input(compute));
                let missing = inputs.filter(|&recv| !run.has_arrived(recv));
                missing.map(|recv| needs_of(at, Action::Recv(recv))).collect()
            }
        }
    }
}

fn find(row: &[Action], start: usize, is_it: impl Fn(&Action) -> bool) -> Option<usize> {
    Some(start + row.get(start..)?.iter().position(is_it)?)
}
