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
//! That is right if each is the beginning of the next, but for an end token that a template sets behind
//! whatever is last. Templates that write a message otherwise once
//! others follow, by leaving out what a model has thought, are refused.

use std::ops::Range;

use minijinja::value::Value;

use super::{Turn, Written};
use crate::data::RecordFault;
use crate::data::documents::record::Conversation;

pub(super) fn write(
    conversation: &Conversation,
    messages: &[Value],
    end_token: &str,
    render: impl Fn(&[Value], Turn) -> Result<String, RecordFault>,
) -> Result<Written, RecordFault> {
    let text = render(messages, Turn::Nobody)?;
    // How many bytes of the text a template writes of the first messages.
    let len = |num_messages: usize, turn: Turn| -> Result<Option<usize>, RecordFault> {
        if (num_messages, turn) == (messages.len(), Turn::Nobody) {
            return Ok::<_, RecordFault>(Some(text.len()));
        }
        let written = render(&messages[..num_messages], turn)?;
        let written = match written.strip_suffix(end_token) {
            Some(without) if !text.starts_with(&written) => without,
            _ => &written,
        };
        Ok(text.starts_with(written).then_some(written.len()))
    };
    let assistants: Vec<usize> = conversation.assistants().collect();
    let follows_assistant = |number: usize| number > 0 && assistants.contains(&(number - 1));
    let mut learnt: Vec<Range<usize>> = Vec::new();
    for &number in &assistants {
        let start = match len(number, Turn::Assistant)? {
            Some(start) => start,
            // A message behind another of an assistant's may have no beginning of its own; before any
            // other, the template writes something else when it asks for an answer than in the text.
            None if !follows_assistant(number) => {
                return Err(RecordFault::Rewritten { message: number });
            }
            None => len(number, Turn::Nobody)?.ok_or(RecordFault::Rewritten { message: number })?,
        };
        let end = len(number + 1, Turn::Nobody)?;
        let begun = learnt.last().map_or(0, |last| last.end);
        match end {
            Some(end) if begun <= start && start <= end => learnt.push(start..end),
            _ => return Err(RecordFault::Rewritten { message: number }),
        }
    }
    Ok(Written { text, learnt })
}
