//! A file of text: one document, and of a long one several pieces.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How long a piece is at most, in bytes.
#[cfg(not(test))]
const MAX_PIECE: u64 = 1 << 20;
#[cfg(test)]
pub(super) const MAX_PIECE: u64 = 64;

/// In how much of the end of a piece a line end is looked for.
const TAIL: u64 = MAX_PIECE / 16;

/// The three bytes with which some editors begin a file in UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes before the text.
pub(super) fn length_of_mark(file: &mut File) -> io::Result<u64> {
    let mut beginning = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(3).read_to_end(&mut beginning)?;
    Ok(if beginning == BYTE_ORDER_MARK { 3 } else { 0 })
}

/// Where the pieces of a file of `num_bytes` begin; none of an empty file.
///
/// A piece ends behind the last line end that lets it have at most a MiB, if there is one in the last
/// 64 KiB of that, and behind a whole character otherwise.
pub(super) fn pieces(file: &mut File, num_bytes: u64) -> io::Result<Vec<u64>> {
    let mut start = length_of_mark(file)?;
    let mut starts = Vec::new();
    while start < num_bytes {
        starts.push(start);
        if num_bytes - start <= MAX_PIECE {
            break;
        }
        let end = start + MAX_PIECE;
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(end - TAIL))?;
        // One byte more tells whether a character ends here.
        file.by_ref().take(TAIL + 1).read_to_end(&mut tail)?;
        let Some((&next, tail)) = tail.split_last() else { break };
        start = end - cut(tail, next);
    }
    Ok(starts)
}

/// How many bytes of a piece's end are left to the next piece.
fn cut(tail: &[u8], next: u8) -> u64 {
    let behind = tail.iter().rev();
    let line = behind.clone().zip(0..).find(|&(&byte, _)| byte == b'\n').map(|(_, number)| number);
    let character = || {
        let continues = |byte: &u8| byte & 0xc0 == 0x80;
        if !continues(&next) {
            return 0;
        }
        // In UTF-8 no more than three bytes continue one; in what is none, it does not matter.
        behind.take(3).zip(1..).find(|(byte, _)| !continues(byte)).map_or(0, |(_, number)| number)
    };
    line.unwrap_or_else(character)
}
