//! Costs from text and JSON, what follows from them, and what is refused.

use super::{Communication, CostKey, Costs};
use crate::{Action, Stage};

fn costs(text: &str) -> Costs {
    text.parse().unwrap()
}

fn error(text: &str) -> String {
    text.parse::<Costs>().unwrap_err().to_string()
}

fn of(costs: &Costs, action: &str) -> f64 {
    costs.of(action.parse::<Action>().unwrap())
}

#[test]
fn nothing_given_is_the_unit() {
    assert_eq!(costs(""), Costs::UNIT);
    assert_eq!(serde_json::from_str::<Costs>("{}").unwrap(), Costs::UNIT);
    let times = ["0F0", "0I0", "0W0", "0B0", "0R0", "(0F1;0B0)OVERLAP_F_B", "0UNSHARD"];
    assert_eq!(times.map(|action| of(&Costs::UNIT, action)), [1.0, 1.0, 1.0, 2.0, 1.0, 3.0, 0.0]);
}

#[test]
fn what_is_not_given_follows_from_what_is() {
    let backward = |text: &str| ["0B0", "0I0", "0W0"].map(|action| of(&costs(text), action));
    assert_eq!(backward("I=3,W=2"), [5.0, 3.0, 2.0]);
    assert_eq!(backward("B=5"), [5.0, 2.5, 2.5]);
    assert_eq!(backward("B=5,I=3"), [5.0, 3.0, 2.0]);
    assert_eq!(backward("B=5,W=6"), [5.0, 0.0, 6.0]);
    assert_eq!(backward("B=4,I=3,W=2"), [4.0, 3.0, 2.0], "a whole backward may be faster");
    assert_eq!(of(&costs("F=3"), "0R0"), 3.0);
    assert_eq!(of(&costs("F=3,R=2"), "0R0"), 2.0);
    assert_eq!(of(&costs("F=3,overlap_factor=0.5"), "(0F1;0B0)OVERLAP_F_B"), 2.5);
    assert_eq!(of(&costs("F=3,overlap=2:4"), "(1F1;0B0)OVERLAP_F_B"), 4.0);
}

#[test]
fn stages_and_microbatches_may_differ() {
    let costs = costs("F=1:2:4,microbatches=1:10");
    let times = ["0F0", "1F0", "2F0", "9F0", "1F1", "1F2"];
    assert_eq!(times.map(|action| of(&costs, action)), [1.0, 2.0, 4.0, 4.0, 20.0, 2.0]);
    let exact = costs.with_action("1F1".parse().unwrap(), 7.0).unwrap();
    assert_eq!([of(&exact, "1F1"), of(&exact, "1F2")], [7.0, 2.0]);
}

#[test]
fn messages_take_their_latency_and_their_size_by_the_bandwidth() {
    let costs = costs("comm=0.5:1,bytes=6:8,bandwidth=2");
    assert_eq!([0, 1, 2].map(|stage| costs.message(Stage::new(stage))), [3.5, 5.0, 5.0]);
    assert_eq!(costs.of("0SEND_F0".parse().unwrap()), 0.0);
}

#[test]
fn all_keys_are_read_in_any_case_and_come_back_as_json() {
    for key in CostKey::ALL {
        let text = format!(" {} = 0.5 ", key.name().to_lowercase());
        let costs = costs(&text);
        assert_eq!(costs, Costs::UNIT.with(key, 0.5).unwrap(), "{text}");
        let json = serde_json::to_value(&costs).unwrap();
        assert_eq!(json, serde_json::json!({"communication": "async", key.name(): 0.5}));
        assert_eq!(serde_json::from_value::<Costs>(json).unwrap(), costs);
    }
    for model in Communication::ALL {
        assert_eq!(costs(&format!("communication={model}")).communication(), model);
    }
}

#[test]
fn json_has_exact_times() {
    let json = serde_json::json!({
        "communication": "rendezvous",
        "microbatches": [1.0, 1.5],
        "actions": {"1F0": 2.5},
        "F": [1.0, 2.0],
    });
    let costs: Costs = serde_json::from_value(json.clone()).unwrap();
    assert_eq!([of(&costs, "1F0"), of(&costs, "1F1")], [2.5, 3.0]);
    assert_eq!(serde_json::to_value(&costs).unwrap(), json);
    let wrong = r#"{"actions": {"1SEND_F0": 1, "1F": 1, "0B0": -1}, "G": 1}"#;
    assert_eq!(
        serde_json::from_str::<Costs>(wrong).unwrap_err().to_string(),
        "there is no cost \"G\", there are F, I, W, B, R, overlap, overlap_factor, unshard, reshard, \
         reduce_grad, reduce_tied, optimizer_step, latency, bytes, bandwidth, activation, \
         held_for_w, held_for_r, resident, workspace_f, workspace_i, workspace_w, workspace_b and \
         workspace_r; \"1F\" has a time but is no action; one is written as `2F0` or `0UNSHARD`; \
         0B0 is -1, not a finite number of 0 or more; \
         1SEND_F0 has no time of its own; give the latency and the bandwidth of messages"
    );
}

#[test]
fn every_wrong_cost_is_named() {
    let range = "not a finite number of 0 or more";
    assert_eq!(error("F=inf"), format!("F is inf, {range}"));
    assert_eq!(error("W=1:-2"), format!("W of stage 1 is -2, {range}"));
    assert_eq!(
        error("comm=1:nan,microbatches=1:-1"),
        format!(
            "latency between stages 1 and 2 is NaN, {range}; \
             the factor of microbatch 1 is -1, {range}"
        )
    );
    assert_eq!(
        error("F,comm=1,latency=2"),
        "\"F\" has no value; write it as F=1; latency is given twice"
    );
    assert_eq!(error("latencyy=1"), "there is no cost \"latencyy\", did you mean latency?");
    assert_eq!(
        error("I=1:x"),
        "I is \"1:x\", which is no number; write one, or one a stage as in 1:2.5:1"
    );
    assert_eq!(
        error("communication=mpi"),
        "communication is \"mpi\"; it can be async, rendezvous or nccl"
    );
    assert_eq!(
        error("overlap=1,overlap_factor=1"),
        "overlap and overlap_factor are both given; leave one away"
    );
    assert_eq!(
        error("bandwidth=0"),
        "bandwidth is 0, but a bandwidth is more than 0; leave it away if there is no limit"
    );
    let empty = Costs::UNIT.with(CostKey::Forward, Vec::new()).unwrap_err();
    assert_eq!(empty.to_string(), "F has an empty list; give one value, or one a stage");
}

#[test]
fn lists_should_have_a_value_for_each_stage() {
    let costs = costs("F=1:2:3,comm=1:2,W=4");
    assert_eq!(costs.check_stages(3), Ok(()));
    assert_eq!(
        costs.check_stages(4).unwrap_err().to_string(),
        "F has 3 values, but the schedule needs 4; give one value, or 4; \
         latency has 2 values, but the schedule needs 3; give one value, or 3"
    );
}

#[test]
fn times_add_up_to_finite_ones_whatever_is_given() {
    assert_eq!(
        error("F=1e61,W=1:1e308,bandwidth=1e-61,microbatches=2e60"),
        "F is 1e61, which is too large to reckon with; use a unit in which it is at most 1e60; \
         W of stage 1 is 1e308, which is too large to reckon with; use a unit in which it is at most \
         1e60; bandwidth is 1e-61, which is too small to reckon with; use a unit in which it is at \
         least 1e-60; the factor of microbatch 0 is 2e60, which is too large to reckon with; use a \
         unit in which it is at most 1e60"
    );
    let most = costs("F=1e60,overlap_factor=1e60,bytes=1e60,bandwidth=1e-60,microbatches=1e60");
    let longest = of(&most, "(0F0;0B1)OVERLAP_F_B").max(most.message(Stage::new(0)));
    assert!((longest * 1e12).is_finite(), "{longest}");
}
