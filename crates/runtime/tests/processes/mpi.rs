//! Tests between processes: started alone it starts itself under mpirun, once for each test, and in
//! such a world it is one rank.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "it says how its tests went, as a harness does")]

use std::io;
use std::process::{Command, ExitCode, Output};

use autopipe_runtime::mpi::{self, MpiOptions};
use autopipe_runtime::{Communicator, Error, ProcessWorld};

mod launch;
mod world;

use launch::{Test, failing, well};

const TESTS: &[Test] = &[
    well("large_messages_in_pieces_arrive_whole", "pieces", 3),
    well("a_process_started_once_joins_once", "twice", 2),
    // mpirun ends the others, before they may have a word to say.
    failing(
        "a_rank_that_is_killed_ends_all_processes",
        "killed",
        3,
        &["rank 0 is about to wait", "rank 2 is about to wait"],
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [first, name] if first == launch::IN_WORLD => {
            let own: world::Body = if name == "twice" { joins_once } else { world::body(name) };
            world::take_part(join(name), own)
        }
        _ => launch::all(&arguments, TESTS, start),
    }
}

fn join(name: &str) -> Result<ProcessWorld, Error> {
    let (threads, defaults) = (world::threads(name), MpiOptions::default());
    // MPI has a longest message.
    let piece = if name == "pieces" { 10_000 } else { defaults.piece };
    mpi::world(&MpiOptions { threads, piece, grace: world::grace(name), ..MpiOptions::default() })
}

fn joins_once(communicator: Box<dyn Communicator>) -> Result<(), Error> {
    let error = mpi::world(&MpiOptions::default()).unwrap_err();
    assert!(matches!(error, Error::OneWorld), "{error}");
    communicator.barrier()
}

fn start(test: &Test) -> io::Result<Vec<Output>> {
    let ranks = test.num_ranks.to_string();
    let output = Command::new("timeout")
        .args(launch::LIMITS)
        .args(["mpirun", "--oversubscribe", "--bind-to", "none", "-n", &ranks])
        .arg(std::env::current_exe()?)
        .args([launch::IN_WORLD, test.world])
        // Open MPI asks whoever is root twice, as in most containers.
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        // Where one process may not read another's memory, it says so and goes on.
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
        .output()?;
    Ok(vec![output])
}
