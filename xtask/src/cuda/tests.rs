//! What is read from other people's files, and what tests for a GPU have to say.

use super::*;

#[test]
fn functions_of_bindings() {
    let bindings = "
        extern \"C\" { pub fn cuInit(flags: u32) -> i32; pub fn cuGetErrorName(e: i32) -> i32; }
        pub unsafe fn cuInit(flags: u32) -> i32 { (culib().cuInit)(flags) }
        pub fn other(x: fn (u32)) {}
        pub fn cublasGetStatusString(status: i32) -> *const i8;
    ";
    let found: Vec<_> = stubs::functions(bindings, "cu").into_iter().collect();
    assert_eq!(found, ["cuGetErrorName", "cuInit", "cublasGetStatusString"]);
    assert_eq!(
        stubs::source(&found.into_iter().collect(), 34),
        "\
int cuGetErrorName(void) { return 34; }
int cuInit(void) { return 34; }
const char *cublasGetStatusString(void) { return \"link-time stub\"; }
"
    );
}

#[test]
fn manifests_of_packages() {
    let metadata = "{\"packages\":[\
        {\"name\":\"a\",\"version\":\"1.0.0\",\"dependencies\":[{\"name\":\"b\",\"source\":null}],\
        \"manifest_path\":\"/a/Cargo.toml\"},\
        {\"name\":\"b\",\"version\":\"2.0.0\",\"manifest_path\":\"/registry/b-2.0.0/Cargo.toml\"}]}";
    let of = |package| cargo::manifest_of(metadata, package);
    assert_eq!(of("a").as_deref(), Some(Path::new("/a/Cargo.toml")));
    assert_eq!(of("b").as_deref(), Some(Path::new("/registry/b-2.0.0/Cargo.toml")));
    assert_eq!(of("c"), None);
}

#[test]
fn tests_say_that_they_skip() {
    let said = "running 0 tests\n\nrunning 1 test\nskipped: no CUDA device: none\n";
    let silent = "running 2 tests\ntest gpu::linear ... ok\n";
    check_skipped(said).unwrap();
    for (output, expected) in [
        ("running 0 tests\n", "there is no test named gpu::.."),
        (silent, "1 binaries have tests for a GPU, and 0 said"),
        (&format!("{said}{silent}"), "2 binaries have tests for a GPU, and 1 said"),
    ] {
        let error = check_skipped(output).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
