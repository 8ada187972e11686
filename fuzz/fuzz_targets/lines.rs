//! `tests/it/fuzz/lines.rs` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| openpolicy_mcp_fuzz::fuzz::lines::run(bytes));
