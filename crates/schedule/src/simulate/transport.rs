//! When messages arrive, in each of the three ways to communicate.

use std::collections::VecDeque;

use super::moments::Moments;
use super::{Communication, Costs};
use crate::ValidProgram;

/// One message, seen from either end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    /// Its direction and the cell of its receiver, as one number.
    pub(super) key: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    /// How long it is under way.
    pub(super) time: f64,
}

/// An end of a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Send,
    Recv,
}

pub(super) struct Transport {
    model: Communication,
    /// By message, when it has arrived.
    arrived: Moments,
    /// By message, when the first of its two ends was there; empty where only one matters.
    first_end: Moments,
    /// By rank, the ends that it has come to and whose messages have not left; empty without queues.
    queues: Vec<VecDeque<(Message, f64)>>,
    /// By rank, when the last message has left its queue.
    free: Vec<f64>,
    /// Who may be waiting for messages that have arrived since.
    pub(super) news: Vec<Message>,
}

impl Transport {
    pub(super) fn new(program: &ValidProgram, costs: &Costs, num_messages: usize) -> Self {
        let model = costs.communication();
        let with = |is_needed, num| if is_needed { num } else { 0 };
        let num_queues = with(model == Communication::Nccl, program.num_ranks());
        Self {
            model,
            arrived: Moments::new(num_messages),
            first_end: Moments::new(with(model == Communication::Rendezvous, num_messages)),
            queues: vec![VecDeque::new(); num_queues],
            free: vec![0.0; num_queues],
            news: Vec::new(),
        }
    }

    /// When a message has arrived, as far as it is known.
    pub(super) fn arrival(&self, key: usize) -> Option<f64> {
        self.arrived.get(key)
    }

    /// When a send is through that a rank came to at `start`, as far as it is known.
    pub(super) fn sent(&self, key: usize, start: f64) -> Option<f64> {
        match self.model {
            Communication::Async => Some(start),
            Communication::Rendezvous | Communication::Nccl => self.arrival(key),
        }
    }

    /// A rank comes to one end of a message.
    pub(super) fn post(&mut self, message: Message, end: End, now: f64) {
        match (self.model, end) {
            (Communication::Async, End::Send) => self.leave(message, now),
            (Communication::Async, End::Recv) => {}
            (Communication::Rendezvous, End::Send | End::Recv) => {
                match self.first_end.get(message.key) {
                    None => self.first_end.set(message.key, now),
                    Some(other) => self.leave(message, now.max(other)),
                }
            }
            (Communication::Nccl, End::Send) => self.queue(message, message.from, now),
            (Communication::Nccl, End::Recv) => self.queue(message, message.to, now),
        }
    }

    fn leave(&mut self, message: Message, at: f64) {
        self.arrived.set(message.key, at + message.time);
        self.news.push(message);
    }

    fn queue(&mut self, message: Message, rank: usize, now: f64) {
        self.queues[rank].push_back((message, now));
        // A message that leaves may free the way for the next of either rank.
        let mut to_try = vec![rank];
        while let Some(rank) = to_try.pop() {
            while let Some(&(message, posted)) = self.queues[rank].front() {
                let other = if rank == message.from { message.to } else { message.from };
                let met = self.queues[other].front().filter(|(head, _)| head.key == message.key);
                let Some(&(_, posted_there)) = met else { break };
                let free = self.free[rank].max(self.free[other]);
                let leaves = free.max(posted.max(posted_there));
                self.leave(message, leaves);
                for end in [rank, other] {
                    self.queues[end].pop_front();
                    self.free[end] = leaves + message.time;
                }
                to_try.push(other);
            }
        }
    }
}
