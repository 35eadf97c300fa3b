//! Starts worlds and says, in the words of other tests, how they went.

use std::io;
use std::process::{ExitCode, Output};

/// Before the name of the world of which a process is a rank.
pub(crate) const IN_WORLD: &str = "--in-world";

/// Seconds that `timeout` gives a world, to end it if it hangs.
pub(crate) const LIMITS: [&str; 2] = ["--kill-after=5", "120"];

/// A world that is started, and how it has to end.
pub(crate) struct Test {
    name: &'static str,
    /// Which part its ranks take: a name in `world`.
    pub(crate) world: &'static str,
    pub(crate) num_ranks: usize,
    ends: Ends,
}

enum Ends {
    Well,
    /// Not well, saying so among other things.
    Failing(&'static [&'static str]),
}

pub(crate) const fn well(name: &'static str, world: &'static str, num_ranks: usize) -> Test {
    Test { name, world, num_ranks, ends: Ends::Well }
}

pub(crate) const fn failing(
    name: &'static str,
    world: &'static str,
    num_ranks: usize,
    saying: &'static [&'static str],
) -> Test {
    Test { name, world, num_ranks, ends: Ends::Failing(saying) }
}

/// Those that processes have to pass however they reach each other.
const TESTS: &[Test] = &[
    well("conformance_of_two_ranks", "conformance", 2),
    well("conformance_of_four_ranks", "conformance", 4),
    well("large_messages_arrive_whole", "large", 2),
    well("what_does_not_come_is_named", "timeouts", 3),
    well("a_rank_that_has_ended_is_not_waited_for", "ended", 3),
    well("two_ranks_train_as_threads_do", "training", 2),
    well("four_ranks_train_as_threads_do", "training", 4),
    well("two_parts_train_as_threads_do", "tensor_parallel", 2),
    well("two_parts_of_two_ranks_train_as_threads_do", "tensor_parallel", 4),
    failing(
        "an_error_ends_all_processes",
        "error",
        3,
        &[
            "told: rank 1 failed: a former step failed (broken)",
            "rank 0 heard: stopped because another rank failed: rank 1: a former step failed (broken)",
        ],
    ),
    failing(
        "a_panic_ends_all_processes",
        "panic",
        3,
        &[
            "told: rank 1 panicked: out of luck",
            "rank 0 heard: stopped because another rank failed: rank 1: panicked: out of luck",
            "rank 2 heard: stopped because another rank failed: rank 1: panicked: out of luck",
        ],
    ),
    failing(
        "a_rank_that_hangs_is_ended",
        "hang",
        2,
        &["told: rank 0 failed: a former step failed (broken)"],
    ),
];

/// Runs those whose names have one of the parts that the arguments are, as the harness of other tests
/// does. `start` starts a world and waits for its end.
pub(crate) fn all(
    arguments: &[String],
    own: &[Test],
    start: fn(&Test) -> io::Result<Vec<Output>>,
) -> ExitCode {
    let parts: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted =
        |test: &&Test| parts.is_empty() || parts.iter().any(|part| test.name.contains(*part));
    let tests: Vec<&Test> = TESTS.iter().chain(own).filter(wanted).collect();
    println!("\nrunning {} tests", tests.len());
    let mut num_failed = 0;
    for test in &tests {
        match start(test).map_err(|error| error.to_string()).and_then(|ranks| judge(test, ranks)) {
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
        TESTS.len() + own.len() - tests.len(),
    );
    ExitCode::from(u8::from(num_failed > 0))
}

/// How a world has ended: of what was started, be it several processes or one that started others.
fn judge(test: &Test, started: Vec<Output>) -> Result<(), String> {
    let statuses: Vec<_> = started.iter().map(|output| output.status).collect();
    let said = started.into_iter().flat_map(|output| [output.stdout, output.stderr].concat());
    let said = String::from_utf8_lossy(&said.collect::<Vec<u8>>()).into_owned();
    let is_late = statuses.iter().any(|status| status.code() == Some(124));
    let is_well = statuses.iter().all(std::process::ExitStatus::success);
    let problem = match &test.ends {
        _ if is_late => "it did not end".to_owned(),
        Ends::Well if is_well => return Ok(()),
        Ends::Well => format!("it ended with {statuses:?}"),
        Ends::Failing(_) if is_well => "it ended well".to_owned(),
        Ends::Failing(words) => match words.iter().find(|words| !said.contains(**words)) {
            None => return Ok(()),
            Some(words) => format!("it did not say `{words}`"),
        },
    };
    Err(format!("{problem}; it said:\n{said}"))
}
