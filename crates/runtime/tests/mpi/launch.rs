//! Starts worlds and says, in the words of other tests, how they went.

use std::process::{Command, ExitCode, Output};

use crate::IN_WORLD;

/// A world that is started, and how it has to end.
struct Test {
    name: &'static str,
    /// Which part its ranks take: a name in `worlds`.
    world: &'static str,
    num_ranks: usize,
    ends: Ends,
}

enum Ends {
    Well,
    /// Not well, saying so among other things.
    Failing(&'static [&'static str]),
}

/// Seconds that a world has, to be ended if it hangs.
const PATIENCE: &str = "120";

const fn well(name: &'static str, world: &'static str, num_ranks: usize) -> Test {
    Test { name, world, num_ranks, ends: Ends::Well }
}

const TESTS: &[Test] = &[
    well("conformance_of_two_ranks", "conformance", 2),
    well("conformance_of_four_ranks", "conformance", 4),
    well("large_messages_arrive_whole", "large", 2),
    well("large_messages_in_pieces_arrive_whole", "pieces", 3),
    well("what_does_not_come_is_named", "timeouts", 3),
    well("a_rank_that_has_ended_is_not_waited_for", "ended", 3),
    well("two_ranks_train_as_threads_do", "training", 2),
    well("four_ranks_train_as_threads_do", "training", 4),
    well("two_parts_train_as_threads_do", "tensor_parallel", 2),
    well("two_parts_of_two_ranks_train_as_threads_do", "tensor_parallel", 4),
    well("a_process_started_once_joins_once", "twice", 2),
    Test {
        name: "an_error_ends_all_processes",
        world: "error",
        num_ranks: 3,
        ends: Ends::Failing(&[
            "told: rank 1 failed: a former step failed (broken)",
            "rank 0 heard: stopped because another rank failed: rank 1: a former step failed (broken)",
        ]),
    },
    Test {
        name: "a_panic_ends_all_processes",
        world: "panic",
        num_ranks: 3,
        ends: Ends::Failing(&[
            "told: rank 1 panicked: out of luck",
            "rank 0 heard: stopped because another rank failed: rank 1: panicked: out of luck",
            "rank 2 heard: stopped because another rank failed: rank 1: panicked: out of luck",
        ]),
    },
    Test {
        name: "a_rank_that_hangs_is_ended",
        world: "hang",
        num_ranks: 2,
        ends: Ends::Failing(&["told: rank 0 failed: a former step failed (broken)"]),
    },
    Test {
        name: "a_rank_that_is_killed_ends_all_processes",
        world: "killed",
        num_ranks: 3,
        ends: Ends::Failing(&["rank 0 is about to wait", "rank 2 is about to wait"]),
    },
];

/// Runs those whose names have one of the parts.
pub(crate) fn all(parts: &[String]) -> ExitCode {
    let wanted =
        |test: &&Test| parts.is_empty() || parts.iter().any(|part| test.name.contains(part));
    let tests: Vec<&Test> = TESTS.iter().filter(wanted).collect();
    println!("\nrunning {} tests", tests.len());
    let mut num_failed = 0;
    for test in &tests {
        match run(test) {
            Ok(()) => println!("test {} ... ok", test.name),
            Err(why) => {
                num_failed += 1;
                println!("test {} ... FAILED\n{why}", test.name);
            }
        }
    }
    let word = if num_failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {num_failed} failed; 0 ignored; 0 measured; {} filtered out\n",
        tests.len() - num_failed,
        TESTS.len() - tests.len(),
    );
    ExitCode::from(u8::from(num_failed > 0))
}

fn run(test: &Test) -> Result<(), String> {
    let Output { status, stdout, stderr } = start(test).map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    let is_late = status.code() == Some(124);
    let problem = match &test.ends {
        _ if is_late => "it did not end".to_owned(),
        Ends::Well if status.success() => return Ok(()),
        Ends::Well => format!("it ended with {status}"),
        Ends::Failing(_) if status.success() => "it ended well".to_owned(),
        Ends::Failing(words) => match words.iter().find(|words| !said.contains(**words)) {
            None => return Ok(()),
            Some(words) => format!("it did not say `{words}`"),
        },
    };
    Err(format!("{problem}; it said:\n{said}"))
}

fn start(test: &Test) -> std::io::Result<Output> {
    let ranks = test.num_ranks.to_string();
    Command::new("timeout")
        .args(["--kill-after=5", PATIENCE, "mpirun", "--oversubscribe", "--bind-to", "none", "-n"])
        .arg(ranks)
        .arg(std::env::current_exe()?)
        .args([IN_WORLD, test.world])
        // Open MPI asks whoever is root twice, as in most containers.
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        // Where one process may not read another's memory, it says so and goes on.
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
        .output()
}
