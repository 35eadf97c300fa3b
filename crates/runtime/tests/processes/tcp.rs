//! Tests between processes that reach each other over TCP: started alone it starts itself once for
//! each rank of each test, and told its place it is that rank.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "it says how its tests went, as a harness does")]

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, ExitCode, Output, Stdio};

use autopipe_runtime::tcp::{self, TcpOptions};
use autopipe_runtime::{Error, ProcessWorld};

mod launch;
mod world;

use launch::{Test, failing};

const TESTS: &[Test] = &[
    failing(
        "a_rank_that_is_killed_ends_all_processes",
        "killed",
        3,
        &[
            "rank 0 heard: stopped because another rank failed: rank 1: its process ended before its time",
            "rank 2 heard: stopped because another rank failed: rank 1: its process ended before its time",
        ],
    ),
    failing(
        "a_rank_that_ends_without_a_word_ends_all_processes",
        "leaves",
        2,
        &[
            "rank 0 heard: stopped because another rank failed: rank 1: its process ended before its time",
        ],
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [first, name, rank, size, master] if first == launch::IN_WORLD => {
            world::take_part(join(name, rank, size, master), world::body(name))
        }
        _ => launch::all(&arguments, TESTS, start),
    }
}

fn join(name: &str, rank: &str, size: &str, master: &str) -> Result<ProcessWorld, Error> {
    let [rank, size] = [rank, size].map(|number| number.parse().unwrap());
    let defaults = TcpOptions::new(rank, size, master.parse().unwrap());
    let (threads, grace) = (world::threads(name), world::grace(name));
    tcp::world(&TcpOptions { threads, grace, ..defaults })
}

fn start(test: &Test) -> io::Result<Vec<Output>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let master = listener.local_addr()?.to_string();
    drop(listener);
    // Rank 0 last.
    let ranks = (0..test.num_ranks).rev().map(|rank| {
        Command::new("timeout")
            .args(launch::LIMITS)
            .arg(std::env::current_exe()?)
            .args([launch::IN_WORLD, test.world])
            .args([&rank.to_string(), &test.num_ranks.to_string(), &master])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    });
    let ranks = ranks.collect::<io::Result<Vec<_>>>()?;
    ranks.into_iter().map(std::process::Child::wait_with_output).collect()
}
