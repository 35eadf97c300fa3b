//! The conformance suite of communicators, run for the threads of a process.

use std::time::Duration;

use autopipe_runtime::communicator::{InProcess, Reduction, Tag, in_process};
use autopipe_runtime::{Communicator, Error, Failure, ThreadOptions, threads};
use candle_core::{Device, Tensor};

fn tensor(value: f32) -> Tensor {
    Tensor::new(&[value], &Device::Cpu).unwrap()
}

fn value(tensors: &[Tensor]) -> f32 {
    tensors[0].to_vec1::<f32>().unwrap()[0]
}

fn world(size: usize) -> Vec<InProcess> {
    in_process(size, Duration::from_millis(200))
}

#[test]
fn messages_of_a_tag_arrive_in_order_and_tags_do_not_mix() {
    let ends = world(2);
    for (x, tag) in [(1.0, 7), (2.0, 8), (3.0, 7)] {
        ends[0].send(vec![tensor(x)], 1, Tag(tag)).unwrap();
    }
    let got: Vec<f32> = [8, 7, 7].map(|tag| value(&ends[1].recv(0, Tag(tag)).unwrap())).to_vec();
    assert_eq!(got, [2.0, 1.0, 3.0]);
}

#[test]
fn a_rank_may_send_to_itself() {
    let ends = world(1);
    ends[0].send(vec![tensor(5.0)], 0, Tag(0)).unwrap();
    assert_eq!(value(&ends[0].recv(0, Tag(0)).unwrap()), 5.0);
}

#[test]
fn a_missing_message_is_an_error_that_names_the_sender() {
    let ends = world(2);
    let error = ends[0].recv(1, Tag(0)).unwrap_err();
    assert!(matches!(error, Error::Timeout { from: 1, .. }), "{error}");
}

#[test]
fn ranks_outside_the_group_are_refused() {
    let ends = world(2);
    assert_eq!(
        ends[0].send(Vec::new(), 2, Tag(0)).unwrap_err().to_string(),
        "rank 2 is not in a communicator of 2 ranks"
    );
    assert!(matches!(ends[0].recv(9, Tag(0)), Err(Error::NoSuchRank { rank: 9, size: 2 })));
}

#[test]
fn reductions_see_every_rank() {
    let results = threads(3, &ThreadOptions::default(), |world| {
        let mine = world.rank() as f64;
        let sum = world.all_reduce(&[mine, 1.0], Reduction::Sum)?;
        let max = world.all_reduce(&[-mine], Reduction::Max)?;
        world.barrier()?;
        let nan = if world.rank() == 1 { f64::NAN } else { 0.0 };
        let poisoned = world.all_reduce(&[nan], Reduction::Max)?;
        Ok::<_, Error>((sum, max, poisoned[0].is_nan()))
    })
    .unwrap();
    for result in results {
        assert_eq!(result, (vec![3.0, 3.0], vec![0.0], true));
    }
}

#[test]
fn uneven_reductions_are_refused() {
    let error = threads(2, &ThreadOptions::default(), |world| {
        let values = vec![1.0; 1 + world.rank()];
        world.all_reduce(&values, Reduction::Sum)
    })
    .unwrap_err();
    assert!(error.to_string().contains("rank 1 gave 2 values"), "{error}");
}

#[test]
fn a_split_is_a_world_of_its_own() {
    // Two axes of two: columns keep their order, rows are numbered backwards by their key.
    let results = threads(4, &ThreadOptions::default(), |world| {
        let rank = world.rank();
        let column = world.split(rank % 2, rank)?;
        let row = world.split(rank / 2, 4 - rank)?;
        column.send(vec![tensor(rank as f32)], 1 - column.rank(), Tag(0))?;
        row.send(vec![tensor(10.0 + rank as f32)], 1 - row.rank(), Tag(0))?;
        let from_row = value(&row.recv(1 - row.rank(), Tag(0))?);
        let from_column = value(&column.recv(1 - column.rank(), Tag(0))?);
        let sum = column.all_reduce(&[rank as f64], Reduction::Sum)?[0];
        Ok::<_, Error>((column.rank(), row.rank(), column.world_rank(), from_column, from_row, sum))
    })
    .unwrap();
    assert_eq!(
        results,
        [
            (0, 1, 0, 2.0, 11.0, 2.0),
            (0, 0, 1, 3.0, 10.0, 4.0),
            (1, 1, 2, 0.0, 13.0, 2.0),
            (1, 0, 3, 1.0, 12.0, 4.0),
        ]
    );
}

#[test]
fn an_abort_ends_every_wait_in_every_group() {
    let error = threads(3, &ThreadOptions::default(), |world| {
        let pair = world.split(usize::from(world.rank() == 2), 0)?;
        if world.rank() == 2 {
            pair.abort(Failure { rank: 2, at: None, cause: "no more".to_owned() });
            return Err(Error::Unusable("no more".to_owned()));
        }
        let stopped = pair.recv(1 - pair.rank(), Tag(0)).unwrap_err();
        assert_eq!(stopped.to_string(), "stopped because another rank failed: rank 2: no more");
        assert!(matches!(world.check(), Err(Error::Stopped(_))));
        Err::<(), _>(stopped)
    })
    .unwrap_err();
    assert_eq!(error.rank, 2);
}

#[test]
fn words_reach_every_rank() {
    let words = ["", "a rank with few words", "größer als fünf Bytes"];
    let heard = threads(3, &ThreadOptions::default(), |world| {
        Ok::<_, Error>((world.all_gather_text(words[world.rank()])?, world.all_gather_text("")?))
    });
    for (all, nothing) in heard.unwrap() {
        assert_eq!((all, nothing), (words.map(str::to_owned).to_vec(), vec![String::new(); 3]));
    }
}

#[test]
fn a_collective_that_one_rank_went_through_succeeds_on_all() {
    for _ in 0..50 {
        let sums = threads(3, &ThreadOptions::default(), |world| {
            let sum = world.all_reduce(&[1.0], Reduction::Sum)?;
            world.abort(Failure { rank: 0, at: None, cause: "in a hurry".to_owned() });
            Ok::<_, Error>(sum)
        });
        assert_eq!(sums.unwrap(), [[3.0], [3.0], [3.0]]);
    }
}

#[test]
fn a_reset_forgets_failure_and_messages_in_every_group() {
    let ranks = threads(3, &ThreadOptions::default(), |world| {
        let rank = world.rank();
        let pair = world.split(usize::from(rank == 2), 0)?;
        for round in 0..3 {
            // Each rank is left at another place, with messages that nobody fetches.
            let _ = world.send(vec![tensor(-1.0)], (rank + 1) % 3, Tag(0));
            if rank == round {
                let cause = format!("round {round}");
                world.abort(Failure { rank, at: None, cause });
            }
            let stopped = loop {
                match pair.barrier().and_then(|()| world.recv(rank, Tag(9)).map(drop)) {
                    Ok(()) => {}
                    Err(error) => break error,
                }
            };
            let words = format!("stopped because another rank failed: rank {round}: round {round}");
            assert_eq!(stopped.to_string(), words);
            // Any end of a rank will do.
            (if rank == 1 { &pair } else { &world }).reset()?;
            world.check()?;
            world.send(vec![tensor(rank as f32)], (rank + 1) % 3, Tag(0))?;
            let got = value(&world.recv((rank + 2) % 3, Tag(0))?);
            assert_eq!(got, ((rank + 2) % 3) as f32, "what was sent before is gone");
            let sum = pair.all_reduce(&[1.0], Reduction::Sum)?;
            assert_eq!(sum, [pair.size() as f64]);
            world.barrier()?;
        }
        Ok::<_, Error>(())
    });
    ranks.map(drop).unwrap();
}

#[test]
fn a_rank_that_has_ended_is_not_waited_for() {
    let told = threads(3, &ThreadOptions::default(), |world| {
        let same_fate = world.split(usize::from(world.rank() == 1), 0)?;
        if world.rank() == 1 {
            world.send(vec![tensor(4.0)], 0, Tag(0))?;
            return Ok::<_, Error>(String::new());
        }
        if world.rank() == 0 {
            assert_eq!(value(&world.recv(1, Tag(0))?), 4.0, "what it sent is still there");
        }
        let error = world.recv(1, Tag(0)).unwrap_err();
        assert!(matches!(&error, Error::Ended { ended } if ended[0].0 == 1), "{error}");
        assert_eq!(world.barrier().unwrap_err().to_string(), error.to_string());
        assert_eq!(world.reset().unwrap_err().to_string(), error.to_string());
        same_fate.barrier()?; // or the other would have ended, too
        Ok(error.to_string())
    });
    let words =
        "nothing more comes of rank 1, which ended; start all ranks again to go on".to_owned();
    assert_eq!(told.unwrap(), [words.clone(), String::new(), words]);
}

#[test]
fn a_reset_names_who_does_not_come() {
    let mut ends = world(3);
    let rest = ends.split_off(1);
    let error = ends[0].reset().unwrap_err().to_string();
    assert!(error.starts_with("waited 2"), "{error}");
    let words = "for ranks 1, 2 to recover as well; all ranks of the world have to";
    assert!(error.ends_with(words), "{error}");
    drop(rest);
    assert_eq!(
        ends[0].reset().unwrap_err().to_string(),
        "nothing more comes of ranks 1, 2, which ended; start all ranks again to go on"
    );
}

#[test]
fn who_waits_for_one_that_recovers_is_told() {
    let error = threads(2, &ThreadOptions::default(), |world| {
        if world.rank() == 0 {
            return world.reset();
        }
        let error = world.recv(0, Tag(0)).unwrap_err();
        assert_eq!(error.to_string(), "rank 0 waits in `recover`; call it on this rank too");
        world.reset()
    });
    error.map(drop).unwrap();
}
