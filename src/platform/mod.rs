//! The platform file: read, checked at once, and from then on a `Platform` that is valid.

mod compose;
pub mod described;
mod dotenv;
pub mod draft;
mod kubernetes;
pub mod lint;
mod load;
pub mod model;
mod near;
mod overlay;
pub mod problem;
pub mod quantity;
pub mod raw;
pub mod read;
mod schema;
pub mod standards;
pub mod trust;
mod validate;
pub mod variables;
pub mod yaml;

pub use lint::{Finding, lint};
pub use load::{Loaded, describe_compose, load};
pub use model::{
    AlertCondition, AlertRule, AlertScope, Capacity, Environment, Group, Objectives, Phase,
    Platform, Probe, ProbeKind, Service, ServiceName, Severity,
};
pub use problem::{Problem, Problems};
pub use quantity::{Bytes, MilliCpu, Percent};
pub use schema::schema;
pub use trust::{Permit, Trust, TrustedDigests, Untrusted};
pub use variables::Variables;
