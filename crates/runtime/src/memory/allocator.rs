//! An allocator that counts, around one that allocates.

#![expect(unsafe_code, reason = "an allocator is made of it")]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;

use super::account::{add, charged};

/// Below this many bytes a block is preceded by as little as its alignment allows; from here on by a
/// cache line, so that tensors begin at one if the inner allocator's blocks do.
const LARGE: usize = 4096;
const LINE: usize = 64;

/// Counts what is allocated through it to the [`Account`](super::Account) of the calling thread.
///
/// In front of each block it notes whose it is, so that whoever frees it gives it back to that
/// account; counting takes some nanoseconds.
#[derive(Debug, Default)]
pub struct CountingAllocator<A>(A);

impl<A> CountingAllocator<A> {
    /// Around `allocator`.
    pub const fn new(allocator: A) -> Self {
        Self(allocator)
    }
}

/// How many bytes stand in front of a block; a multiple of its alignment, and room for the note.
fn front(layout: Layout) -> usize {
    let least = if layout.size() < LARGE { size_of::<usize>() } else { LINE };
    layout.align().max(least)
}

/// The block with what stands in front of it.
fn whole(layout: Layout) -> Option<Layout> {
    let size = layout.size().checked_add(front(layout))?;
    let align = layout.align().max(align_of::<usize>());
    Layout::from_size_align(size, align).ok()
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl<A> CountingAllocator<A> {
    /// Notes whose the block is, and hands it out.
    ///
    /// # Safety
    /// `start` is null or a block of [`whole`] of `layout`.
    unsafe fn hand_out(&self, start: *mut u8, layout: Layout) -> *mut u8 {
        if start.is_null() {
            return start;
        }
        let account = charged();
        add(account, signed(layout.size()));
        // SAFETY: the block is at least `front` bytes long, and those before its end of the front
        // are room for a `usize`, aligned since the front is a multiple of its alignment.
        unsafe {
            let block = start.add(front(layout));
            block.cast::<usize>().sub(1).write(account);
            block
        }
    }
}

// SAFETY: every block is one of the inner allocator's, of a larger layout that follows from the one
// asked for alone, behind a front whose length is a multiple of the alignment.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(whole) = whole(layout) else { return null_mut() };
        // SAFETY: the whole is not of size zero, as it has a front.
        unsafe { self.hand_out(self.0.alloc(whole), layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(whole) = whole(layout) else { return null_mut() };
        // SAFETY: as in `alloc`.
        unsafe { self.hand_out(self.0.alloc_zeroed(whole), layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(whole) = whole(layout) else { return };
        // SAFETY: the caller gives back what `hand_out` made of this layout: in front of it is the
        // note, and its start is as far before it as it was put behind.
        unsafe {
            add(block.cast::<usize>().sub(1).read(), -signed(layout.size()));
            self.0.dealloc(block.sub(front(layout)), whole);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(new_size, layout.align()) else {
            return null_mut();
        };
        let (Some(old), Some(new)) = (whole(layout), whole(wanted)) else { return null_mut() };
        if front(layout) == front(wanted) {
            // SAFETY: the start is that of a block of `old`; the sizes have one alignment, and the
            // note moves along with what stands in front.
            unsafe {
                let account = block.cast::<usize>().sub(1).read();
                let start = self.0.realloc(block.sub(front(layout)), old, new.size());
                if start.is_null() {
                    return start;
                }
                add(account, signed(new_size) - signed(layout.size()));
                return start.add(front(wanted));
            }
        }
        // SAFETY: two blocks of their layouts that do not overlap, each at least as long as what is
        // copied; the old one is given back once.
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}
