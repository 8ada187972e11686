//! Alerts of Alertmanager, and ours sent to it.
//!
//! Source: Alertmanager, `api/v2/openapi.yaml`.

use std::{path::PathBuf, time::Duration};

use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::endpoint::{Endpoint, ObserveError};
use crate::{
    answer::clean,
    platform::{Severity, model},
};

/// Characters of a label or an annotation.
const LONGEST_TEXT: usize = 300;

/// An Alertmanager of version 0.16 or newer.
pub struct Alertmanager {
    endpoint: Endpoint,
}

/// One alert that Alertmanager has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The label `alertname`.
    pub name: String,
    pub service: Option<String>,
    pub severity: Option<String>,
    /// The annotation `summary`, else `description`.
    pub summary: Option<String>,
    pub state: State,
    pub since: Timestamp,
    /// All labels, sorted.
    pub labels: Vec<(String, String)>,
}

/// Whether an alert reaches anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not sent to anyone yet.
    Unprocessed,
    Active,
    /// Someone silenced it.
    Silenced,
    /// Another alert stands for it.
    Inhibited,
}

/// One alert of ours. Alertmanager knows an alert by its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    pub platform: String,
    pub rule: String,
    /// Absent: the platform as a whole.
    pub service: Option<String>,
    pub severity: Severity,
    pub summary: String,
    /// When it began to fire.
    pub since: Timestamp,
    /// When it ended, else until when it is taken to go on unless it is sent again.
    pub until: Timestamp,
}

#[derive(Deserialize)]
struct Listed {
    labels: serde_json::Map<String, Value>,
    #[serde(default)]
    annotations: serde_json::Map<String, Value>,
    status: Status,
    #[serde(rename = "startsAt")]
    starts_at: String,
}

#[derive(Deserialize)]
struct Status {
    state: String,
    #[serde(default, rename = "silencedBy")]
    silenced_by: Vec<String>,
}

#[derive(Serialize)]
struct Sent {
    labels: serde_json::Map<String, Value>,
    annotations: serde_json::Map<String, Value>,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
}

impl Alertmanager {
    /// `ca_file`: certificates (PEM) that are trusted beside the compiled-in ones.
    pub fn new(endpoint: &model::Endpoint, ca_file: Option<PathBuf>) -> Result<Self, ObserveError> {
        let example = "http://alertmanager:9093";
        Ok(Self {
            endpoint: Endpoint::of("Alertmanager", example, endpoint, ca_file)?,
        })
    }

    /// Every alert that has not ended, silenced ones too, in Alertmanager's order.
    pub async fn alerts(&self, timeout: Duration) -> Result<Vec<Alert>, ObserveError> {
        let reply = self.endpoint.get("/api/v2/alerts", &[], timeout).await?;
        if reply.status != 200 {
            return Err(self.endpoint.bad_answer(format!("HTTP {}", reply.status)));
        }
        let listed: Vec<Listed> = self.endpoint.parsed(&reply)?;
        let alerts = listed.iter().map(alert_of).collect::<Option<_>>();
        alerts.ok_or_else(|| self.endpoint.bad_answer("a time that is no time".into()))
    }

    /// Sends alerts of ours, firing and ended. Sending one again is no harm: it lasts longer.
    pub async fn send(&self, alerts: &[Ours], timeout: Duration) -> Result<(), ObserveError> {
        let sent: Vec<Sent> = alerts.iter().map(Ours::to_sent).collect();
        let body = serde_json::to_vec(&sent)
            .map_err(|error| self.endpoint.bad_question(&error.to_string()))?;
        let reply = self
            .endpoint
            .send(Method::POST, "/api/v2/alerts", &[], Some(body), timeout)
            .await?;
        match reply.status {
            200..=299 => Ok(()),
            // The message is a JSON string.
            400 => {
                let message: String = self.endpoint.parsed(&reply)?;
                Err(self.endpoint.bad_question(&message))
            }
            status => Err(self.endpoint.bad_answer(format!("HTTP {status}"))),
        }
    }
}

fn alert_of(listed: &Listed) -> Option<Alert> {
    let text = |value: &Value| clean::text(value.as_str().unwrap_or_default(), LONGEST_TEXT);
    let label = |name: &str| listed.labels.get(name).map(text);
    let annotation = |name: &str| listed.annotations.get(name).map(text);
    let mut labels: Vec<_> = listed
        .labels
        .iter()
        .map(|(name, value)| (clean::text(name, LONGEST_TEXT), text(value)))
        .collect();
    labels.sort();
    let status = &listed.status;
    Some(Alert {
        name: label("alertname").unwrap_or_default(),
        service: label("service"),
        severity: label("severity"),
        summary: annotation("summary").or_else(|| annotation("description")),
        state: match status.state.as_str() {
            "active" => State::Active,
            "suppressed" if !status.silenced_by.is_empty() => State::Silenced,
            "suppressed" => State::Inhibited,
            _ => State::Unprocessed,
        },
        since: listed.starts_at.parse().ok()?,
        labels,
    })
}

impl Ours {
    fn to_sent(&self) -> Sent {
        let mut labels = serde_json::Map::new();
        labels.insert("alertname".into(), self.rule.as_str().into());
        labels.insert("platform".into(), self.platform.as_str().into());
        labels.insert("severity".into(), self.severity.as_str().into());
        if let Some(service) = &self.service {
            labels.insert("service".into(), service.as_str().into());
        }
        let mut annotations = serde_json::Map::new();
        annotations.insert("summary".into(), self.summary.as_str().into());
        Sent {
            labels,
            annotations,
            starts_at: self.since.to_string(),
            ends_at: self.until.to_string(),
        }
    }
}
