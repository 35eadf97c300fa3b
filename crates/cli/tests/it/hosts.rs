//! Two hosts with a network between them: namespaces of this machine, joined by a cable of two ends, over
//! which mpirun starts a rank on each.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command};
use std::thread::park_timeout;
use std::time::Duration;

use crate::command::Desk;
use crate::processes::start_by;
use crate::runs::{desk, losses};

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
    fn new(desk: &Desk) -> Self {
        let names = ["a", "b"].map(|name| format!("autopipe-{}-{name}", std::process::id()));
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
    let hosts = Hosts::new(&desk);
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
    let latest = desk.read("run/checkpoints/latest");
    let step: usize = latest.trim().strip_prefix("step-").unwrap().parse().unwrap();
    let until = format!("step_scheduler.max_steps={}", step + 2);
    hosts.run(&desk, &["--resume", "--set", &until]);
    let whole = self::desk();
    let output = whole.run(&format!("train recipe.yaml --set {until}"));
    assert_eq!(output.code, 0, "{}", output.err);
    let steps = |desk: &Desk| losses(desk).into_iter().take(step + 2).collect::<Vec<_>>();
    assert_eq!(steps(&desk), steps(&whole));
}
