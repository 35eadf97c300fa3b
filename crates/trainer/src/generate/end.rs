//! Which tokens end a text.

use std::path::Path;

use autopipe_models::read_config;
use serde_json::Value;

use super::GenerateProblem;
use crate::Error;
use crate::data::SEPARATOR;
use crate::tokenizer::Tokenizer;
use crate::train::read_regular;

const FILE: &str = "generation_config.json";
const KEY: &str = "eos_token_id";

/// What `generation_config.json` says, and `config.json` where that says nothing. A text of bytes
/// ends where a file of the training data does, too.
pub(super) fn end_tokens(folder: &Path, tokenizer: &Tokenizer) -> Result<Vec<u32>, Error> {
    let path = folder.join(FILE);
    let generation = if path.exists() { read(&path)? } else { Value::Null };
    let mut ends = tokens(&generation, &path)?;
    if ends.is_empty() {
        ends = tokens(&read_config(folder)?, &folder.join("config.json"))?;
    }
    if matches!(tokenizer, Tokenizer::Bytes) {
        ends.push(u32::from(SEPARATOR));
    }
    Ok(ends)
}

/// The tokens that the files of a folder name, as far as there are such files.
pub(crate) fn named_ends(folder: &Path) -> Result<Vec<u32>, GenerateProblem> {
    for file in [FILE, "config.json"] {
        let path = folder.join(file);
        if path.exists() {
            let ends = tokens(&read(&path)?, &path)?;
            if !ends.is_empty() {
                return Ok(ends);
            }
        }
    }
    Ok(Vec::new())
}

fn read(path: &Path) -> Result<Value, GenerateProblem> {
    let bytes = read_regular(path)
        .map_err(|source| GenerateProblem::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes)
        .map_err(|source| GenerateProblem::Json { path: path.to_owned(), source })
}

/// A number, a list of numbers, or nothing.
fn tokens(config: &Value, path: &Path) -> Result<Vec<u32>, GenerateProblem> {
    let value = match config.get(KEY) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => value,
    };
    let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
    let found = match value {
        Value::Array(list) => list.iter().map(token).collect(),
        one => token(one).map(|token| vec![token]),
    };
    found.ok_or_else(|| GenerateProblem::EndToken {
        path: path.to_owned(),
        value: value.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: Value) -> Result<Vec<u32>, String> {
        let config = json!({ KEY: value });
        tokens(&config, Path::new("config.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn one_token_several_or_none() {
        assert_eq!(of(json!(2)).unwrap(), [2]);
        assert_eq!(of(json!([1, 128_009])).unwrap(), [1, 128_009]);
        assert!(of(json!(null)).unwrap().is_empty());
        for (wrong, shown) in
            [(json!(-1), "-1"), (json!([1, "a"]), r#"[1,"a"]"#), (json!({}), "{}")]
        {
            assert_eq!(
                of(wrong).unwrap_err(),
                format!(
                    "`eos_token_id` of `config.json` is {shown}; it is a token, or a list of them"
                )
            );
        }
    }

    #[test]
    fn files_go_before_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
        let ends = || end_tokens(folder.path(), &Tokenizer::Bytes);
        assert!(ends().is_err(), "there is no config");
        write("config.json", r#"{"eos_token_id": 2}"#);
        assert_eq!(ends().unwrap(), [2, 0]);
        write(FILE, "{}");
        assert_eq!(ends().unwrap(), [2, 0]);
        write(FILE, r#"{"eos_token_id": [7, 8]}"#);
        assert_eq!(ends().unwrap(), [7, 8, 0]);
        write(FILE, "{");
        assert!(ends().unwrap_err().to_string().contains("generation_config.json` is no JSON"));
    }
}
