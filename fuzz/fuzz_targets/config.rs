//! A `config.json` that may describe a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bodies::config(bytes);
});
