//! The gallery is what the crate makes of it: page, pictures and the README's table.

use std::path::Path;

#[path = "../../examples/gallery/page.rs"]
mod page;
#[path = "../../examples/gallery/table.rs"]
mod table;

#[test]
fn the_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join(page::README)).unwrap();
    let files = page::files(&readme).unwrap();
    for (path, expected) in &files {
        let found = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(
            found == *expected,
            "{path} is not what the crate makes of it; run `cargo xtask gallery`"
        );
    }
    let pictures = std::fs::read_dir(root.join("docs/img")).unwrap();
    for picture in pictures {
        let path = format!("docs/img/{}", picture.unwrap().file_name().into_string().unwrap());
        assert!(files.iter().any(|(made, _)| *made == path), "nobody makes {path}; drop it");
    }
}
