//! Runs any program, right or wrong, as naive ranks would, and says what goes wrong: the other
//! opinion that the validator is held to. It knows nothing of rules; it has tensors, handles and
//! queues, and stops where a rank would compute with what it has not.

use std::collections::{BTreeMap, BTreeSet};

use autopipe_schedule::{
    Action, Communication, Compute, ComputeOp, Direction, MicroBatch, Stage, Transfer,
};

/// Whether every rank comes to its end with the right results, whatever the transport.
pub(crate) fn runs(rows: &[Vec<Action>]) -> Result<(), String> {
    Communication::ALL.into_iter().try_for_each(|communication| {
        run(rows, communication).map_err(|problem| format!("{communication:?}: {problem}"))
    })
}

/// Activations of a stage for the next one, or gradients of its inputs for the one before.
type Tensor = (Direction, Stage, MicroBatch);

type Done = Result<bool, String>;
#[derive(Default)]
struct Rank {
    step: usize,
    /// What this rank has made or received.
    has: BTreeSet<Tensor>,
    /// What it has asked for, with the number of the receive from that rank.
    asked: BTreeMap<Tensor, (usize, usize)>,
    /// Its messages in order: the peer, whether it sends, and what. For NCCL's queue.
    queue: Vec<(usize, bool, Tensor)>,
    num_matched: usize,
    computed: BTreeSet<Compute>,
    sends: BTreeMap<Tensor, (usize, usize)>,
    unsharded: BTreeSet<Stage>,
    reducing: BTreeSet<Stage>,
    reduced: BTreeSet<Stage>,
    tied: BTreeSet<(Stage, u16)>,
    updated: BTreeSet<Stage>,
}

struct World<'a> {
    rows: &'a [Vec<Action>],
    communication: Communication,
    owners: BTreeMap<Stage, usize>,
    num_stages: usize,
    num_microbatches: usize,
    trains: bool,
    ranks: Vec<Rank>,
    /// By sender and receiver: what was sent, and what was asked for.
    sent: BTreeMap<(usize, usize), Vec<Tensor>>,
    asked: BTreeMap<(usize, usize), Vec<Tensor>>,
}

fn run(rows: &[Vec<Action>], communication: Communication) -> Result<(), String> {
    let computes = || rows.iter().flatten().flat_map(|action| action.computes());
    let mut owners = BTreeMap::new();
    for (rank, row) in rows.iter().enumerate() {
        for compute in row.iter().flat_map(|action| action.computes()) {
            if *owners.entry(compute.stage).or_insert(rank) != rank {
                return Err(format!("the parameters of stage {} are on one rank", compute.stage));
            }
        }
    }
    let mut world = World {
        rows,
        communication,
        owners,
        num_stages: computes().map(|c| c.stage.index() + 1).max().unwrap_or(0),
        num_microbatches: computes().map(|c| c.microbatch.index() + 1).max().unwrap_or(0),
        trains: computes().any(|c| c.op != ComputeOp::Forward),
        ranks: rows.iter().map(|_| Rank::default()).collect(),
        sent: BTreeMap::new(),
        asked: BTreeMap::new(),
    };
    let mut is_moving = true;
    while std::mem::take(&mut is_moving) {
        for (rank, row) in rows.iter().enumerate() {
            while let Some(&action) = row.get(world.ranks[rank].step) {
                if !world.act(rank, action)? {
                    break;
                }
                world.ranks[rank].step += 1;
                is_moving = true;
            }
            is_moving |= world.match_queues();
        }
    }
    world.finish()
}

impl World<'_> {
    /// Lets a rank try its next action: false if it has to wait.
    fn act(&mut self, rank: usize, action: Action) -> Done {
        match action {
            Action::Compute(_) | Action::Overlap(_) => {
                let parts: Vec<Compute> = action.computes().collect();
                for &part in &parts {
                    if !self.can_compute(rank, part)? {
                        return Ok(false);
                    }
                }
                parts.into_iter().for_each(|part| self.compute(rank, part));
                Ok(true)
            }
            Action::Send(transfer) => self.send(rank, transfer),
            Action::Recv(transfer) => self.recv(rank, transfer),
            Action::WaitSend(transfer) => self.wait(rank, transfer),
            Action::Unshard(stage) => {
                self.own(rank, stage)?;
                match self.ranks[rank].unsharded.insert(stage) {
                    true => Ok(true),
                    false => Err(format!("{action}: it is whole")),
                }
            }
            Action::Reshard(stage) => match self.ranks[rank].unsharded.remove(&stage) {
                true => Ok(true),
                false => Err(format!("{action}: it is not whole")),
            },
            Action::ReduceGrad(stage) => {
                self.gradients(rank, stage)?;
                let state = &mut self.ranks[rank];
                match state.reduced.insert(stage) && state.reducing.insert(stage) {
                    true => Ok(true),
                    false => Err(format!("{action}: a second time")),
                }
            }
            Action::WaitReduceGrad(stage) => match self.ranks[rank].reducing.remove(&stage) {
                true => Ok(true),
                false => Err(format!("{action}: nothing to wait for")),
            },
            Action::ReduceTied { stage, group } => self.reduce_tied(rank, stage, group),
            Action::OptimizerStep(stage) => {
                self.gradients(rank, stage)?;
                if self.ranks[rank].reducing.contains(&stage) {
                    return Err(format!("{action}: the reduction is under way"));
                }
                self.ranks[rank].updated.insert(stage);
                Ok(true)
            }
        }
    }

    fn own(&self, rank: usize, stage: Stage) -> Result<(), String> {
        match self.owners.get(&stage) {
            Some(&owner) if owner == rank => Ok(()),
            _ => Err(format!("stage {stage} is not here")),
        }
    }

    /// The stage has its gradients, and has not been updated with them.
    fn gradients(&self, rank: usize, stage: Stage) -> Result<(), String> {
        self.own(rank, stage)?;
        let complete = |microbatch| {
            let has = |op| {
                let microbatch = MicroBatch::new(microbatch);
                self.ranks[rank].computed.contains(&Compute { op, stage, microbatch })
            };
            has(ComputeOp::Backward) || has(ComputeOp::BackwardWeight)
        };
        if !(0..self.num_microbatches).all(complete) {
            return Err(format!("the gradients of stage {stage} are not complete"));
        }
        match self.ranks[rank].updated.contains(&stage) {
            true => Err(format!("stage {stage} has been updated")),
            false => Ok(()),
        }
    }

    /// What a computation takes of a neighbouring stage.
    fn input(&self, compute: Compute) -> Option<Tensor> {
        let last = self.num_stages - 1;
        match compute.op {
            ComputeOp::Forward if compute.stage.index() > 0 => {
                let stage = Stage::new(compute.stage.index() - 1);
                Some((Direction::Forward, stage, compute.microbatch))
            }
            ComputeOp::Backward | ComputeOp::BackwardInput if compute.stage.index() < last => {
                let stage = Stage::new(compute.stage.index() + 1);
                Some((Direction::Backward, stage, compute.microbatch))
            }
            _ => None,
        }
    }

    fn can_compute(&mut self, rank: usize, compute: Compute) -> Done {
        let Compute { op, stage, microbatch } = compute;
        let has = |op| self.ranks[rank].computed.contains(&Compute { op, stage, microbatch });
        let backward = has(ComputeOp::Backward) || has(ComputeOp::BackwardInput);
        let forward = has(ComputeOp::Forward);
        let is_next = match op {
            ComputeOp::Forward => !forward,
            ComputeOp::Backward | ComputeOp::BackwardInput => forward && !backward,
            ComputeOp::BackwardWeight => has(ComputeOp::BackwardInput) && !has(op),
            ComputeOp::Recompute => forward && !backward && !has(op),
        };
        let is_sharded = self.rows.iter().flatten().any(|&a| a == Action::Unshard(stage));
        if !is_next || is_sharded && !self.ranks[rank].unsharded.contains(&stage) {
            return Err(format!("{compute} has not what it needs"));
        }
        if self.ranks[rank].updated.contains(&stage) {
            return Err(format!("{compute} comes after the update"));
        }
        let Some(tensor) = self.input(compute) else { return Ok(true) };
        if self.owners.get(&tensor.1) == Some(&rank) {
            return match self.ranks[rank].has.contains(&tensor) {
                true => Ok(true),
                false => Err(format!("{compute} has no input")),
            };
        }
        let Some(&(from, number)) = self.ranks[rank].asked.get(&tensor) else {
            return Err(format!("{compute} has not asked for its input"));
        };
        if self.communication == Communication::Nccl && !self.is_matched(rank, false, tensor) {
            return Ok(false);
        }
        match self.sent.get(&(from, rank)).and_then(|sent| sent.get(number)) {
            None => Ok(false),
            Some(got) if *got == tensor => Ok(true),
            Some(got) => Err(format!("{compute} gets {got:?}")),
        }
    }

    fn compute(&mut self, rank: usize, compute: Compute) {
        let Compute { op, stage, microbatch } = compute;
        self.ranks[rank].computed.insert(compute);
        match op {
            ComputeOp::Forward => {
                self.ranks[rank].has.insert((Direction::Forward, stage, microbatch))
            }
            ComputeOp::Backward | ComputeOp::BackwardInput => {
                self.ranks[rank].has.insert((Direction::Backward, stage, microbatch))
            }
            ComputeOp::BackwardWeight | ComputeOp::Recompute => true,
        };
    }

    /// What a send sends, and to whom.
    fn sent_by(&self, transfer: Transfer) -> Result<(Tensor, usize), String> {
        let Transfer { direction, stage, microbatch } = transfer;
        let to = match direction {
            Direction::Forward => stage.index().checked_add(1),
            Direction::Backward => stage.index().checked_sub(1),
        };
        let to = to.and_then(Stage::try_new).and_then(|to| self.owners.get(&to));
        let to = to.ok_or_else(|| format!("nobody takes {transfer:?}"))?;
        Ok(((direction, stage, microbatch), *to))
    }

    fn send(&mut self, rank: usize, transfer: Transfer) -> Done {
        let (tensor, to) = self.sent_by(transfer)?;
        if to == rank || !self.ranks[rank].has.contains(&tensor) {
            return Err(format!("{transfer:?} has nothing to send"));
        }
        let sent = self.sent.entry((rank, to)).or_default();
        let again = self.ranks[rank].sends.insert(tensor, (to, sent.len()));
        if again.is_some() || self.owners[&tensor.1] != rank {
            return Err(format!("{transfer:?} is sent twice"));
        }
        sent.push(tensor);
        self.ranks[rank].queue.push((to, true, tensor));
        Ok(true)
    }

    fn recv(&mut self, rank: usize, transfer: Transfer) -> Done {
        self.own(rank, transfer.stage)?;
        let from = match transfer.direction {
            Direction::Forward => transfer.stage.index().checked_sub(1),
            Direction::Backward => transfer.stage.index().checked_add(1),
        };
        let from = from.and_then(Stage::try_new).ok_or("nobody sends")?;
        let tensor = (transfer.direction, from, transfer.microbatch);
        let Some(&from) = self.owners.get(&from) else { return Err("nobody sends".into()) };
        let uses = |&&compute: &&Compute| self.input(compute) == Some(tensor);
        if from == rank || self.ranks[rank].computed.iter().find(uses).is_some() {
            return Err(format!("{transfer:?} is of no use"));
        }
        let asked = self.asked.entry((from, rank)).or_default();
        if self.ranks[rank].asked.insert(tensor, (from, asked.len())).is_some() {
            return Err(format!("{transfer:?} is asked for twice"));
        }
        asked.push(tensor);
        self.ranks[rank].queue.push((from, false, tensor));
        Ok(true)
    }

    fn wait(&mut self, rank: usize, transfer: Transfer) -> Done {
        let (tensor, to) = self.sent_by(transfer)?;
        let Some(&(_, number)) = self.ranks[rank].sends.get(&tensor) else {
            return Err(format!("{transfer:?} was not sent"));
        };
        let is_through = match self.communication {
            Communication::Async => true,
            Communication::Rendezvous => {
                self.asked.get(&(rank, to)).is_some_and(|asked| asked.len() > number)
            }
            Communication::Nccl => self.is_matched(rank, true, tensor),
        };
        let step = self.ranks[rank].step;
        let before = &self.rows[rank][..step];
        if before.contains(&Action::WaitSend(transfer)) {
            return Err(format!("{transfer:?} is waited for twice"));
        }
        Ok(is_through)
    }

    fn reduce_tied(&mut self, rank: usize, stage: Stage, group: u16) -> Done {
        if !self.ranks[rank].tied.contains(&(stage, group)) {
            self.gradients(rank, stage)?;
            if self.ranks[rank].reducing.contains(&stage) {
                return Err(format!("stage {stage} is being reduced"));
            }
            self.ranks[rank].tied.insert((stage, group));
        } else if self.rows[rank][..self.ranks[rank].step]
            .contains(&Action::ReduceTied { stage, group })
        {
            return Err(format!("stage {stage} is tied twice"));
        }
        let in_group =
            |action: &&Action| matches!(action, Action::ReduceTied { group: g, .. } if *g == group);
        let mine = self.rows[rank].iter().filter(in_group).count();
        let reached = |rank: &Rank| rank.tied.iter().filter(|(_, g)| *g == group).count();
        let all: usize = self.rows.iter().flatten().filter(in_group).count();
        if all < 2 {
            return Err(format!("group {group} has one stage"));
        }
        let is_last = reached(&self.ranks[rank]) == mine;
        Ok(!is_last || self.ranks.iter().map(reached).sum::<usize>() == all)
    }

    fn is_matched(&self, rank: usize, sends: bool, tensor: Tensor) -> bool {
        let Rank { queue, num_matched, .. } = &self.ranks[rank];
        queue[..*num_matched].iter().any(|&(_, s, t)| (s, t) == (sends, tensor))
    }

    /// Completes what stands at the heads of two queues.
    fn match_queues(&mut self) -> bool {
        let mut any = false;
        let mut is_moving = true;
        while std::mem::take(&mut is_moving) {
            for rank in 0..self.ranks.len() {
                let head = |rank: usize| self.ranks[rank].queue.get(self.ranks[rank].num_matched);
                let Some(&(peer, sends, _)) = head(rank) else { continue };
                if head(peer).is_some_and(|&(other, s, _)| other == rank && s != sends) {
                    self.ranks[rank].num_matched += 1;
                    self.ranks[peer].num_matched += 1;
                    (is_moving, any) = (true, true);
                }
            }
        }
        any
    }

    /// Whether everything has come to its end and nothing is left over or missing.
    fn finish(&self) -> Result<(), String> {
        for (rank, row) in self.ranks.iter().zip(self.rows) {
            if rank.step < row.len() {
                return Err(format!("stuck at {}", row[rank.step]));
            }
            if self.communication == Communication::Nccl && rank.num_matched < rank.queue.len() {
                return Err("a message is never taken".into());
            }
            if rank.computed.is_empty() {
                return Err("a rank without work".into());
            }
            if !rank.unsharded.is_empty() {
                return Err("a stage stays whole".into());
            }
        }
        if self.sent != self.asked {
            return Err("messages are left over".into());
        }
        let did = |done: fn(&Rank) -> &BTreeSet<Stage>| -> usize {
            self.ranks.iter().map(|rank| done(rank).len()).sum()
        };
        for count in [did(|rank| &rank.reduced), did(|rank| &rank.updated)] {
            if count != 0 && count != self.num_stages {
                return Err("some stages are reduced or updated, others not".into());
            }
        }
        for stage in (0..self.num_stages).map(Stage::new) {
            let owner = self.owners.get(&stage).ok_or("a stage is missing")?;
            for microbatch in (0..self.num_microbatches).map(MicroBatch::new) {
                let has =
                    |op| self.ranks[*owner].computed.contains(&Compute { op, stage, microbatch });
                let backward = match (has(ComputeOp::BackwardInput), has(ComputeOp::BackwardWeight))
                {
                    (true, true) => !has(ComputeOp::Backward),
                    (false, false) => has(ComputeOp::Backward) == self.trains,
                    _ => false,
                };
                if !has(ComputeOp::Forward) || !backward {
                    return Err(format!(
                        "microbatch {microbatch} is not complete on stage {stage}"
                    ));
                }
            }
        }
        Ok(())
    }
}
