//! Worlds of processes without processes: an office for each rank, joined by channels.

mod channels;
mod offices;

#[path = "../../../tests/conformance/mod.rs"]
mod conformance;
