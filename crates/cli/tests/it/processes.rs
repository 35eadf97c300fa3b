//! Ranks that are processes of mpirun: the same losses as those of threads, and runs that end when one of
//! them is killed or stands still.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use crate::command::{Desk, autopipe_in};
use crate::runs::{desk, goes_on, losses, weights};

/// Starts the command by a launcher of processes, which a minute ends if nothing else does.
pub(crate) fn start_by(launcher: &[&str], desk: &Desk, args: &[&str]) -> Child {
    Command::new("timeout")
        .args(["--kill-after=2", "60"])
        .args(launcher)
        .arg(env!("CARGO_BIN_EXE_autopipe"))
        .args(["train", "recipe.yaml", "--threads-per-rank", "1"])
        .args(args)
        // Two variables without which it does not work as root, as tests in containers are.
        .envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")])
        .current_dir(desk.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(fs::File::create(desk.path("said")).unwrap()))
        .spawn()
        .unwrap()
}

/// Starts it as so many processes of this host.
fn start(desk: &Desk, num_ranks: usize, args: &[&str]) -> Child {
    let num_ranks = num_ranks.to_string();
    let launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", &num_ranks];
    start_by(&launcher, desk, args)
}

/// Its exit code, and what all of its ranks have said.
fn end(desk: &Desk, child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), desk.read("said"))
}

fn run(desk: &Desk, num_ranks: usize, args: &[&str]) -> String {
    let (code, out, said) = end(desk, start(desk, num_ranks, args));
    assert_eq!(code, Some(0), "{args:?}: {said}");
    assert_eq!(out, "checkpoint  run/checkpoints/step-000006\n", "one rank speaks");
    said
}

#[test]
fn processes_compute_what_threads_do() {
    let shared = "distributed={pp_size: 2, dp_size: 2, pipeline: {pp_schedule: interleaved1f1b}}";
    let cut = "distributed={pp_size: 2, tp_size: 2, pipeline: {pp_schedule: 1f1b}}";
    let ways: [(usize, &[&str]); 5] = [
        (2, &[]),
        (4, &["--set", cut]),
        (4, &["--set", shared, "--set", "distributed.split=even:0,0"]),
        (4, &["--set", "distributed.dp_size=2"]),
        (
            4,
            &[
                "--set",
                "distributed.dp_size=2",
                "--set",
                "distributed.pipeline.pp_schedule=zbvzerobubble",
                "--set",
                "distributed.split=even:0,0",
                "--set",
                "distributed.defer_fsdp_grad_sync=false",
            ],
        ),
    ];
    for (num_ranks, way) in ways {
        let (threads, processes) = (desk(), desk());
        let output = autopipe_in(&threads.path("."), &[&["train", "recipe.yaml"], way].concat());
        assert_eq!(output.code, 0, "{}", output.err);
        run(&processes, num_ranks, way);
        assert_eq!(losses(&processes), losses(&threads), "{way:?}");
        assert!(weights(&processes) == weights(&threads), "{way:?}: the same bits");
    }
}

/// The processes that a process has started.
fn children(of: u32) -> Vec<u32> {
    let path = format!("/proc/{of}/task/{of}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The ranks of a world that has been started.
fn ranks(world: &Child) -> Vec<u32> {
    children(world.id()).into_iter().flat_map(children).collect()
}

/// Whether all of the ranks end, within seconds after what has started them.
fn have_ended(ranks: &[u32]) -> bool {
    let runs = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state comes after the name: Z is one that nobody has asked how it ended.
        let is_rank = stat.contains("(autopipe)");
        is_rank && !stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with(['Z', 'X']))
    };
    for _ in 0..500 {
        if !ranks.iter().any(runs) {
            return true;
        }
        park_timeout(Duration::from_millis(10));
    }
    false
}

fn wait_for(desk: &Desk, world: &mut Child, part: &str) {
    while !desk.read("said").contains(part) {
        assert_eq!(world.try_wait().unwrap(), None, "it has ended: {}", desk.read("said"));
        park_timeout(Duration::from_millis(2));
    }
}

fn send(signal: &str, pid: u32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_rank_that_is_killed_ends_all_and_the_run_goes_on() {
    const NUM_KILLS: u64 = 20;
    let desk = desk();
    let endless = ["--resume", "--set", "step_scheduler.max_steps=100000"];
    for kill in 0..NUM_KILLS {
        let mut world = start(&desk, 2, &endless);
        wait_for(&desk, &mut world, if kill % 4 == 0 { "Data " } else { "saved " });
        park_timeout(Duration::from_micros(kill * 7919 % NUM_KILLS * 1000));
        let ranks = ranks(&world);
        assert_eq!(ranks.len(), 2);
        let (killed, other) = if kill % 2 == 0 { (0, 1) } else { (1, 0) };
        send("-KILL", ranks[killed]);
        let (code, _, said) = end(&desk, world);
        assert!(!matches!(code, Some(0 | 124)), "kill {kill}: {code:?} {said}");
        assert!(said.contains(&format!("rank {other} ")), "kill {kill}: the other says so: {said}");
        let names_the_killed = said.contains(&format!("of rank {killed}"))
            || said.contains(&format!("for rank {killed}"))
            || said.contains("while it computes");
        assert!(names_the_killed, "kill {kill}: {said}");
        assert!(have_ended(&ranks), "kill {kill}: a process is left behind: {said}");
    }
    // As if nothing had been.
    goes_on(&desk, |until| {
        let (code, _, said) = end(&desk, start(&desk, 2, &["--resume", "--set", until]));
        assert_eq!(code, Some(0), "{said}");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_rank_that_stands_still_ends_all() {
    let desk = desk();
    let args = ["--set", "step_scheduler.max_steps=100000", "--timeout", "2"];
    let mut world = start(&desk, 2, &args);
    wait_for(&desk, &mut world, "saved ");
    let ranks = ranks(&world);
    send("-STOP", ranks[1]);
    let (code, _, said) = end(&desk, world);
    assert!(!matches!(code, Some(0 | 124)), "{code:?} {said}");
    assert!(said.contains("error: rank 0 failed: "), "{said}");
    assert!(said.contains("waited 2") && said.contains("rank 1"), "{said}");
    assert!(have_ended(&ranks), "a process is left behind: {said}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_of_any_rank_saves_and_ends_all() {
    for interrupted in 0..2 {
        let desk = desk();
        let args = ["--set", "step_scheduler.max_steps=100000"];
        let mut world = start(&desk, 2, &args);
        wait_for(&desk, &mut world, "saved ");
        send("-INT", ranks(&world)[interrupted]);
        let (code, out, said) = end(&desk, world);
        assert_eq!(code, Some(130), "{said}");
        let latest = desk.read("run/checkpoints/latest");
        assert_eq!(out, format!("checkpoint  run/checkpoints/{latest}"), "{said}");
        let told = format!("rank {interrupted} is told to end while it ");
        assert!(said.contains(&told), "{said}");
        assert_eq!(latest.trim(), format!("step-{:06}", steps_of(&desk)), "{said}");
    }
}

/// The steps that the metrics of a run have, but for evaluations.
#[cfg(target_os = "linux")]
fn steps_of(desk: &Desk) -> usize {
    desk.read("run/metrics.jsonl").lines().filter(|line| line.contains("\"grad_norm\"")).count()
}

#[test]
fn what_is_wrong_is_said_once() {
    let desk = desk();
    let (code, out, said) = end(&desk, start(&desk, 3, &[]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.contains("error: the recipe is for 2 ranks"), "{said}");
    let expected = "the recipe is for 2 ranks, and 3 processes were started; start 2";
    assert_eq!(said.matches(expected).count(), 1, "{said}");
    assert!(!desk.path("run").exists(), "nothing is left behind");
}
