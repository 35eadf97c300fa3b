//! `placement`: stages of each rank.

use crate::command::Desk;

#[test]
fn stages_of_each_rank() {
    let desk = Desk::new();
    let json = |args: &str| desk.result(&format!("placement {args} --json"));
    assert_eq!(json("--pp 4 --stages 8 --style v"), "[[0,7],[1,6],[2,5],[3,4]]\n");
    assert_eq!(json("--pp 4 --stages 8 --style loop"), "[[0,4],[1,5],[2,6],[3,7]]\n");
    assert_eq!(json("--pp 2 --stages 6 --style snake"), "[[0,3,4],[1,2,5]]\n");
    assert_eq!(json("--pp 1 --stages 1 --style loop"), "[[0]]\n");
    insta::assert_snapshot!(desk.result("placement --pp 12 --stages 24 --style v"));
}

#[test]
fn what_cannot_be_placed_says_why() {
    let desk = Desk::new();
    let errors = [
        "placement --pp 4 --stages 6 --style v",
        "placement --pp 4 --stages 3 --style loop",
        "placement --pp 4 --stages 0 --style loop",
        "placement --pp 0 --stages 4 --style loop",
        "placement --pp 4 --stages 12 --style v",
        "placement --pp 40000 --stages 80000 --style v",
        "placement --pp 4 --stages 8 --style w",
    ];
    insta::assert_snapshot!(errors.map(|args| desk.error(args)).join("\n"));
}
