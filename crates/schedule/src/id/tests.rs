//! Ids print as numbers and know their limits.

use super::{MicroBatch, Rank, Stage};

#[test]
fn print_as_the_bare_number_and_obey_its_width() {
    assert_eq!(Stage::new(12).to_string(), "12");
    assert_eq!(format!("{:>3}", Rank::new(7)), "  7");
}

#[test]
fn there_are_65536_of_each() {
    assert_eq!(MicroBatch::try_new(65_535).map(MicroBatch::index), Some(65_535));
    assert_eq!(MicroBatch::try_new(65_536), None);
    assert_eq!(Rank::try_new(usize::MAX), None);
}

#[test]
fn neighbours_end_with_the_numbers() {
    assert_eq!(Stage::new(3).next(), Some(Stage::new(4)));
    assert_eq!(Stage::new(3).previous(), Some(Stage::new(2)));
    assert_eq!(Stage::new(0).previous(), None);
    assert_eq!(Stage::new(65_535).next(), None);
}
