//! Generators of cuRAND. Nobody here draws from one yet: a program that did would not start.

use std::collections::BTreeSet;
use std::ffi::{c_int, c_ulonglong};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::driver::SUCCESS;
use crate::engine::engine;
use crate::put;

const NOT_INITIALIZED: c_int = 101;

fn generators() -> MutexGuard<'static, BTreeSet<u64>> {
    static GENERATORS: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
    GENERATORS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn found(is_there: bool) -> c_int {
    if is_there { SUCCESS } else { NOT_INITIALIZED }
}

/// # Safety
/// `to` leads to a place for a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn curandCreateGenerator(to: *mut u64, _kind: c_int) -> c_int {
    let handle = engine().new_handle();
    generators().insert(handle);
    // SAFETY: the caller says so.
    unsafe { put(to, handle) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn curandDestroyGenerator(generator: u64) -> c_int {
    found(generators().remove(&generator))
}

#[unsafe(no_mangle)]
pub extern "C" fn curandSetStream(generator: u64, _stream: u64) -> c_int {
    found(generators().contains(&generator))
}

#[unsafe(no_mangle)]
pub extern "C" fn curandSetPseudoRandomGeneratorSeed(generator: u64, _seed: c_ulonglong) -> c_int {
    found(generators().contains(&generator))
}
