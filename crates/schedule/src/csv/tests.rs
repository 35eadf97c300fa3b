//! Files as they come, and everything that can be wrong with them.

use std::io::{self, Read};

use super::{plan_to_string, program_to_string, read_plan, read_program};

fn plan(text: &[u8]) -> String {
    plan_to_string(&read_plan(text).unwrap())
}

#[test]
fn lines_come_back_byte_for_byte() {
    let text = "0F0,,,0B0\r\n,1F0,1B0\r\n";
    assert_eq!(plan(text.as_bytes()), text);
    assert_eq!(plan(b"0F0,0B0\n1F0,,,,1B0\n"), text, "waits follow from the order");
    let text = "0F0,0SEND_F0,0RECV_B0,0B0\r\n1RECV_F0,1F0,1B0,1SEND_B0\r\n";
    assert_eq!(program_to_string(&read_program(text.as_bytes()).unwrap()), text);
}

#[test]
fn what_editors_and_spreadsheets_add_is_read_over() {
    let expected = "0F0,,,0B0\r\n,1F0,1B0\r\n";
    for text in [
        "0F0,,0B0\n,1F0,1B0\n",
        "0F0,,0B0\n,1F0,1B0",
        "0F0,,0B0\r\n,1F0,1B0\r\n\r\n\n  \n",
        "0F0,,0B0\n,1F0,1B0\n,,\n\n,\n",
        " 0F0 ,\t, 0B0\n,1F0, 1B0 \n",
        "\"0F0\",\"\",0B0\n,\"1F0\",1B0\n",
        "\u{feff}0F0,,0B0\n,1F0,1B0\n",
    ] {
        assert_eq!(plan(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn waits_at_the_end_of_a_line_go() {
    assert_eq!(plan(b"0F0,0B0,,\n"), "0F0,0B0\r\n");
    let program = read_program("0F0,0B0,,\n".as_bytes()).unwrap();
    assert_eq!(program_to_string(&program), "0F0,0B0\r\n");
}

#[test]
fn a_blank_line_between_ranks_is_a_rank_without_work() {
    let error = read_plan("0F0\n\n1F0\n".as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "rank 1 computes nothing; give it a stage or leave out its row");
}

#[test]
fn every_wrong_cell_is_named_with_its_place() {
    let error = read_plan("0F0,zz,0SEND_F0\n\n1F0,,1Q0\n".as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error,
        "3 cells of the table are wrong
- row 1, column 2: `zz` is no action: expected a stage number at column 1, found `z`; a valid one is \
         `2F0` or `0SEND_F1`
- row 1, column 3: `0SEND_F0` is no computation, expected one as `2F0`; a table with sends and \
         receives is read as a program
- row 3, column 3: `1Q0` is no action: expected F, I, W, B, R, SEND_F or another operation at \
         column 2, found `Q`"
    );
}

#[test]
fn a_program_has_no_waits() {
    let error = read_program("0F0,,0SEND_F0,x\n1RECV_F0,1F0\n".as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error,
        "2 cells of the table are wrong
- row 1, column 2: the cell is empty, expected an action; a program has no waits between its actions
- row 1, column 4: `x` is no action: expected a stage number at column 1, found `x`; a valid one is \
         `2F0` or `0SEND_F1`"
    );
}

#[test]
fn empty_files_have_no_rank() {
    for text in ["", "\n\n", "\r\n", ",,"] {
        let error = read_plan(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "there is no rank; a schedule has at least one row", "{text:?}");
    }
}

#[test]
fn bytes_that_are_no_text() {
    let error = |bytes: &[u8]| read_plan(bytes).unwrap_err().to_string();
    let start = "row 1, column 2: ";
    assert!(error(b"0F0,\xff\xfe\n").starts_with(start));
    assert!(error(b"0F0,0B0\r0F1\n").starts_with(start), "a lone CR does not end a line");
    assert!(error(b"0F0,0B0\x00\n").starts_with(start));
    let error = error(b"0F0,\"0B0\n1F0\"\n");
    assert!(error.starts_with("row 2, column 1: "), "a quote does not span lines: {error}");
}

#[test]
fn reading_may_fail() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let error = read_plan(Broken).unwrap_err().to_string();
    assert_eq!(error, "the table cannot be read: the disk is gone");
}
