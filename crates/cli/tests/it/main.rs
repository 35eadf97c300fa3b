//! Tests of the command as a person runs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench; // autopipe bench
mod command; // how to run it
mod examples; // the recipes in examples/, cut short
mod export; // autopipe export, and adapters elsewhere
mod generate; // autopipe generate
mod gpu; // runs on GPUs
#[cfg(feature = "hosts")]
mod hosts; // two hosts with a network between them
mod init; // autopipe init
mod killed; // runs that end at any moment, and go on
mod plan; // autopipe plan and schema
mod planned_memory; // runs that hold what was planned
#[cfg(feature = "mpi")]
mod processes; // ranks that mpirun has started
mod report; // a run as a page, and what its ranks tell the log
mod runs; // a run of several ranks that is over soon
mod schedule; // autopipe schedule
#[cfg(unix)]
mod tcp; // ranks that are processes over TCP
mod train; // autopipe train
mod verify; // autopipe verify
