//! Placeholder until the configuration's types are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFormat { Text, Jsonl, Parquet, Tokens }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learn { Completions, All }
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenizerSource { Auto, Bytes, Path(String) }
#[derive(Clone, Debug, PartialEq)]
pub struct Source { pub paths: Vec<String>, pub format: Option<DataFormat>, pub columns: Columns }
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns { pub text: String, pub prompt: String, pub completion: String, pub messages: String }
impl Default for Columns {
    fn default() -> Self {
        Self { text: "text".into(), prompt: "prompt".into(), completion: "completion".into(), messages: "messages".into() }
    }
}
