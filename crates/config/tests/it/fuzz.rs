//! The bounded run of the fuzz target: its corpus, and seeded mutations of it.

use std::{fs, panic::catch_unwind, path::Path};

use crate::{FULL, NEMO, SMALL, fuzz_bodies::recipe};

/// What is written here and there into an input.
const WORDS: [&str; 28] = [
    "none",
    "null",
    "-1",
    "0",
    "1",
    "2",
    "64",
    "1e400",
    "true",
    "False",
    "[a, b]",
    "{}",
    "[",
    "}",
    "&a ",
    "*a",
    "!t ",
    "|",
    ">-",
    "'",
    "\"",
    "\r\n",
    "---\n",
    "\u{feff}",
    "\u{e9}",
    "\0",
    "\0rng.seed=",
    "_target_: x",
];

const NUM_MUTATIONS: usize = 2_500;

#[test]
fn any_bytes_are_a_recipe_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/recipe");
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut corpus: Vec<Vec<u8>> = names.iter().map(|name| fs::read(name).unwrap()).collect();
    corpus.extend([SMALL, FULL, NEMO].map(|text| text.as_bytes().to_vec()));
    assert!(corpus.len() >= 15, "{} inputs", corpus.len());
    let check = |bytes: &[u8]| {
        let accepted = catch_unwind(|| recipe(bytes));
        assert!(accepted.is_ok(), "a promise is broken by {:?}", String::from_utf8_lossy(bytes));
        accepted.is_ok_and(|is_accepted| is_accepted)
    };
    for bytes in &corpus {
        check(bytes);
    }
    let mut random = Random(0x5eed);
    let mut num_accepted = 0;
    for _ in 0..NUM_MUTATIONS {
        // The three at the end are whole recipes: a change or two may leave them so.
        let first = if random.below(2) == 0 { corpus.len() - 3 } else { 0 };
        let mut bytes = corpus[first + random.below(corpus.len() - first)].clone();
        for _ in 0..=random.below(2) {
            mutate(&mut bytes, &corpus[random.below(corpus.len())], &mut random);
        }
        num_accepted += usize::from(check(&bytes));
    }
    // Nothing would be tested if all inputs were accepted, or all refused.
    let share = 100 * num_accepted / NUM_MUTATIONS;
    assert!((3..97).contains(&share), "{share}% of the mutations are accepted");
}

/// Changes one thing about an input, perhaps with a line of another.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => drop(bytes.remove(at)),
        2 | 3 => {
            let word = WORDS[random.below(WORDS.len())].bytes();
            let end = if random.below(2) == 0 { at } else { word_end(bytes, at) };
            drop(bytes.splice(at..end, word));
        }
        4 => {
            let (start, end) = line_at(other, random.below(other.len() + 1));
            let at = line_at(bytes, at).0;
            drop(bytes.splice(at..at, other[start..end].iter().copied()));
        }
        5 => {
            let (start, end) = line_at(bytes, at);
            drop(bytes.drain(start..end));
        }
        6 => {
            let (start, end) = line_at(bytes, at);
            let line = bytes[start..end].to_vec();
            drop(bytes.splice(start..start, line));
        }
        7 => bytes.truncate(bytes.len() - bytes.len().min(random.below(40))),
        _ => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
    }
}

/// Where the word ends that begins here.
fn word_end(bytes: &[u8], start: usize) -> usize {
    let rest = bytes[start..].iter();
    start + rest.take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

/// The line around a place, with its end.
fn line_at(bytes: &[u8], at: usize) -> (usize, usize) {
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    let end = bytes[at..].iter().position(|byte| *byte == b'\n');
    (start, end.map_or(bytes.len(), |index| at + index + 1))
}

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(limit).unwrap()).unwrap()
    }
}
