//! The memory of all devices: one space of addresses, none of which is given twice, so that whoever uses
//! memory that was given up, or that is still to be had, is found.

use std::collections::BTreeMap;

/// Where the first memory is: below are the windows that tell shared and local memory by their address.
const FIRST: u64 = 0x7000_0000_0000;
/// The bytes between two pieces at least, which belong to nobody.
const GAP: u64 = 256;
/// What fresh memory is filled with: no number, in every type of floats.
const FRESH: u8 = 0xff;

/// Memory that is had: where, how much, and its place among the pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    start: u64,
    end: u64,
    piece: usize,
}

impl Window {
    /// Where in the piece bytes are, if all of them are in it.
    pub(crate) fn offset(&self, address: u64, len: u64) -> Option<usize> {
        let is_in = address >= self.start && address.checked_add(len)? <= self.end;
        is_in.then(|| (address - self.start) as usize)
    }
}

#[derive(Debug, Default)]
struct Piece {
    device: Option<usize>,
    len: u64,
    /// Once its stream has come to it.
    bytes: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    pieces: Vec<Piece>,
    places: BTreeMap<u64, usize>,
    unused: Vec<usize>,
    /// The lengths of what was given up.
    gone: BTreeMap<u64, u64>,
    next: u64,
}

impl Memory {
    /// An address for so many bytes of a device, or of all; there are none there yet.
    pub(crate) fn reserve(&mut self, device: Option<usize>, len: u64) -> u64 {
        let address = self.next.max(FIRST);
        self.next = (address + len + GAP).next_multiple_of(GAP);
        let piece = Piece { device, len, bytes: None };
        let place = match self.unused.pop() {
            Some(place) => {
                self.pieces[place] = piece;
                place
            }
            None => {
                self.pieces.push(piece);
                self.pieces.len() - 1
            }
        };
        self.places.insert(address, place);
        address
    }

    /// The bytes of what was reserved come to be.
    pub(crate) fn give(&mut self, address: u64) {
        if let Some(place) = self.places.get(&address) {
            let piece = &mut self.pieces[*place];
            piece.bytes = Some(vec![FRESH; piece.len as usize]);
        }
    }

    /// How many bytes were reserved at an address.
    pub(crate) fn len_at(&self, address: u64) -> Option<u64> {
        self.places.get(&address).map(|place| self.pieces[*place].len)
    }

    pub(crate) fn give_up(&mut self, address: u64) -> Result<(), String> {
        let Some(place) = self.places.remove(&address) else {
            return Err(format!("{address:#x} is given up and is {}", self.describe(address)));
        };
        let piece = std::mem::take(&mut self.pieces[place]);
        self.unused.push(place);
        self.gone.insert(address, piece.len);
        Ok(())
    }

    /// The memory with these bytes, as `device` uses it; copies are of every device.
    pub(crate) fn window(
        &self,
        address: u64,
        len: u64,
        device: Option<usize>,
    ) -> Result<Window, String> {
        let found = self.places.range(..=address).next_back();
        let window = found.map(|(start, place)| {
            let end = start + self.pieces[*place].len;
            Window { start: *start, end, piece: *place }
        });
        let Some(window) = window.filter(|window| window.offset(address, len).is_some()) else {
            return Err(format!("{len} bytes at {address:#x} are {}", self.describe(address)));
        };
        let piece = &self.pieces[window.piece];
        if piece.bytes.is_none() {
            return Err(format!(
                "{len} bytes at {address:#x} are used before the stream that asked for them has them"
            ));
        }
        match (piece.device, device) {
            (Some(of), Some(by)) if of != by => Err(format!(
                "{len} bytes at {address:#x} are of device {of}, and a kernel of device {by} uses them"
            )),
            _ => Ok(window),
        }
    }

    fn describe(&self, address: u64) -> String {
        let before = |places: Option<(u64, u64)>, what: &str| {
            let (start, len) = places?;
            (address < start + len + GAP)
                .then(|| format!("at {} of {len} bytes that {what} at {start:#x}", address - start))
        };
        let had = self.places.range(..=address).next_back();
        let had = had.map(|(start, place)| (*start, self.pieces[*place].len));
        let gone = self.gone.range(..=address).next_back().map(|(start, len)| (*start, *len));
        let nearest = if gone.map(|of| of.0) > had.map(|of| of.0) {
            before(gone, "were given up")
        } else {
            before(had, "begin")
        };
        nearest.unwrap_or_else(|| "nobody's".to_owned())
    }

    pub(crate) fn bytes(&self, window: &Window) -> &[u8] {
        self.pieces[window.piece].bytes.as_deref().unwrap_or_default()
    }

    pub(crate) fn bytes_mut(&mut self, window: &Window) -> &mut [u8] {
        self.pieces[window.piece].bytes.as_deref_mut().unwrap_or_default()
    }

    pub(crate) fn read(&self, address: u64, len: u64) -> Result<&[u8], String> {
        let window = self.window(address, len, None)?;
        let at = window.offset(address, len).unwrap_or_default();
        Ok(&self.bytes(&window)[at..at + len as usize])
    }

    pub(crate) fn write(&mut self, address: u64, len: u64) -> Result<&mut [u8], String> {
        let window = self.window(address, len, None)?;
        let at = window.offset(address, len).unwrap_or_default();
        Ok(&mut self.bytes_mut(&window)[at..at + len as usize])
    }

    pub(crate) fn copy(&mut self, to: u64, from: u64, len: u64) -> Result<(), String> {
        let bytes = self.read(from, len)?.to_vec();
        self.write(to, len)?.copy_from_slice(&bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_had_is_used() {
        let mut memory = Memory::default();
        let (a, b) = (memory.reserve(Some(0), 16), memory.reserve(Some(1), 8));
        assert!(
            memory
                .read(a, 16)
                .unwrap_err()
                .ends_with("before the stream that asked for them has them")
        );
        memory.give(a);
        memory.give(b);
        memory.write(a, 16).unwrap()[15] = 7;
        memory.copy(b, a + 8, 8).unwrap();
        assert_eq!(memory.read(b, 8).unwrap()[7], 7);
        assert_eq!(memory.read(b, 8).unwrap()[0], FRESH);
        let beyond = memory.read(a + 8, 16).unwrap_err();
        assert!(beyond.contains("at 8 of 16 bytes that begin"), "{beyond}");
        assert!(memory.window(b, 8, Some(0)).is_err());
        memory.give_up(a).unwrap();
        let gone = memory.read(a, 4).unwrap_err();
        assert!(gone.contains("at 0 of 16 bytes that were given up"), "{gone}");
        assert!(memory.give_up(a).is_err());
        assert!(memory.reserve(Some(0), 16) > b);
    }
}
