//! Reads schedules: from a file, from standard input, or by their names.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use autopipe_schedule::csv::{self, CsvErrors};
use autopipe_schedule::{Action, Extent, Kind, Plan, Program, Span, Timeline, generate, lower};

use super::{Usage, measured};
use crate::args::{Size, Source, Sources};

/// A schedule and what to call it.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) table: Table,
}

impl Input {
    /// Whether it is a run, which has costs of its own.
    pub(super) fn is_measured(&self) -> bool {
        matches!(self.table, Table::Measured { .. })
    }
}

/// A schedule at one of its two levels.
pub(super) enum Table {
    /// Compute-only, proved right.
    Plan(Plan),
    /// With sends and receives, whatever it is worth.
    Program(Program),
    /// What a run did, and when: the timeline that a training run leaves.
    Measured { timeline: Timeline, program: Program },
}

impl Table {
    /// The program, with sends and receives alone if there is only a plan.
    pub(super) fn into_program(self) -> Program {
        match self {
            Self::Plan(plan) => lower(&plan),
            Self::Program(program) | Self::Measured { program, .. } => program,
        }
    }
}

/// A schedule that may have to be read yet.
pub(super) struct Origin {
    pub(super) name: String,
    pub(super) content: Content,
}

pub(super) enum Content {
    Plan(Plan),
    Csv(Vec<u8>),
}

/// Finds the one schedule that is meant.
///
/// # Errors
/// If none is named, it cannot be read, or there is none of this name and size.
pub(super) fn open(source: &Source) -> anyhow::Result<Origin> {
    match (&source.file, source.schedule) {
        (Some(file), _) => open_file(file),
        (None, Some(kind)) => open_kind(kind, &source.size, stages(kind, &source.size)),
        (None, None) => open_implied(),
    }
}

/// Reads the one schedule that is meant.
///
/// # Errors
/// As [`open`], or everything that is wrong with the table.
pub(super) fn one(source: &Source) -> anyhow::Result<Input> {
    read(open(source)?)
}

/// Reads all schedules that are meant, files first. Each may fail by itself.
pub(super) fn each(sources: &Sources) -> Vec<anyhow::Result<Input>> {
    let files = sources.files.iter().map(|file| open_file(file));
    let kinds = sources
        .schedule
        .iter()
        .map(|&kind| open_kind(kind, &sources.size, common_stages(kind, sources)));
    let is_implied = sources.files.is_empty() && sources.schedule.is_empty();
    let implied = is_implied.then(open_implied);
    files.chain(kinds).chain(implied).map(|origin| read(origin?)).collect()
}

/// All of them, if none has failed.
///
/// # Errors
/// All failures together.
pub(super) fn collect<T>(results: Vec<anyhow::Result<T>>) -> anyhow::Result<Vec<T>> {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    if errors.len() > 1 {
        // With their causes, each on lines of its own.
        let texts: Vec<String> = errors.iter().map(|error| format!("{error:#}")).collect();
        bail!("{}", texts.join("\n"));
    }
    errors.pop().map_or(Ok(values), Err)
}

/// Reads a table at the level that it has.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn parse(bytes: &[u8]) -> Result<Table, CsvErrors> {
    if has_communication(bytes) {
        csv::read_program(bytes).map(Table::Program)
    } else {
        csv::read_plan(bytes).map(Table::Plan)
    }
}

/// Whether a text is not a table but a measured timeline.
fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

/// What keeps a text from being CSV at all, if it is something else that this command writes.
pub(super) fn check_is_csv(name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let start = bytes.trim_ascii_start();
    if is_json(bytes) {
        bail!("{name} is JSON, not a table; simulate, compare and render read measured timelines");
    }
    if start.starts_with(b"Rank 0") {
        bail!(
            "{name} is a table for people; write the schedule with --format csv to read it again"
        );
    }
    Ok(())
}

/// Whether any cell is an action and no computation: so a table with sends and receives is told
/// from one that has computations only. A program of one rank without any is the same as its plan.
fn has_communication(bytes: &[u8]) -> bool {
    bytes.split(|byte| matches!(byte, b',' | b'\n')).any(|cell| {
        let cell = String::from_utf8_lossy(cell);
        let action = cell.trim_matches(|c: char| c.is_whitespace() || c == '"').parse::<Action>();
        action.is_ok_and(|action| action.work().is_none())
    })
}

fn read(Origin { name, content }: Origin) -> anyhow::Result<Input> {
    let table = match content {
        Content::Plan(plan) => Table::Plan(plan),
        Content::Csv(bytes) if is_json(&bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let timeline = measured::timeline(&name, &text)?.ok_or_else(|| {
                anyhow!("{name} is no measured timeline: it has neither rows nor traceEvents")
            })?;
            let rows = timeline.rows().iter();
            let actions = |row: &Vec<Span>| row.iter().map(|span| span.action).collect();
            let program = Program::new(rows.map(actions).collect());
            Table::Measured { timeline, program }
        }
        Content::Csv(bytes) => {
            check_is_csv(&name, &bytes)?;
            parse(&bytes).map_err(|error| anyhow!("{name}: {error}"))?
        }
    };
    Ok(Input { name, table })
}

const STANDARD_INPUT: &str = "standard input";

fn open_file(file: &Path) -> anyhow::Result<Origin> {
    if file == Path::new("-") {
        return open_standard_input();
    }
    let name = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{name}`"))?;
    Ok(Origin { name, content: Content::Csv(bytes) })
}

fn open_standard_input() -> anyhow::Result<Origin> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    Ok(Origin { name: STANDARD_INPUT.to_owned(), content: Content::Csv(bytes) })
}

/// Reads standard input because nothing else is named, if anything is in it.
fn open_implied() -> anyhow::Result<Origin> {
    let nothing = |what: &str| {
        let way_out = "name a FILE, pipe a table, or give --schedule NAME --pp P --microbatches M";
        Usage(format!("{what}; {way_out}"))
    };
    if std::io::stdin().is_terminal() {
        bail!(nothing("no schedule is given"));
    }
    let origin = open_standard_input()?;
    match &origin.content {
        Content::Csv(bytes) if bytes.trim_ascii().is_empty() => {
            bail!(nothing("no schedule is given, and standard input is empty"))
        }
        Content::Csv(_) | Content::Plan(_) => Ok(origin),
    }
}

fn open_kind(kind: Kind, size: &Size, stages_per_rank: usize) -> anyhow::Result<Origin> {
    let &Size { pp, microbatches, .. } = size;
    let (num_ranks, num_microbatches) = pp.zip(microbatches).ok_or_else(|| {
        Usage("--schedule needs a size: give --pp P and --microbatches M".to_owned())
    })?;
    let plan = generate(kind, &Extent { num_ranks, stages_per_rank, num_microbatches })?;
    Ok(Origin { name: kind.to_string(), content: Content::Plan(plan) })
}

fn stages(kind: Kind, size: &Size) -> usize {
    size.stages_per_rank.unwrap_or_else(|| kind.stages_per_rank().usual())
}

/// Of several schedules, those that cannot have so many stages keep to what they need, as long as
/// any can: the option is not for them then.
fn common_stages(kind: Kind, sources: &Sources) -> usize {
    let wanted = stages(kind, &sources.size);
    let allows = |kind: &Kind| kind.stages_per_rank().allows(wanted);
    if !allows(&kind) && sources.schedule.iter().any(allows) {
        kind.stages_per_rank().usual()
    } else {
        wanted
    }
}
