//! A recipe and overrides of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bodies::recipe(bytes);
});
