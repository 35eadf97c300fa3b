//! Event files, read back by the formats' definitions.

use super::*;
use crate::tensorboard::record::{crc32c, masked};

const STEP: StepRecord = StepRecord {
    step: 300,
    epoch: 1.5,
    loss: 4.5,
    grad_norm: 0.75,
    lr: 1e-3,
    tokens: 1024,
    num_tokens: 1024,
    seconds: 0.25,
    model_flops: 1e9,
    peak_flops: Some(8e9),
    measured_bubble: None,
    memory_bytes: Vec::new(),
    skipped: None,
};

/// A field of a message: its number, and what stands there.
#[derive(Debug, PartialEq)]
enum Field<'a> {
    Varint(u64, u64),
    Double(u64, f64),
    Bytes(u64, &'a [u8]),
    Float(u64, f32),
}

fn number(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn taken<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn fields(mut bytes: &[u8]) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        let field = key >> 3;
        fields.push(match key & 7 {
            0 => Field::Varint(field, number(&mut bytes)),
            1 => Field::Double(field, f64::from_le_bytes(taken(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = usize::try_from(number(&mut bytes)).unwrap();
                Field::Bytes(field, taken(&mut bytes, length))
            }
            5 => Field::Float(field, f32::from_le_bytes(taken(&mut bytes, 4).try_into().unwrap())),
            kind => panic!("{kind}"),
        });
    }
    fields
}

/// The events of a file, whose checksums are right.
fn events(mut file: &[u8]) -> Vec<&[u8]> {
    let mut events = Vec::new();
    while !file.is_empty() {
        let length = taken(&mut file, 8);
        let checked = |file: &mut &[u8], data: &[u8]| {
            let stored = u32::from_le_bytes(taken(file, 4).try_into().unwrap());
            assert_eq!(stored, masked(crc32c(data)));
        };
        checked(&mut file, length);
        let length = u64::from_le_bytes(length.try_into().unwrap());
        let data = taken(&mut file, usize::try_from(length).unwrap());
        checked(&mut file, data);
        events.push(data);
    }
    events
}

/// The curves of an event with their values.
fn values(event: &[u8]) -> Vec<(String, f32)> {
    let Some(&Field::Bytes(5, summary)) = fields(event).last() else { panic!("no summary") };
    let value = |field: Field<'_>| match field {
        Field::Bytes(1, value) => match fields(value)[..] {
            [Field::Bytes(1, tag), Field::Float(2, value)] => {
                (String::from_utf8(tag.to_vec()).unwrap(), value)
            }
            ref other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    fields(summary).into_iter().map(value).collect()
}

#[test]
fn checksums_are_those_of_rfc_3720() {
    let ascending: Vec<u8> = (0..32).collect();
    for (data, expected) in [
        (&[0; 32][..], 0x8a91_36aa),
        (&[0xff; 32], 0x62a8_ab43),
        (&ascending, 0x46dd_794e),
        (b"123456789", 0xe306_9283),
        (b"", 0),
    ] {
        assert_eq!(crc32c(data), expected);
    }
}

#[test]
fn steps_and_evaluations_are_read_back() {
    let mut file = Vec::new();
    let mut writer = EventWriter::new(&mut file, 10.5).unwrap();
    writer.step(&StepRecord { memory_bytes: vec![5, 7], ..STEP }, 11.0).unwrap();
    let evaluation = EvalRecord { step: 301, loss: 0.0, tokens: 5, seconds: 1.0 };
    writer.evaluation(&evaluation, 12.0).unwrap();
    let events = events(&file);
    assert_eq!(events.len(), 3);
    let first = [Field::Double(1, 10.5), Field::Bytes(3, b"brain.Event:2")];
    assert_eq!(fields(events[0]), first);
    let second = fields(events[1]);
    assert_eq!(second[..2], [Field::Double(1, 11.0), Field::Varint(2, 300)]);
    let named = |(tag, value): (&str, f32)| (tag.to_owned(), value);
    let expected = [
        ("train/loss", 4.5),
        ("train/grad_norm", 0.75),
        ("train/lr", 1e-3),
        ("train/epoch", 1.5),
        ("speed/tokens_per_second", 4096.0),
        ("speed/model_flops_per_second", 4e9),
        ("speed/mfu", 0.5),
        ("memory/rank_0", 5.0),
        ("memory/rank_1", 7.0),
    ];
    assert_eq!(values(events[1]), expected.map(named));
    assert_eq!(fields(events[2])[1], Field::Varint(2, 301));
    assert_eq!(values(events[2]), [("val/loss", 0.0), ("val/perplexity", 1.0)].map(named));
}

#[test]
fn a_second_file_of_the_same_second_stands_beside_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("tensorboard");
    let contents = [1, 2].map(|num| {
        let mut writer = EventWriter::create(&folder, 1_700_000_000.9).unwrap();
        writer.step(&StepRecord { step: num, ..STEP }, 0.0).unwrap();
        fs::read_dir(&folder).unwrap().count()
    });
    assert_eq!(contents, [1, 2]);
    for name in
        ["events.out.tfevents.1700000000.autopipe", "events.out.tfevents.1700000000.autopipe.1"]
    {
        assert_eq!(events(&fs::read(folder.join(name)).unwrap()).len(), 2, "{name}");
    }
}
