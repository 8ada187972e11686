//! The platform file: read, checked at once, and from then on a `Platform` that is valid.

pub mod model;
pub mod quantity;

pub use model::{
    AlertCondition, AlertRule, AlertScope, Capacity, Environment, Group, Objectives, Phase,
    Platform, Probe, ProbeKind, Service, ServiceName, Severity,
};
pub use quantity::{Bytes, MilliCpu, Percent};
