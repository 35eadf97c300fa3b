//! Those who have come to where a rank listens, until they have said who they are.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::Refusal;
use super::message::{Answer, Coming, Hello, NoMessage, VERSION, say};

/// How many may be silent at once: who has been for longest makes room.
const MOST: usize = 128;

#[derive(Debug)]
pub(super) struct Visitors {
    listener: TcpListener,
    silent: Vec<(TcpStream, SocketAddr, Coming)>,
}

/// Somebody who speaks as a rank does.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) says: Result<Hello, Refusal>,
}

impl Visitors {
    /// # Errors
    /// If the system cannot listen without waiting.
    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, silent: Vec::new() })
    }

    /// Those who have said who they are since the last look. Who speaks something else is sent away
    /// without a word.
    pub(super) fn next(&mut self) -> Vec<Visitor> {
        // Who is gone again before it is let in is an error of the listener's, and no reason to end.
        while let Ok((stream, address)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                self.silent.push((stream, address, Coming::of_stranger()));
            }
        }
        let too_many = self.silent.len().saturating_sub(MOST);
        self.silent.drain(..too_many);
        let mut visitors = Vec::new();
        for (stream, address, mut coming) in std::mem::take(&mut self.silent) {
            let says = match coming.read(&stream) {
                Ok(None) => {
                    self.silent.push((stream, address, coming));
                    continue;
                }
                Ok(Some(body)) => match Hello::decode(&body) {
                    Ok(hello) => Ok(hello),
                    Err(_) => continue,
                },
                Err(NoMessage::Version(version)) => Err(Refusal::Version { version, own: VERSION }),
                Err(NoMessage::Closed | NoMessage::Stranger) => {
                    tracing::debug!(%address, "somebody came who is no rank");
                    continue;
                }
            };
            visitors.push(Visitor { stream, address, says });
        }
        visitors
    }
}

impl Visitor {
    /// Sends it away and tells it why.
    pub(super) fn refuse(self, refusal: &Refusal) {
        tracing::warn!(address = %self.address, "a process is refused: {refusal}");
        // It may have gone by itself.
        let _ = say(&self.stream, &Answer::Refused(refusal.clone()).encode());
    }
}
