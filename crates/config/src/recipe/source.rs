//! Where text comes from: files of one kind, and how much they weigh among others.

use super::dataset::Role;
use crate::{
    choice::choices,
    section::{Kind as _, ListOf, Name, Positive, Reported, Section, Text},
};

choices! {
    /// What a data file holds.
    pub enum DataFormat("data format") {
        /// Text, a document a file.
        Text = "text",
        /// JSON, a record a line.
        Jsonl = "jsonl",
        /// A table with a record a row.
        Parquet = "parquet",
        /// Tokens: raw numbers, or a tensor of a safetensors file.
        Tokens = "tokens",
    }
}

choices! {
    /// The type of raw tokens in a file.
    pub enum TokenDtype("type of tokens") {
        /// 16 bits.
        Uint16 = "uint16",
        /// 32 bits.
        Uint32 = "uint32",
    }
}

/// Files of one kind, and how much they weigh among others.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Glob patterns of files; at least one. They are not expanded here.
    pub paths: Vec<String>,
    /// How often a row comes from here, relative to the weights of the other sources.
    pub weight: f64,
    /// What the files hold; without it, their extensions tell.
    pub format: Option<DataFormat>,
    /// The type of the tokens of `bin` files; without it, 16 bits if they hold the vocabulary.
    pub token_dtype: Option<TokenDtype>,
    /// The key of a record's text.
    pub text_column: String,
    /// The key of a record's prompt, which is not learnt.
    pub prompt_column: String,
    /// The key of what follows the prompt.
    pub completion_column: String,
    /// The key of a record's conversation.
    pub messages_column: String,
}

impl Source {
    /// The sources of a data section: a list of them, or one whose keys stand in the section itself.
    /// A section that may be left out, and is, has none.
    pub(super) fn read_all(
        section: &mut Section<'_>,
        role: Role<'_>,
    ) -> Result<Vec<Source>, Reported> {
        // Of one source, what another file like it has is the same.
        let base = match role {
            Role::Training | Role::Validation(None) => None,
            Role::Validation(Some(base)) => match base.sources.as_slice() {
                [only] => Some(only),
                _ => None,
            },
        };
        let is_left_out = matches!(role, Role::Validation(_)) && !section.is_written();
        let doc = "Several sources with their weights, in place of `paths`.";
        let several = section.each("sources", doc, |item| {
            item.describe("Files of one kind, and how much they weigh among others.");
            let paths = item.field("paths", PATHS, ListOf(Text).required());
            let doc = "How often a row comes from here, relative to the other sources' weights.";
            let weight = item.field("weight", doc, Positive.or(1.0));
            Source::read(item, paths, weight, base)
        });
        let paths = section.field("paths", PATHS, ListOf(Text).optional());
        let (is_one, is_list) = (section.is_set("paths"), section.is_set("sources"));
        let paths = match (paths, is_one, is_list) {
            (paths, true, false) => paths.map(Option::unwrap_or_default),
            (paths, false, true) => paths.map(Option::unwrap_or_default),
            (_, true, true) => {
                let message = "stands beside `sources`, each of which has its own";
                Err(section.refuse("paths", message, "remove one of the two"))
            }
            (_, false, false) if is_left_out => Ok(Vec::new()),
            (_, false, false) => {
                let message = "nothing says what is read";
                let help = "give patterns of files as `paths`, or several `sources` with weights";
                Err(section.refuse_whole(message, help))
            }
        };
        let one = Source::read(section, paths, Ok(1.0), base)?;
        if is_list {
            for key in KEYS.into_iter().filter(|key| section.is_set(key)) {
                let message = "stands beside `sources`, each of which has its own";
                section.refuse(key, message, "move it into the sources it is about");
            }
        }
        Ok(several?.unwrap_or_else(|| vec![one]))
    }

    fn read(
        section: &mut Section<'_>,
        paths: Result<Vec<String>, Reported>,
        weight: Result<f64, Reported>,
        base: Option<&Source>,
    ) -> Result<Source, Reported> {
        let doc = "What the files hold; without it, their extensions tell: `jsonl`, `json`, \
                   `ndjson`, `parquet`, `bin` and `safetensors` (tokens), and text for every other.";
        let format = section.field("format", doc, Name::OF.optional());
        let doc = "The type of the tokens of `bin` files; without it, 16 bits if they hold the \
                   vocabulary.";
        let token_dtype = section.field("token_dtype", doc, Name::OF.optional());
        let of_base = |column: fn(&Source) -> &str, usual: &'static str| base.map_or(usual, column);
        let mut column = |key, doc, default: &str| section.field(key, doc, Text.or(default));
        let default = of_base(|base| &base.text_column, "text");
        let text = column("text_column", "The key of a record's text.", default);
        let doc = "The key of a record's prompt, which is not learnt.";
        let prompt = column("prompt_column", doc, of_base(|base| &base.prompt_column, "prompt"));
        let doc = "The key of what follows the prompt.";
        let default = of_base(|base| &base.completion_column, "completion");
        let completion = column("completion_column", doc, default);
        let doc = "The key of a record's conversation.";
        let messages =
            column("messages_column", doc, of_base(|base| &base.messages_column, "messages"));
        Ok(Source {
            paths: paths?,
            weight: weight?,
            format: format?,
            token_dtype: token_dtype?,
            text_column: text?,
            prompt_column: prompt?,
            completion_column: completion?,
            messages_column: messages?,
        })
    }
}

const PATHS: &str = "Glob patterns of files; at least one.";

/// The keys of a source but for its paths and its weight.
const KEYS: [&str; 6] = [
    "format",
    "token_dtype",
    "text_column",
    "prompt_column",
    "completion_column",
    "messages_column",
];
