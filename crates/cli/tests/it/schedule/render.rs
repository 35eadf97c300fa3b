//! `render`: pictures.

use serde_json::Value;

use crate::command::Desk;

const ONE: &str = "--schedule 1f1b --pp 2 --microbatches 2";
const TWO: &str = "--schedule 1f1b --schedule gpipe --pp 2 --microbatches 2";

#[test]
fn every_picture() {
    let desk = Desk::new();
    let render = |args: &str| desk.result(&format!("render {args}"));
    let page = render(&format!("{TWO} --format html"));
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("1F1B") && page.contains("GPipe"));
    let picture = render(&format!("{TWO} --format svg"));
    assert!(picture.starts_with("<svg") && picture.contains("1F1B") && picture.contains("GPipe"));
    let trace: Value = serde_json::from_str(&render(&format!("{ONE} --format trace"))).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert!(events.iter().any(|event| event["name"] == "1B1" && event["ph"] == "X"), "{trace}");
    assert_eq!(
        render(&format!("{ONE} --format json")),
        desk.result(&format!("simulate {ONE} --json"))
    );
    let both: Value = serde_json::from_str(&render(&format!("{TWO} --format json"))).unwrap();
    assert_eq!((&both[0]["title"], &both[1]["title"]), (&"1F1B".into(), &"GPipe".into()));
    assert_eq!(
        render(&format!("{ONE} --format csv")),
        desk.result(&format!("generate {ONE} --format csv"))
    );
    assert_eq!(render(ONE), desk.result(&format!("generate {ONE}")));
    insta::assert_snapshot!(render(TWO));
}

#[test]
fn a_file_says_by_its_name_what_it_takes() {
    let desk = Desk::new();
    for (name, format) in [
        ("a.html", "html"),
        ("a.SVG", "svg"),
        ("a.json", "json"),
        ("a.csv", "csv"),
        ("a.txt", "table"),
    ] {
        assert_eq!(desk.result(&format!("render {ONE} -o {name}")), "");
        assert_eq!(
            desk.read(name),
            desk.result(&format!("render {ONE} --format {format}")),
            "{name}"
        );
    }
}

#[test]
fn costs_and_messages_are_drawn() {
    let desk = Desk::new();
    let trace = |args: &str| desk.result(&format!("render {ONE} --format trace {args}"));
    assert_ne!(trace("--costs F=2"), trace(""));
    assert!(!trace("").contains("0SEND_F0"));
    assert!(trace("--comm rendezvous").contains("0SEND_F0"));
}

#[test]
fn colours_are_as_wanted() {
    let desk = Desk::new();
    let colours = |args: &str| desk.result(args).matches("\u{1b}[").count() / 2;
    assert_eq!(colours(&format!("render {ONE} --color always")), 8);
    assert_eq!(colours(&format!("render {ONE} --color never")), 0);
    assert_eq!(colours(&format!("render {ONE}")), 0, "a pipe is no terminal");
    assert_eq!(colours(&format!("generate {ONE} --level comms --color always")), 16);
    assert_eq!(colours(&format!("lower {ONE} --rank 0 --color always")), 8);
    assert!(colours("search --pp 2 --microbatches 2 --color always") >= 8);
}

#[test]
fn what_cannot_be_drawn_says_why() {
    let desk = Desk::new();
    desk.write("wrong.csv", "0F0,0B0,0SEND_F0\n1RECV_F0,1F0,1B0,1SEND_B0\n");
    let errors = [
        format!("render {TWO} --format trace"),
        format!("render {TWO} --format csv"),
        format!("render {ONE} --costs F=2"),
        format!("render {ONE} --comm nccl -o plan.csv"),
        "render wrong.csv --format svg".to_owned(),
        format!("render {ONE} -o no/such/page.html"),
    ];
    insta::assert_snapshot!(errors.map(|args| desk.error(&args)).join("\n"));
    // As a table, what is wrong can be looked at.
    assert!(desk.result("render wrong.csv").contains("1SEND_B0"));
}
