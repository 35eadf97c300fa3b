//! The GPU that a test runs on, if there is one.

use std::sync::OnceLock;

use candle_core::Device;

/// The first CUDA device, with a stream of its own. Without one the first call says why, and the test
/// has nothing to do; but with `AUTOPIPE_REQUIRE_GPU=1` in the environment it fails, so that nobody
/// takes tests that were skipped for tests that passed.
pub(crate) fn gpu() -> Option<Device> {
    static SAID: OnceLock<()> = OnceLock::new();
    match Device::new_cuda_with_stream(0) {
        Ok(device) => Some(device),
        Err(error) => {
            // The first line: the others are a backtrace, where one is asked for.
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            assert!(!is_required(), "no CUDA device: {why}");
            SAID.get_or_init(|| {
                #[expect(clippy::print_stdout, reason = "who reads a test's output looks for it")]
                {
                    println!("skipped: no CUDA device: {why}");
                }
            });
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no arguments")]
fn is_required() -> bool {
    std::env::var("AUTOPIPE_REQUIRE_GPU").is_ok_and(|value| value == "1")
}
