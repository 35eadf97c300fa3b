//! Words to all ranks by way of reductions, which every transport has.

use super::{Communicator, Reduction};
use crate::Error;

/// What each rank says, by rank: every byte is a number to which the other ranks add zero.
pub(super) fn all_gather<C: Communicator + ?Sized>(
    comm: &C,
    text: &str,
) -> Result<Vec<String>, Error> {
    let mut lens = vec![0.0; comm.size()];
    #[expect(clippy::cast_precision_loss, reason = "a text of 2^53 bytes does not fit into memory")]
    let len = text.len() as f64;
    lens[comm.rank()] = len;
    let lens: Vec<usize> = comm.all_reduce(&lens, Reduction::Sum)?.into_iter().map(whole).collect();
    let before: usize = lens[..comm.rank()].iter().sum();
    let mut bytes = vec![0.0; lens.iter().sum()];
    for (place, byte) in bytes[before..].iter_mut().zip(text.bytes()) {
        *place = f64::from(byte);
    }
    let bytes: Vec<u8> = comm
        .all_reduce(&bytes, Reduction::Sum)?
        .into_iter()
        .map(|byte| u8::try_from(whole(byte)).unwrap_or(b'?'))
        .collect();
    let mut rest = bytes.as_slice();
    let texts = lens.into_iter().map(|len| {
        let (text, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        String::from_utf8_lossy(text).into_owned()
    });
    Ok(texts.collect())
}

/// A number that was whole before it was summed with zeros.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn whole(number: f64) -> usize {
    number as usize
}
