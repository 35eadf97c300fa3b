//! `generate`: a schedule by its name.

use crate::command::Desk;

fn generate(args: &str) -> String {
    Desk::new().result(&format!("generate {args}"))
}

#[test]
fn a_table_for_people() {
    insta::assert_snapshot!(generate("--schedule 1f1b --pp 4 --microbatches 8"));
}

#[test]
fn the_same_with_sends_and_receives() {
    insta::assert_snapshot!(generate("--schedule GPipe --pp 2 --microbatches 2 --level comms"));
}

#[test]
fn csv_as_torch_writes_it() {
    assert_eq!(
        generate("--schedule gpipe --pp 2 --microbatches 2 --format csv"),
        "0F0,0F1,,,0B0,0B1\r\n,1F0,1F1,1B0,1B1\r\n"
    );
    assert_eq!(
        generate("--schedule 1f1b --pp 2 --microbatches 2 --level comms --format csv"),
        "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\r\n1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1\r\n"
    );
}

#[test]
fn a_schedule_has_the_stages_that_it_is_meant_for() {
    let of = |args: &str| generate(&format!("{args} --pp 2 --microbatches 4 --format csv"));
    assert_eq!(of("--schedule zbv"), of("--schedule zbv --stages-per-rank 2"));
    assert_eq!(
        of("--schedule interleaved1f1b"),
        of("--schedule Interleaved1F1B --stages-per-rank 2")
    );
    assert_ne!(
        of("--schedule interleaved1f1b"),
        of("--schedule interleaved1f1b --stages-per-rank 3")
    );
}

#[test]
fn a_file_says_by_its_name_what_it_takes() {
    let desk = Desk::new();
    let args = "generate --schedule 1f1b --pp 2 --microbatches 2";
    assert_eq!(desk.result(&format!("{args} -o plan.csv")), "");
    assert_eq!(desk.read("plan.csv"), desk.result(&format!("{args} --format csv")));
    assert_eq!(desk.result(&format!("{args} --output plan.txt")), "");
    assert_eq!(desk.read("plan.txt"), desk.result(args));
    assert_eq!(desk.result(&format!("{args} -o table.csv --format table")), "");
    assert_eq!(desk.read("table.csv"), desk.result(args));
}

#[test]
fn what_cannot_be_generated_or_written_says_why() {
    let desk = Desk::new();
    let errors = [
        "generate --schedule 1f1b --pp 4 --microbatches 3",
        "generate --schedule zbv --pp 0 --microbatches 0 --stages-per-rank 3",
        "generate --schedule 1f2b --pp 4 --microbatches 3",
        "generate --schedule 1f1b --pp 2 --microbatches 2 -o no/such/folder.csv",
    ];
    insta::assert_snapshot!(errors.map(|args| desk.error(args)).join("\n"));
}

#[test]
fn a_reader_may_stop_reading() {
    let desk = Desk::new();
    let line =
        "autopipe schedule generate --schedule gpipe --pp 32 --microbatches 512 --format csv";
    let output = desk.shell(&format!("{{ {line}; echo $? >&2; }} | head -c 8"));
    assert_eq!((output.out.as_str(), output.err.as_str()), ("0F0,0F1,", "0\n"));
}
