//! Bytes that MPI reads or writes while this process goes on: they stay where they are until it has
//! done so.
#![expect(unsafe_code, reason = "rsmpi's requests borrow what they send, and these own it")]

use std::collections::VecDeque;
use std::mem::{ManuallyDrop, forget, take};

use ::mpi::point_to_point::Message;
use ::mpi::request::{Request, StaticScope};
use ::mpi::topology::Process;
use ::mpi::traits::Destination as _;

use super::TAG;

/// A letter on its way, in pieces. Dropped before it has left, its bytes are leaked.
pub(super) struct Sending {
    requests: VecDeque<Request<'static, [u8]>>,
    letter: ManuallyDrop<Vec<u8>>,
}

impl Sending {
    pub(super) fn begin(to: &Process<'_>, letter: Vec<u8>, piece: usize) -> Self {
        let letter = ManuallyDrop::new(letter);
        // SAFETY: the bytes are on the heap, where they stay when the vector moves; nobody can write
        // to them, as the vector is private and only read; and they are freed in `drop` alone, once
        // no request is left, or never.
        let bytes: &'static [u8] =
            unsafe { std::slice::from_raw_parts(letter.as_ptr(), letter.len()) };
        let send = |piece| to.immediate_send_with_tag(StaticScope, piece, TAG);
        Self { requests: bytes.chunks(piece).map(send).collect(), letter }
    }

    /// Whether MPI needs the bytes no more.
    pub(super) fn has_left(&mut self) -> bool {
        while let Some(request) = self.requests.pop_front() {
            if let Err(request) = request.test() {
                self.requests.push_front(request);
                return false;
            }
        }
        true
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.requests.is_empty() {
            // SAFETY: all requests are complete, and with them what they borrowed is gone; this is
            // the only place that drops the vector.
            unsafe { ManuallyDrop::drop(&mut self.letter) };
        }
        // A request that is dropped panics.
        take(&mut self.requests).into_iter().for_each(forget);
    }
}

/// A piece that is coming. Dropped before it has come, its bytes are leaked.
pub(super) struct Receiving {
    request: ManuallyDrop<Request<'static, [u8]>>,
    piece: ManuallyDrop<Vec<u8>>,
}

impl Receiving {
    pub(super) fn begin(message: Message, len: usize) -> Self {
        let mut piece = ManuallyDrop::new(vec![0; len]);
        // SAFETY: the bytes are on the heap, where they stay when the vector moves; the vector is
        // not looked into before `finish` has seen the request complete; and until then nobody frees
        // them.
        let bytes: &'static mut [u8] =
            unsafe { std::slice::from_raw_parts_mut(piece.as_mut_ptr(), piece.len()) };
        let request = message.immediate_matched_receive_into(StaticScope, bytes);
        Self { request: ManuallyDrop::new(request), piece }
    }

    /// The piece, if it is here.
    pub(super) fn finish(self) -> Result<Vec<u8>, Self> {
        let Self { request, piece } = self;
        match ManuallyDrop::into_inner(request).test() {
            // The borrow has ended with the request.
            Ok(_) => Ok(ManuallyDrop::into_inner(piece)),
            Err(request) => Err(Self { request: ManuallyDrop::new(request), piece }),
        }
    }
}
