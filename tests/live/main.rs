//! Tests against real engines, in one binary. A test that cannot find its engine fails.

mod engines;
mod faults;
mod local;

mod postgres;
mod redis;
