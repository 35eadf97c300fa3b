//! Two hosts with a network between them: namespaces of this machine, joined by a cable of two ends. A rank
//! runs on each, started by mpirun over the cable, or by hand in a shell of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command};
use std::thread::park_timeout;
use std::time::Duration;

use crate::command::Desk;
use crate::processes::start_by;
use crate::runs::{desk, goes_on};
use crate::tcp::World;

/// Two network namespaces. They are gone when this is dropped, with all that runs in them.
struct Hosts {
    names: [String; 2],
}

/// Their addresses.
const ADDRESSES: [&str; 2] = ["10.213.77.1", "10.213.77.2"];
const NETWORK: &str = "10.213.77.0/24";

fn ip(args: &str) {
    let output = Command::new("ip").args(args.split_whitespace()).output();
    let output = output.expect("`ip` of iproute2 is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {args}: {said}; this test needs root");
}

impl Hosts {
    /// Those of one test, which no other has the names of.
    fn new(desk: &Desk, test: &str) -> Self {
        let own = std::process::id();
        let names = ["a", "b"].map(|name| format!("autopipe-{own}-{test}-{name}"));
        names.iter().for_each(|name| ip(&format!("netns add {name}")));
        let hosts = Self { names };
        let [a, b] = &hosts.names;
        ip(&format!("link add cable netns {a} type veth peer name cable netns {b}"));
        for (name, address) in hosts.names.iter().zip(ADDRESSES) {
            ip(&format!("-n {name} addr add {address}/24 dev cable"));
            ip(&format!("-n {name} link set lo up"));
            ip(&format!("-n {name} link set cable up"));
        }
        // What ssh is elsewhere.
        let reach = format!(
            "#!/bin/sh\ncase $1 in {}) host={a};; {}) host={b};; *) exit 1;; esac\nshift\n\
             exec ip netns exec $host sh -c \"$*\"\n",
            ADDRESSES[0], ADDRESSES[1]
        );
        desk.write("reach", &reach);
        fs::set_permissions(desk.path("reach"), fs::Permissions::from_mode(0o755)).unwrap();
        hosts
    }

    fn cable(&self, state: &str) {
        ip(&format!("-n {} link set cable {state}", self.names[0]));
    }

    /// Starts a rank on each host.
    fn start(&self, desk: &Desk, args: &[&str]) -> Child {
        let reach = desk.path("reach").display().to_string();
        let hosts = ADDRESSES.map(|address| format!("{address}:1")).join(",");
        let of_host = ["ip", "netns", "exec", &self.names[0]];
        let mpirun = ["mpirun", "--bind-to", "none", "-n", "2", "--host", &hosts];
        let network = ["--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", NETWORK];
        let daemons = ["--mca", "oob_tcp_if_include", NETWORK, "--mca", "plm_rsh_agent", &reach];
        start_by(&[&of_host[..], &mpirun, &network, &daemons].concat(), desk, args)
    }

    /// The same by two people, each in a shell on one of them.
    fn start_by_hand(&self, desk: &Desk, args: &[&str]) -> World {
        let master = format!("{}:29500", ADDRESSES[0]);
        let ranks = self.names.iter().enumerate().map(|(rank, name)| {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name, env!("CARGO_BIN_EXE_autopipe"), "train"]);
            command.args(["recipe.yaml", "--threads-per-rank", "1", "--rank", &rank.to_string()]);
            command.args(["--world-size", "2", "--master", &master]).args(args);
            command
        });
        World::of(desk, ranks)
    }

    fn run(&self, desk: &Desk, args: &[&str]) {
        let status = self.start(desk, args).wait().unwrap();
        assert!(status.success(), "{args:?}: {}", desk.read("said"));
    }

    /// The processes on each host.
    fn processes(&self) -> Vec<(String, u32)> {
        let mut found = Vec::new();
        for name in &self.names {
            let output = Command::new("ip").args(["netns", "pids", name]).output().unwrap();
            for pid in String::from_utf8(output.stdout).unwrap().split_whitespace() {
                let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                found.push((comm.trim().to_owned(), pid.parse().unwrap()));
            }
        }
        found
    }

    /// Ends whatever still runs on them.
    fn clear(&self) {
        for (_, pid) in self.processes() {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.clear();
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

#[test]
fn two_hosts_train_as_one_and_go_on_after_the_cable_was_cut() {
    let desk = desk();
    let hosts = Hosts::new(&desk, "mpi");
    let endless = ["--timeout", "3", "--set", "step_scheduler.max_steps=100000"];
    let mut world = hosts.start(&desk, &endless);
    while !desk.read("said").contains("saved ") {
        assert_eq!(world.try_wait().unwrap(), None, "it has ended: {}", desk.read("said"));
        park_timeout(Duration::from_millis(5));
    }
    hosts.cable("down");
    // The time to wait, the grace for the others to hear of it, and as long for those who do not.
    let are_there = || hosts.processes().iter().any(|(comm, _)| comm == "autopipe");
    let has_ended = (0..300).any(|_| {
        park_timeout(Duration::from_millis(100));
        !are_there()
    });
    let said = desk.read("said");
    assert!(has_ended, "ranks run on: {:?} {said}", hosts.processes());
    assert!(said.contains("error: rank 0 failed: ") && said.contains("waited 3"), "{said}");
    assert!(said.contains("rank 1"), "{said}");
    // mpirun itself does not notice.
    hosts.clear();
    world.wait().unwrap();

    hosts.cable("up");
    goes_on(&desk, |until| hosts.run(&desk, &["--resume", "--set", until]));
}

#[test]
fn two_shells_on_two_hosts_train_as_one_and_go_on_after_the_cable_was_cut() {
    let desk = desk();
    let hosts = Hosts::new(&desk, "tcp");
    let endless = ["--timeout", "3", "--set", "step_scheduler.max_steps=100000"];
    let mut world = hosts.start_by_hand(&desk, &endless);
    world.wait_for(&desk, "saved ");
    hosts.cable("down");
    let outputs = world.end(&desk);
    for (rank, output) in outputs.iter().enumerate() {
        let other = format!("rank {}", 1 - rank);
        assert!(output.code == 1 && output.err.contains("waited 3"), "{outputs:?}");
        assert!(output.err.contains(&other), "{outputs:?}");
    }
    hosts.cable("up");
    goes_on(&desk, |until| {
        let outputs = hosts.start_by_hand(&desk, &["--resume", "--set", until]).end(&desk);
        assert!(outputs.iter().all(|output| output.code == 0), "{outputs:?}");
    });
}
