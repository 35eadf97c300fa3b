//! How the processes of a world find each other, and who is refused.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::tcp::free;
use crate::communicator::courier::Link as _;
use crate::communicator::link::tcp::{Master, MeetingError, Seat, TcpLink, connect};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

type Met = Result<TcpLink, MeetingError>;

fn come(rank: usize, world_size: usize, master: &Master, timeout: Duration) -> JoinHandle<Met> {
    let seat = Seat { rank, world_size, master: master.clone() };
    thread::spawn(move || connect(&seat, timeout))
}

fn refused(rank: JoinHandle<Met>) -> String {
    rank.join().unwrap().unwrap_err().to_string()
}

fn is_there(rank: JoinHandle<Met>) -> TcpLink {
    rank.join().unwrap().unwrap()
}

/// A connection to rank 0 as soon as it listens.
fn knock(master: &Master) -> TcpStream {
    loop {
        match TcpStream::connect((master.host.as_str(), master.port)) {
            Ok(stream) => return stream,
            Err(_) => thread::yield_now(),
        }
    }
}

/// What rank 0 says until it sends somebody away.
fn hear(mut stream: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    // Broken off, if it has not read all that was said to it.
    let _ = stream.read_to_end(&mut heard);
    heard
}

#[test]
fn addresses_are_read_and_written_alike() {
    for text in ["10.0.0.1:29500", "[fd00::1]:1", "node-1.local:65535", "localhost:29500"] {
        let master: Master = text.parse().unwrap();
        assert_eq!(master.to_string(), text);
    }
    assert_eq!("[::1]:29500".parse::<Master>().unwrap().host, "::1");
    for text in ["", "10.0.0.1", ":29500", "a:0", "a:65536", "::1:29500", "[::1:29500", "a:b"] {
        let error = text.parse::<Master>().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{text}` is not HOST:PORT with a port from ")),
            "{error}"
        );
    }
}

#[test]
fn a_rank_that_the_world_does_not_have_is_refused() {
    let error = refused(come(3, 3, &free(), LONG));
    assert_eq!(error, "rank 3 is none of 3 ranks, which are counted from 0");
    let error = refused(come(0, usize::MAX, &free(), LONG));
    assert!(error.contains(" ranks are more than 8192, "), "{error}");
}

#[test]
fn rank_zero_names_who_is_missing_and_all_others_do() {
    let master = free();
    let ranks: Vec<_> = [0, 2].map(|rank| come(rank, 4, &master, SHORT)).into();
    let said: Vec<String> = ranks.into_iter().map(refused).collect();
    assert!(said[0].starts_with("ranks 1, 3 of 4 did not come within "), "{}", said[0]);
    let way_out =
        "; start them too, tell all ranks the same address of rank 0, and each a rank of its own";
    assert!(said[0].ends_with(way_out), "{}", said[0]);
    let words = format!(
        "rank 0 at {master} refuses this process: ranks 1, 3 did not come in time; start all ranks again"
    );
    assert_eq!(said[1], words);
}

#[test]
fn without_rank_zero_the_others_say_where_it_should_be() {
    let master = free();
    let error = refused(come(1, 2, &master, SHORT));
    assert!(
        error.starts_with(&format!("rank 1 did not reach rank 0 at {master} within ")),
        "{error}"
    );
    assert!(error.contains("efused"), "why not: {error}");
    // It takes connections, and says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let master = silent.local_addr().unwrap().to_string().parse().unwrap();
    let error = refused(come(1, 2, &master, SHORT));
    assert!(error.contains("what listens there says nothing"), "{error}");
}

#[test]
fn a_host_that_nobody_knows_is_named() {
    let master = "no-such-host.invalid:29500".parse().unwrap();
    let error = refused(come(1, 2, &master, Duration::ZERO));
    let words =
        "`no-such-host.invalid` of no-such-host.invalid:29500, where rank 0 is to be, is not known";
    assert!(error.starts_with(words), "{error}");
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let master: Master = other.local_addr().unwrap().to_string().parse().unwrap();
    let error = refused(come(0, 2, &master, LONG));
    let words = format!(
        "something else listens at {master}, where rank 0 was to; give all ranks another port, or end what \
         has this one"
    );
    assert_eq!(error, words);
}

#[test]
fn what_is_not_rank_zero_is_seen() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let master: Master = other.local_addr().unwrap().to_string().parse().unwrap();
    let rank = come(1, 2, &master, LONG);
    let (mut stream, _) = other.accept().unwrap();
    stream.write_all(b"220 ready\r\n").unwrap();
    let error = refused(rank);
    let words =
        format!("what listens at {master} is not rank 0 of autopipe; give all ranks a port that");
    assert!(error.starts_with(&words), "{error}");

    let rank = come(1, 2, &master, LONG);
    drop(other.accept().unwrap());
    let error = refused(rank);
    assert!(error.starts_with(&format!("what listened at {master} left before")), "{error}");
}

#[test]
fn strangers_are_sent_away_and_the_ranks_meet() {
    let master = free();
    let zero = come(0, 3, &master, LONG);
    let silent = knock(&master);
    let mut stranger = knock(&master);
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(hear(stranger).is_empty(), "it is told nothing");
    // As if it were one, with a rank that is none.
    let mut stranger = knock(&master);
    let far = [&b"autopipM"[..], &2u64.to_le_bytes(), &u64::MAX.to_le_bytes()].concat();
    stranger.write_all(&far).unwrap();
    assert!(hear(stranger).is_empty());
    let [two, one] = [2, 1].map(|rank| come(rank, 3, &master, LONG));
    let met = [zero, one, two].map(is_there);
    assert_eq!(met.each_ref().map(|link| link.place().rank), [0, 1, 2]);
    drop(silent);
}

#[test]
fn another_version_is_refused_on_both_sides() {
    let master = free();
    let zero = come(0, 2, &master, LONG);
    let mut old = knock(&master);
    let hello = [&b"autopipM"[..], &9u64.to_le_bytes(), &0u64.to_le_bytes()].concat();
    old.write_all(&hello).unwrap();
    assert!(hear(old).starts_with(b"autopipM"), "it is told in words of its own");
    let one = is_there(come(1, 2, &master, LONG));
    drop((one, is_there(zero)));

    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let master: Master = other.local_addr().unwrap().to_string().parse().unwrap();
    let rank = come(1, 2, &master, LONG);
    let (mut stream, _) = other.accept().unwrap();
    stream.write_all(&hello).unwrap();
    let words = format!(
        "rank 0 at {master} refuses this process: it speaks version 2 and rank 0 version 9; use one build \
         on all hosts"
    );
    assert_eq!(refused(rank), words);
}

#[test]
fn a_rank_that_comes_twice_is_refused_once() {
    let master = free();
    let zero = come(0, 3, &master, LONG);
    // Whichever of them is the second.
    let twice = [1, 1].map(|rank| come(rank, 3, &master, LONG));
    while !twice.iter().any(JoinHandle::is_finished) {
        thread::yield_now();
    }
    let [one, other] = twice;
    let (second, first) = if one.is_finished() { (one, other) } else { (other, one) };
    let error = refused(second);
    let words = format!("rank 0 at {master} refuses this process: rank 1 has come from 127.0.0.1:");
    assert!(error.starts_with(&words), "{error}");
    assert!(error.ends_with(" already; give each process a rank of its own"), "{error}");
    let last = come(2, 3, &master, LONG);
    let met = [zero, first, last].map(is_there);
    assert_eq!(met.each_ref().map(|link| link.place().rank), [0, 1, 2]);
}

#[test]
fn another_size_is_refused_and_told() {
    let master = free();
    let zero = come(0, 2, &master, Duration::from_secs(1));
    let error = refused(come(1, 3, &master, LONG));
    let words =
        "rank 1 was told that there are 3 ranks, and rank 0 that there are 2; tell all the same";
    assert_eq!(error, format!("rank 0 at {master} refuses this process: {words}"));
    let error = refused(zero);
    assert!(error.starts_with("rank 1 of 2 did not come within 1."), "{error}");
    assert!(error.contains(&format!(" was refused: {words}; start them")), "{error}");
}

#[test]
fn a_rank_that_is_started_again_may_come_again() {
    let master = free();
    let zero = come(0, 3, &master, LONG);
    let mut one = knock(&master);
    let hello = [2, 48, 0, 1, 3, 0, 9, 0].map(u64::to_le_bytes).concat();
    one.write_all(&[&b"autopipM"[..], &hello].concat()).unwrap();
    // It is welcome, and gone.
    one.read_exact(&mut [0; 32]).unwrap();
    drop(one);
    let again = [1, 2].map(|rank| come(rank, 3, &master, LONG));
    let met: Vec<usize> = again.map(is_there).iter().map(|link| link.place().rank).collect();
    assert_eq!((met, is_there(zero).place().rank), (vec![1, 2], 0));
}

/// Who has been let in and told where the others are, and leaves before it is connected to them.
#[test]
fn a_rank_that_leaves_before_all_are_connected_is_named_at_once() {
    let master = free();
    let others = [0, 1, 3].map(|rank| come(rank, 4, &master, LONG));
    let mut two = knock(&master);
    // Nobody listens where it says.
    let hello = [2, 48, 0, 2, 4, 0, 9, 0].map(u64::to_le_bytes).concat();
    two.write_all(&[&b"autopipM"[..], &hello].concat()).unwrap();
    // Its welcome, and the beginning of the table.
    two.read_exact(&mut [0; 64]).unwrap();
    drop(two);
    let [zero, one, three] = others.map(refused);
    let words = "rank 2 left before all ranks were connected to each other: see what was said there, and start \
                 all ranks again";
    assert_eq!(zero, words);
    for other in [one, three] {
        assert_eq!(other, format!("rank 0 at {master} refuses this process: {words}"));
    }
}

/// Its host is gone, or takes no connections: it neither leaves nor says that it is ready.
#[test]
fn a_rank_that_does_not_reach_the_others_is_named() {
    let master = free();
    let others = [0, 1].map(|rank| come(rank, 3, &master, Duration::from_secs(1)));
    let mut two = knock(&master);
    let hello = [2, 48, 0, 2, 3, 0, 9, 0].map(u64::to_le_bytes).concat();
    two.write_all(&[&b"autopipM"[..], &hello].concat()).unwrap();
    let [zero, one] = others.map(refused);
    let words = "ranks 1, 2 did not reach all other ranks in time; let all hosts take connections of each other";
    assert!(zero.starts_with(words), "{zero}");
    assert!(one.contains(words), "{one}");
    drop(two);
}
