//! Colours and numbers: in a terminal, on a light and a dark page, without their hue.

use std::collections::BTreeSet;

use crate::render::colored;
use crate::render::look::{Look, variables};
use crate::render::number::{number, percent, pixels, ticks};
use crate::{Action, Extent, Kind, generate, table};

#[test]
fn a_table_in_colours_is_the_same_table() {
    let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 2 };
    let table = table(&generate(Kind::OneFOneB, &extent).unwrap());
    let colors = colored(&table);
    assert_ne!(colors, table);
    assert_eq!(colors.matches("\u{1b}[34m").count(), 4, "four forwards in blue");
    assert_eq!(colors.matches("\u{1b}[33m").count(), 4, "four backwards in yellow");
    let mut plain = colors.replace("\u{1b}[0m", "");
    for code in ["34", "33"] {
        plain = plain.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(plain, table);
}

#[test]
fn colours_of_every_kind() {
    let gray = "\u{1b}[90m0SEND_F0\u{1b}[0m";
    assert_eq!(colored("0SEND_F0"), gray);
    assert_eq!(colored("\u{1f600}, 0SEND_F0 <-- here"), format!("\u{1f600}, {gray} <-- here"));
    assert_eq!(
        colored("0I1,0W1,(0F1;3B2)OVERLAP_F_B"),
        "\u{1b}[36m0I1\u{1b}[0m,\u{1b}[32m0W1\u{1b}[0m,\u{1b}[35m(0F1;3B2)OVERLAP_F_B\u{1b}[0m"
    );
    assert_eq!(colored("Rank 0"), "Rank 0");
}

#[test]
fn every_kind_of_action_looks_its_own() {
    let letters: BTreeSet<char> = Look::ALL.iter().map(|look| look.letter()).collect();
    assert_eq!(letters.len(), Look::ALL.len());
    let actions = ["0F0", "0R0", "0I0", "0W0", "0B0", "(0F1;3B2)OVERLAP_F_B", "0SEND_F0"];
    for (action, look) in actions.iter().zip(Look::ALL) {
        assert_eq!(Look::of(action.parse::<Action>().unwrap()), look);
    }
    let light = variables(|colors| (colors.light, colors.on_light));
    assert!(light.contains("--F:#3a76c4;--on-F:#ffffff;"));
}

/// Relative luminance, after WCAG 2.
fn luminance(color: &str) -> f64 {
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

/// Contrast, after WCAG 2.
fn contrast(a: &str, b: &str) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn what_is_written_on_a_box_can_be_read() {
    for look in Look::ALL {
        let colors = look.colors();
        for (fill, text) in [(colors.light, colors.on_light), (colors.dark, colors.on_dark)] {
            let contrast = contrast(fill, text);
            assert!(contrast >= 4.5, "{look:?}: {fill} and {text} have {contrast:.2}");
        }
    }
}

#[test]
fn computations_can_be_told_apart_without_their_hue() {
    let lightness = |color: &str| {
        let y = luminance(color);
        if y > 0.008_856 { 116.0 * y.cbrt() - 16.0 } else { 903.3 * y }
    };
    let computations = &Look::ALL[..6];
    for pick in [|look: &Look| look.colors().light, |look: &Look| look.colors().dark] {
        let mut all: Vec<(f64, Look)> =
            computations.iter().map(|look| (lightness(pick(look)), *look)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in all.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= 6.0, "{pair:?} are too near");
        }
    }
}

#[test]
fn numbers_as_people_read_them() {
    let shown = [0.0, 33.0, 0.25, 1.0 / 3.0, 123_456_789.0, 1e-7, -2.5, 999_999.7, f64::NAN];
    let text: Vec<String> = shown.into_iter().map(number).collect();
    assert_eq!(
        text,
        ["0", "33", "0.25", "0.333333", "123456789", "1e-7", "-2.5", "1000000", "NaN"]
    );
    assert_eq!((percent(3.0 / 11.0), pixels(-0.001)), ("27.27\u{a0}%".to_owned(), "0".to_owned()));
}

#[test]
fn ticks_are_round_and_few() {
    assert_eq!(ticks(33.0, 8.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
    assert_eq!(ticks(0.3, 3.0).len(), 4, "0.3 is there although 3 * 0.1 is more");
    assert_eq!(ticks(0.0, 8.0), [0.0]);
    assert_eq!(ticks(f64::INFINITY, 8.0), [0.0]);
    assert!(ticks(1e300, 8.0).len() <= 9);
}
