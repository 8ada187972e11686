//! What other systems of the user's have seen: metrics in Prometheus, alerts in Alertmanager.

pub mod alertmanager;
mod endpoint;
pub mod fit;
pub mod prometheus;

pub use alertmanager::Alertmanager;
pub use endpoint::ObserveError;
pub use prometheus::Prometheus;
