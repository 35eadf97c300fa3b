//! What can be wrong with one record of a data file.

use std::fmt;
use std::path::PathBuf;

use crate::tokenizer::TokenizerProblem;

/// A record that cannot be learnt from, and where it is.
#[derive(Debug, thiserror::Error)]
#[error("{}:{place}: {fault}", path.display())]
pub struct RecordProblem {
    /// The file.
    pub path: PathBuf,
    /// Where in the file.
    pub place: RecordPlace,
    /// What is wrong.
    #[source]
    pub fault: RecordFault,
}

/// A place in a data file, as an editor would count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPlace {
    /// In a file of lines: both counted from 1.
    Line {
        /// The line.
        line: u64,
        /// The column, in bytes.
        column: u64,
    },
    /// In a file of records: counted from 1.
    Record(u64),
    /// In a file of text: counted from 1.
    Byte(u64),
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, column } => write!(f, "{line}:{column}"),
            Self::Record(number) => write!(f, "record {number}"),
            Self::Byte(number) => write!(f, "byte {number}"),
        }
    }
}

/// Why a record cannot be learnt from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// A line is no JSON.
    #[error("not JSON: {reason}; a line is one object")]
    Json {
        /// What is wrong with it.
        reason: String,
    },
    /// A line is JSON and no object.
    #[error("{found} where an object should be; a line is one, like {{\"text\": \"...\"}}")]
    NotObject {
        /// What it is.
        found: &'static str,
    },
    /// Text in another encoding, or none.
    #[error("not UTF-8")]
    Encoding,
    /// Nothing in it is known to be text.
    #[error("no record: it has {}, and a record has {forms}", keys(found))]
    NoForm {
        /// The keys that it has.
        found: Vec<String>,
        /// The keys that it might have.
        forms: String,
    },
    /// It could be read in several ways.
    #[error(
        "it has {forms}, and one of them is what is learnt; name its columns in the source, as `text_column` or its like"
    )]
    Ambiguous {
        /// The keys of each way.
        forms: String,
    },
    /// A value is of another kind.
    #[error("`{key}` is {found}, and should be {expected}")]
    Value {
        /// Where it is in the record, like `messages[2].role`.
        key: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// The chat template cannot write the messages.
    #[error("the chat template refuses it: {reason}")]
    Template {
        /// What it says.
        reason: String,
    },
    /// The chat template does not only add to what it has written.
    #[error(
        "the chat template writes message {message} otherwise when others follow, so that what is \
         learnt of it cannot be told; put it between {{% generation %}} and {{% endgeneration %}} in a \
         copy of the template, and give that as `chat_template`", message = message + 1
    )]
    Rewritten {
        /// The message's number, from 0.
        message: usize,
    },
    /// The ends of what is learnt do not match.
    #[error("the chat template has a generation within another, or cuts one in two")]
    Unmarked,
    /// Characters that no text has.
    #[error("it has the character U+FDD0 or U+FDD1, which are no text")]
    Marks,
    /// All of it is masked.
    #[error("none of its messages is an assistant's, so that there is nothing to learn")]
    NothingLearnt,
    /// The tokenizer has no token for some of it.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerProblem),
}

fn keys(found: &[String]) -> String {
    match found {
        [] => "no keys".to_owned(),
        [one] => format!("the key `{one}`"),
        several => format!("the keys `{}`", several.join("`, `")),
    }
}
