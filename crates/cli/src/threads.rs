//! What candle has to know of threads: each rank has its own, and shares none.

use std::num::NonZeroUsize;

/// Tells candle what it takes from the environment only, before any rank starts.
///
/// Its matrix products are cut for as many threads as `RAYON_NUM_THREADS` says; cut for more than a
/// rank has, they are slower by half. Its element-wise operations go through one process-wide pool
/// that lets one caller in at a time: ranks that are threads would wait for each other there, and
/// without workers it is not used. Whoever has set the variables knows better.
pub(crate) fn tell_candle(threads_per_rank: NonZeroUsize) {
    set_default("RAYON_NUM_THREADS", &threads_per_rank.to_string());
    set_default("CANDLE_NUM_THREADS", "1");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line is the one reader of the environment"
)]
fn set_default(variable: &str, value: &str) {
    if std::env::var_os(variable).is_some() {
        return;
    }
    #[expect(unsafe_code, reason = "candle takes this setting from the environment only")]
    // SAFETY: the command has started no thread yet, so nobody reads the environment meanwhile.
    unsafe {
        std::env::set_var(variable, value);
    }
}
