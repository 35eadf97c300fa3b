//! From a record to tokens, and to which of them are learnt.

use std::fs;
use std::path::{Path, PathBuf};

use autopipe_config::Learn;

use super::chat::ChatTemplate;
use super::record::{Conversation, Record};
use crate::Error;
use crate::data::{RecordFault, Sample};
use crate::tokenizer::{SpecialTokens, Tokenizer, TokenizerProblem};
use crate::train::read_regular;

/// The file of a chat template, where it is one of its own.
const TEMPLATE_FILE: &str = "chat_template.jinja";

/// Where an [`Encoder`] comes from.
#[derive(Clone, Copy, Debug)]
pub struct EncoderOptions<'a> {
    /// The recipe's `tokenizer`.
    pub tokenizer: &'a autopipe_config::Tokenizer,
    /// The model's folder, if it has one.
    pub model_folder: Option<&'a Path>,
    /// The recipe's `chat_template`: a file that goes before the model's own.
    pub chat_template: Option<&'a Path>,
    /// Whether prompts are learnt, too.
    pub learn: Learn,
    /// The folder in which relative paths start.
    pub base_dir: &'a Path,
}

/// Makes tokens of records: a tokenizer, the token that ends a text, and a chat template.
#[derive(Debug)]
pub struct Encoder {
    tokenizer: Tokenizer,
    /// What stands before a text.
    beginning: Vec<u32>,
    /// What ends it.
    end: u32,
    chat: Option<ChatTemplate>,
    learn: Learn,
}

impl Encoder {
    /// The tokenizer that the options name, with what its folder says of it.
    ///
    /// A text ends with the `eos_token` of `tokenizer_config.json` or else the (first) `eos_token_id`
    /// of `generation_config.json` or `config.json`; a text of bytes with a zero. The chat template is
    /// the file given, or `chat_template.jinja`, or the `chat_template` of `tokenizer_config.json`.
    ///
    /// # Errors
    /// If there is no tokenizer where one is named, a file of it is not what it should be, or nothing
    /// says how a text ends. That there is no chat template is said when there are messages.
    pub fn open(options: &EncoderOptions<'_>) -> Result<Self, Error> {
        let (tokenizer, folder) = tokenizer(options)?;
        let special = match &folder {
            Some(folder) => SpecialTokens::open(folder, &tokenizer)?,
            None => SpecialTokens::of_bytes(),
        };
        let own = folder.or_else(|| options.model_folder.map(Path::to_owned));
        let template = match options.chat_template {
            Some(path) => Some(read_template(options.base_dir.join(path))?),
            None => own_template(own.as_deref(), &special)?,
        };
        let chat = template.map(|(path, source)| {
            ChatTemplate::new(&source, &special.named)
                .map_err(|reason| TokenizerProblem::Template { path, reason })
        });
        Ok(Self {
            beginning: tokenizer.beginning()?,
            end: special.end,
            chat: chat.transpose()?,
            learn: options.learn,
            tokenizer,
        })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The token after a text.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The chat template.
    #[cfg(test)]
    pub(super) fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat.as_ref()
    }

    /// A piece of a text: the first begins as a text does, the last has its end, and all together have
    /// no other token that is not text.
    pub(super) fn text(&self, text: &str, piece: Piece) -> Result<Sample, RecordFault> {
        let mut tokens = Vec::new();
        if piece.is_first {
            tokens.extend(&self.beginning);
            tokens.extend(self.tokenizer.encode_plain(text)?);
        } else {
            tokens.extend(self.continued(text)?);
        }
        if piece.is_last {
            tokens.push(self.end);
        }
        Ok(Sample { is_label: vec![true; tokens.len()], tokens })
    }

    /// The tokens of a record.
    ///
    /// # Errors
    /// [`Fault::Record`] if the record is at fault, [`Fault::Model`] if no record of its kind can be
    /// encoded.
    pub(super) fn record(&self, record: &Record) -> Result<Sample, Fault> {
        match record {
            Record::Text(text) => Ok(self.text(text, Piece::WHOLE)?),
            Record::Pair { prompt, completion } => Ok(self.pair(prompt, completion)?),
            Record::Conversation(conversation) => self.conversation(conversation),
        }
    }

    /// A prompt is encoded alone, as it is when the model is asked, and what follows is what the
    /// tokenizer makes of the completion behind it. Where it would make a token of both, out of the
    /// last letters of one and the first of the other, the completion is encoded apart.
    fn pair(&self, prompt: &str, completion: &str) -> Result<Sample, RecordFault> {
        let mut tokens = self.beginning.clone();
        let before = self.tokenizer.encode_plain(prompt)?;
        let whole = self.tokenizer.encode_plain(&format!("{prompt}{completion}"))?;
        let after = match whole.strip_prefix(before.as_slice()) {
            Some(after) => after.to_vec(),
            None => self.continued(completion)?,
        };
        tokens.extend(before);
        let mut is_label = vec![self.learn == Learn::All; tokens.len()];
        tokens.extend(after);
        tokens.push(self.end);
        is_label.resize(tokens.len(), true);
        Ok(Sample { tokens, is_label })
    }

    /// A text that others stand before. Many tokenizers put a blank before the first word, which is not
    /// in the text: they are given a line end before it, and its tokens are taken away again.
    fn continued(&self, text: &str) -> Result<Vec<u32>, TokenizerProblem> {
        const BEFORE: &str = "\n";
        let before = self.tokenizer.encode_plain(BEFORE)?;
        let whole = self.tokenizer.encode_plain(&format!("{BEFORE}{text}"))?;
        match whole.strip_prefix(before.as_slice()) {
            Some(after) => Ok(after.to_vec()),
            None => self.tokenizer.encode_plain(text),
        }
    }

    /// All that the template writes is encoded at once, as it is when the model is asked; a token that
    /// an assistant says any letter of is learnt.
    fn conversation(&self, conversation: &Conversation) -> Result<Sample, Fault> {
        let Some(chat) = &self.chat else {
            return Err(Fault::Model(TokenizerProblem::NoTemplate));
        };
        let written = chat.write(conversation)?;
        let places = self.tokenizer.encode_with_places(&written.text).map_err(RecordFault::from)?;
        let mut learnt = written.learnt.iter().peekable();
        let mut sample = Sample::default();
        for (token, place) in places {
            while learnt.next_if(|range| range.end <= place.start).is_some() {}
            let is_said = learnt.peek().is_some_and(|range| range.start < place.end);
            sample.tokens.push(token);
            sample.is_label.push(is_said || self.learn == Learn::All);
        }
        if sample.is_label.contains(&true) {
            Ok(sample)
        } else {
            Err(RecordFault::NothingLearnt.into())
        }
    }
}

/// Which piece of a text something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) is_first: bool,
    pub(super) is_last: bool,
}

impl Piece {
    pub(super) const WHOLE: Self = Self { is_first: true, is_last: true };
}

/// What is at fault where a record cannot be encoded.
#[derive(Debug)]
pub(super) enum Fault {
    Record(RecordFault),
    Model(TokenizerProblem),
}

impl From<RecordFault> for Fault {
    fn from(fault: RecordFault) -> Self {
        Self::Record(fault)
    }
}

/// The tokenizer, and the folder that it is in unless it is that of bytes.
fn tokenizer(
    options: &EncoderOptions<'_>,
) -> Result<(Tokenizer, Option<PathBuf>), TokenizerProblem> {
    let found = match (options.tokenizer, options.model_folder) {
        (autopipe_config::Tokenizer::Bytes, _) | (autopipe_config::Tokenizer::Auto, None) => {
            (Tokenizer::Bytes, None)
        }
        (autopipe_config::Tokenizer::Auto, Some(folder)) => {
            (Tokenizer::open(folder)?, Some(folder.to_owned()))
        }
        (autopipe_config::Tokenizer::Path(path), _) => {
            let path = options.base_dir.join(path);
            if fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                (Tokenizer::open(&path)?, Some(path))
            } else {
                let folder = path.parent().map(Path::to_owned);
                match Tokenizer::open_file(&path) {
                    Err(TokenizerProblem::Read { .. }) if !path.exists() => {
                        return Err(TokenizerProblem::Missing { path });
                    }
                    opened => (opened?, folder),
                }
            }
        }
    };
    Ok(match found {
        (Tokenizer::Bytes, Some(path))
            if matches!(options.tokenizer, autopipe_config::Tokenizer::Path(_)) =>
        {
            return Err(TokenizerProblem::Missing { path });
        }
        (Tokenizer::Bytes, _) => (Tokenizer::Bytes, None),
        found => found,
    })
}

/// The template of a model's folder, and the file that it stands in.
fn own_template(
    folder: Option<&Path>,
    special: &SpecialTokens,
) -> Result<Option<(PathBuf, String)>, TokenizerProblem> {
    let Some(folder) = folder else { return Ok(None) };
    let path = folder.join(TEMPLATE_FILE);
    if path.exists() {
        return read_template(path).map(Some);
    }
    let source = special.chat_template.clone();
    Ok(source.map(|source| (folder.join("tokenizer_config.json"), source)))
}

fn read_template(path: PathBuf) -> Result<(PathBuf, String), TokenizerProblem> {
    let bytes = read_regular(&path)
        .map_err(|source| TokenizerProblem::Read { path: path.clone(), source })?;
    match String::from_utf8(bytes) {
        Ok(source) => Ok((path, source)),
        Err(_) => Err(TokenizerProblem::Template { path, reason: "it is not UTF-8".to_owned() }),
    }
}
