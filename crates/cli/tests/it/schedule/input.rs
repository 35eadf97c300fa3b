//! Where schedules come from: files, standard input, names and sizes.

use crate::command::Desk;

const PLAN: &str = "generate --schedule 1f1b --pp 2 --microbatches 2 --format csv";

#[test]
fn the_same_schedule_from_everywhere() {
    let desk = Desk::new();
    let plan = desk.result(PLAN);
    desk.write("plan.csv", &plan);
    let figures = |text: String| text.split_once(": ").unwrap().1.to_owned();
    let named = figures(desk.result("simulate --schedule 1f1b --pp 2 --microbatches 2"));
    assert_eq!(figures(desk.result("simulate plan.csv")), named);
    assert_eq!(figures(desk.result_of(&plan, "simulate -")), named);
    assert_eq!(figures(desk.result_of(&plan, "simulate")), named);
}

#[test]
fn a_table_s_level_is_seen_in_it() {
    let desk = Desk::new();
    let table = |text: &str| {
        let verdict = desk.result_of(text, "validate --json");
        serde_json::from_str::<serde_json::Value>(&verdict).unwrap()["level"].clone()
    };
    let program = desk.result(&format!("{PLAN} --level comms"));
    assert_eq!(table(&desk.result(PLAN)), "compute");
    assert_eq!(table(&program), "comms");
    assert_eq!(table(&program.replace("\r\n", "\n").replace(',', " , ")), "comms");
    // One rank sends nothing: its program is its plan.
    assert_eq!(table("0F0,0B0"), "compute");
    assert_eq!(table("\u{feff}\"0UNSHARD\",0F0,0B0,0RESHARD\n"), "comms");
}

#[test]
fn what_cannot_be_read_says_why() {
    let desk = Desk::new();
    desk.write("table.txt", &desk.result("generate --schedule 1f1b --pp 2 --microbatches 2"));
    desk.write("junk.csv", "0F0,0F0junk,0B0\n1F0,,B0\n");
    desk.write("wrong.csv", "0F0,0B0,0SEND_F0\n1RECV_F0,1F0,1B0,1SEND_B0\n");
    desk.write("plan.csv", "0F0,0B0\n");
    let errors = [
        "simulate",
        "simulate no.csv",
        "simulate table.txt",
        "simulate junk.csv",
        "simulate wrong.csv",
        "compare plan.csv no.csv junk.csv wrong.csv",
        "simulate --schedule 1f1b --pp 2",
        "simulate plan.csv --schedule 1f1b --pp 2 --microbatches 2",
        "simulate plan.csv --pp 2",
        "render --schedule 1f1b --schedule gpipe --pp 3 --microbatches 2 --stages-per-rank 2",
    ];
    insta::assert_snapshot!(errors.map(|args| desk.error(args)).join("\n"));
}

#[test]
fn of_several_schedules_those_get_more_stages_that_can() {
    let desk = Desk::new();
    let args = "compare --schedule 1f1b --schedule looped_bfs --pp 2 --microbatches 4 --json";
    let stages = |args: &str| -> Vec<u64> {
        let json: serde_json::Value = serde_json::from_str(&desk.result(args)).unwrap();
        let schedules = json["schedules"].as_array().unwrap();
        schedules.iter().map(|schedule| schedule["num_stages"].as_u64().unwrap()).collect()
    };
    assert_eq!(stages(args), [2, 4]);
    assert_eq!(stages(&format!("{args} --stages-per-rank 3")), [2, 6]);
}
