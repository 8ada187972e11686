//! The harness functions of the tests, compiled once for all targets.

#[path = "../../tests/it/fuzz/mod.rs"]
pub mod fuzz;

mod support;
