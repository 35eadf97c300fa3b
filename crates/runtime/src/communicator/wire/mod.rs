//! Letters as bytes: what one process sends to another.
//!
//! A letter is a row of words of eight bytes, least byte first, and the bytes of texts and tensors
//! between them: its length, a mark, how often the sender has begun anew, its kind, and what the kind
//! has to say. Nothing that comes is believed: a letter that says what cannot be is an error.

mod error;
mod failure;
mod pieces;
mod read;
mod tensor;
#[cfg(test)]
mod tests;

use super::Tag;
use super::mailbox::{Address, Content, Letter, Message, Outgoing};
pub(super) use error::WireError;
pub(super) use pieces::Assembly;
pub(super) use read::Reader;
pub(super) use tensor::{code_of, dtype_of, num_bytes, unsendable};

/// "autopipe", and with it the version of all this.
const MARK: u64 = u64::from_le_bytes(*b"autopip2");

const MAIL: u64 = 0;
const STOP: u64 = 1;
const HEARD: u64 = 2;
const ENDED: u64 = 3;
const RESETTING: u64 = 4;
const MAY_LEAVE: u64 = 5;
const LEAVE: u64 = 6;
const STAYING: u64 = 7;
const RESET: u64 = 8;
const LEAVING: u64 = 9;
const ALIVE: u64 = 10;

const TENSORS: u64 = 0;
const WORDS: u64 = 1;

/// The bytes of a letter.
pub(super) fn encode(letter: &Letter, num_resets: u64) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    for word in [0, MARK, num_resets, kind(letter)] {
        put_word(&mut bytes, word);
    }
    match letter {
        Letter::Mail(address, message) => put_mail(&mut bytes, address, message)?,
        Letter::Stop(failure) => failure::put(&mut bytes, failure),
        Letter::Ended(cause) => {
            put_word(&mut bytes, u64::from(cause.is_some()));
            put_text(&mut bytes, cause.as_deref().unwrap_or_default());
        }
        Letter::Heard
        | Letter::Leaving
        | Letter::Resetting
        | Letter::MayLeave
        | Letter::Leave
        | Letter::Staying
        | Letter::Reset
        | Letter::Alive => {}
    }
    let len = bytes.len() as u64;
    bytes[..8].copy_from_slice(&len.to_le_bytes());
    Ok(bytes)
}

fn kind(letter: &Letter) -> u64 {
    match letter {
        Letter::Mail(..) => MAIL,
        Letter::Stop(_) => STOP,
        Letter::Heard => HEARD,
        Letter::Ended(_) => ENDED,
        Letter::Leaving => LEAVING,
        Letter::Resetting => RESETTING,
        Letter::MayLeave => MAY_LEAVE,
        Letter::Leave => LEAVE,
        Letter::Staying => STAYING,
        Letter::Reset => RESET,
        Letter::Alive => ALIVE,
    }
}

pub(super) fn put_word(bytes: &mut Vec<u8>, word: u64) {
    bytes.extend_from_slice(&word.to_le_bytes());
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_word(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn put_mail(bytes: &mut Vec<u8>, address: &Address, message: &Message) -> Result<(), WireError> {
    let number = match address.content {
        Content::Tagged(Tag(tag)) => tag,
        Content::Collective(number) => number,
    };
    match message {
        Message::Tensors(tensors) => {
            for word in [TENSORS, address.group, number, tensors.len() as u64] {
                put_word(bytes, word);
            }
            tensors.iter().try_for_each(|tensor| tensor::put(bytes, tensor))
        }
        Message::Words(words) => {
            for word in [WORDS, address.group, number, words.len() as u64] {
                put_word(bytes, word);
            }
            words.iter().for_each(|&word| put_word(bytes, word));
            Ok(())
        }
    }
}

/// The letter that a rank has sent to another.
pub(super) fn decode(bytes: &[u8], from: usize, to: usize) -> Result<Outgoing, WireError> {
    let mut reader = Reader::new(bytes);
    let told = reader.word()?;
    if told != bytes.len() as u64 {
        return Err(WireError::Length { told, got: bytes.len() });
    }
    let mark = reader.word()?;
    if mark != MARK {
        return Err(WireError::Mark { mark });
    }
    let num_resets = reader.word()?;
    let letter = match reader.word()? {
        MAIL => mail(&mut reader, from, to)?,
        STOP => Letter::Stop(failure::get(&mut reader)?),
        HEARD => Letter::Heard,
        ENDED => {
            let is_early = reader.word()? != 0;
            let cause = reader.text()?;
            Letter::Ended(is_early.then_some(cause))
        }
        LEAVING => Letter::Leaving,
        RESETTING => Letter::Resetting,
        MAY_LEAVE => Letter::MayLeave,
        LEAVE => Letter::Leave,
        STAYING => Letter::Staying,
        RESET => Letter::Reset,
        ALIVE => Letter::Alive,
        kind => return Err(WireError::Kind { kind }),
    };
    reader.end()?;
    Ok(Outgoing { peer: from, num_resets, letter })
}

fn mail(reader: &mut Reader<'_>, from: usize, to: usize) -> Result<Letter, WireError> {
    let (what, group, number) = (reader.word()?, reader.word()?, reader.word()?);
    // As many as there are, however many are said to come: each is read before room is made for it.
    let count = reader.word()?;
    let (content, message) = match what {
        TENSORS => {
            let tensors = (0..count).map(|_| tensor::get(reader)).collect::<Result<_, _>>()?;
            (Content::Tagged(Tag(number)), Message::Tensors(tensors))
        }
        WORDS => {
            let words = (0..count).map(|_| reader.word()).collect::<Result<_, _>>()?;
            (Content::Collective(number), Message::Words(words))
        }
        kind => return Err(WireError::Kind { kind }),
    };
    Ok(Letter::Mail(Address { group, from, to, content }, message))
}
