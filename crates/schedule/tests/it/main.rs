//! The crate from outside: torch's tables, published numbers, properties, and spoiled programs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod corruption; // valid programs, spoiled: the validator is what is tested
mod docs; // what docs/ir.md says is true
mod fuzz; // the corpus of the fuzz targets, and mutations of it
mod fuzz_bodies; // what is true of any bytes
mod fuzz_program; // a program out of any bytes
mod gallery; // docs/schedules.md and its pictures
mod generated; // every kind: torch's digests, sizes, activations
mod golden; // tables that torch wrote
mod grammar; // sentences out of a grammar
mod interpreter; // naive ranks: the validator's other opinion
mod lowered; // what lowering adds, with every option
mod lowerings; // what is true of every lowering
mod measured; // what a run says of costs
mod papers; // numbers that others published
mod properties; // what is true of every schedule
mod recomputed; // what computing again saves and costs
mod searched; // what the search finds
mod sha256; // by which tables are recorded
mod simulated; // what is true of every simulation and its analysis
mod strategies; // schedules to try things on
