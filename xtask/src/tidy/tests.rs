//! The tree is tidy, and each rule sees what it is there to see.

use super::*;

#[test]
fn the_tree_is_tidy() {
    let problems = problems(&crate::root()).unwrap();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn file(path: &str, text: impl Into<String>) -> File {
    File { path: path.to_owned(), text: text.into() }
}

#[test]
fn blanks() {
    let found = text::blanks(&file("a.md", "fine\n\tno\nno \nno\r\n"));
    assert_eq!(
        found,
        [
            "a.md:2: a tab; use spaces",
            "a.md:3: blanks at the end of the line",
            "a.md:4: blanks at the end of the line",
        ]
    );
}

#[test]
fn beginnings() {
    let begins = |text: &str| text::beginning(&file("a.rs", text)).is_none();
    assert!(begins("//! What it is for.\n"));
    assert!(begins("#![doc = include_str!(\"../README.md\")]\n"));
    assert!(!begins("// What it is for.\n"));
    assert!(!begins("//!\n"));
    assert!(!begins("use std::fmt;\n//! Too late.\n"));
    assert!(!begins(""));
}

#[test]
fn lengths() {
    let length = |lines: usize, oversize| {
        let found = text::length(&file("a.rs", "x\n".repeat(lines)), oversize);
        found.unwrap_or_default()
    };
    assert_eq!(length(400, &[]), "");
    assert_eq!(
        length(401, &[]),
        "a.rs: has 401 lines, the ceiling is 400; it is more than one thing"
    );
    assert_eq!(length(401, &[("b.rs", 500)]), length(401, &[]));
    assert_eq!(length(500, &[("a.rs", 500)]), "");
    assert!(length(501, &[("a.rs", 500)]).contains("its own ceiling is 500"));
    assert!(length(400, &[("a.rs", 500)]).contains("strike it out"));
}

#[test]
fn unsafety() {
    let opens = concat!("#[expect(unsafe", "_code, reason = \"none\")]");
    let found = |text: &str, listed: &[&str]| {
        text::unsafety(&file("a.rs", text), listed).unwrap_or_default()
    };
    assert_eq!(found("", &[]), "");
    assert_eq!(found(opens, &["a.rs"]), "");
    assert!(found(opens, &["b.rs"]).contains("is not among the files that may"));
    assert!(found("", &["a.rs"]).contains("strike it out"));
}

#[test]
fn manifests() {
    let good = "[package]\ndescription = \"nodes\"\n\n[lints]\nworkspace = true\n";
    let readme = || file("crates/graph/README.md", "");
    let found = |files: &[File]| manifest::problems(files);
    assert!(found(&[file("crates/graph/Cargo.toml", good), readme()]).is_empty());
    assert_eq!(
        found(&[file("crates/graph/Cargo.toml", good)]),
        ["crates/graph/README.md: is missing; every crate has one"]
    );
    let library = |text: &str| {
        let files = [
            file("crates/graph/Cargo.toml", good),
            readme(),
            file("crates/graph/src/lib.rs", text),
        ];
        found(&files).len()
    };
    assert_eq!(library("#![doc = include_str!(\"../README.md\")]\n"), 0);
    assert_eq!(library("//! Something else.\n"), 1);
    let bare = "[package]\nlicense = \"MIT\" # description = no\n# description = no\n[dependencies]\nlints.workspace = true\n";
    assert_eq!(
        found(&[file("crates/graph/Cargo.toml", bare), readme()]),
        [
            "crates/graph/Cargo.toml: has not the workspace's lints: [lints] workspace = true",
            "crates/graph/Cargo.toml: has no description; say in one line what the crate is",
        ]
    );
    // Other packages need lints only, and the workspace's manifest has none to inherit.
    let lints = "[lints]\nworkspace = true\n";
    assert!(found(&[file("xtask/Cargo.toml", lints), file("Cargo.toml", "")]).is_empty());
    assert_eq!(found(&[file("xtask/Cargo.toml", "")]).len(), 1);
}

#[test]
fn dependencies() {
    let manifest = "
        [dependencies]
        one.workspace = true
        two = { version = \"1\" } # three = 3
        # four = 4
        [dependencies.five]
        version = \"5\"
        [target.'cfg(unix)'.dependencies]
        six = \"6\"
        [build-dependencies]
        seven = \"7\"
        [dev-dependencies]
        eight = \"8\"
        [dev-dependencies.nine]
        version = \"9\"
        [features]
        ten = []
    ";
    let found: Vec<_> = manifest::dependencies(manifest).into_iter().collect();
    assert_eq!(found, ["five", "one", "seven", "six", "two"]);
}

#[test]
fn arrows() {
    let found = |folder: &str, packages: &[&str]| {
        let lines: String =
            packages.iter().map(|name| format!("{name}.workspace = true\n")).collect();
        arrows::crate_problems(folder, &format!("[dependencies]\n{lines}"))
    };
    assert!(
        found("runtime", &["autopipe-nn", "autopipe-schedule", "candle-core", "rayon"]).is_empty()
    );
    assert!(found("cli", &["autopipe", "autopipe-trainer"]).is_empty());
    assert_eq!(
        found("schedule", &["autopipe-mesh", "candle-core", "csv"]),
        [
            "crates/schedule/Cargo.toml: schedule may not use mesh: it uses no other crate of the workspace",
            "crates/schedule/Cargo.toml: schedule may not use candle-core: it works without tensors",
        ]
    );
    assert_eq!(
        found("models", &["autopipe"]),
        ["crates/models/Cargo.toml: models may not use autopipe: it may use nn, runtime, splitter"]
    );
    assert_eq!(
        found("graph", &[]),
        ["crates/graph/Cargo.toml: a crate without arrows; say in xtask's tidy what it may use"]
    );
}

#[test]
fn crates_that_are_gone() {
    let manifests =
        ["autopipe", "cli", "config", "mesh", "models", "nn", "runtime", "schedule", "trainer"]
            .map(|folder| file(&format!("crates/{folder}/Cargo.toml"), ""));
    assert_eq!(
        arrows::problems(&manifests),
        ["crates/splitter: xtask's tidy has arrows for it and it is not there"]
    );
}

#[test]
fn links() {
    let text = "\
[a](b.md) and [c](../d#e), [f](https://g.h/i), [j](crate::K), [l](#m)
```rust
let x = y[0](no);
```
[n](../../o) [p](q.md)
";
    let there = ["docs/b.md", "d"];
    assert_eq!(
        links::dead(&file("docs/r.md", text), |path| there.contains(&path)),
        [
            "docs/r.md:5: the link to ../../o leads nowhere",
            "docs/r.md:5: the link to q.md leads nowhere",
        ]
    );
    assert!(links::dead(&file("r.md", "[d](d)"), |path| there.contains(&path)).is_empty());
}
