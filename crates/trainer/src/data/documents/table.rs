//! A table in a Parquet file: rows of JSON, read a row group at a time.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::DocumentsProblem;
use super::record::{Columns, wanted};
use crate::Error;
use crate::data::CorpusProblem;

/// How many bytes of decoded groups are kept, by the sizes that files tell; a larger group alone.
const MAX_KEPT: u64 = 256 << 20;

/// Where the rows of a file are, and which columns are read.
#[derive(Debug)]
pub(super) struct Table {
    groups: Vec<Group>,
    num_rows: u64,
    columns: Type,
}

#[derive(Debug)]
struct Group {
    /// The number of its first row.
    start: u64,
    /// Its size, decoded.
    num_bytes: u64,
}

impl Table {
    /// Reads what a file tells of itself.
    pub(super) fn open(path: &Path, columns: &Columns) -> Result<Self, DocumentsProblem> {
        let file = File::open(path).map_err(|source| {
            DocumentsProblem::Files(CorpusProblem::Unreadable { path: path.to_owned(), source })
        })?;
        let bad = |reason: String| DocumentsProblem::Parquet { path: path.to_owned(), reason };
        let failed = |error: ParquetError| bad(error.to_string());
        let reader = SerializedFileReader::new(file).map_err(failed)?;
        let metadata = reader.metadata();
        let mut groups = Vec::with_capacity(metadata.num_row_groups());
        let mut num_rows = 0_u64;
        for group in metadata.row_groups() {
            let count = u64::try_from(group.num_rows()).ok();
            let after = count.and_then(|count| num_rows.checked_add(count));
            let after = after.ok_or_else(|| bad("its row groups have no length".to_owned()))?;
            let num_bytes = u64::try_from(group.total_byte_size()).unwrap_or(u64::MAX);
            groups.push(Group { start: num_rows, num_bytes });
            num_rows = after;
        }
        let schema = metadata.file_metadata().schema();
        let is_wanted = |field: &&Arc<Type>| wanted(columns).contains(&field.name());
        let fields: Vec<_> = schema.get_fields().iter().filter(is_wanted).cloned().collect();
        if fields.is_empty() {
            let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
            let names = names.join("`, `");
            return Err(bad(format!(
                "of its columns `{names}` none is the source's `text_column` or another that is read"
            )));
        }
        let columns = Type::group_type_builder(schema.name()).with_fields(fields).build();
        Ok(Self { groups, num_rows, columns: columns.map_err(failed)? })
    }

    pub(super) fn num_rows(&self) -> u64 {
        self.num_rows
    }

    /// The rows of one group.
    fn read(&self, path: &Path, group: usize) -> Result<Vec<Map<String, Value>>, Error> {
        let failed = |error: ParquetError| {
            let reason = error.to_string();
            Error::Documents(vec![DocumentsProblem::Parquet { path: path.to_owned(), reason }])
        };
        let file = File::open(path).map_err(|source| {
            let path = path.to_owned();
            Error::Documents(vec![CorpusProblem::Unreadable { path, source }.into()])
        })?;
        let reader = SerializedFileReader::new(file).map_err(failed)?;
        let group = reader.get_row_group(group).map_err(failed)?;
        let rows = group.get_row_iter(Some(self.columns.clone())).map_err(failed)?;
        rows.map(|row| row.map(object)).collect::<Result<_, _>>().map_err(failed)
    }
}

/// The row groups read last, decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    /// The one read last is at the end.
    recent: Vec<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    file: usize,
    group: usize,
    num_bytes: u64,
    rows: Arc<[Map<String, Value>]>,
}

impl Groups {
    /// A row of the table in file `number`, whose path is `path`.
    pub(super) fn row(
        &mut self,
        table: &Table,
        path: &Path,
        number: usize,
        row: u64,
    ) -> Result<Map<String, Value>, Error> {
        let group = table.groups.partition_point(|group| group.start <= row).saturating_sub(1);
        let is_it = |kept: &Kept| (kept.file, kept.group) == (number, group);
        let (start, num_bytes) =
            table.groups.get(group).map_or((0, 0), |it| (it.start, it.num_bytes));
        let kept = match self.recent.iter().position(is_it) {
            Some(place) => self.recent.remove(place),
            None => {
                self.make_room(num_bytes);
                let rows = table.read(path, group)?.into();
                Kept { file: number, group, num_bytes, rows }
            }
        };
        let within = usize::try_from(row - start).ok();
        let found = within.and_then(|within| kept.rows.get(within)).cloned();
        self.recent.push(kept);
        found.ok_or_else(|| {
            let reason = format!("row {} is not there any more", row + 1);
            Error::Documents(vec![DocumentsProblem::Parquet { path: path.to_owned(), reason }])
        })
    }

    /// Lets go of the oldest groups, before another is read.
    fn make_room(&mut self, num_bytes: u64) {
        let mut kept = num_bytes;
        let mut first = self.recent.len();
        while let Some(group) = first.checked_sub(1).map(|place| &self.recent[place]) {
            kept = kept.saturating_add(group.num_bytes);
            if kept > MAX_KEPT {
                break;
            }
            first -= 1;
        }
        self.recent.drain(..first);
    }
}

fn object(row: Row) -> Map<String, Value> {
    row.into_columns().into_iter().map(|(name, field)| (name, value(field))).collect()
}

/// A field as JSON has it. What JSON does not know, such as dates, is written out.
fn value(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(truth) => truth.into(),
        Field::Byte(number) => number.into(),
        Field::Short(number) => number.into(),
        Field::Int(number) => number.into(),
        Field::Long(number) => number.into(),
        Field::UByte(number) => number.into(),
        Field::UShort(number) => number.into(),
        Field::UInt(number) => number.into(),
        Field::ULong(number) => number.into(),
        Field::Float16(number) => number.to_f32().into(),
        Field::Float(number) => number.into(),
        Field::Double(number) => number.into(),
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned().into(),
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::MapInternal(map) => {
            let entry = |(key, entry): &(Field, Field)| {
                let key = match value(key.clone()) {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                (key, value(entry.clone()))
            };
            map.entries().iter().map(entry).collect::<Map<_, _>>().into()
        }
        other @ (Field::Decimal(_)
        | Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_)) => other.to_string().into(),
    }
}
