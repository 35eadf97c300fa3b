//! What processes say before letters go: a mark, a version, a length, and what there is to say.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::super::super::wire::{Reader, WireError, put_text, put_word};
use super::{REST, Refusal};

/// "autopipe" come together.
const MARK: u64 = u64::from_le_bytes(*b"autopipM");
/// Of what follows, and of letters.
pub(super) const VERSION: u64 = 2;
/// Mark, version and length.
const HEADER: usize = 24;
/// The most bytes of a message; the table of a world of thousands of ranks is shorter.
const LONGEST: u64 = 1 << 20;

/// The same of a hello, which has a few addresses.
const LONGEST_HELLO: u64 = 1 << 12;
/// How long somebody has to take a message, which is short.
const TAKING: Duration = Duration::from_secs(5);

/// What a process says when it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// The number of the world, which whoever comes to rank 0 has not been told yet.
    pub(super) world: u64,
    pub(super) rank: usize,
    pub(super) world_size: usize,
    pub(super) listens: Listens,
    pub(super) machine: String,
}

/// Where a process listens for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listens {
    /// `None` if it sees rank 0 on its own machine only: then where others see rank 0.
    pub(super) ip: Option<IpAddr>,
    pub(super) port: u16,
}

/// What rank 0 answers: first a welcome, when all have come, where they are, and when all have said that
/// they are ready, that they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Welcome,
    Table(Table),
    /// To rank 0: this rank is connected to all others.
    Ready,
    Refused(Refusal),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) world: u64,
    /// How many ranks share the machine of whoever gets this.
    pub(super) ranks_here: usize,
    /// By rank, without rank 0.
    pub(super) listens: Vec<Listens>,
}

const WELCOME: u64 = 0;
const TABLE: u64 = 1;
const TAKEN: u64 = 2;
const WORLD_SIZE: u64 = 3;
const WRONG_VERSION: u64 = 4;
const MISSING: u64 = 5;
const READY: u64 = 6;
const GONE: u64 = 7;
const APART: u64 = 8;

impl Hello {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for word in [self.world, self.rank as u64, self.world_size as u64] {
            put_word(&mut body, word);
        }
        put_listens(&mut body, &self.listens);
        put_text(&mut body, &self.machine);
        framed(&body)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let hello = Self {
            world: reader.word()?,
            rank: reader.number()?,
            world_size: reader.number()?,
            listens: listens(&mut reader)?,
            machine: reader.text()?,
        };
        reader.end()?;
        Ok(hello)
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Welcome => put_word(&mut body, WELCOME),
            Self::Ready => put_word(&mut body, READY),
            Self::Table(Table { world, ranks_here, listens }) => {
                for word in [TABLE, *world, *ranks_here as u64, listens.len() as u64] {
                    put_word(&mut body, word);
                }
                listens.iter().for_each(|listens| put_listens(&mut body, listens));
            }
            Self::Refused(Refusal::Taken { rank, by }) => {
                put_word(&mut body, TAKEN);
                put_word(&mut body, *rank as u64);
                put_text(&mut body, by);
            }
            Self::Refused(Refusal::WorldSize { rank, told, world_size }) => {
                for word in [WORLD_SIZE, *rank as u64, *told as u64, *world_size as u64] {
                    put_word(&mut body, word);
                }
            }
            Self::Refused(Refusal::Version { version, own }) => {
                for word in [WRONG_VERSION, *version, *own] {
                    put_word(&mut body, word);
                }
            }
            Self::Refused(Refusal::Missing { ranks }) => put_ranks(&mut body, MISSING, ranks),
            Self::Refused(Refusal::Gone { ranks }) => put_ranks(&mut body, GONE, ranks),
            Self::Refused(Refusal::Apart { ranks }) => put_ranks(&mut body, APART, ranks),
        }
        framed(&body)
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let answer = match reader.word()? {
            WELCOME => Self::Welcome,
            READY => Self::Ready,
            TABLE => {
                let (world, ranks_here) = (reader.word()?, reader.number()?);
                let count = reader.word()?;
                let listens = (0..count).map(|_| listens(&mut reader)).collect::<Result<_, _>>()?;
                Self::Table(Table { world, ranks_here, listens })
            }
            TAKEN => Self::Refused(Refusal::Taken { rank: reader.number()?, by: reader.text()? }),
            WORLD_SIZE => Self::Refused(Refusal::WorldSize {
                rank: reader.number()?,
                told: reader.number()?,
                world_size: reader.number()?,
            }),
            WRONG_VERSION => {
                Self::Refused(Refusal::Version { version: reader.word()?, own: reader.word()? })
            }
            MISSING => Self::Refused(Refusal::Missing { ranks: ranks(&mut reader)? }),
            GONE => Self::Refused(Refusal::Gone { ranks: ranks(&mut reader)? }),
            APART => Self::Refused(Refusal::Apart { ranks: ranks(&mut reader)? }),
            kind => return Err(WireError::Kind { kind }),
        };
        reader.end()?;
        Ok(answer)
    }
}

fn put_ranks(body: &mut Vec<u8>, kind: u64, ranks: &[usize]) {
    put_word(body, kind);
    put_word(body, ranks.len() as u64);
    ranks.iter().for_each(|&rank| put_word(body, rank as u64));
}

fn ranks(reader: &mut Reader<'_>) -> Result<Vec<usize>, WireError> {
    let count = reader.word()?;
    (0..count).map(|_| reader.number()).collect()
}

fn put_listens(body: &mut Vec<u8>, listens: &Listens) {
    put_text(body, &listens.ip.map(|ip| ip.to_string()).unwrap_or_default());
    put_word(body, listens.port.into());
}

fn listens(reader: &mut Reader<'_>) -> Result<Listens, WireError> {
    let text = reader.text()?;
    let ip = if text.is_empty() { None } else { Some(text.parse().map_err(|_| WireError::Text)?) };
    let word = reader.word()?;
    let port = u16::try_from(word).map_err(|_| WireError::Number(word))?;
    Ok(Listens { ip, port })
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    for word in [MARK, VERSION, body.len() as u64] {
        put_word(&mut bytes, word);
    }
    bytes.extend_from_slice(body);
    bytes
}

/// Says it, and waits until it is on its way; from then on the stream makes nobody wait.
///
/// # Errors
/// If the other side does not take it in time, or is gone.
#[expect(clippy::disallowed_methods, reason = "who does not take it is not waited for")]
pub(super) fn say(mut stream: &TcpStream, message: &[u8]) -> io::Result<()> {
    let start = Instant::now();
    stream.set_nonblocking(true)?;
    let mut rest = message;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Err(_) if start.elapsed() >= TAKING => return Err(ErrorKind::TimedOut.into()),
            Err(_) => thread::park_timeout(REST),
        }
    }
    Ok(())
}

/// A message that is coming, of which no byte more is read than it has.
#[derive(Debug)]
pub(super) struct Coming {
    had: Vec<u8>,
    /// The most bytes that it may have.
    longest: u64,
}

impl Default for Coming {
    fn default() -> Self {
        Self { had: Vec::new(), longest: LONGEST }
    }
}

/// Why no message comes.
#[derive(Debug)]
pub(super) enum NoMessage {
    /// The other side has gone.
    Closed,
    /// It says something else.
    Stranger,
    /// It speaks another version.
    Version(u64),
}

impl Coming {
    /// Of somebody who has not said yet who it is, and for whom little is kept.
    pub(super) fn of_stranger() -> Self {
        Self { longest: LONGEST_HELLO, ..Self::default() }
    }

    /// Goes on reading from a connection that makes nobody wait. Returns what the message says once it
    /// is whole.
    pub(super) fn read(&mut self, mut stream: &TcpStream) -> Result<Option<Vec<u8>>, NoMessage> {
        loop {
            let len = self.len()?;
            if let Some(len) = len
                && self.had.len() == len
            {
                return Ok(Some(std::mem::take(&mut self.had).split_off(HEADER)));
            }
            let had = self.had.len();
            self.had.resize(len.unwrap_or(HEADER), 0);
            let read = stream.read(&mut self.had[had..]);
            self.had.truncate(had + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(NoMessage::Closed),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return Ok(None),
                    _ => return Err(NoMessage::Closed),
                },
            }
        }
    }

    /// How long the message is, if that is here.
    fn len(&self) -> Result<Option<usize>, NoMessage> {
        let word =
            |at: usize| self.had.get(at..at + 8)?.first_chunk().copied().map(u64::from_le_bytes);
        let begins = self.had.len().min(8);
        if self.had[..begins] != MARK.to_le_bytes()[..begins] {
            return Err(NoMessage::Stranger);
        }
        if let Some(version) = word(8)
            && version != VERSION
        {
            return Err(NoMessage::Version(version));
        }
        match word(16) {
            None => Ok(None),
            Some(len) if len > self.longest => Err(NoMessage::Stranger),
            Some(len) => Ok(usize::try_from(len).ok().map(|len| HEADER + len)),
        }
    }
}
