//! Numbers as people read them.

use super::{columns, counts, number, percent};

#[test]
fn six_digits_at_most() {
    let cases = [
        (0.0, "0"),
        (33.0, "33"),
        (0.1 + 0.2, "0.3"),
        (2.0 / 3.0, "0.666667"),
        (1.0 / 300.0, "0.00333333"),
        (49.123_456, "49.1235"),
        (6909.0, "6909"),
        (16_777_216.0, "16777216"),
        (1e-7, "1e-7"),
        (2.5e20, "2.5e20"),
        (-1.25, "-1.25"),
    ];
    for (value, text) in cases {
        assert_eq!(number(value), text);
    }
}

#[test]
fn no_part_is_less_than_nothing() {
    assert_eq!([0.2727, 0.0, -1e-17].map(percent), ["27.3%", "0.0%", "0.0%"]);
}

#[test]
fn counts_stay_short() {
    assert_eq!(counts(&[4]), "4");
    assert_eq!(counts(&[4, 4]), "4 on every rank");
    assert_eq!(counts(&[4, 3, 2]), "4 3 2, by rank");
    assert_eq!(counts(&(1..=100).collect::<Vec<_>>()), "1 to 100, by rank");
}

#[test]
fn columns_are_as_wide_as_their_cells() {
    let line = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let text = columns(&[line(["", "one", "b"]), line(["name", "1", ""])]);
    assert_eq!(text, "      one  b\nname    1\n");
}
