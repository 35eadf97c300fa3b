//! What a rank does in each world.

use std::process::{Command, ExitCode};
use std::time::Duration;

use autopipe_runtime::communicator::Tag;
use autopipe_runtime::{Communicator, Error, ProcessWorld, ThreadOptions};

#[path = "../../conformance/mod.rs"]
mod conformance;
#[expect(dead_code, reason = "the tests between threads look at more of the network")]
#[path = "../../it/net.rs"]
mod net;
#[expect(dead_code, reason = "the tests between threads look at more of the network")]
#[path = "../../it/tensor_net.rs"]
mod tensor_net;
mod training;

pub(crate) type Body = fn(Box<dyn Communicator>) -> Result<(), Error>;

/// How ranks compute and wait in the world of this name.
pub(crate) fn threads(name: &str) -> ThreadOptions {
    let timeout = match name {
        // Over TCP it is the time to start, too.
        "timeouts" => Duration::from_millis(1000),
        _ => Duration::from_secs(60),
    };
    ThreadOptions { timeout, ..ThreadOptions::default() }
}

/// How long they have to come to their ends.
pub(crate) fn grace(name: &str) -> Duration {
    Duration::from_millis(if name == "hang" { 500 } else { 5000 })
}

/// What they do.
pub(crate) fn body(name: &str) -> Body {
    match name {
        "conformance" => conform,
        "large" => |world| all(|| conformance::a_large_message_arrives_whole(&*world, 64 << 20)),
        "pieces" => |world| all(|| conformance::a_large_message_arrives_whole(&*world, 8 << 20)),
        "timeouts" => |world| {
            all(|| {
                conformance::what_does_not_come_is_an_error_that_names_the_sender(&*world);
                conformance::a_reset_names_who_does_not_come(&*world);
            })
        },
        "ended" => |world| all(|| conformance::a_rank_that_has_ended_is_not_waited_for(world)),
        "training" => training::trains_as_threads_do,
        "tensor_parallel" => training::parts_train_as_threads_do,
        "error" => error,
        "panic" => panics,
        "hang" => hangs,
        "killed" => killed,
        "leaves" => leaves,
        _ => panic!("there is no world `{name}`"),
    }
}

/// Takes part in a world and ends as a program would.
pub(crate) fn take_part(world: Result<ProcessWorld, Error>, body: Body) -> ExitCode {
    let world = match world {
        Ok(world) => world,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match world.run(body, |error| println!("told: {error}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn all(checks: impl FnOnce()) -> Result<(), Error> {
    checks();
    Ok(())
}

macro_rules! in_one_world {
    ($($check:ident,)*) => {
        /// All checks one after the other: what one leaves behind, a reset removes.
        fn conform(world: Box<dyn Communicator>) -> Result<(), Error> {
            $(
                if world.rank() == 0 {
                    println!("{}", stringify!($check));
                }
                conformance::$check(&*world);
                world.reset()?;
            )*
            Ok(())
        }
    };
}
conformance::for_all_checks!(in_one_world);

/// Waits in vain for rank 1, and says what it hears.
fn listen(world: &dyn Communicator) -> Result<(), Error> {
    let heard = world.recv(1, Tag(0)).unwrap_err();
    println!("rank {} heard: {heard}", world.rank());
    Err(heard)
}

/// One waits, one fails, one has done its part.
fn error(world: Box<dyn Communicator>) -> Result<(), Error> {
    match world.rank() {
        0 => listen(&*world),
        1 => Err(Error::Unusable("broken".to_owned())),
        _ => Ok(()),
    }
}

fn panics(world: Box<dyn Communicator>) -> Result<(), Error> {
    match world.rank() {
        1 => panic!("out of luck"),
        _ => listen(&*world),
    }
}

fn hangs(world: Box<dyn Communicator>) -> Result<(), Error> {
    if world.rank() == 0 {
        world.barrier()?;
        return Err(Error::Unusable("broken".to_owned()));
    }
    world.barrier()?;
    loop {
        std::thread::yield_now();
    }
}

/// Rank 1 knows that all others have been through a barrier.
fn gather_at_one(world: &dyn Communicator) -> Result<(), Error> {
    let rank = world.rank();
    if rank != 1 {
        println!("rank {rank} is about to wait");
    }
    world.barrier()?;
    if rank != 1 {
        return world.send(Vec::new(), 1, Tag(0));
    }
    let mut others = (0..world.size()).filter(|&other| other != rank);
    others.try_for_each(|other| world.recv(other, Tag(0)).map(drop))
}

fn killed(world: Box<dyn Communicator>) -> Result<(), Error> {
    gather_at_one(&*world)?;
    if world.rank() != 1 {
        return listen(&*world);
    }
    let own = std::process::id().to_string();
    Command::new("kill").args(["-9", &own]).status().unwrap();
    world.recv(1, Tag(0)).map(drop)
}

fn leaves(world: Box<dyn Communicator>) -> Result<(), Error> {
    gather_at_one(&*world)?;
    match world.rank() {
        1 => std::process::exit(0),
        _ => listen(&*world),
    }
}
