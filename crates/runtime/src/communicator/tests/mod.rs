//! Worlds of processes without processes: an office for each rank, joined by channels or by TCP.

mod channels;
mod meeting;
pub(super) mod offices;
mod tcp;

#[path = "../../../tests/conformance/mod.rs"]
pub(super) mod conformance;
