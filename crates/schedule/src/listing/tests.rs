//! Lists as they read.

use super::{and, excerpt, lines, ranges};

#[test]
fn lists_read_as_people_write_them() {
    assert_eq!(and([0; 0]), "");
    assert_eq!(and([4]), "4");
    assert_eq!(and([4, 5]), "4 and 5");
    assert_eq!(and([4, 5, 9]), "4, 5 and 9");
}

#[test]
fn runs_are_drawn_together() {
    assert_eq!(ranges(&[(3, 3)]), "3");
    assert_eq!(ranges(&[(3, 4)]), "3 and 4");
    assert_eq!(ranges(&[(0, 0), (2, 5), (7, 7)]), "0, 2 to 5 and 7");
}

#[test]
fn long_lists_are_counted() {
    let runs: Vec<_> = (0..30).map(|i| (2 * i, 2 * i)).collect();
    assert!(ranges(&runs).ends_with("36, 38 and 10 more runs"), "{}", ranges(&runs));
    let many = lines("all", &(0..23).collect::<Vec<_>>());
    assert!(many.starts_with("all\n- 0\n- 1\n"), "{many}");
    assert!(many.ends_with("\n- 19\n- and 3 more"), "{many}");
}

#[test]
fn long_and_odd_texts_are_quoted_safely() {
    assert_eq!(excerpt("2F0"), "2F0");
    assert_eq!(excerpt("a\nb"), "a\\nb");
    assert_eq!(excerpt(&"x".repeat(41)), format!("{}...", "x".repeat(40)));
}
