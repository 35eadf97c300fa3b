//! The bodies of the fuzz targets, as the tests of autopipe-schedule, autopipe-config and
//! autopipe-splitter run them too. Each says whether it accepts the input.

#[path = "../../crates/splitter/tests/it/hf/fuzz_bodies.rs"]
mod config_body;
#[path = "../../crates/schedule/tests/it/fuzz_bodies.rs"]
mod fuzz_bodies;
#[path = "../../crates/schedule/tests/it/fuzz_program.rs"]
mod fuzz_program;
#[path = "../../crates/config/tests/it/fuzz_bodies.rs"]
mod recipe_body;

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

/// A recipe and, after each zero byte, an override of it.
pub fn recipe(bytes: &[u8]) -> bool {
    recipe_body::recipe(bytes)
}

/// A `config.json` that may describe a model.
pub fn config(bytes: &[u8]) -> bool {
    config_body::config(bytes)
}
