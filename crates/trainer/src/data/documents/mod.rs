//! Where samples come from: files of text, of JSON lines and of Parquet, each record encoded when it is
//! read.
//!
//! The end of a file's name tells its format, unless the source's `format` does:
//!
//! | name | format | a record is |
//! | --- | --- | --- |
//! | `.jsonl`, `.json`, `.ndjson` | `jsonl` | an object on a line of its own |
//! | `.parquet` | `parquet` | a row (with the feature `parquet`) |
//! | any other but `.bin` and `.safetensors` (tokens) | `text` | the whole file, in UTF-8 |
//!
//! An object or row has one of three forms, which is found from the keys that it has. Their names are
//! those that the source gives as `text_column` and so on; other keys are passed over, and a null is as good as no key.
//!
//! ```text
//! {"text": "Once ..."}                                   a document: all is learnt
//! {"prompt": "2 + 2 = ", "completion": "4"}              the prompt is read, the completion learnt
//! {"messages": [{"role": "user", "content": "2 + 2?"},   what an assistant says is learnt, the rest
//!               {"role": "assistant", "content": "4"}]}  read, all as the chat template writes it
//! ```
//!
//! Messages may have other keys that the chat template knows, and may stand beside a list of `tools`.
//! A message `{"from": "human", "value": ".."}` is read as one of a `user`, and one from `gpt` as an
//! `assistant`'s. With `learn: all`, prompts are learnt, too.
//!
//! A document begins as the tokenizer begins every text and ends with its end-of-text token; a prompt
//! begins and a completion ends so. A conversation has what the template writes, and nothing else.
//!
//! No text is held: of a file of lines it is known where each begins, of a long file of text where it
//! is cut, of a table how many rows are in each row group. A text longer than a MiB is several samples,
//! cut at line ends, of which the first has its beginning and the last its end. Of tables, the row
//! groups read last are held, as many as have 256 MiB, and at least one: a shuffled read of a larger
//! table decodes groups again and again, and is better done from smaller files or from JSON lines.

mod chat;
mod encoder;
mod file;
mod lines;
mod problem;
mod record;
#[cfg(feature = "parquet")]
mod table;
#[cfg(not(feature = "parquet"))]
#[path = "no_table.rs"]
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::io;
use std::path::Path;
use std::sync::Arc;

use autopipe_config::{DataFormat, Source};
use serde_json::{Map, Value};

use super::find::find;
use super::open_files::OpenFiles;
use super::{RecordFault, RecordPlace, RecordProblem, Sample, Samples};
use crate::Error;
pub use encoder::{Encoder, EncoderOptions};
use encoder::{Fault, Piece};
pub use file::format_by_name;
use file::{Content, DataFile};
pub use problem::DocumentsProblem;
use record::{Columns, Record};

/// The samples of one source.
///
/// A clone shares what was found when the source was opened, and has open files of its own.
#[derive(Clone, Debug)]
pub struct Documents {
    /// Those that have a sample.
    files: Arc<[DataFile]>,
    /// The number of each file's first sample; ascending, the first is 0.
    starts: Arc<[u64]>,
    num_samples: u64,
    columns: Arc<Columns>,
    encoder: Arc<Encoder>,
    open: OpenFiles,
    groups: table::Groups,
}

impl Documents {
    /// Finds the files of a source and where in them its samples are; relative paths start in
    /// `base_dir`. The order is that of a [`Corpus`](super::Corpus).
    ///
    /// # Errors
    /// Everything that is wrong at once: patterns, files that cannot be read, or nothing in any of
    /// them. What is wrong with a record is said when it is read.
    pub fn open(source: &Source, encoder: Arc<Encoder>, base_dir: &Path) -> Result<Self, Error> {
        let columns = Columns::of(source);
        let (paths, found) = find(&source.paths, base_dir);
        let mut problems: Vec<DocumentsProblem> = found.into_iter().map(Into::into).collect();
        let first = paths.first().cloned();
        let (mut files, mut starts, mut num_samples) = (Vec::new(), Vec::new(), 0_u64);
        for path in paths {
            match DataFile::open(path, source.format, &columns) {
                Ok(file) if file.num_samples() == 0 => {}
                Ok(file) => {
                    starts.push(num_samples);
                    num_samples = num_samples.saturating_add(file.num_samples());
                    files.push(file);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if let (Some(path), true) = (first, files.is_empty() && problems.is_empty()) {
            problems.push(DocumentsProblem::Empty { path });
        }
        if !problems.is_empty() {
            return Err(Error::Documents(problems));
        }
        Ok(Self {
            files: files.into(),
            starts: starts.into(),
            num_samples,
            columns: Arc::new(columns),
            encoder,
            open: OpenFiles::default(),
            groups: table::Groups::default(),
        })
    }

    /// The bytes of stretch `within` of those that begin at `starts`, each where the one before it ends.
    fn stretch(&mut self, file: usize, starts: &[u64], within: usize) -> Result<Vec<u8>, Error> {
        let DataFile { path, num_bytes, .. } = &self.files[file];
        let unreadable =
            |source| Error::ReadCorpus { path: path.clone(), num_bytes: *num_bytes, source };
        let end = starts.get(within + 1).unwrap_or(num_bytes);
        let len = usize::try_from(end - starts[within])
            .map_err(|_| unreadable(io::Error::from(io::ErrorKind::OutOfMemory)))?;
        let mut bytes = vec![0; len];
        self.open.read(file, path, starts[within], &mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }

    fn encode(
        &self,
        object: Map<String, Value>,
        problem: impl Fn(RecordFault) -> Error,
    ) -> Result<Sample, Error> {
        let record = Record::read(object, &self.columns).map_err(&problem)?;
        self.encoder.record(&record).map_err(|fault| match fault {
            Fault::Record(fault) => problem(fault),
            Fault::Model(fault) => fault.into(),
        })
    }
}

impl Samples for Documents {
    fn num_samples(&self) -> u64 {
        self.num_samples
    }

    fn read(&mut self, number: u64) -> Result<Sample, Error> {
        let number_of_file =
            self.starts.partition_point(|&start| start <= number).saturating_sub(1);
        let row = number - self.starts[number_of_file];
        // Fits: it is the number of an entry in memory, but for tables.
        let within = usize::try_from(row).unwrap_or(usize::MAX);
        let files = Arc::clone(&self.files);
        let file = &files[number_of_file];
        let problem = |place, fault| {
            Error::from(Box::new(RecordProblem { path: file.path.clone(), place, fault }))
        };
        match &file.content {
            Content::Text(starts) => {
                let bytes = self.stretch(number_of_file, starts, within)?;
                let place = |byte: usize| RecordPlace::Byte(starts[within] + byte as u64 + 1);
                let text = str::from_utf8(&bytes)
                    .map_err(|error| problem(place(error.valid_up_to()), RecordFault::Encoding))?;
                let piece = Piece { is_first: within == 0, is_last: within + 1 == starts.len() };
                self.encoder.text(text, piece).map_err(|fault| problem(place(0), fault))
            }
            Content::Lines(lines) => {
                let bytes = self.stretch(number_of_file, &lines.starts, within)?;
                let line = lines.line(within);
                let object =
                    lines::object(&bytes, line).map_err(|(place, fault)| problem(place, fault))?;
                self.encode(object, |fault| problem(RecordPlace::Line { line, column: 1 }, fault))
            }
            Content::Table(table) => {
                let object = self.groups.row(table, &file.path, number_of_file, row)?;
                self.encode(object, |fault| problem(RecordPlace::Record(row + 1), fault))
            }
        }
    }

    fn another(&self) -> Box<dyn Samples> {
        Box::new(self.clone())
    }
}
