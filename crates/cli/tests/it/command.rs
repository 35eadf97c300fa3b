//! Runs the command and keeps what it wrote.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `autopipe` with `args` in `folder`.
pub(crate) fn autopipe_in(folder: &Path, args: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_autopipe")).args(args).current_dir(folder), "")
}

/// A folder of files, and commands that work in it.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Makes a folder, with those around it.
    pub(crate) fn folder(&self, name: &str) {
        std::fs::create_dir_all(self.path(name)).unwrap();
    }

    /// Runs `autopipe`; arguments are apart by blanks.
    pub(crate) fn run(&self, args: &str) -> Output {
        let args: Vec<&str> = args.split_whitespace().collect();
        autopipe_in(self.0.path(), &args)
    }

    /// Runs `autopipe schedule`; arguments are apart by blanks.
    pub(crate) fn schedule(&self, args: &str) -> Output {
        self.schedule_of("", args)
    }

    /// The same with a text on standard input.
    pub(crate) fn schedule_of(&self, input: &str, args: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autopipe"));
        command.arg("schedule").args(args.split_whitespace()).current_dir(self.0.path());
        run(&mut command, input)
    }

    /// What a command prints that has nothing to complain about.
    #[track_caller]
    pub(crate) fn result(&self, args: &str) -> String {
        self.result_of("", args)
    }

    /// The same with a text on standard input.
    #[track_caller]
    pub(crate) fn result_of(&self, input: &str, args: &str) -> String {
        let output = self.schedule_of(input, args);
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{args}");
        output.out
    }

    /// What a command complains that prints nothing, after its exit code.
    #[track_caller]
    pub(crate) fn error(&self, args: &str) -> String {
        let output = self.schedule(args);
        assert_eq!(output.out, "", "{args}");
        format!("{}: {}", output.code, output.err)
    }

    /// Runs a line as the shell does, in which `autopipe` is a command.
    pub(crate) fn shell(&self, line: &str) -> Output {
        let programs = Path::new(env!("CARGO_BIN_EXE_autopipe")).parent().unwrap();
        let line = format!("PATH=\"$PROGRAMS:$PATH\"; {line}");
        let mut command = Command::new("sh");
        command.args(["-c", &line]).env("PROGRAMS", programs).current_dir(self.0.path());
        run(&mut command, "")
    }
}

/// The arguments of the examples that the help of a command ends with.
pub(crate) fn examples<'a>(help: &'a str, command: &str) -> Vec<&'a str> {
    let prefix = format!("autopipe {command} ");
    help.lines().filter_map(|line| line.trim().strip_prefix(prefix.as_str())).collect()
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .env_remove("COLUMNS") // help texts are as wide as the terminal
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever does not read its input closes it, which is no concern of ours.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}
