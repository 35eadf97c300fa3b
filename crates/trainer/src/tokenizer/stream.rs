//! Text from tokens as they come, never with half a character at its end.

use super::{Tokenizer, TokenizerProblem};

/// Makes text of one token after the other.
///
/// A character may be made of several tokens, and a token's text may depend on those before it, as
/// where words begin with their blank but a text does not. So what a token adds is what it makes
/// longer, and a character waits until it is whole.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens so far, those of the prompt before them.
    tokens: Vec<u32>,
    /// The first token that is decoded: those before it change nothing any more.
    first: usize,
    /// Up to which token the text has been handed out.
    done: usize,
}

/// How many tokens of a prompt say all that matters for what follows.
const CONTEXT: usize = 8;

/// How many tokens wait for a character to become whole. None is made of as many; these are of no
/// text, and are shown as such.
const MAX_WAITING: usize = 16;

impl<'a> TextStream<'a> {
    /// The text that follows `prompt`.
    pub fn new(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Self {
        let (first, done) = (prompt.len().saturating_sub(CONTEXT), prompt.len());
        Self { tokenizer, tokens: prompt.to_vec(), first, done }
    }

    /// The text that `token` completes; empty if none is.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn push(&mut self, token: u32) -> Result<String, TokenizerProblem> {
        self.tokens.push(token);
        self.text(self.tokens.len() - self.done < MAX_WAITING)
    }

    /// What is left, where it is half a character with a mark in its place.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn finish(mut self) -> Result<String, TokenizerProblem> {
        self.text(false)
    }

    fn text(&mut self, may_wait: bool) -> Result<String, TokenizerProblem> {
        let waiting = &self.tokens[self.done..];
        let text = match self.tokenizer {
            Tokenizer::Bytes => {
                let bytes: Vec<u8> =
                    waiting.iter().filter_map(|&id| u8::try_from(id).ok()).collect();
                if may_wait && is_incomplete(&bytes) {
                    return Ok(String::new());
                }
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Tokenizer::HuggingFace(tokenizer) => {
                let decode = |tokens| {
                    let failed = |source| TokenizerProblem::Run { task: "write text", source };
                    tokenizer.decode(tokens, true).map_err(failed)
                };
                let before = decode(&self.tokens[self.first..self.done])?;
                let now = decode(&self.tokens[self.first..])?;
                if may_wait && now.ends_with(char::REPLACEMENT_CHARACTER) {
                    return Ok(String::new());
                }
                let added = now.strip_prefix(&before).or_else(|| now.get(before.len()..));
                added.unwrap_or_default().to_owned()
            }
        };
        // What makes no text of its own, such as a mark of where a turn ends, stays with the next.
        if !text.is_empty() {
            self.first = self.done;
            self.done = self.tokens.len();
        }
        Ok(text)
    }
}

/// Whether bytes end in the midst of a character.
fn is_incomplete(bytes: &[u8]) -> bool {
    bytes.utf8_chunks().last().is_some_and(|chunk| {
        let rest = std::str::from_utf8(chunk.invalid());
        rest.is_err_and(|error| error.error_len().is_none())
    })
}
