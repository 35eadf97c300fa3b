//! The bounded run of the fuzz target: the recorded configs, and seeded mutations of them.

use std::panic::catch_unwind;

use super::files;
use super::fuzz_bodies::config;

/// How many mutations are tried.
const NUM_MUTATIONS: usize = 4_000;

/// What is written here and there into a config.
const WORDS: [&str; 28] = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "-1",
    "1.5",
    "1e3",
    "64",
    "16777216",
    "16777217",
    "4294967296",
    "18446744073709551616",
    "null",
    "true",
    "false",
    "\"\"",
    "\"auto\"",
    "[]",
    "[1]",
    "[1, 2]",
    "[\"full_attention\"]",
    "{}",
    "{\"model_type\": \"llama\"}",
    "\"siglip_vision_model\"",
    "[\"LlamaModel\"]",
    "\"\u{e9}\"",
    "[[[[[]]]]]",
];

#[test]
fn configs() {
    let corpus: Vec<String> =
        files().into_iter().map(|(_, file)| file["config"].to_string()).collect();
    assert!(corpus.len() > 30, "{}", corpus.len());
    assert!(corpus.iter().all(|text| config(text.as_bytes())));

    let mut random = Random(0x5eed);
    let mut num_accepted = 0;
    for _ in 0..NUM_MUTATIONS {
        let mut text = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            text = mutated(&text, &corpus[random.below(corpus.len())], &mut random);
        }
        let accepted = catch_unwind(|| config(text.as_bytes()));
        assert!(accepted.is_ok(), "a promise is broken by {text}");
        num_accepted += usize::from(accepted.is_ok_and(|is_accepted| is_accepted));
    }
    // Nothing would be tested if all were accepted, or all refused.
    let share = 100 * num_accepted / NUM_MUTATIONS;
    assert!((10..90).contains(&share), "{share}% of the mutations are accepted");
}

/// One thing about a config is different: a value, a key, a field from another, or any byte.
fn mutated(text: &str, other: &str, random: &mut Random) -> String {
    let places: Vec<usize> =
        text.match_indices(": ").chain(text.match_indices(':')).map(|(place, _)| place).collect();
    let Some(&place) = places.get(random.below(places.len().max(1))) else {
        return text.to_owned();
    };
    let value = place + 1;
    let end = value + text[value..].find([',', '}']).unwrap_or(0);
    match random.below(8) {
        0..=3 => {
            let word = WORDS[random.below(WORDS.len())];
            format!("{}{word}{}", &text[..value], &text[end..])
        }
        4 => {
            let (start, key) = text[..place].rsplit_once('"').map_or((0, ""), |(start, _)| {
                let key = start.rfind('"').unwrap_or(0);
                (key + 1, &start[key + 1..])
            });
            let shorter: String = key.chars().skip(1).collect();
            format!("{}{shorter}{}", &text[..start], &text[start + key.len()..])
        }
        5 => {
            let digits = text[value..end].trim();
            let number: usize = digits.parse().unwrap_or(5);
            let near = [number / 2, number + 1, number * 3, number.saturating_sub(1)];
            format!("{}{}{}", &text[..value], near[random.below(4)], &text[end..])
        }
        6 => {
            let from = other.find("model_type").unwrap_or(0);
            let kind = other[from..].split('"').nth(2).unwrap_or("llama");
            text.replacen("\"llama\"", &format!("\"{kind}\""), 1)
        }
        _ => text.chars().filter(|_| random.below(200) > 0).collect(),
    }
}

/// A small generator of numbers that are the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}
