//! What people read.

use super::{columns, counts, percent};

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
