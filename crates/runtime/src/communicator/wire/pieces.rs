//! Puts letters together that came in pieces.

use super::WireError;

/// What one rank has sent of a letter so far. Its pieces come in their order, and none belongs to
/// two letters.
#[derive(Debug, Default)]
pub(in super::super) struct Assembly {
    bytes: Vec<u8>,
    /// Of the letter whose pieces are coming.
    len: usize,
}

impl Assembly {
    /// Takes the next piece; returns the letter if it was the last.
    pub(in super::super) fn push(&mut self, piece: Vec<u8>) -> Result<Option<Vec<u8>>, WireError> {
        if self.bytes.is_empty() {
            let told = piece.first_chunk().map(|word| u64::from_le_bytes(*word));
            let told = told.ok_or(WireError::TooShort { needs: 8, has: piece.len() })?;
            self.len = usize::try_from(told).map_err(|_| WireError::Number(told))?;
            if self.len == piece.len() {
                return Ok(Some(piece));
            }
            if self.len > piece.len() {
                let room = self.bytes.try_reserve_exact(self.len);
                room.map_err(|_| WireError::Room { bytes: told })?;
            }
        }
        let got = self.bytes.len() + piece.len();
        if got > self.len {
            self.bytes = Vec::new();
            return Err(WireError::Length { told: self.len as u64, got });
        }
        self.bytes.extend_from_slice(&piece);
        Ok((got == self.len).then(|| std::mem::take(&mut self.bytes)))
    }
}
