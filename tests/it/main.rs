//! All integration tests, in one binary so that they link once.

mod evaluator;
mod replay;
mod replay_catalog;
mod support;
