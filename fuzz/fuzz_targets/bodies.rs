//! `tests/it/fuzz/bodies.rs` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| openpolicy_mcp_fuzz::fuzz::bodies::run(bytes));
