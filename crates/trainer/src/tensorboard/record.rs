//! The records of a TFRecord file: length, checksum of the length, bytes, checksum of the bytes.

use std::io::{self, Write};

/// Writes one record in one piece, so that whoever follows the file rarely sees half of one.
pub(super) fn write(writer: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked(crc32c(&length)).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked(crc32c(data)).to_le_bytes());
    writer.write_all(&record)
}

/// A checksum as it is stored: turned and moved, so that a checksum over data that has checksums in it
/// is still one.
pub(super) fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), as RFC 3720 has it in appendix B.4.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| (crc >> 8) ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)];
    !bytes.iter().fold(!0, step)
}

/// What a byte does to the remainder.
const TABLE: [u32; 256] = {
    /// The polynomial, its lowest power first.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut byte = 0;
    let mut crc = 0;
    while byte < table.len() {
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
        #[expect(clippy::cast_possible_truncation, reason = "a byte; `from` is not const")]
        {
            crc = byte as u32;
        }
    }
    table
};
