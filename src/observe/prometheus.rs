//! Questions to Prometheus: at one time, or over a span.
//!
//! Source: Prometheus, "HTTP API", `/api/v1/query` and `/api/v1/query_range`.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::endpoint::{Endpoint, ObserveError};
use crate::{answer::clean, platform::model};

/// Points that Prometheus gives for one series at most; asking for more is an error there.
const MOST_POINTS: u32 = 11_000;

/// Characters of a label.
const LONGEST_LABEL: usize = 200;

/// A Prometheus, or what speaks its API (Thanos, Mimir, VictoriaMetrics).
pub struct Prometheus {
    endpoint: Endpoint,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub series: Vec<Series>,
    /// What Prometheus says besides: parts that did not answer, doubtful functions.
    pub warnings: Vec<String>,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// With `__name__`, in Prometheus's order.
    pub labels: Vec<(String, String)>,
    /// In the order of time.
    pub points: Vec<Point>,
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Unix time in seconds.
    pub at: f64,
    /// May be NaN or infinite.
    pub value: f64,
}

/// A span with the time between two points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
    pub step: Duration,
}

impl Span {
    /// Without `step`: such that there are about `points`. A step that Prometheus would refuse is
    /// made longer, never shorter than a second.
    pub fn new(from: Timestamp, to: Timestamp, step: Option<Duration>, points: u32) -> Self {
        let whole = to.duration_since(from).as_secs_f64().max(0.0);
        let shortest = (whole / f64::from(MOST_POINTS - 1)).ceil().max(1.0);
        let step = match step {
            Some(step) => step.as_secs_f64().max(shortest),
            None => (whole / f64::from(points.max(1))).ceil().max(shortest),
        };
        Self {
            from,
            to,
            step: Duration::from_secs_f64(step),
        }
    }
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<Data>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Value,
}

impl Prometheus {
    /// `ca_file`: certificates (PEM) that are trusted beside the compiled-in ones.
    pub fn new(endpoint: &model::Endpoint, ca_file: Option<PathBuf>) -> Result<Self, ObserveError> {
        let example = "http://prometheus:9090";
        Ok(Self {
            endpoint: Endpoint::of("Prometheus", example, endpoint, ca_file)?,
        })
    }

    /// The value of each series at `at` (now where absent).
    pub async fn at(
        &self,
        query: &str,
        at: Option<Timestamp>,
        timeout: Duration,
    ) -> Result<Found, ObserveError> {
        let at = at.map(|at| seconds(at).to_string());
        let limit = format!("{}s", timeout.as_secs().max(1));
        let mut parameters = vec![("query", query), ("timeout", limit.as_str())];
        parameters.extend(at.as_deref().map(|at| ("time", at)));
        self.ask("/api/v1/query", &parameters, timeout).await
    }

    /// The values of each series over a span.
    pub async fn over(
        &self,
        query: &str,
        span: Span,
        timeout: Duration,
    ) -> Result<Found, ObserveError> {
        let from = seconds(span.from).to_string();
        let to = seconds(span.to).to_string();
        let step = span.step.as_secs_f64().to_string();
        let limit = format!("{}s", timeout.as_secs().max(1));
        let parameters = [
            ("query", query),
            ("start", from.as_str()),
            ("end", to.as_str()),
            ("step", step.as_str()),
            ("timeout", limit.as_str()),
        ];
        self.ask("/api/v1/query_range", &parameters, timeout).await
    }

    async fn ask(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Found, ObserveError> {
        let reply = self.endpoint.get(path, parameters, timeout).await?;
        let envelope: Envelope = self.endpoint.parsed(&reply)?;
        let Some(data) = envelope.data.filter(|_| envelope.status == "success") else {
            let message = envelope.error.unwrap_or_default();
            // 400 and 422 are faults of the question; the rest are its own.
            return Err(match reply.status {
                400 | 422 => self.endpoint.bad_question(&message),
                status => self.endpoint.bad_answer(format!(
                    "HTTP {status}, {}",
                    clean::text(&message, LONGEST_LABEL)
                )),
            });
        };
        let series = series_of(&data).ok_or_else(|| {
            self.endpoint
                .bad_answer("a result of an unknown form".into())
        })?;
        let said = envelope.warnings.iter().chain(&envelope.infos);
        Ok(Found {
            series,
            warnings: said
                .map(|warning| clean::text(warning, LONGEST_LABEL))
                .collect(),
        })
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

fn series_of(data: &Data) -> Option<Vec<Series>> {
    match data.result_type.as_str() {
        "vector" => {
            let all = data.result.as_array()?.iter();
            all.map(|one| {
                Some(Series {
                    labels: labels_of(one)?,
                    points: vec![point_of(one.get("value")?)?],
                })
            })
            .collect()
        }
        "matrix" => {
            let all = data.result.as_array()?.iter();
            all.map(|one| {
                let points = one.get("values")?.as_array()?.iter();
                Some(Series {
                    labels: labels_of(one)?,
                    points: points.map(point_of).collect::<Option<_>>()?,
                })
            })
            .collect()
        }
        "scalar" => Some(vec![Series {
            labels: Vec::new(),
            points: vec![point_of(&data.result)?],
        }]),
        _ => None,
    }
}

/// Native histograms have no `value`: they have no place here, and the answer is of an unknown
/// form.
fn labels_of(one: &Value) -> Option<Vec<(String, String)>> {
    let labels = one.get("metric")?.as_object()?.iter();
    labels
        .map(|(name, value)| {
            let value = clean::text(value.as_str()?, LONGEST_LABEL);
            Some((clean::text(name, LONGEST_LABEL), value))
        })
        .collect()
}

/// `[1700000000.1, "0.5"]`.
fn point_of(pair: &Value) -> Option<Point> {
    let value = match pair.get(1)?.as_str()? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().ok()?,
    };
    Some(Point {
        at: pair.get(0)?.as_f64()?,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_step_is_never_one_that_prometheus_refuses() {
        let week = 7 * 24 * 3_600;
        let fine = Span::new(at(0), at(week), Some(Duration::from_secs(1)), 60);
        assert!(f64::from(MOST_POINTS) > week as f64 / fine.step.as_secs_f64());
        let own = Span::new(at(0), at(3_600), None, 60);
        assert_eq!(own.step, Duration::from_secs(60));
        let nothing = Span::new(at(10), at(10), None, 60);
        assert_eq!(nothing.step, Duration::from_secs(1));
    }

    #[test]
    fn values_that_are_no_numbers_are_read() {
        for (written, is_right) in [
            ("NaN", f64::is_nan as fn(f64) -> bool),
            ("+Inf", |value| value == f64::INFINITY),
            ("-Inf", |value| value == f64::NEG_INFINITY),
            ("1e-3", |value| value == 0.001),
        ] {
            let point = point_of(&serde_json::json!([1.5, written])).expect("a point");
            assert!(is_right(point.value) && point.at == 1.5, "{written}");
        }
    }
}
