//! Whole-system tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "browser")]
mod browser; // a headless Chromium, as the tests here drive it
mod docs; // recipes and schedules that the documentation shows
mod failure; // a stage that fails or panics takes all ranks down, with its own words
mod families; // every model that transformers has computed, under every schedule
mod gpu; // ranks on GPUs
mod nemo; // what the original takes and refuses
mod packed; // rows of several documents, split and scheduled
#[cfg(feature = "browser")]
mod page; // the page of schedules: what is drawn, and what a click does
mod parity; // losses and gradients equal the unsplit model's and transformers'
mod pipeline; // one step of AutoPipeline, as the tests here run it
mod reference; // the folders of what transformers has computed
#[cfg(feature = "browser")]
mod run_page; // the page of a run: what is drawn, and what pointing and keys do
mod summary; // what AutoPipeline says of itself
