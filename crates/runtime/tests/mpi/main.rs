//! Tests between processes: started alone it starts itself under mpirun, once for each test, and in
//! such a world it is one rank.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "it says how its tests went, as a harness does")]

use std::process::ExitCode;

#[path = "../conformance/mod.rs"]
mod conformance;
mod launch;
#[expect(dead_code, reason = "the tests between threads look at more of the network")]
#[path = "../it/net.rs"]
mod net;
#[expect(dead_code, reason = "the tests between threads look at more of the network")]
#[path = "../it/tensor_net.rs"]
mod tensor_net;
mod training;
mod worlds;

/// Before the name of the world of which a process is a rank.
const IN_WORLD: &str = "--in-world";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == IN_WORLD) {
        return worlds::take_part(&arguments[1]);
    }
    // As the harness of other tests: the rest are parts of names, of which one has to fit.
    arguments.retain(|argument| !argument.starts_with('-'));
    launch::all(&arguments)
}
