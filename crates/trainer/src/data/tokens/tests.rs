//! How files of tokens are read, and what is said of those that are none.

use std::fs;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use tempfile::TempDir;

use super::*;

const VOCAB_SIZE: usize = 1000;

fn open(folder: &TempDir, dtype: Option<TokenDtype>) -> Result<TokenFiles, Error> {
    TokenFiles::open(&["*"], folder.path(), dtype, VOCAB_SIZE)
}

/// What opening or reading says, with the folder's own name as `DIR`.
fn refusal(folder: &TempDir, error: &Error) -> String {
    error.to_string().replace(folder.path().to_str().unwrap(), "DIR")
}

fn refused(folder: &TempDir) -> String {
    refusal(folder, &open(folder, None).unwrap_err())
}

fn read(files: &TokenFiles, offset: u64, len: usize) -> Result<Vec<u32>, Error> {
    let mut tokens = Vec::new();
    files.read(offset, len, VOCAB_SIZE, &mut tokens).map(|()| tokens)
}

fn write_bin(folder: &TempDir, name: &str, tokens: &[u16]) {
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    fs::write(folder.path().join(name), bytes).unwrap();
}

fn write_tensor(
    folder: &TempDir,
    file: &str,
    name: &str,
    dtype: Dtype,
    dims: &[usize],
    data: &[u8],
) {
    let view = TensorView::new(dtype, dims.to_vec(), data).unwrap();
    // Something in front, so that the tokens do not begin where the data do.
    let other = TensorView::new(Dtype::U8, vec![8], &[7; 8]).unwrap();
    let path = folder.path().join(file);
    serialize_to_file([("a", other), (name, view)], None, &path).unwrap();
}

#[test]
fn files_stand_one_after_the_other_whatever_they_are_written_in() {
    let folder = tempfile::tempdir().unwrap();
    write_bin(&folder, "a.bin", &[1, 2, 3]);
    write_bin(&folder, "b.bin", &[]);
    write_bin(&folder, "c.bin", &[999]);
    write_tensor(&folder, "d.safetensors", "tokens", Dtype::U8, &[2], &[4, 255]);
    let wide: Vec<u8> = [5_i64, 6].iter().flat_map(|token| token.to_le_bytes()).collect();
    write_tensor(&folder, "e.safetensors", "input_ids", Dtype::I64, &[2], &wide);
    let middle: Vec<u8> = [7_i32, 8].iter().flat_map(|token| token.to_le_bytes()).collect();
    write_tensor(&folder, "f.safetensors", "tokens", Dtype::I32, &[2], &middle);
    write_tensor(&folder, "g.safetensors", "tokens", Dtype::U32, &[2], &middle);
    write_tensor(&folder, "h.safetensors", "tokens", Dtype::U16, &[1], &[9, 0]);
    let files = open(&folder, None).unwrap();
    let whole = [1, 2, 3, 999, 4, 255, 5, 6, 7, 8, 7, 8, 9];
    assert_eq!(files.num_tokens(), whole.len() as u64);
    assert_eq!((files.num_files(), files.num_empty()), (7, 1));
    for start in 0..=whole.len() {
        for end in start..=whole.len() {
            let found = read(&files, start as u64, end - start).unwrap();
            assert_eq!(found, whole[start..end], "{start}..{end}");
        }
    }
}

#[test]
fn raw_tokens_are_as_wide_as_said_or_as_the_vocabulary_needs() {
    let folder = tempfile::tempdir().unwrap();
    write_bin(&folder, "a.bin", &[5, 0, 6, 0]);
    let num_tokens = |dtype, vocab_size| {
        TokenFiles::open(&["a.bin"], folder.path(), dtype, vocab_size).unwrap().num_tokens()
    };
    assert_eq!(num_tokens(None, 65_536), 4);
    assert_eq!(num_tokens(None, 65_537), 2);
    assert_eq!(num_tokens(Some(TokenDtype::Uint16), 65_537), 4);
    assert_eq!(num_tokens(Some(TokenDtype::Uint32), 300), 2);
    let files = open(&folder, Some(TokenDtype::Uint32)).unwrap();
    assert_eq!(read(&files, 0, 2).unwrap(), [5, 6]);
}

#[test]
fn a_token_that_the_model_does_not_know_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    write_bin(&folder, "a.bin", &[1, 2, 3]);
    write_bin(&folder, "b.bin", &[4, 1000, 5, 2000]);
    let data: Vec<u8> = [-1_i64, i64::MAX].iter().flat_map(|token| token.to_le_bytes()).collect();
    write_tensor(&folder, "c.safetensors", "tokens", Dtype::I64, &[2], &data);
    let files = open(&folder, None).unwrap();
    let error = |offset, len| refusal(&folder, &read(&files, offset, len).unwrap_err());
    assert_eq!(read(&files, 0, 4).unwrap(), [1, 2, 3, 4]);
    assert_eq!(
        error(0, 7),
        "token 1 of `DIR/b.bin` is 1000, the model's vocabulary has 1000; give the files of the model's \
         own tokenizer, or another `token_dtype`"
    );
    assert!(error(5, 2).starts_with("token 3 of `DIR/b.bin` is 2000"));
    assert!(error(7, 2).starts_with("token 0 of `DIR/c.safetensors` is -1,"));
    assert!(error(8, 1).starts_with("token 1 of `DIR/c.safetensors` is 9223372036854775807"));
}

#[test]
fn everything_that_is_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.bin"), [1, 2, 3]).unwrap();
    fs::write(folder.path().join("b.safetensors"), "no").unwrap();
    write_tensor(&folder, "c.safetensors", "words", Dtype::U8, &[1], &[1]);
    write_tensor(&folder, "d.safetensors", "tokens", Dtype::U8, &[1, 2], &[1, 2]);
    write_tensor(&folder, "e.safetensors", "input_ids", Dtype::F32, &[1], &[0; 4]);
    let told = refused(&folder);
    let expected = [
        "`DIR/a.bin` has 3 bytes, which are no whole tokens of 2; say how wide they are with \
         `token_dtype`",
        "`DIR/b.safetensors` is no safetensors file: ",
        "`DIR/c.safetensors` has no tensor `tokens` or `input_ids`; its tensors are: a, words",
        "the tensor `tokens` of `DIR/d.safetensors` has the shape [1, 2]; give one dimension, \
         documents one after the other",
        "the tensor `input_ids` of `DIR/e.safetensors` is of type F32; tokens are U8, U16, U32, I32 or \
         I64",
    ];
    for part in expected {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    fs::write(folder.path().join("f.txt"), "text").unwrap();
    let text = TokenFiles::open(&["f.txt"], folder.path(), None, VOCAB_SIZE);
    assert_eq!(
        refusal(&folder, &text.unwrap_err()),
        "`DIR/f.txt` is no file of tokens; their names end in `.bin` or `.safetensors`"
    );
}

#[test]
fn files_without_tokens_are_no_data() {
    let folder = tempfile::tempdir().unwrap();
    write_bin(&folder, "a.bin", &[]);
    write_tensor(&folder, "b.safetensors", "tokens", Dtype::U16, &[0], &[]);
    let told = refused(&folder);
    assert!(
        told.contains("`DIR/a.bin` is empty, and so is every other file that matches"),
        "{told}"
    );
    assert!(told.contains("`DIR/b.safetensors` is empty"), "{told}");
}

#[test]
fn a_file_that_has_become_shorter_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_bin(&folder, "a.bin", &[1, 2, 3]);
    let files = open(&folder, None).unwrap();
    // Moved over, as a file in use can be without harm to its readers.
    write_bin(&folder, "new", &[1]);
    fs::rename(folder.path().join("new"), folder.path().join("a.bin")).unwrap();
    assert_eq!(
        refusal(&folder, &read(&files, 0, 2).unwrap_err()),
        "cannot read `DIR/a.bin`, which had 6 bytes when the run began: it has become shorter"
    );
}
