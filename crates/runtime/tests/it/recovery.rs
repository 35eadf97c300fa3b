//! The way back from a failed step, and where there is none.

use std::time::Duration;

use autopipe_runtime::communicator::Tag;
use autopipe_runtime::{
    Communicator, Error, Guard, RankError, Recovered, StageModel, ThreadOptions, Worker,
    WorkerParts, threads,
};
use autopipe_schedule::{Kind, Stage};

use crate::faulty::{Effect, Fault, Mode, Work, bench, usual};
use crate::net::{Block, Fail, batch, grads, layers_of, loss, named, programs, run, run_with};

const FAULT: Fault = Fault { work: Work::Forward, stage: 1, microbatch: 2, effect: Effect::Error };

#[test]
fn a_pipeline_that_is_well_recovers_from_nothing() {
    let ranks = bench(&usual(Kind::OneFOneB), Guard::Loss, |bench| {
        bench.worker.step(&batch(4))?;
        let before = grads(bench.worker.stages().map(|(_, parameters)| parameters));
        assert_eq!(bench.worker.recover()?, Recovered::GradientsKept);
        assert_eq!(grads(bench.worker.stages().map(|(_, parameters)| parameters)), before);
        bench.rewind();
        bench.worker.eval(&batch(4)).map(drop)
    });
    ranks.map(drop).unwrap();
}

#[test]
fn a_rank_that_has_ended_is_named() {
    let told = bench(&usual(Kind::OneFOneB), Guard::Loss, |bench| {
        bench.switch.set(Some(FAULT));
        let error = bench.worker.step(&batch(4)).unwrap_err();
        if bench.worker.communicator().rank() == 1 {
            return Ok::<_, Error>(error.to_string());
        }
        // However often it is asked.
        let _ = bench.worker.recover().unwrap_err();
        Ok(bench.worker.recover().unwrap_err().to_string())
    });
    assert_eq!(
        told.unwrap(),
        [
            "nothing more comes of rank 1, which ended; start all ranks again to go on",
            "pipeline step 0, action 1F2: out of order"
        ]
    );
}

#[test]
fn how_a_rank_ended_is_told_to_who_recovers() {
    let error: RankError<Error> = bench(&usual(Kind::OneFOneB), Guard::Loss, |bench| {
        bench.switch.set(Some(FAULT));
        let error = bench.worker.step(&batch(4)).unwrap_err();
        if bench.worker.communicator().rank() == 1 {
            return Err(error);
        }
        let refused = bench.worker.recover().unwrap_err().to_string();
        let words = "rank 1, which ended: pipeline step 0, action 1F2: out of order;";
        assert!(refused.contains(words), "{refused}");
        Ok(())
    })
    .map(drop)
    .unwrap_err();
    assert_eq!(error.to_string(), "rank 1 failed: pipeline step 0, action 1F2: out of order");
}

#[test]
fn a_recovery_can_fail_and_be_tried_again() {
    let ranks = bench(&usual(Kind::OneFOneB), Guard::Loss, |bench| {
        let own = bench.worker.communicator().rank();
        bench.switch.set((own == 1).then_some(FAULT));
        bench.worker.step(&batch(4)).map(drop).unwrap_err();
        bench.switch.set(None);
        bench.rewind();
        bench.calls.fail((own == 0).then_some((0, Mode::Error)));
        let error = bench.worker.recover().map(drop).unwrap_err().to_string();
        assert!(error.contains("pipeline step 1, recovering: the transport failed"), "{error}");
        let refused = bench.worker.step(&batch(4)).unwrap_err().to_string();
        assert!(refused.ends_with("call `recover` on every rank to go on"), "{refused}");
        bench.calls.fail(None);
        assert_eq!(bench.worker.recover()?, Recovered::GradientsCleared);
        bench.rewind();
        bench.worker.step(&batch(4)).map(drop)
    });
    ranks.map(drop).unwrap();
}

/// Half a world stays away: who comes to a step, or does not recover, is named after the timeout.
#[test]
fn who_does_not_come_to_a_step_is_named() {
    let options = ThreadOptions { timeout: Duration::from_millis(150), ..ThreadOptions::default() };
    let make = |_, layers| Block::new(layers, true);
    let told = run_with(&options, &named(Kind::GPipe, 2, 2), 4, make, |worker| {
        worker.step(&batch(2))?;
        if worker.communicator().rank() == 1 {
            // Away until the other has given up.
            while let Err(Error::Timeout { .. }) = worker.communicator().recv(1, Tag(0)) {}
            worker.recover().map(drop)?;
            return Ok(String::new());
        }
        let late = worker.eval(&batch(2)).unwrap_err().to_string();
        worker.recover().map(drop)?;
        Ok(late)
    });
    let told = &told.unwrap()[0];
    assert!(told.starts_with("pipeline step 1, start: waited 1"), "{told}");
    assert!(told.contains("for rank 1 to do the same"), "{told}");
}

#[test]
fn a_batch_is_refused_by_a_failed_pipeline_too() {
    let make = |id, layers| {
        let block = Block::new(layers, true);
        if id == 1 { block.failing(Fail::Panic) } else { block }
    };
    let refusals = run(&named(Kind::GPipe, 2, 2), 4, make, |worker| {
        let _ = worker.step(&batch(2)).unwrap_err();
        Ok(worker.step(&batch(1)).unwrap_err().to_string())
    });
    for refusal in refusals.unwrap() {
        assert!(refusal.starts_with("a former step failed ("), "{refusal}");
    }
}

/// Two pipelines in one world: a failure stops both, and both recover, each with its own gradients.
#[test]
fn pipelines_of_one_world_recover_together() {
    let programs = programs(&named(Kind::OneFOneB, 2, 4));
    let worker = |comm: Box<dyn Communicator>, fail: Option<Fail>| {
        let stage = comm.rank();
        let mut block = Block::new(layers_of(4, 2, stage), true);
        if let Some(fail) = fail {
            block = block.failing(fail);
        }
        let stages = [(Stage::new(stage), Box::new(block) as Box<dyn StageModel>)].into();
        let (programs, loss) = (programs.clone(), loss());
        let guard = Guard::Loss;
        let parts = WorkerParts {
            programs,
            stages,
            routes: None,
            ties: Vec::new(),
            replicas: None,
            sharded: None,
            tensor_parallel: None,
            trained_from: Stage::new(0),
            loss,
            scale_grads: false,
            guard,
        };
        Worker::new(comm, parts)
    };
    let ranks = threads(4, &ThreadOptions::default(), |world| {
        let pipeline = world.rank() / 2;
        // The first pipeline trains and fails in it, the second evaluates at most.
        let fail = (world.rank() == 1).then_some(Fail::Weight);
        let mut broken = worker(world.split(pipeline, 0)?, fail)?;
        let mut sound = worker(world.split(pipeline, 0)?, None)?;
        let error = match pipeline {
            0 => broken.step(&batch(4)).map(drop).unwrap_err(),
            _ => loop {
                if let Err(error) = broken.eval(&batch(4)) {
                    break error;
                }
            },
        };
        let is_stopped = matches!(error, Error::Stopped { .. });
        assert_eq!(is_stopped, world.rank() != 1, "{error}");
        let recovered = broken.recover()?;
        // Another pipeline of these ranks had no part in it and needs no recovery of its own.
        let loss = sound.step(&batch(4))?.loss();
        Ok::<_, Error>((recovered, loss))
    });
    let ranks = ranks.unwrap();
    let recovered: Vec<Recovered> = ranks.iter().map(|rank| rank.0).collect();
    let (cleared, kept) = (Recovered::GradientsCleared, Recovered::GradientsKept);
    assert_eq!(recovered, [cleared, cleared, kept, kept]);
    assert!(ranks.iter().all(|rank| rank.1 == ranks[0].1));
}
