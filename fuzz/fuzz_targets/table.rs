//! A CSV file that may be a plan or a program.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bodies::table(bytes);
});
