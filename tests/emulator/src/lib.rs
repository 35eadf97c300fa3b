//! A library that stands in for those of CUDA: what a program asks of a GPU happens on the CPU.
//!
//! `memory` is what devices have, `engine` the streams and what is queued on them, `ptx` reads kernels and
//! `machine` runs them. The functions that a program links to are in `driver`, `blas`, `random`,
//! `compiler` and `nccl`; those that are not there keep a program from starting, and the loader names
//! them. Whatever a program does that a GPU would not allow, or that is not emulated, ends it with a
//! message.

mod blas;
mod compiler;
mod driver;
mod engine;
mod machine;
mod memory;
mod nccl;
mod options;
mod ptx;
mod random;

use std::ffi::{CStr, c_char};

/// Ends the program: nothing may unwind into what has called.
pub(crate) fn fault(what: &str) -> ! {
    eprintln!("emulator: {what}");
    std::process::abort()
}

/// Writes a result where a caller wants it.
///
/// # Safety
/// The pointer leads to a place for it, or is null, which is an error of the caller's.
pub(crate) unsafe fn put<T>(to: *mut T, value: T) {
    if to.is_null() {
        fault("a result is to be written to a null pointer");
    }
    // SAFETY: the caller says so.
    unsafe { to.write(value) }
}

/// # Safety
/// The pointer leads to a text that ends with a zero.
pub(crate) unsafe fn text<'a>(from: *const c_char) -> &'a str {
    // SAFETY: the caller says so.
    let text = unsafe { CStr::from_ptr(from) };
    text.to_str().unwrap_or_else(|_| fault("a text is not UTF-8"))
}
