//! Response times and errors as Prometheus has them, where the platform file names queries.
//!
//! `metrics.mean_response` and `metrics.p95` are in seconds, `metrics.errors` is a share from 0 to 1.

use std::time::Duration;

use super::{gate::Reading, look::Metered};
use crate::{
    observe::Prometheus,
    platform::{Platform, model::Endpoint},
};

/// How long one query may take.
const LONGEST: Duration = Duration::from_secs(5);

/// Asks all queries that there are, side by side.
pub(super) async fn now(platform: &Platform) -> Metered {
    let Some(endpoint) = &platform.prometheus else {
        return Metered::default();
    };
    let query = |name: &str| {
        let mut metrics = platform.metrics.iter();
        let found = metrics.find(|(known, _)| known == name);
        found.map(|(_, query)| query.clone())
    };
    let (mean_response, p95, errors) = tokio::join!(
        asked(endpoint, query("mean_response")),
        asked(endpoint, query("p95")),
        asked(endpoint, query("errors")),
    );
    Metered {
        mean_response: mean_response.map(seconds),
        p95: p95.map(seconds),
        errors: errors.map(|share| share.map(|share| share * 100.0)),
    }
}

/// Whether Prometheus answers, where the file names one.
pub(super) async fn answers(platform: &Platform) -> Option<Result<(), String>> {
    let endpoint = platform.prometheus.as_ref()?;
    let asked = async {
        let prometheus = Prometheus::new(endpoint, None)?;
        prometheus.at("vector(1)", None, LONGEST).await
    };
    Some(asked.await.map(|_| ()).map_err(|error| error.to_string()))
}

/// The worst of what a query gives; none without a query.
async fn asked(endpoint: &Endpoint, query: Option<String>) -> Option<Reading<f64>> {
    let query = query?;
    let found = async {
        let prometheus = Prometheus::new(endpoint, None)?;
        prometheus.at(&query, None, LONGEST).await
    };
    Some(match found.await {
        Ok(found) => found
            .series
            .iter()
            .filter_map(|series| series.points.last())
            .map(|point| point.value)
            .filter(|value| value.is_finite() && *value >= 0.0)
            .reduce(f64::max)
            .ok_or_else(|| "Prometheus has no value for it now".to_owned()),
        Err(error) => Err(format!("Prometheus: {error}")),
    })
}

fn seconds(reading: Reading<f64>) -> Reading<Duration> {
    let seconds = reading?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
