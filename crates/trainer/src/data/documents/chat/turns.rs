//! What an assistant says, found from how a template writes the beginnings of a conversation.
//!
//! Before message `k` a model has read the messages before it and what begins an assistant's; after
//! it, one message more:
//!
//! ```text
//! messages[..k], and the prompt   <user>Two?<assistant>
//! messages[..=k]                  <user>Two?<assistant>Four.<end>
//! all messages                    <user>Two?<assistant>Four.<end><user>And three?<assistant>...
//!                                                     ^^^^^^^^^^ message k
//! ```
//!
//! That is right if each is the beginning of the next. Templates that write a message otherwise once
//! others follow, by leaving out what a model has thought, are refused.

use minijinja::value::Value;

use super::{Turn, Written};
use crate::data::RecordFault;
use crate::data::documents::record::Conversation;

pub(super) fn write(
    conversation: &Conversation,
    messages: &[Value],
    render: &dyn Fn(&[Value], Turn) -> Result<String, RecordFault>,
) -> Result<Written, RecordFault> {
    let text = render(messages, Turn::Nobody)?;
    let mut learnt = Vec::new();
    for number in conversation.assistants() {
        let differs = || RecordFault::Rewritten { message: number };
        let before = render(&messages[..number], Turn::Assistant)?;
        let start = if text.starts_with(&before) {
            before.len()
        } else {
            // Messages of one role in a row, as of an assistant that has called a tool, may have no
            // beginning of their own.
            let before = render(&messages[..number], Turn::Nobody)?;
            if !text.starts_with(&before) {
                return Err(differs());
            }
            before.len()
        };
        let end = if number + 1 == messages.len() {
            text.len()
        } else {
            let through = render(&messages[..=number], Turn::Nobody)?;
            if !text.starts_with(&through) {
                return Err(differs());
            }
            through.len()
        };
        let begun = learnt.last().map_or(0, |last: &std::ops::Range<usize>| last.end);
        if start < begun || end < start {
            return Err(differs());
        }
        learnt.push(start..end);
    }
    Ok(Written { text, learnt })
}
