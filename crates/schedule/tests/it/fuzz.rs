//! The bounded run of the fuzz targets: their corpus, and seeded mutations of it.

use std::path::{Path, PathBuf};

use crate::fuzz_bodies::{action, schedule, table_file};

/// What is written here and there into an input.
const WORDS: [&str; 24] = [
    "65535",
    "65536",
    "99999999999999999999",
    "00",
    "8192",
    "F",
    "B",
    "I0",
    "W1",
    "R0",
    "0F0",
    "1SEND_B0",
    "0WAIT_SEND_F0",
    "(0F1;1B0)OVERLAP_F_B",
    "0REDUCE_TIED1",
    "0OPTIMIZER_STEP",
    ",",
    ",,,,",
    "\n",
    "\r",
    "\"",
    "-",
    "\u{feff}",
    "\u{e9}\u{2003}",
];

#[test]
fn actions() {
    run("action", 20_000, action);
}

#[test]
fn tables() {
    run("table", 4_000, table_file);
}

#[test]
fn schedules() {
    run("schedule", 4_000, schedule);
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    files.sort();
    files
}

/// Runs a body. Nothing would be tested if all inputs were accepted, or all refused.
fn run(name: &str, num_mutations: usize, body: fn(&[u8]) -> bool) {
    let corpus = corpus(name);
    assert!(corpus.len() >= 10, "{} files in the corpus", corpus.len());
    for (path, bytes) in &corpus {
        let failed = std::panic::catch_unwind(|| body(bytes)).is_err();
        assert!(!failed, "a promise is broken by {}", path.display());
    }
    let mut random = Random(0x5eed);
    let mut num_accepted = 0;
    for _ in 0..num_mutations {
        let mut bytes = corpus[random.below(corpus.len())].1.clone();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, &corpus[random.below(corpus.len())].1, &mut random);
        }
        bytes.truncate(4096);
        let accepted = std::panic::catch_unwind(|| body(&bytes));
        let text = String::from_utf8_lossy(&bytes);
        assert!(accepted.is_ok(), "a promise is broken by {text:?}");
        num_accepted += usize::from(accepted.is_ok_and(|is_accepted| is_accepted));
    }
    let share = 100 * num_accepted / num_mutations;
    assert!((3..97).contains(&share), "{share}% of the mutations are accepted");
}

/// Changes one thing about an input, perhaps with a part of another.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(12) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => drop(bytes.remove(at)),
        2 => {
            let end = bytes.len().min(at + random.below(16));
            drop(bytes.drain(at..end));
        }
        3 => {
            let start = random.below(other.len() + 1);
            let end = other.len().min(start + random.below(64));
            drop(bytes.splice(at..at, other[start..end].iter().copied()));
        }
        4 | 5 => {
            let end = token_end(bytes, at);
            let word = WORDS[random.below(WORDS.len())];
            drop(bytes.splice(at..end, word.bytes()));
        }
        6 => swap_tokens(bytes, random),
        7 => bytes.truncate(at),
        8 => renumber(bytes, at, random),
        9 | 10 => swap_cells(bytes, random),
        _ => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where the run of digits or of letters ends that begins here.
fn token_end(bytes: &[u8], start: usize) -> usize {
    let is_like = |byte: &u8| {
        bytes.get(start).is_some_and(|first| first.is_ascii_digit() == byte.is_ascii_digit())
            && is_token(*byte)
    };
    start + bytes[start..].iter().take_while(|byte| is_like(byte)).count()
}

/// Another small number in place of the next one.
fn renumber(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let Some(start) = (at..bytes.len()).find(|&i| bytes[i].is_ascii_digit()) else { return };
    let end = token_end(bytes, start);
    drop(bytes.splice(start..end, random.below(5).to_string().bytes()));
}

/// Two neighbouring cells the other way round, or an empty one between them.
fn swap_cells(bytes: &mut Vec<u8>, random: &mut Random) {
    let mut cells: Vec<Vec<u8>> = bytes.split(|&byte| byte == b',').map(<[u8]>::to_vec).collect();
    let at = random.below(cells.len());
    match random.below(2) {
        0 if at + 1 < cells.len() => cells.swap(at, at + 1),
        _ => cells.insert(at, b" ".to_vec()),
    }
    *bytes = cells.join(&b',');
}

fn swap_tokens(bytes: &mut Vec<u8>, random: &mut Random) {
    let mut tokens: Vec<Vec<u8>> =
        bytes.chunk_by(|&a, &b| is_token(a) == is_token(b)).map(<[u8]>::to_vec).collect();
    if tokens.is_empty() {
        return;
    }
    let (one, other) = (random.below(tokens.len()), random.below(tokens.len()));
    tokens.swap(one, other);
    *bytes = tokens.concat();
}

/// Steele, Lea and Flood's SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = usize::try_from((bits ^ (bits >> 31)) >> 33).expect("31 bits");
        bits % limit
    }
}
