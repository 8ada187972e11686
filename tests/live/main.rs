//! Tests against real engines, in one binary. A test that cannot find its engine fails.

#[cfg(target_os = "linux")]
mod dashboards;
mod engines;
mod faults;
mod firing;
mod gating;
mod local;

mod airflow;
mod docker;
mod kubernetes;
mod openmetadata;
mod postgres;
mod prometheus;
mod rabbitmq;
mod redis;
mod search_engine;
#[cfg(target_os = "linux")]
mod usage;
