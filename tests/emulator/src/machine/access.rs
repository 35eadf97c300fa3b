//! What a thread reads and writes: the memory of devices, its block's and its own.

use super::races::Races;
use super::{LOCAL_WINDOW, SHARED_WINDOW};
use crate::memory::{Memory, Window};
use crate::ptx::Space;

/// What the threads of a block see together.
pub(super) struct Reach<'a> {
    pub(super) memory: &'a mut Memory,
    device: usize,
    pub(super) shared: Vec<u8>,
    pub(super) races: Races,
    /// What was used last.
    recent: [Window; 4],
    oldest: usize,
}

/// What is to be done with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Read,
    Write,
    /// By an instruction that no other thread can come between.
    Both,
}

/// Where bytes are.
pub(super) enum Found<'a> {
    Here(&'a mut [u8]),
    /// In the thread's own memory.
    Local(u64),
}

impl<'a> Reach<'a> {
    pub(super) fn new(memory: &'a mut Memory, device: usize, shared_bytes: usize) -> Self {
        let shared = vec![0; shared_bytes];
        Self {
            memory,
            device,
            shared,
            races: Races::default(),
            recent: [Window::default(); 4],
            oldest: 0,
        }
    }

    /// Bytes at an address of a space, which has to be a multiple of their count.
    pub(super) fn find(
        &mut self,
        space: Space,
        address: u64,
        len: u64,
        touch: Touch,
    ) -> Result<Found<'_>, String> {
        if !address.is_multiple_of(len) {
            return Err(format!("{len} bytes at {address:#x}, which is no multiple of it"));
        }
        let (space, address) = match space {
            Space::Generic if address >= LOCAL_WINDOW << 1 => (Space::Global, address),
            Space::Generic if address >= LOCAL_WINDOW => (Space::Local, address - LOCAL_WINDOW),
            Space::Generic if address >= SHARED_WINDOW => (Space::Shared, address - SHARED_WINDOW),
            Space::Generic => (Space::Global, address),
            // As 32 bits, what is below zero is far above.
            Space::Shared => (space, address & 0xffff_ffff),
            _ => (space, address),
        };
        match space {
            Space::Shared => {
                let (at, has) = (address as usize, self.shared.len());
                let bytes = self.shared.get_mut(at..at + len as usize);
                bytes
                    .map(Found::Here)
                    .ok_or_else(|| format!("{len} bytes at {at} of shared memory, which has {has}"))
            }
            Space::Local => Ok(Found::Local(address)),
            _ => {
                self.races.note(address, touch)?;
                self.global(address, len).map(Found::Here)
            }
        }
    }

    fn global(&mut self, address: u64, len: u64) -> Result<&mut [u8], String> {
        let recent =
            self.recent.iter().find_map(|window| Some((*window, window.offset(address, len)?)));
        let (window, at) = match recent {
            Some(recent) => recent,
            None => {
                let window = self.memory.window(address, len, Some(self.device))?;
                self.recent[self.oldest] = window;
                self.oldest = (self.oldest + 1) % self.recent.len();
                (window, window.offset(address, len).unwrap_or_default())
            }
        };
        Ok(&mut self.memory.bytes_mut(&window)[at..at + len as usize])
    }
}

/// A number of so many bytes.
pub(super) fn number(bytes: &[u8], is_signed: bool) -> u64 {
    match (bytes, is_signed) {
        ([a], false) => u64::from(*a),
        ([a], true) => i64::from(*a as i8) as u64,
        (&[a, b], false) => u64::from(u16::from_le_bytes([a, b])),
        (&[a, b], true) => i64::from(i16::from_le_bytes([a, b])) as u64,
        (&[a, b, c, d], _) => u64::from(u32::from_le_bytes([a, b, c, d])),
        (&[a, b, c, d, e, f, g, h], _) => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => 0,
    }
}

pub(super) fn put(bytes: &mut [u8], number: u64) {
    let len = bytes.len();
    bytes.copy_from_slice(&number.to_le_bytes()[..len]);
}
