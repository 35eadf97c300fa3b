//! Writes the gallery of schedules, docs/schedules.md, and the pictures of the documentation anew;
//! `cargo xtask gallery` runs it. All of it follows from the crate, and a test compares.
#![expect(clippy::print_stdout, reason = "it says which files it wrote")]

mod page;
mod table;

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join(page::README))?;
    for (path, text) in page::files(&readme)? {
        let file = root.join(&path);
        if fs::read_to_string(&file).ok().as_deref() == Some(&text) {
            continue;
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, text)?;
        println!("wrote {path}");
    }
    Ok(())
}
