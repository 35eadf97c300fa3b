//! What is an input, what a label, and where positions begin.

use super::*;

#[test]
fn labels_are_shifted_within_a_document() {
    let mut row = Row::default();
    row.push(&[1, 2, 3], [true; 3].into_iter());
    row.push(&[4, 5, 6, 7], [true, false, true, false].into_iter());
    row.fill(7, 9);
    assert_eq!(row.input_ids(), [1, 2, 4, 5, 6, 9, 9]);
    assert_eq!(row.labels(), [2, 3, -100, 6, -100, -100, -100]);
    assert_eq!(row.position_ids(), [0, 1, 0, 1, 2, 0, 1]);
    row.clear();
    assert_eq!(row, Row::default());
}

#[test]
fn what_nothing_is_said_of_is_no_label() {
    let mut row = Row::default();
    row.push(&[], [true].into_iter());
    row.push(&[1], [true].into_iter());
    assert_eq!(row.num_tokens(), 0);
    row.push(&[1, 2, 3], [true, true].into_iter());
    assert_eq!((row.labels(), row.num_tokens()), ([2, -100].as_slice(), 2));
}
