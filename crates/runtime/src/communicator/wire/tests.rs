//! What is no letter is an error, wherever it is spoilt.

use candle_core::{DType, Device, Tensor};

use super::{Assembly, WireError, decode, encode};
use crate::communicator::Tag;
use crate::communicator::mailbox::{Address, Content, Letter, Message};
use crate::communicator::parcel::Parcel;
use crate::{Failure, Place, StepPart};

fn address(content: Content) -> Address {
    Address { group: 3, from: 1, to: 0, content }
}

fn letters() -> Vec<Letter> {
    let tensors = vec![
        Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap().reshape((2, 3)).unwrap(),
        Tensor::zeros((2, 0), DType::BF16, &Device::Cpu).unwrap(),
    ];
    let parcels = tensors.into_iter().zip([false, true]);
    let parcels = parcels.map(|(tensor, is_of_gpu)| Parcel::read(tensor, is_of_gpu)).collect();
    let at = Some(Place { step: 2, part: StepPart::Action("1F2".parse().unwrap()) });
    vec![
        Letter::Mail(address(Content::Tagged(Tag(7))), Message::Tensors(parcels)),
        Letter::Mail(address(Content::Collective(4)), Message::Words(vec![1, u64::MAX])),
        Letter::Stop(Failure { rank: 1, at, cause: "größer".to_owned() }),
        Letter::Ended(Some("broken".to_owned())),
        Letter::Ended(None),
        Letter::Heard,
        Letter::Leaving,
        Letter::Resetting,
        Letter::MayLeave,
        Letter::Leave,
        Letter::Staying,
        Letter::Reset,
        Letter::Alive,
    ]
}

#[test]
fn letters_are_read_as_they_were_written() {
    for letter in letters() {
        let bytes = encode(&letter, 5).unwrap();
        let read = decode(&bytes, 1, 0).unwrap();
        assert_eq!((read.peer, read.num_resets), (1, 5));
        assert_eq!(format!("{:?}", read.letter), format!("{letter:?}"));
    }
}

#[test]
fn what_is_cut_short_or_too_long_is_refused() {
    for letter in letters() {
        let bytes = encode(&letter, 0).unwrap();
        for len in 0..bytes.len() {
            let mut short = bytes[..len].to_vec();
            assert!(decode(&short, 1, 0).is_err(), "{letter:?}: {len} bytes");
            if len >= 8 {
                // Even if it says how long it is.
                short[..8].copy_from_slice(&(len as u64).to_le_bytes());
                assert!(decode(&short, 1, 0).is_err(), "{letter:?}: {len} bytes");
            }
        }
        let mut long = bytes.clone();
        long.push(0);
        long[..8].copy_from_slice(&(bytes.len() as u64 + 1).to_le_bytes());
        assert!(matches!(decode(&long, 1, 0), Err(WireError::LeftOver { left: 1 })), "{letter:?}");
    }
}

/// Each byte of each letter, with other values: read as something else or refused.
#[test]
fn spoilt_bytes_never_panic() {
    let mut num_refused = 0;
    for letter in letters() {
        let bytes = encode(&letter, 0).unwrap();
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut spoilt = bytes.clone();
                spoilt[at] = value;
                num_refused += usize::from(decode(&spoilt, 1, 0).is_err());
            }
        }
    }
    assert!(num_refused > 500, "{num_refused}");
}

#[test]
fn shapes_that_fit_nowhere_are_refused() {
    let whole = Tensor::zeros((2, 0), DType::U8, &Device::Cpu).unwrap();
    let letter = Letter::Mail(
        address(Content::Tagged(Tag(0))),
        Message::Tensors(vec![Parcel::read(whole, false)]),
    );
    let bytes = encode(&letter, 0).unwrap();
    // The two dimensions are its last words.
    for dims in [[u64::MAX, 0], [1 << 40, 1 << 40], [1 << 62, 0]] {
        let mut spoilt = bytes.clone();
        let places = spoilt.len() - 16;
        for (place, dim) in spoilt[places..].chunks_exact_mut(8).zip(dims) {
            place.copy_from_slice(&dim.to_le_bytes());
        }
        let read = decode(&spoilt, 1, 0);
        assert_eq!(read.is_ok(), dims == [1 << 62, 0] || dims == [u64::MAX, 0], "{read:?}");
    }
}

#[test]
fn pieces_become_letters_again() {
    let letter = encode(&letters()[0], 0).unwrap();
    for piece in [8, 9, 100, letter.len()] {
        let mut assembly = Assembly::default();
        for _ in 0..2 {
            let mut got = Vec::new();
            for bytes in letter.chunks(piece) {
                got.extend(assembly.push(bytes.to_vec()).unwrap());
            }
            assert_eq!(got, std::slice::from_ref(&letter));
        }
    }
}

#[test]
fn pieces_that_fit_no_letter_are_refused() {
    let first = |len: u64| len.to_le_bytes().to_vec();
    let mut assembly = Assembly::default();
    assert!(matches!(assembly.push(vec![1, 2]), Err(WireError::TooShort { .. })));
    assert!(matches!(assembly.push(first(3)), Err(WireError::Length { told: 3, got: 8 })));
    assert!(matches!(assembly.push(first(u64::MAX)), Err(WireError::Room { .. })));
    assert!(assembly.push(first(12)).unwrap().is_none());
    assert!(matches!(assembly.push(vec![0; 5]), Err(WireError::Length { told: 12, got: 13 })));
    // And afterwards, what is well is read.
    assert_eq!(assembly.push(first(8)).unwrap(), Some(first(8)));
}
