//! The three messages of an event file in protobuf's encoding.
//!
//! ```text
//! Event    1 wall_time: double  2 step: int64  3 file_version: string  5 summary: Summary
//! Summary  1 value: Value, repeated
//! Value    1 tag: string  2 simple_value: float
//! ```

/// The first event of a file.
pub(super) fn version(wall_time: f64) -> Vec<u8> {
    let mut event = Message::default();
    event.double(1, wall_time);
    event.bytes(3, b"brain.Event:2");
    event.0
}

/// An event with a value for each tag. Curves are of single precision.
pub(super) fn scalars(step: usize, values: &[(String, f64)], wall_time: f64) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, value) in values {
        let mut one = Message::default();
        one.bytes(1, tag.as_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "the format has single precision")]
        one.float(2, *value as f32);
        summary.bytes(1, &one.0);
    }
    let mut event = Message::default();
    event.double(1, wall_time);
    event.varint(2, step as u64);
    event.bytes(5, &summary.0);
    event.0
}

/// The fields of a message, one after the other, each behind its key: number and kind of encoding.
#[derive(Default)]
struct Message(Vec<u8>);

/// Protobuf's kinds of encoding.
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH_AND_BYTES: u64 = 2;
const FOUR_BYTES: u64 = 5;

impl Message {
    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, VARINT);
        self.number(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, EIGHT_BYTES);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, FOUR_BYTES);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, LENGTH_AND_BYTES);
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.number(field << 3 | kind);
    }

    /// Seven bits to a byte, the lowest first; the eighth says that more follow.
    fn number(&mut self, mut value: u64) {
        loop {
            let [lowest, ..] = value.to_le_bytes();
            value >>= 7;
            if value == 0 {
                self.0.push(lowest & 0x7f);
                return;
            }
            self.0.push(lowest | 0x80);
        }
    }
}
