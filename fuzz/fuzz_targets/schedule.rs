//! A program that may be valid: the validator, then all that works with what is valid.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bodies::schedule(bytes);
});
