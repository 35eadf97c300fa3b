//! A file of lines, each a record in JSON: where they begin, and what they say.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};

use serde_json::{Map, Value};

use super::record::kind;
use super::text::length_of_mark;
use crate::data::{RecordFault, RecordPlace};

/// Where the records of a file begin. Lines with nothing but blanks are none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) starts: Vec<u64>,
    /// For each empty line, the number of records before it; ascending.
    empty: Vec<usize>,
}

impl Lines {
    /// Reads a whole file once, of which no more is held than a buffer.
    pub(super) fn find(file: &mut File) -> io::Result<Self> {
        let mut offset = length_of_mark(file)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut lines = Self::default();
        let mut start = offset;
        let mut is_empty = true;
        loop {
            let buffer = reader.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let (mut rest, len) = (buffer, buffer.len());
            while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                let (line, after) = rest.split_at(end + 1);
                is_empty &= is_blank(line);
                lines.push(start, is_empty);
                (rest, is_empty) = (after, true);
                start = offset + (len - rest.len()) as u64;
            }
            is_empty &= is_blank(rest);
            offset += len as u64;
            reader.consume(len);
        }
        if !is_empty {
            lines.push(start, false);
        }
        Ok(lines)
    }

    fn push(&mut self, start: u64, is_empty: bool) {
        if is_empty {
            self.empty.push(self.starts.len());
        } else {
            self.starts.push(start);
        }
    }

    /// The line of a record, counted from 1.
    pub(super) fn line(&self, record: usize) -> u64 {
        let num_empty = self.empty.partition_point(|&before| before <= record);
        (record + num_empty) as u64 + 1
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// The object of a record on line `line`, behind which empty lines may follow; a fault with its place.
pub(super) fn object(
    bytes: &[u8],
    line: u64,
) -> Result<Map<String, Value>, (RecordPlace, RecordFault)> {
    let place = |column| RecordPlace::Line { line, column };
    let bytes = bytes.trim_ascii_end();
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err((place(1), RecordFault::NotObject { found: kind(&other) })),
        Err(error) => {
            let reason = error.to_string();
            // The place is told by itself, and the line would be that within the record.
            let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
            Err((place(error.column().max(1) as u64), RecordFault::Json { reason }))
        }
    }
}
