//! What candle and the allocator have to know before any rank starts: each has its own threads, and
//! memory is kept.

use std::ffi::{c_int, c_long};
use std::num::NonZeroUsize;

/// Tells candle what it takes from the environment only, before any thread computes.
///
/// Its matrix products are cut for as many threads as `RAYON_NUM_THREADS` says; cut for more than a
/// rank has, they are slower by half. Its element-wise operations go through one process-wide pool
/// that lets one caller in at a time: ranks that are threads would wait for each other there, and
/// without workers it is not used. Whoever has set the variables knows better.
pub(crate) fn tell_candle(threads_per_rank: NonZeroUsize) {
    set_default("RAYON_NUM_THREADS", &threads_per_rank.to_string());
    set_default("CANDLE_NUM_THREADS", "1");
}

/// Tells the allocator to keep what is freed, for good.
///
/// Left alone it gives back what nobody has taken for a second. A step takes the same buffers as the
/// one before, and those that wait longer come back as fresh pages, each of which the kernel has to
/// clear: an eighth of the processor's time where a step takes several seconds. Whoever has set
/// `MIMALLOC_PURGE_DELAY` knows better.
pub(crate) fn keep_memory() {
    if is_set("MIMALLOC_PURGE_DELAY") {
        return;
    }
    #[expect(unsafe_code, reason = "the allocator takes this setting by a C function only")]
    // SAFETY: it changes a number; the command has started no thread that could read it meanwhile.
    unsafe {
        mi_option_set(PURGE_DELAY, NEVER);
    }
}

/// `mi_option_purge_delay`: its place in mimalloc's list of options.
const PURGE_DELAY: c_int = 15;
const NEVER: c_long = -1;

#[expect(unsafe_code, reason = "the allocator's crate has no name for it")]
// SAFETY: as `mimalloc.h` has it, which the allocator is built from.
unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line is the one reader of the environment"
)]
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

fn set_default(variable: &str, value: &str) {
    if is_set(variable) {
        return;
    }
    #[expect(unsafe_code, reason = "candle takes this setting from the environment only")]
    // SAFETY: the command has started no thread yet but the one that carries messages over TCP, which reads
    // no environment.
    unsafe {
        std::env::set_var(variable, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(unsafe_code, reason = "the allocator tells its settings by a C function only")]
    // SAFETY: as `mimalloc.h` has it, which the allocator is built from.
    unsafe extern "C" {
        fn mi_option_get(option: c_int) -> c_long;
    }

    fn purge_delay() -> c_long {
        #[expect(unsafe_code, reason = "the allocator tells its settings by a C function only")]
        // SAFETY: it reads a number that no other test changes.
        unsafe {
            mi_option_get(PURGE_DELAY)
        }
    }

    #[test]
    fn the_allocator_keeps_memory() {
        if is_set("MIMALLOC_PURGE_DELAY") {
            return;
        }
        assert_eq!(purge_delay(), 1000, "another option has this place now: see mimalloc.h");
        keep_memory();
        assert_eq!(purge_delay(), NEVER);
    }
}
