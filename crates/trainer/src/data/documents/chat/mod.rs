//! A model's chat template: how it writes a conversation, and which part of that an assistant says.
//!
//! Templates are Jinja, rendered as transformers renders them: blocks on lines of their own leave no
//! line, `break` and `continue` are known, values have Python's methods, `tojson` writes what
//! Python's `json.dumps` does, and `raise_exception` refuses a conversation. What a template is given
//! are `messages`, `tools`, `add_generation_prompt` and the special tokens by their names.
//! `strftime_now` is not defined, as in older transformers: training does not depend on the day, and
//! templates that ask whether it is there have a date for that.

mod generation;
mod json;
mod turns;

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::data::RecordFault;
use crate::data::documents::record::Conversation;
use crate::tokenizer::END;

const NAME: &str = "chat_template";

/// A chat template, compiled.
#[derive(Debug)]
pub(super) struct ChatTemplate {
    environment: Environment<'static>,
    /// The special tokens.
    named: Value,
    /// The one of them that ends a text.
    end_token: String,
    /// Whether it marks what an assistant says.
    is_marked: bool,
}

/// A conversation as a model reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) text: String,
    /// The bytes of it that an assistant says, in order and apart from each other.
    pub(super) learnt: Vec<Range<usize>>,
}

impl ChatTemplate {
    /// Compiles a template; a mistake in it is told with its line.
    pub(super) fn new(source: &str, named: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_filter("tojson", json::tojson);
        environment.add_filter(generation::FILTER, generation::mark);
        environment.add_function("raise_exception", raise_exception);
        let (source, is_marked) = generation::as_filter(source);
        environment.add_template_owned(NAME, source).map_err(|error| error.to_string())?;
        let end_token = named.get(END).cloned().unwrap_or_default();
        let named = Value::from_pairs(named.iter().map(|(name, text)| (name.as_str(), text)));
        Ok(Self { environment, named, end_token, is_marked })
    }

    /// Writes a conversation. Where nothing of it is an assistant's, nothing is learnt.
    pub(super) fn write(&self, conversation: &Conversation) -> Result<Written, RecordFault> {
        let messages: Vec<Value> =
            conversation.messages.iter().map(|message| Value::from(Serde(message))).collect();
        let tools = Value::from(Serde(&conversation.tools));
        let render = |messages: &[Value], turn: Turn| self.render(messages, &tools, turn);
        if self.is_marked {
            if conversation.has_any(&generation::MARKS) {
                return Err(RecordFault::Marks);
            }
            return generation::unmark(&render(&messages, Turn::Nobody)?);
        }
        turns::write(conversation, &messages, &self.end_token, render)
    }

    fn render(&self, messages: &[Value], tools: &Value, turn: Turn) -> Result<String, RecordFault> {
        let template = self.environment.get_template(NAME).map_err(|error| refused(&error))?;
        let context = context! {
            messages => messages,
            tools => tools,
            add_generation_prompt => turn == Turn::Assistant,
            ..self.named.clone()
        };
        template.render(context).map_err(|error| refused(&error))
    }
}

/// Whose turn it is after the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The conversation is over.
    Nobody,
    /// What begins an assistant's message follows, and a model would go on.
    Assistant,
}

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

fn refused(error: &Error) -> RecordFault {
    RecordFault::Template { reason: error.to_string() }
}
