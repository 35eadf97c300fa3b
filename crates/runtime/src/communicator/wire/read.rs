//! Reads words and texts off the front of bytes.

use super::WireError;

pub(in super::super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(in super::super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(in super::super) fn bytes(&mut self, len: u64) -> Result<&'a [u8], WireError> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let taken = taken.ok_or(WireError::TooShort { needs: len, has: self.bytes.len() })?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(in super::super) fn word(&mut self) -> Result<u64, WireError> {
        let has = self.bytes.len();
        let bytes = self.bytes(8)?;
        let bytes = bytes.try_into().map_err(|_| WireError::TooShort { needs: 8, has })?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(in super::super) fn number(&mut self) -> Result<usize, WireError> {
        let word = self.word()?;
        usize::try_from(word).map_err(|_| WireError::Number(word))
    }

    pub(in super::super) fn text(&mut self) -> Result<String, WireError> {
        let len = self.word()?;
        let bytes = self.bytes(len)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| WireError::Text)
    }

    pub(in super::super) fn end(&self) -> Result<(), WireError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            left => Err(WireError::LeftOver { left }),
        }
    }
}
