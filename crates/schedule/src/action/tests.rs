//! The text of actions, there and back, and what is refused.

use super::{Action, ComputeOp, Direction};

fn error(text: &str) -> String {
    text.parse::<Action>().unwrap_err().to_string()
}

#[test]
fn an_action_takes_eight_bytes() {
    assert_eq!(size_of::<Action>(), 8);
    assert_eq!(size_of::<Option<Action>>(), 8);
    assert_eq!(size_of::<Option<crate::Work>>(), 8);
}

#[test]
fn text_and_action_are_inverses() {
    for text in [
        "2F0",
        "1I3",
        "1W3",
        "12B34",
        "0SEND_F1",
        "1RECV_F1",
        "2SEND_B0",
        "1RECV_B0",
        "0RECV_B12",
        "65535F65535",
        "0F0",
        "3R4",
        "0WAIT_SEND_F0",
        "0WAIT_SEND_B7",
        "1UNSHARD",
        "1RESHARD",
        "12REDUCE_GRAD",
        "1WAIT_REDUCE_GRAD",
        "3REDUCE_TIED1",
        "0OPTIMIZER_STEP",
        "(0F1;3B0)OVERLAP_F_B",
        "(8191F32767;8190B32766)OVERLAP_F_B",
    ] {
        let action: Action = text.parse().unwrap();
        assert_eq!(action.to_string(), text);
    }
}

#[test]
fn the_parts_of_an_action() {
    let Ok(Action::Compute(compute)) = "12I34".parse() else { panic!("a computation") };
    assert_eq!(compute.op, ComputeOp::BackwardInput);
    assert_eq!((compute.stage.index(), compute.microbatch.index()), (12, 34));
    let Ok(Action::Recv(transfer)) = "1RECV_B7".parse() else { panic!("a receive") };
    assert_eq!(transfer.direction, Direction::Backward);
    assert_eq!((transfer.stage.index(), transfer.microbatch.index()), (1, 7));
}

#[test]
fn sends_and_receives_pair() {
    for (send, recv) in [("0SEND_F1", "1RECV_F1"), ("2SEND_B0", "1RECV_B0")] {
        let [send, recv]: [Action; 2] = [send, recv].map(|text| text.parse().unwrap());
        assert_eq!(send.counterpart(), Some(recv));
        assert_eq!(recv.counterpart(), Some(send));
        let (Action::Send(sent), Action::Recv(received)) = (send, recv) else { panic!("a pair") };
        assert_eq!(sent.receiver(), received.stage);
        assert_eq!(received.counterpart(), sent);
    }
    for text in ["0SEND_B0", "0RECV_F0", "65535SEND_F0", "65535RECV_B0", "1F0"] {
        assert_eq!(text.parse::<Action>().unwrap().counterpart(), None, "{text}");
    }
}

#[test]
fn only_the_whole_and_canonical_text_is_an_action() {
    assert_eq!(
        error("2F0junk"),
        "`2F0junk` is no action: expected the end at column 4, found `j`; a valid one is `2F0` or \
         `0SEND_F1`"
    );
    for (text, expected) in [
        ("", "expected a stage number at column 1, found the end"),
        ("F0", "expected a stage number at column 1, found `F`"),
        ("-1F0", "expected a stage number at column 1, found `-`"),
        (" 2F0", "expected a stage number at column 1, found ` `"),
        ("None", "expected a stage number at column 1, found `N`"),
        ("é1F0", "expected a stage number at column 1, found `é`"),
        ("00F7", "expected a number without leading zeros at column 1, found `0`"),
        ("0F07", "expected a number without leading zeros at column 3, found `0`"),
        ("2F", "expected a microbatch number at column 3, found the end"),
        ("1RECV_F", "expected a microbatch number at column 8, found the end"),
        ("2F-1", "expected a microbatch number at column 3, found `-`"),
        ("2", "expected an operation, as F or SEND_B, at column 2, found the end"),
        ("1 F0", "expected an operation, as F or SEND_B, at column 2, found ` `"),
        ("2F0 ", "expected the end at column 4, found ` `"),
        ("2F0\n", "expected the end at column 4, found `\\n`"),
        ("2F0,", "expected the end at column 4, found `,`"),
        ("2F٣", "expected a microbatch number at column 3, found `٣`"),
        ("2UNSHARD1", "expected the end at column 9, found `1`"),
        ("2REDUCE_TIED", "expected the number of a group at column 13, found the end"),
        ("()OVERLAP_F_B", "expected a stage number at column 2, found `)`"),
        ("(0F1", "expected `;` and a backward at column 5, found the end"),
        ("(0F1;3B0)", "expected OVERLAP_F_B at column 10, found the end"),
        ("(0F1;3B0)XX", "expected OVERLAP_F_B at column 10, found `X`"),
        ("(0F1)F", "expected `;` and a backward at column 5, found `)`"),
        ("(0B1;3F0)OVERLAP_F_B", "expected F, the forward, at column 3, found `B`"),
        ("(0F1;3I0)OVERLAP_F_B", "expected B, the backward, at column 7, found `I`"),
        ("(0F1;3B0)OVERLAP_F_B2", "expected the end at column 21, found `2`"),
        ("1OVERLAP_F_B", "expected an overlap's parts in parentheses, as `(0F1;3B0)`, at column 1"),
    ] {
        let message = error(text);
        assert!(message.contains(expected), "{text:?}: {message}");
    }
}

#[test]
fn words_that_are_no_operation() {
    let expected = "expected F, I, W, B, R, SEND_F or another operation at column 2, found";
    for (text, rest) in [
        ("1X0", "`X`"),
        ("1f0", "`f`, did you mean F?"),
        ("1FF0", "`FF`, did you mean F?"),
        ("1SENDF0", "`SENDF`, did you mean SEND_F?"),
        ("0recv_b0", "`recv_b`, did you mean RECV_B?"),
        ("0SHARD", "`SHARD`, did you mean RESHARD?"),
        ("0BACKWARD", "`BACKWARD`"),
    ] {
        assert_eq!(error(text), format!("`{text}` is no action: {expected} {rest}"));
    }
}

#[test]
fn an_overlap_is_read_as_torch_writes_it_and_as_people_do() {
    let overlap: Action = "(0F1; 3B0)OVERLAP_F_B".parse().unwrap();
    assert_eq!(overlap.to_string(), "(0F1;3B0)OVERLAP_F_B");
    let parts: Vec<String> = overlap.computes().map(|part| part.to_string()).collect();
    assert_eq!(parts, ["0F1", "3B0"]);
    assert_eq!((overlap.stage(), overlap.microbatch()), (None, None));
    assert_eq!(
        error("(8192F0;0B0)OVERLAP_F_B"),
        "`(8192F0;0B0)OVERLAP_F_B` is no action: the stage at column 2 is too large, the largest is \
         8191"
    );
}

#[test]
fn numbers_have_a_limit() {
    assert_eq!(
        error("65536F0"),
        "`65536F0` is no action: the stage at column 1 is too large, the largest is 65535"
    );
    assert_eq!(
        error("0F99999999999999999999999"),
        "`0F99999999999999999999999` is no action: the microbatch at column 3 is too large, the \
         largest is 65535"
    );
}

#[test]
fn long_texts_are_cut_in_messages() {
    assert!(error(&"x".repeat(1_000_000)).len() < 300);
    assert!(error(&format!("1{}", "X".repeat(1_000_000))).len() < 300);
}
