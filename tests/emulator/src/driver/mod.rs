//! The functions of CUDA's driver.

mod device;
mod event;
mod memory;
mod module;
mod stream;

use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::{Engine, Handle};
pub(crate) use module::Modules;

/// A result as CUDA's functions return it.
pub(crate) type Result = c_int;

pub(crate) const SUCCESS: Result = 0;
const INVALID_VALUE: Result = 1;
const OUT_OF_MEMORY: Result = 2;
const NO_DEVICE: Result = 100;
const INVALID_DEVICE: Result = 101;
const INVALID_IMAGE: Result = 200;
const INVALID_CONTEXT: Result = 201;
const INVALID_HANDLE: Result = 400;
const NOT_FOUND: Result = 500;
const NOT_READY: Result = 600;
const NOT_SUPPORTED: Result = 801;

/// A context is its device's number, beginning here: there are none but primary ones.
const FIRST_CONTEXT: u64 = 0x100;

thread_local! {
    /// The context of this thread; zero is none.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
    static THREAD: u64 = {
        static THREADS: AtomicU64 = AtomicU64::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed)
    };
}

/// The device of this thread's context.
pub(crate) fn current_device() -> Option<usize> {
    CURRENT.get().checked_sub(FIRST_CONTEXT).map(|device| device as usize)
}

/// The stream of a handle: of two numbers it is the device's own, of one the thread's.
pub(crate) fn stream_of(engine: &mut Engine, handle: Handle) -> Option<Handle> {
    match handle {
        0 | 1 => Some(engine.default_stream(current_device()?, None)),
        2 => Some(engine.default_stream(current_device()?, Some(THREAD.with(|number| *number)))),
        _ => engine.has_stream(handle).then_some(handle),
    }
}

/// # Safety
/// `to` leads to a place for a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(error: Result, to: *mut *const c_char) -> Result {
    let text = match error {
        SUCCESS => c"no error",
        INVALID_VALUE => c"invalid argument",
        OUT_OF_MEMORY => c"out of memory",
        NO_DEVICE => c"no CUDA-capable device is detected",
        INVALID_DEVICE => c"invalid device ordinal",
        INVALID_IMAGE => c"device kernel image is invalid",
        INVALID_CONTEXT => c"invalid device context",
        INVALID_HANDLE => c"invalid resource handle",
        NOT_FOUND => c"named symbol not found",
        NOT_READY => c"device not ready",
        NOT_SUPPORTED => c"operation not supported",
        _ => return INVALID_VALUE,
    };
    // SAFETY: the caller says so.
    unsafe { crate::put(to, text.as_ptr()) };
    SUCCESS
}
