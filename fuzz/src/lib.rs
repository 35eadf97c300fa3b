//! The bodies of the fuzz targets, as the tests of autopipe-schedule run them too. Each says whether
//! it accepts the input.

#[path = "../../crates/schedule/tests/it/fuzz_bodies.rs"]
mod fuzz_bodies;
#[path = "../../crates/schedule/tests/it/fuzz_program.rs"]
mod fuzz_program;

/// A text that may be an action.
pub fn action(bytes: &[u8]) -> bool {
    fuzz_bodies::action(bytes)
}

/// A file that may be a plan or a program.
pub fn table(bytes: &[u8]) -> bool {
    fuzz_bodies::table_file(bytes)
}

/// A program that may be valid.
pub fn schedule(bytes: &[u8]) -> bool {
    fuzz_bodies::schedule(bytes)
}
