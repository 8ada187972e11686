//! What services say and use, and what other systems of the user's have seen: log lines made
//! readable, usage held against limits, metrics in Prometheus, alerts in Alertmanager.

pub mod alertmanager;
mod endpoint;
pub mod fit;
pub mod logs;
pub mod machine;
pub mod prometheus;
pub mod resources;

pub use alertmanager::Alertmanager;
pub use endpoint::ObserveError;
pub use prometheus::Prometheus;
