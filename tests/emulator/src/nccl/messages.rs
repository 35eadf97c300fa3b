//! Messages as tasks of streams.

use super::{Comm, Id, Part};
use crate::engine::{Engine, Handle, Moment};

/// What one group of calls has put on a stream.
pub(crate) struct Exchange {
    pub(super) comm: Handle,
    /// When it will have passed.
    moment: Moment,
    parts: Vec<Part>,
    /// Whether its stream has come to it.
    is_there: bool,
    num_left: usize,
    /// What is still to come from another process: from which rank, as its how manyeth, and where to.
    awaited: Vec<((usize, usize), u64, Part)>,
}

/// A buffer of an exchange that its stream has come to.
pub(super) struct Piece {
    pub(super) comm: Handle,
    exchange: Handle,
    address: u64,
    len: u64,
}

impl Exchange {
    pub(super) fn new(comm: Handle, moment: Moment, parts: Vec<Part>) -> Self {
        Self { comm, moment, num_left: parts.len(), parts, is_there: false, awaited: Vec::new() }
    }
}

impl Engine {
    /// A stream comes to an exchange, or is still there; whether all of it is done.
    pub(crate) fn exchange(&mut self, id: Handle) -> bool {
        let Some(exchange) = self.nccl.exchanges.get_mut(&id) else {
            // Its communicator was aborted.
            return true;
        };
        let (comm, parts) = (exchange.comm, exchange.parts.clone());
        if !std::mem::replace(&mut exchange.is_there, true) {
            self.arrive(id, comm, &parts);
        }
        self.look_for_mail(id, comm);
        if !self.is_done(id) {
            // As far as the others' streams can come to their ends of it, they do.
            for part in &parts {
                if let Some(moment) = self.other_end(comm, *part) {
                    self.run(moment);
                }
            }
        }
        if !self.is_done(id) {
            return false;
        }
        self.nccl.exchanges.remove(&id);
        if let Some(comm) = self.nccl.comms.get_mut(&comm) {
            comm.begun.retain(|(begun, _)| *begun != id);
        }
        true
    }

    fn is_done(&self, id: Handle) -> bool {
        self.nccl.exchanges.get(&id).is_none_or(|exchange| exchange.num_left == 0)
    }

    /// When the other end of a part, to which its stream has not come, will have passed.
    fn other_end(&self, comm: Handle, part: Part) -> Option<Moment> {
        let Comm { id, rank, .. } = self.nccl.comms.get(&comm)?;
        let peer = self.nccl.worlds.get(id)?.ranks.get(&part.peer)?;
        let is_other = |of: &Part| of.peer == *rank && of.is_sent != part.is_sent;
        let begun = self.nccl.comms.get(peer)?.begun.iter();
        let exchanges = begun.filter_map(|(id, _)| self.nccl.exchanges.get(id));
        let mut waiting = exchanges.filter(|exchange| !exchange.is_there);
        waiting.find(|exchange| exchange.parts.iter().any(is_other)).map(|exchange| exchange.moment)
    }

    fn arrive(&mut self, exchange: Handle, comm: Handle, parts: &[Part]) {
        let Some(Comm { id, rank, .. }) = self.nccl.comms.get(&comm) else { return };
        let (id, rank) = (*id, *rank);
        for Part { is_sent, address, len, peer } in parts {
            let Some(world) = self.nccl.worlds.get_mut(&id) else { return };
            let way = if *is_sent { (rank, *peer) } else { (*peer, rank) };
            if !world.ranks.contains_key(peer) {
                let part = Part { is_sent: *is_sent, address: *address, len: *len, peer: *peer };
                self.mail(exchange, id, way, part);
                continue;
            }
            let pieces = if *is_sent { &mut world.sent } else { &mut world.received };
            let piece = Piece { comm, exchange, address: *address, len: *len };
            pieces.entry(way).or_default().push_back(piece);
            let (sent, received) = (world.sent.get_mut(&way), world.received.get_mut(&way));
            if let (Some(sent), Some(received)) = (sent, received)
                && !sent.is_empty()
                && !received.is_empty()
                && let (Some(sent), Some(received)) = (sent.pop_front(), received.pop_front())
            {
                self.deliver(way, &sent, &received);
            }
        }
    }

    /// Sends a buffer to another process, or begins to wait for one.
    fn mail(&mut self, exchange: Handle, id: Id, way: (usize, usize), part: Part) {
        let Some(world) = self.nccl.worlds.get_mut(&id) else { return };
        let number = world.num_mailed.entry(way).or_default();
        *number += 1;
        let Some(exchange) = self.nccl.exchanges.get_mut(&exchange) else { return };
        if !part.is_sent {
            exchange.awaited.push((way, *number, part));
            return;
        }
        let bytes = self.memory.read(part.address, part.len);
        let bytes = bytes.unwrap_or_else(|what| {
            crate::fault(&format!("NCCL: a message of rank {} to rank {}: {what}", way.0, way.1))
        });
        world.mail.send(way, *number, bytes);
        exchange.num_left -= 1;
    }

    fn look_for_mail(&mut self, id: Handle, comm: Handle) {
        let Some(world) =
            self.nccl.comms.get(&comm).and_then(|comm| self.nccl.worlds.get(&comm.id))
        else {
            return;
        };
        let Some(exchange) = self.nccl.exchanges.get_mut(&id) else { return };
        let memory = &mut self.memory;
        exchange.awaited.retain(|(way, number, part)| {
            let Some(bytes) = world.mail.receive(*way, *number) else { return true };
            if bytes.len() as u64 != part.len {
                let (sent, received) = (bytes.len(), part.len);
                crate::fault(&format!(
                    "NCCL: rank {} sends {sent} bytes, and rank {} receives {received}",
                    way.0, way.1
                ));
            }
            match memory.write(part.address, part.len) {
                Ok(to) => to.copy_from_slice(&bytes),
                Err(what) => crate::fault(&format!(
                    "NCCL: a message of rank {} to rank {}: {what}",
                    way.0, way.1
                )),
            }
            exchange.num_left -= 1;
            false
        });
    }

    fn deliver(&mut self, (from, to): (usize, usize), sent: &Piece, received: &Piece) {
        if sent.len != received.len {
            let (sent, received) = (sent.len, received.len);
            crate::fault(&format!(
                "NCCL: rank {from} sends {sent} bytes, and rank {to} receives {received}"
            ));
        }
        let copied = self.memory.copy(received.address, sent.address, sent.len);
        copied.unwrap_or_else(|what| {
            crate::fault(&format!("NCCL: a message of rank {from} to rank {to}: {what}"))
        });
        for exchange in [sent.exchange, received.exchange] {
            if let Some(exchange) = self.nccl.exchanges.get_mut(&exchange) {
                exchange.num_left -= 1;
            }
        }
    }
}
