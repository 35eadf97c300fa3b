//! Ranks that are processes over TCP, started by hand or with the variables of torchrun: the same losses
//! as those of threads, and runs that end when one of them is killed or stands still.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use crate::command::{Desk, Output, autopipe_in};
use crate::runs::{desk, goes_on, losses, weights};

/// What tells the processes of a world their places.
#[derive(Clone, Copy)]
enum Way {
    /// Arguments.
    Flags,
    /// The variables of torchrun, which listens at the port itself.
    Torchrun,
}

/// The processes of a run, by rank.
pub(crate) struct World(Vec<Child>);

impl World {
    fn start(desk: &Desk, num_ranks: usize, way: Way, args: &[&str]) -> Self {
        // The next port has to be free as well.
        let (listener, port) = std::iter::repeat_with(|| {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            (listener, port)
        })
        .find(|(_, port)| {
            port.checked_add(1)
                .is_some_and(|next| TcpListener::bind((Ipv4Addr::LOCALHOST, next)).is_ok())
        })
        .unwrap();
        let command = |rank: usize| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_autopipe"));
            command.args(["train", "recipe.yaml", "--threads-per-rank", "1"]).args(args);
            let [rank, size] = [rank, num_ranks].map(|number| number.to_string());
            match way {
                Way::Flags => {
                    let master = format!("127.0.0.1:{port}");
                    command.args(["--rank", &rank, "--world-size", &size, "--master", &master]);
                }
                Way::Torchrun => {
                    command.envs([
                        ("RANK", rank.as_str()),
                        ("WORLD_SIZE", &size),
                        ("LOCAL_RANK", &rank),
                        ("LOCAL_WORLD_SIZE", &size),
                        ("MASTER_ADDR", "localhost"),
                        ("MASTER_PORT", &port.to_string()),
                        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
                    ]);
                }
            }
            command
        };
        let taken = match way {
            Way::Flags => {
                drop(listener);
                None
            }
            Way::Torchrun => Some(listener),
        };
        let world = Self::of(desk, (0..num_ranks).map(command));
        // Nobody comes to it, and as long as it is there nobody else can have its port.
        drop(taken.map(|listener| std::thread::spawn(move || drop(listener.accept()))));
        world
    }

    /// Starts a process for each rank.
    pub(crate) fn of(desk: &Desk, ranks: impl IntoIterator<Item = Command>) -> Self {
        let start = |(rank, mut command): (usize, Command)| {
            let said = fs::File::create(desk.path(&format!("said-{rank}"))).unwrap();
            command
                .current_dir(desk.path("."))
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::from(said))
                .spawn()
                .unwrap()
        };
        Self(ranks.into_iter().enumerate().map(start).collect())
    }

    /// How each process ended, within a minute.
    pub(crate) fn end(mut self, desk: &Desk) -> Vec<Output> {
        let mut is_late = false;
        for rank in &mut self.0 {
            let mut num_looks = 0;
            while rank.try_wait().unwrap().is_none() {
                num_looks += 1;
                if num_looks > 6000 {
                    is_late = true;
                    rank.kill().unwrap();
                }
                park_timeout(Duration::from_millis(10));
            }
        }
        let output = |(rank, child): (usize, Child)| {
            let output = child.wait_with_output().unwrap();
            Output {
                // Of one that a signal has ended there is none.
                code: output.status.code().unwrap_or(-1),
                out: String::from_utf8(output.stdout).unwrap(),
                err: desk.read(&format!("said-{rank}")),
            }
        };
        let outputs: Vec<_> = self.0.drain(..).enumerate().map(output).collect();
        assert!(!is_late, "it did not end: {outputs:?}");
        outputs
    }

    /// Waits until rank 0 says something.
    pub(crate) fn wait_for(&mut self, desk: &Desk, part: &str) {
        while !desk.read("said-0").contains(part) {
            for rank in &mut self.0 {
                let ended = rank.try_wait().unwrap();
                assert_eq!(ended, None, "{} {}", desk.read("said-0"), desk.read("said-1"));
            }
            park_timeout(Duration::from_millis(2));
        }
    }

    fn send(&self, signal: &str, rank: usize) {
        let pid = self.0[rank].id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for rank in &mut self.0 {
            // A test that has failed leaves nothing behind.
            let _ = rank.kill();
            let _ = rank.wait();
        }
    }
}

fn run(desk: &Desk, num_ranks: usize, way: Way, args: &[&str]) {
    let outputs = World::start(desk, num_ranks, way, args).end(desk);
    for (rank, output) in outputs.iter().enumerate() {
        assert_eq!(output.code, 0, "rank {rank}, {args:?}: {outputs:?}");
        let out = if rank == 0 { "checkpoint  run/checkpoints/step-000006\n" } else { "" };
        assert_eq!(output.out, out, "one rank speaks");
    }
}

#[test]
fn processes_over_tcp_compute_what_threads_do() {
    let shared = "distributed={pp_size: 2, dp_size: 2, pipeline: {pp_schedule: interleaved1f1b}}";
    let sharing: [&str; 4] = ["--set", shared, "--set", "distributed.split=even:0,0"];
    for (num_ranks, way, args) in [(2, Way::Flags, &[][..]), (4, Way::Torchrun, &sharing)] {
        let (threads, processes) = (desk(), desk());
        let output = autopipe_in(&threads.path("."), &[&["train", "recipe.yaml"], args].concat());
        assert_eq!(output.code, 0, "{}", output.err);
        run(&processes, num_ranks, way, args);
        assert_eq!(losses(&processes), losses(&threads), "{args:?}");
        assert!(weights(&processes) == weights(&threads), "{args:?}: the same bits");
    }
}

#[test]
fn a_process_that_is_killed_ends_all_others_and_the_run_goes_on() {
    const NUM_KILLS: usize = 5;
    let desk = desk();
    let endless = ["--resume", "--set", "step_scheduler.max_steps=100000"];
    for kill in 0..NUM_KILLS {
        let mut world = World::start(&desk, 2, Way::Flags, &endless);
        world.wait_for(&desk, if kill == 0 { "Data " } else { "saved " });
        park_timeout(Duration::from_micros(kill as u64 * 7919 % 20_000));
        let (killed, other) = (kill % 2, 1 - kill % 2);
        world.send("-KILL", killed);
        let outputs = world.end(&desk);
        assert_eq!(
            (outputs[killed].code, outputs[other].code),
            (-1, 1),
            "kill {kill}: {outputs:?}"
        );
        let words = format!("rank {killed}: its process ended before its time");
        let broken = format!("rank {killed}: the connection to it is broken (");
        let said = &outputs[other].err;
        assert!(said.contains(&words) || said.contains(&broken), "kill {kill}: {said}");
        let at = ["ends: ", "ends, having waited for "];
        let says = at.map(|words| said.contains(&format!("rank {other} {words}")));
        assert!(says.contains(&true), "kill {kill}: {said}");
    }
    // As if nothing had been.
    goes_on(&desk, |until| {
        let args = ["--resume", "--set", until];
        let outputs = World::start(&desk, 2, Way::Flags, &args).end(&desk);
        assert!(outputs.iter().all(|output| output.code == 0), "{outputs:?}");
    });
}

/// The one that stands still ends as soon as it goes on: by itself, or because the others have gone.
#[test]
fn a_process_that_stands_still_ends_all_others() {
    let desk = desk();
    let args = ["--set", "step_scheduler.max_steps=100000", "--timeout", "2"];
    let mut world = World::start(&desk, 2, Way::Torchrun, &args);
    world.wait_for(&desk, "saved ");
    world.send("-STOP", 1);
    let status = loop {
        match world.0[0].try_wait().unwrap() {
            Some(status) => break status,
            None => park_timeout(Duration::from_millis(10)),
        }
    };
    let said = desk.read("said-0");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("error: rank 0 failed: "), "{said}");
    assert!(said.contains("waited 2") && said.contains("rank 1"), "{said}");
    world.send("-CONT", 1);
    let outputs = world.end(&desk);
    assert_eq!(outputs[1].code, 1, "{outputs:?}");
}

#[test]
fn an_interrupt_of_any_process_saves_and_ends_all() {
    for interrupted in 0..2 {
        let desk = desk();
        let args = ["--set", "step_scheduler.max_steps=100000"];
        let mut world = World::start(&desk, 2, Way::Flags, &args);
        world.wait_for(&desk, "saved ");
        world.send("-INT", interrupted);
        let outputs = world.end(&desk);
        assert_eq!((outputs[0].code, outputs[1].code), (130, 0), "{outputs:?}");
        let latest = desk.read("run/checkpoints/latest");
        assert_eq!(outputs[0].out, format!("checkpoint  run/checkpoints/{latest}"));
        let told = format!("rank {interrupted} is told to end while it ");
        assert!(outputs[interrupted].err.contains(&told), "{outputs:?}");
    }
}

#[test]
fn what_is_wrong_is_said_once_by_torchruns_and_by_each_that_a_person_has_started() {
    let desk = desk();
    let number = "the recipe is for 2 ranks, and 3 processes were started; start 2";
    let recipe = "distributed.pp_sizes: unknown key";
    let typo = ["--set", "distributed.pp_sizes=2"];
    for (way, num_said) in [(Way::Torchrun, 1), (Way::Flags, 3)] {
        for (args, words) in [(&[][..], number), (&typo, recipe)] {
            let outputs = World::start(&desk, 3, way, args).end(&desk);
            assert!(outputs.iter().all(|output| output.code == 1), "{outputs:?}");
            let said: String = outputs.iter().map(|output| output.err.as_str()).collect();
            assert_eq!(said.matches(words).count(), num_said, "{said}");
        }
    }
    assert!(!desk.path("run").exists(), "nothing is left behind");
}

#[test]
fn wrong_places_are_refused_at_once() {
    let desk = desk();
    for (args, words) in [
        ("--rank 0", "--world-size <N>"),
        ("--rank 0 --world-size 2", "--master <HOST:PORT>"),
        ("--master 10.0.0.1", "`10.0.0.1` is not HOST:PORT with a port from 1 to 65535"),
        ("--rank 2 --world-size 2 --master h:1", "--rank=2 is no rank of --world-size=2"),
        ("--launch tcp", "--launch tcp is given, and nothing tells this process its place"),
        ("--launch threads --rank 0 --world-size 2 --master h:1", "leave them out, or --launch"),
    ] {
        let output = desk.run(&format!("train recipe.yaml {args}"));
        assert_ne!(output.code, 0, "{args}");
        assert!(output.err.contains(words), "{args}: {}", output.err);
    }
    assert!(!desk.path("run").exists(), "nothing is left behind");
}

#[test]
fn ranks_that_do_not_come_are_named() {
    let desk = desk();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let master = listener.local_addr().unwrap().to_string();
    let start = |rank: usize| {
        let place = format!("--rank {rank} --world-size 2 --master {master} --timeout 1");
        desk.run(&format!("train recipe.yaml {place}"))
    };
    let in_use = start(0);
    let words =
        format!("something else listens at {master}, where rank 0 was to; give all ranks another");
    assert!(in_use.code == 1 && in_use.err.contains(&words), "{}", in_use.err);
    drop(listener);
    let missing = start(0);
    assert!(
        missing.code == 1 && missing.err.contains("rank 1 of 2 did not come"),
        "{}",
        missing.err
    );
    let alone = start(1);
    let words = format!("rank 1 did not reach rank 0 at {master} within ");
    assert!(alone.code == 1 && alone.err.contains(&words), "{}", alone.err);
}
