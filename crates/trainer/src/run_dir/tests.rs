//! The layout of a run's folder, and that the name of the newest checkpoint is always whole.

use super::*;

fn run_dir() -> (tempfile::TempDir, RunDir) {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(folder.path().join("new/run")).unwrap();
    (folder, run)
}

/// The names in a folder, sorted.
fn list(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_folder_has_nothing_but_a_place_for_checkpoints() {
    let (_folder, run) = run_dir();
    assert_eq!(list(run.root()), ["checkpoints", "lock"]);
    assert_eq!(list(&run.checkpoints()), [""; 0]);
    assert_eq!(run.latest().unwrap(), None);
}

#[test]
fn a_folder_with_a_run_in_it_is_refused_and_stays() {
    let (_folder, run) = run_dir();
    fs::create_dir(run.checkpoint(3).path).unwrap();
    run.set_latest(3).unwrap();
    let refused = RunDir::create(run.root()).unwrap_err().to_string();
    assert!(refused.contains("holds a run already") && refused.contains("latest"), "{refused}");
    assert_eq!(run.latest().unwrap(), Some(run.checkpoint(3)));

    let (_folder, run) = run_dir();
    fs::write(run.metrics_path(), "first\n").unwrap();
    assert!(RunDir::create(run.root()).unwrap_err().to_string().contains("metrics.jsonl"));
    assert_eq!(fs::read_to_string(run.metrics_path()).unwrap(), "first\n");
}

#[test]
fn checkpoints_are_named_by_their_step() {
    let (_folder, run) = run_dir();
    for (step, name) in [(0, "step-000000"), (300, "step-000300"), (1_234_567, "step-1234567")] {
        let checkpoint = run.checkpoint(step);
        assert_eq!(
            checkpoint,
            Checkpoint { step, path: run.root().join("checkpoints").join(name) }
        );
        assert_eq!(step_of(name), Some(step));
    }
    for name in
        ["", "step-", "step-300", "step-0000300", "step-+00300", "step-000300/..", "Step-000300"]
    {
        assert_eq!(step_of(name), None, "{name}");
    }
}

#[test]
fn the_newest_checkpoint_is_the_one_named_last() {
    let (_folder, run) = run_dir();
    for step in [100, 200] {
        fs::create_dir(run.checkpoint(step).path).unwrap();
        run.set_latest(step).unwrap();
        assert_eq!(run.latest().unwrap(), Some(run.checkpoint(step)));
    }
    assert_eq!(fs::read_to_string(run.latest_path()).unwrap(), "step-000200\n");
    assert_eq!(
        list(&run.checkpoints()),
        ["latest", "step-000100", "step-000200"],
        "nothing is left over"
    );
}

#[test]
fn a_checkpoint_that_is_not_there_cannot_be_the_newest() {
    let (_folder, run) = run_dir();
    fs::create_dir(run.checkpoint(100).path).unwrap();
    run.set_latest(100).unwrap();
    let error = run.set_latest(200).unwrap_err();
    assert!(
        matches!(&error, Error::NoCheckpoint { path } if path.ends_with("step-000200")),
        "{error}"
    );
    assert_eq!(run.latest().unwrap(), Some(run.checkpoint(100)), "the former one stays");

    fs::remove_dir(run.checkpoint(100).path).unwrap();
    let error = run.latest().unwrap_err();
    assert!(
        matches!(&error, Error::NoCheckpoint { path } if path.ends_with("step-000100")),
        "{error}"
    );
}

/// A process that dies while it writes the name leaves the former one.
#[test]
fn an_unfinished_name_does_no_harm() {
    let (_folder, run) = run_dir();
    fs::create_dir(run.checkpoint(100).path).unwrap();
    run.set_latest(100).unwrap();
    fs::write(run.checkpoints().join("latest.unfinished"), "step-0").unwrap();
    assert_eq!(run.latest().unwrap(), Some(run.checkpoint(100)));
    run.set_latest(100).unwrap();
    assert_eq!(list(&run.checkpoints()), ["latest", "step-000100"]);
}

#[test]
fn a_name_that_is_none_is_quoted() {
    let (_folder, run) = run_dir();
    for (content, quoted) in [
        (b"".as_slice(), "``"),
        (b"../../somewhere\n", "`../../somewhere`"),
        (b"step-99999999999999999999999", "`step-99999999999999999999999`"),
        (b"\xff", "`\u{fffd}`"),
        (&[b'x'; 5000], "`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`"),
    ] {
        fs::write(run.latest_path(), content).unwrap();
        let error = run.latest().unwrap_err().to_string();
        let expected =
            format!("latest` should name a checkpoint, like `step-000300`, but says {quoted}");
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn a_name_that_cannot_be_read() {
    let (_folder, run) = run_dir();
    fs::create_dir(run.latest_path()).unwrap();
    assert!(matches!(run.latest(), Err(Error::ReadRunDir { .. })));
}

#[test]
fn a_file_in_the_place_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for root in [file.clone(), file.join("below")] {
        let error = RunDir::create(root).unwrap_err();
        assert!(
            matches!(&error, Error::WriteRunDir { path, .. } if path.starts_with(&file)),
            "{error}"
        );
        assert!(
            error.to_string().ends_with("choose another folder for the run, or free this one"),
            "{error}"
        );
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_found_before_training() {
    for part in ["", "checkpoints"] {
        let (_folder, run) = run_dir();
        // Permissions do not bind whoever runs tests as root; a folder in the way binds everybody.
        let probe = run.root().join(part).join(".write-test");
        fs::create_dir(&probe).unwrap();
        let root = run.root().to_owned();
        drop(run);
        let error = RunDir::create(root).unwrap_err();
        assert!(matches!(&error, Error::WriteRunDir { path, .. } if *path == probe), "{error}");
    }
}

#[test]
fn one_process_at_a_time() {
    let (_folder, run) = run_dir();
    let root = run.root().to_owned();
    assert!(matches!(RunDir::resume(&root), Err(Error::RunInUse { .. })));
    drop(run);
    RunDir::resume(&root).unwrap();
}

#[test]
fn the_newest_and_the_best_stay() {
    let (_folder, run) = run_dir();
    for step in [1, 2, 3, 4, 5] {
        fs::create_dir(run.checkpoint(step).path).unwrap();
        run.set_latest(step).unwrap();
    }
    run.set_best(2).unwrap();
    run.prune(2).unwrap();
    let steps = || run.all_checkpoints().unwrap().into_iter().map(|c| c.step).collect::<Vec<_>>();
    assert_eq!(steps(), [2, 4, 5]);
    run.set_best(5).unwrap();
    run.prune(1).unwrap();
    assert_eq!(steps(), [5]);
    assert_eq!(run.best().unwrap(), run.latest().unwrap());
}

#[test]
fn what_a_killed_run_has_left_is_swept_up() {
    let (_folder, run) = run_dir();
    let checkpoints = run.checkpoints();
    for name in ["step-000001", "step-000002.partial", "step-000003.removed", "mine.partial"] {
        fs::create_dir(checkpoints.join(name)).unwrap();
    }
    let root = run.root().to_owned();
    drop(run);
    RunDir::resume(root).unwrap();
    assert_eq!(list(&checkpoints), ["mine.partial", "step-000001"]);
}
