//! What launchers and arguments tell a process, and what is refused.

use std::collections::BTreeMap;

use super::*;

type Variables<'a> = [(&'a str, &'a str)];

fn process(
    launch: Launch,
    flags: &World,
    variables: &Variables<'_>,
) -> Result<Option<Process>, String> {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let variable = |name: &str| variables.get(name).map(|text| (*text).to_owned());
    Process::find(launch, flags, &variable).map_err(|error| format!("{error:#}"))
}

fn flags(rank: usize, world_size: usize, master: &str) -> World {
    let master = Some(master.parse().unwrap());
    World { rank: Some(rank), world_size: Some(world_size), master }
}

fn master(text: &str) -> World {
    World { master: Some(text.parse().unwrap()), ..World::default() }
}

/// The launcher, rank and size, and the way; nothing for threads.
fn auto(flags: &World, variables: &Variables<'_>) -> String {
    match process(Launch::Auto, flags, variables) {
        Err(error) => format!("error: {error}"),
        Ok(None) => "threads".to_owned(),
        Ok(Some(Process { seat, way })) => {
            let way = match way {
                Way::Mpi => "MPI".to_owned(),
                Way::Tcp(master) => format!("TCP at {master}"),
            };
            format!("{}: {} of {} by {way}", seat.launcher.name, seat.rank, seat.world_size)
        }
    }
}

const TORCHRUN: [(&str, &str); 6] = [
    ("RANK", "1"),
    ("WORLD_SIZE", "4"),
    ("LOCAL_RANK", "1"),
    ("LOCAL_WORLD_SIZE", "2"),
    ("MASTER_ADDR", "10.0.0.1"),
    ("MASTER_PORT", "29500"),
];
const STORE: (&str, &str) = ("TORCHELASTIC_USE_AGENT_STORE", "True");
const OPEN_MPI: [(&str, &str); 2] = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "4")];

#[test]
fn each_launcher_is_known_by_its_variables() {
    let none = World::default();
    let pmi = [("PMI_RANK", "2"), ("PMI_SIZE", "3")];
    let slurm = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8"), ("SLURM_STEP_ID", "0")];
    assert_eq!(auto(&none, &[]), "threads");
    assert_eq!(auto(&none, &TORCHRUN), "torchrun: 1 of 4 by TCP at 10.0.0.1:29500");
    assert_eq!(auto(&none, &OPEN_MPI), "Open MPI: 1 of 4 by MPI");
    assert_eq!(auto(&none, &pmi), "PMI: 2 of 3 by MPI");
    assert_eq!(auto(&none, &slurm), "Slurm: 0 of 8 by MPI");
    assert_eq!(auto(&none, &slurm[..2]), "threads", "a batch script");
    let both = [&OPEN_MPI[..], &TORCHRUN].concat();
    assert_eq!(auto(&none, &both), "Open MPI: 1 of 4 by MPI");
    let under_slurm = [&OPEN_MPI[..], &slurm].concat();
    assert_eq!(auto(&none, &under_slurm), "Open MPI: 1 of 4 by MPI", "the daemon's are not ours");
    assert_eq!(auto(&none, &[("RANK", "0"), ("WORLD_SIZE", "1")]), "threads");
}

#[test]
fn arguments_tell_a_place_and_a_master_alone_leads_to_tcp() {
    let of_two = flags(1, 2, "node-1:29500");
    assert_eq!(auto(&of_two, &[]), "the command line: 1 of 2 by TCP at node-1:29500");
    assert_eq!(auto(&flags(0, 1, "node-1:29500"), &[]), "threads");
    assert_eq!(auto(&master("h:1"), &OPEN_MPI), "Open MPI: 1 of 4 by TCP at h:1");
    let tcp = process(Launch::Tcp, &World::default(), &TORCHRUN).unwrap().unwrap();
    assert_eq!(tcp.way, Way::Tcp("10.0.0.1:29500".parse().unwrap()));
    let one = process(Launch::Tcp, &flags(0, 1, "h:1"), &[]).unwrap();
    assert_eq!(one, None, "ranks of one process are threads");
    let same = flags(1, 4, "10.0.0.1:29500");
    assert_eq!(auto(&same, &TORCHRUN), "the command line: 1 of 4 by TCP at 10.0.0.1:29500");
    let told = process(Launch::Auto, &same, &TORCHRUN).unwrap().unwrap();
    assert_eq!(told.seat.local_size, Some(2), "as its variables say");
}

#[test]
fn where_torchrun_listens_itself_rank_zero_takes_the_next_port() {
    let variables = [&TORCHRUN[..], &[STORE]].concat();
    assert_eq!(auto(&World::default(), &variables), "torchrun: 1 of 4 by TCP at 10.0.0.1:29501");
    assert_eq!(auto(&master("10.0.0.1:7"), &variables), "torchrun: 1 of 4 by TCP at 10.0.0.1:7");
    let last = [&variables[..], &[("MASTER_PORT", "65535")]].concat();
    let words =
        "error: torchrun has MASTER_PORT=65535 for itself, and there is no next; give --master";
    assert_eq!(auto(&World::default(), &last), words);
    let six = [&variables[..], &[("MASTER_ADDR", "fd00::1")]].concat();
    assert_eq!(auto(&World::default(), &six), "torchrun: 1 of 4 by TCP at [fd00::1]:29501");
}

#[test]
fn contradictions_name_both_sides() {
    let none = World::default();
    let other = [("RANK", "0"), ("WORLD_SIZE", "4"), ("PMI_RANK", "1"), ("PMI_SIZE", "4")];
    assert_eq!(
        auto(&none, &other),
        "error: RANK=0 WORLD_SIZE=4 of torchrun and PMI_RANK=1 PMI_SIZE=4 of PMI are not the same \
         place; leave out those of the one that has not started this process"
    );
    assert_eq!(
        auto(&flags(0, 2, "10.0.0.1:29500"), &TORCHRUN),
        "error: --rank=0 --world-size=2 of the command line and RANK=1 WORLD_SIZE=4 of torchrun are not \
         the same place; leave out those of the one that has not started this process"
    );
    assert_eq!(
        auto(&flags(1, 4, "10.0.0.2:29500"), &TORCHRUN),
        "error: --master 10.0.0.2:29500 and MASTER_ADDR=10.0.0.1 MASTER_PORT=29500 are not the same \
         address; leave out the one that is not meant"
    );
}

#[test]
fn what_is_not_enough_says_what_is_missing() {
    let none = World::default();
    for (variables, words) in [
        (&[("RANK", "0")][..], "RANK is set and WORLD_SIZE is not; set both"),
        (&[("PMI_SIZE", "2")], "PMI_SIZE is set and PMI_RANK is not; set both"),
        (
            &[("RANK", "4"), ("WORLD_SIZE", "4")],
            "RANK=4 is no rank of WORLD_SIZE=4, which are counted from 0",
        ),
        (&[("RANK", "x"), ("WORLD_SIZE", "4")], "RANK is `x`, and no number"),
        (
            &[("RANK", "0"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "2"), ("LOCAL_WORLD_SIZE", "2")],
            "LOCAL_RANK=2 is none of LOCAL_WORLD_SIZE=2 processes of this machine",
        ),
        (&[("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "-1")], "LOCAL_RANK is `-1`, and no"),
        (
            &TORCHRUN[..4],
            "nothing says where rank 0 is; give all processes --master HOST:PORT, or set",
        ),
        (&TORCHRUN[..5], "MASTER_ADDR is set and MASTER_PORT is not; set both, or give --master"),
    ] {
        let got = auto(&none, variables);
        assert!(got.starts_with(&format!("error: {words}")), "{got}");
    }
    let port = [&TORCHRUN[..5], &[("MASTER_PORT", "http")]].concat();
    let words =
        "error: MASTER_ADDR=10.0.0.1 MASTER_PORT=http are no address: `10.0.0.1:http` is not";
    assert!(auto(&none, &port).starts_with(words), "{}", auto(&none, &port));
    assert!(auto(&flags(2, 2, "h:1"), &[]).contains("--rank=2 is no rank of --world-size=2"));
    assert!(auto(&master("h:1"), &[]).starts_with("error: --master is given, and nothing tells"));
}

#[test]
fn a_rank_of_pmix_needs_a_size_from_elsewhere() {
    let pmix = ("PMIX_RANK", "1");
    let none = World::default();
    for launch in [Launch::Auto, Launch::Mpi, Launch::Tcp] {
        let error = process(launch, &none, &[pmix]).unwrap_err();
        let words =
            "PMIX_RANK=1 says that this is one of several processes, and nothing says of how many";
        assert!(error.starts_with(words), "{error}");
    }
    assert_eq!(process(Launch::Threads, &none, &[pmix]), Ok(None));
    assert_eq!(auto(&none, &[pmix, OPEN_MPI[0], OPEN_MPI[1]]), "Open MPI: 1 of 4 by MPI");
    let slurm = [pmix, ("SLURM_PROCID", "1"), ("SLURM_NTASKS", "4"), ("SLURM_STEP_ID", "0")];
    assert_eq!(auto(&none, &slurm), "Slurm: 1 of 4 by MPI");
}

#[test]
fn what_has_no_effect_is_refused() {
    let mpi = process(Launch::Mpi, &World::default(), &TORCHRUN).unwrap_err();
    assert!(
        mpi.starts_with("torchrun has started 4 processes, of which MPI knows nothing"),
        "{mpi}"
    );
    for launch in [Launch::Mpi, Launch::Threads] {
        for flags in [flags(0, 2, "h:1"), master("h:1")] {
            let error = process(launch, &flags, &OPEN_MPI).unwrap_err();
            assert!(error.contains("leave them out, or --launch"), "{error}");
        }
        assert!(process(launch, &World::default(), &OPEN_MPI).is_ok());
    }
    for launch in [Launch::Mpi, Launch::Tcp] {
        let alone = process(launch, &World::default(), &[]).unwrap_err();
        assert!(alone.contains("nothing"), "{alone}");
    }
    assert_eq!(process(Launch::Threads, &World::default(), &TORCHRUN), Ok(None));
}

#[test]
fn one_process_of_a_machine_speaks_for_all() {
    let speaks = |flags: &World, rank: &str, local_rank: Option<&str>| {
        let mut variables = vec![("WORLD_SIZE", "4"), ("RANK", rank)];
        variables.extend(&TORCHRUN[4..]);
        variables.extend(local_rank.map(|rank| ("LOCAL_RANK", rank)));
        process(Launch::Auto, flags, &variables).unwrap().unwrap().speaks()
    };
    let none = World::default();
    let by_torchrun = [("0", "0"), ("1", "1"), ("2", "0"), ("3", "1")];
    let speak = by_torchrun.map(|(rank, local_rank)| speaks(&none, rank, Some(local_rank)));
    assert_eq!(speak, [true, false, true, false], "of two machines");
    assert!(speaks(&none, "1", None), "nobody knows whether another does");
    assert!(speaks(&flags(1, 4, "10.0.0.1:29500"), "1", Some("1")), "somebody looks at it");
}

#[test]
fn processes_of_a_machine() {
    let local = |text: &str| {
        let variables = [
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "8"),
            ("SLURM_STEP_ID", "1"),
            ("SLURM_LOCALID", "3"),
            ("SLURM_TASKS_PER_NODE", text),
        ];
        process(Launch::Auto, &World::default(), &variables).unwrap().unwrap().seat.local_size
    };
    let sizes = ["4(x3)", "2,4", "8", ""].map(local);
    assert_eq!(sizes, [Some(4), Some(2), Some(8), None]);
}
