//! Tables in Parquet: nested rows, row groups one at a time, and columns that are not read.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

/// A column of a group: its numbers or texts, and where lists begin and what is missing.
enum Column<'a> {
    Numbers(&'a [i64]),
    Texts(&'a [&'a str], &'a [i16], &'a [i16]),
}

/// A file with a schema and row groups.
fn table(schema: &str, compression: Compression, groups: &[&[Column<'_>]]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    for columns in groups {
        let mut group = file.next_row_group().unwrap();
        for column in *columns {
            let mut writer = group.next_column().unwrap().unwrap();
            match column {
                Column::Numbers(numbers) => {
                    writer.typed::<Int64Type>().write_batch(numbers, None, None).unwrap();
                }
                Column::Texts(texts, defined, repeated) => {
                    let texts: Vec<ByteArray> = texts.iter().map(|&text| text.into()).collect();
                    let level = |levels: &[i16]| (!levels.is_empty()).then(|| levels.to_vec());
                    writer
                        .typed::<ByteArrayType>()
                        .write_batch(&texts, level(defined).as_deref(), level(repeated).as_deref())
                        .unwrap();
                }
            }
            writer.close().unwrap();
        }
        group.close().unwrap();
    }
    file.into_inner().unwrap()
}

const PAIRS: &str = "message m { required int64 n; required binary prompt (STRING);
    optional binary completion (STRING); optional binary text (STRING); }";

#[test]
fn rows_of_all_groups_in_any_order() {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let gzip = Compression::GZIP(parquet::basic::GzipLevel::default());
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, zstd, gzip] {
        let first: &[Column<'_>] = &[
            Column::Numbers(&[1, 2]),
            Column::Texts(&["a", "b"], &[], &[]),
            Column::Texts(&["A"], &[1, 0], &[]),
            Column::Texts(&["x"], &[0, 1], &[]),
        ];
        let second: &[Column<'_>] = &[
            Column::Numbers(&[3]),
            Column::Texts(&["c"], &[], &[]),
            Column::Texts(&[], &[0], &[]),
            Column::Texts(&[], &[0], &[]),
        ];
        let folder = folder(&[("a.parquet", &table(PAIRS, compression, &[first, second]))]);
        let encoder = encoder(&Setup::default()).unwrap();
        let mut documents = Documents::open(&source("*"), encoder, folder.path()).unwrap();
        assert_eq!(documents.num_samples(), 3);
        let said = hide(&documents.read(2).unwrap_err(), &folder);
        assert!(said.starts_with("DIR/a.parquet:record 3: no record: it has the keys"), "{said}");
        assert_eq!(shown(&documents.read(0).unwrap()), "[a]A.");
        assert_eq!(shown(&documents.another().read(1).unwrap()), "x.");
    }
}

#[test]
fn conversations_are_lists_of_groups() {
    let schema = "message m { optional group messages (LIST) { repeated group list {
        optional group element { optional binary role (STRING); optional binary content (STRING); } } } }";
    let columns: &[Column<'_>] = &[
        Column::Texts(&["user", "assistant", "assistant"], &[4, 4, 4], &[0, 1, 0]),
        Column::Texts(&["hi", "ho", "yo"], &[4, 4, 4], &[0, 1, 0]),
    ];
    let file = table(schema, Compression::SNAPPY, &[columns]);
    let template = b"{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}";
    let folder = folder(&[("a.parquet", &file), ("t", template)]);
    let chat_template = Some(folder.path().join("t"));
    let encoder = encoder(&Setup { chat_template, ..Setup::default() }).unwrap();
    let read = read_all(&source("*.parquet"), encoder, &folder);
    let read: Vec<String> = read.into_iter().map(|sample| shown(&sample.unwrap())).collect();
    assert_eq!(read, ["[u:hi;]a:ho;", "a:yo;"]);
}

#[test]
fn columns_that_are_not_there_are_missed_when_the_file_is_opened() {
    let file = table("message m { required int64 n; }", Compression::UNCOMPRESSED, &[]);
    let folder = folder(&[("a.parquet", &file)]);
    let encoder = encoder(&Setup::default()).unwrap();
    let said = hide(&Documents::open(&source("*"), encoder, folder.path()).unwrap_err(), &folder);
    assert!(said.contains("of its columns `n` none is the source's `text_column`"), "{said}");
}
