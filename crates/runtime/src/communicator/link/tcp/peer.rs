//! One other rank: what goes to it, and what comes of it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

/// The most bytes that are read at once, and so the longest piece of a letter.
const PIECE: usize = 128 << 10;
/// Bytes that say how long a letter is, these included.
const LENGTH: usize = 8;

/// A connection that never makes its user wait.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    sending: VecDeque<Vec<u8>>,
    /// How much of the first of these has left.
    num_sent: usize,
    /// Why nothing more can be sent.
    broken: Option<io::Error>,
    /// What has been read: `PIECE` bytes, of which those from `begin` to `end` are for later.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// How much of a letter is still to come.
    left: u64,
}

/// What has come.
#[derive(Debug)]
pub(super) enum Read {
    Nothing,
    Piece(Vec<u8>),
    /// Nothing more will, for this reason.
    End(String),
}

impl Peer {
    /// # Errors
    /// If the connection is broken.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // Letters are whole when they are sent: nothing is won by waiting for more.
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            sending: VecDeque::new(),
            num_sent: 0,
            broken: None,
            buffer: vec![0; PIECE],
            begin: 0,
            end: 0,
            left: 0,
        })
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub(super) fn send(&mut self, letter: Vec<u8>) {
        self.sending.push_back(letter);
        self.has_sent();
    }

    /// Sends what can be sent now; whether that was all.
    pub(super) fn has_sent(&mut self) -> bool {
        while let Some(letter) = self.sending.front() {
            match self.stream.write(&letter[self.num_sent..]) {
                Ok(written) => self.num_sent += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_passing(&error) => return false,
                Err(error) => {
                    // What has come before is still to be read, and then the end.
                    self.broken = Some(error);
                    self.sending.clear();
                    self.num_sent = 0;
                    return true;
                }
            }
            if self.sending.front().is_some_and(|letter| letter.len() == self.num_sent) {
                self.sending.pop_front();
                self.num_sent = 0;
            }
        }
        true
    }

    /// Whether a letter is on its way, to there or from there.
    pub(super) fn is_moving(&self) -> bool {
        !self.sending.is_empty() || self.left > 0 || self.begin < self.end
    }

    pub(super) fn read(&mut self) -> Read {
        loop {
            if let Some(piece) = self.next_piece() {
                return Read::Piece(piece);
            }
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Read::End(self.why(None)),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_passing(&error) => return Read::Nothing,
                Err(error) => return Read::End(self.why(Some(error))),
            }
        }
    }

    /// What is here of one letter: of its beginning not less than its length.
    fn next_piece(&mut self) -> Option<Vec<u8>> {
        let here = &self.buffer[self.begin..self.end];
        if self.left == 0 {
            let told = u64::from_le_bytes(*here.first_chunk::<LENGTH>()?);
            // Shorter than that it is none, which whoever puts it together sees.
            self.left = told.max(LENGTH as u64);
        }
        let len = usize::try_from(self.left).map_or(here.len(), |left| left.min(here.len()));
        if len == 0 {
            return None;
        }
        let piece = here[..len].to_vec();
        self.begin += len;
        self.left -= len as u64;
        Some(piece)
    }

    fn why(&mut self, error: Option<io::Error>) -> String {
        match error.or(self.broken.take()) {
            None => "its process ended before its time".to_owned(),
            Some(error) => format!(
                "the connection to it is broken ({error}): its process has ended, or the network has failed"
            ),
        }
    }
}

/// Whether it goes on later.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
