//! Values of a platform file that have forms of their own, such as `all`, `none` or `down`.

use serde_json::{Value as Json, json};

use super::{RawProbe, RawWhen};
use crate::platform::{
    model::{ClusterPart, Environment, OnDriverLoss, OnFailure, Promote, Severity},
    problem::quoted,
    quantity::{MilliCpu, NotAQuantity, Percent},
    read::{Placed, Read, Reader, choice, record},
    variables::Expanded,
    yaml::{Node, Value},
};

choice! {
    Environment {
        "development" => Self::Development,
        "production" => Self::Production,
    }
}
choice! {
    OnFailure {
        "rollback" => Self::Rollback,
        "pause" => Self::Pause,
        "stop" => Self::Stop,
    }
}
choice! {
    OnDriverLoss {
        "wait" => Self::Wait,
        "rollback" => Self::Rollback,
    }
}
choice! {
    Promote {
        "gate" => Self::Gate,
        "person" => Self::Person,
    }
}
choice! {
    ClusterPart {
        "kind" => Self::Kind,
        "helm" => Self::Helm,
        "istio" => Self::Istio,
        "istio-injection" => Self::IstioInjection,
        "argocd" => Self::ArgoCd,
        "prometheus-stack" => Self::PrometheusStack,
        "external-secrets" => Self::ExternalSecrets,
        "metrics-server" => Self::MetricsServer,
    }
}
choice! {
    Severity {
        "warning" => Self::Warning,
        "critical" => Self::Critical,
    }
}

/// Method of an HTTP hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
}
choice! {
    Method {
        "get" => Self::Get,
        "post" => Self::Post,
        "put" => Self::Put,
    }
}

/// What standards ask of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    Probe,
    Limits,
    Reservations,
    Image,
}
choice! {
    Required {
        "probe" => Self::Probe,
        "limits" => Self::Limits,
        "reservations" => Self::Reservations,
        "image" => Self::Image,
    }
}

/// The value of an environment variable.
#[derive(Debug, Clone)]
pub enum EnvValue {
    Text(Expanded),
    /// A secret that the runtime knows by this name.
    Secret(String),
    /// A file that holds it.
    File(String),
}

record! {
    /// Where the value of a variable is.
    pub struct RawEnvReference {
        /// `name/key` of a secret of the runtime.
        secret: String,
        /// A file that holds the value.
        file: String,
    }
}

impl Read for EnvValue {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            Value::Null => Some(Self::Text(Expanded::literal(""))),
            Value::Map(_) => {
                let reference = RawEnvReference::read(node, reader)?;
                match (reference.secret, reference.file) {
                    (Some(secret), None) => Some(Self::Secret(secret.value)),
                    (None, Some(file)) => Some(Self::File(file.value)),
                    _ => {
                        reader.problem(
                            node.place,
                            "a variable comes from one place",
                            "write `secret: name/key` or `file: path`",
                        );
                        None
                    }
                }
            }
            _ => Expanded::read(node, reader).map(Self::Text),
        }
    }

    fn schema() -> Json {
        json!({ "oneOf": [Expanded::schema(), RawEnvReference::schema()] })
    }
}

/// Direct dependencies.
#[derive(Debug, Clone)]
pub enum Needs {
    All,
    Services(Vec<Placed<String>>),
}

impl Read for Needs {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.text() {
            Some("all") => Some(Self::All),
            Some("none") => Some(Self::Services(Vec::new())),
            _ => Vec::read(node, reader).map(Self::Services),
        }
    }

    fn schema() -> Json {
        Vec::<String>::schema()
    }
}

/// A probe, or that there is none.
#[derive(Debug, Clone)]
pub enum ProbeOrNone {
    None,
    Probe(Box<RawProbe>),
}

impl Read for ProbeOrNone {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.text() {
            Some("none" | "false") => Some(Self::None),
            Some(text) => {
                reader.problem(
                    node.place,
                    format!("{} is no probe", quoted(text)),
                    "write `none`, or a mapping like `{ http: \"http://localhost:8080/health\" }`",
                );
                None
            }
            None => RawProbe::read(node, reader).map(|probe| Self::Probe(Box::new(probe))),
        }
    }

    fn schema() -> Json {
        json!({ "oneOf": [{ "enum": ["none", false] }, RawProbe::schema()] })
    }
}

/// `200`, or `200-299`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange(pub u16, pub u16);

impl Read for StatusRange {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.resolved(node, "a status like 200 or 200-299")?;
        let (from, to) = text.split_once('-').unwrap_or((&text, &text));
        let code = |text: &str| {
            let code: Option<u16> = text.trim().parse().ok();
            code.filter(|code| (100..=599).contains(code))
        };
        match (code(from), code(to)) {
            (Some(from), Some(to)) if from <= to => Some(Self(from, to)),
            _ => {
                reader.problem(
                    node.place,
                    format!("{} is no status of HTTP", quoted(&text)),
                    "write one from 100 to 599, or a range like 200-299",
                );
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": ["integer", "string"], "examples": [200, "200-299"] })
    }
}

/// A value that has to stand in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonValue(pub Json);

impl Read for JsonValue {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let value = match &node.value {
            Value::Null => Json::Null,
            Value::Scalar { text, is_quoted } => {
                if *is_quoted {
                    json!(text)
                } else {
                    // `true` and `3` are what they look like, `ok` is a text.
                    serde_json::from_str(text)
                        .ok()
                        .filter(|value: &Json| value.is_boolean() || value.is_number())
                        .unwrap_or_else(|| json!(text))
                }
            }
            Value::List(_) | Value::Map(_) => {
                reader.problem(
                    node.place,
                    format!("{} stands here", node.kind()),
                    "point at one value: a text, a number, true, false or null",
                );
                return None;
            }
        };
        Some(Self(value))
    }

    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean", "null"] })
    }
}

/// All services of the phase and before, or at least this many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Healthy {
    All,
    AtLeast(u32),
}

impl Read for Healthy {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.text() {
            Some("all") => Some(Self::All),
            _ => reader
                .quantity(node, "`all` or a number of services", |text| {
                    text.trim().parse().map_err(|_| NotAQuantity {
                        written: text.to_owned(),
                        expected: "`all` or a number of services",
                    })
                })
                .map(Self::AtLeast),
        }
    }

    fn schema() -> Json {
        json!({ "oneOf": [{ "const": "all" }, { "type": "integer", "minimum": 0 }] })
    }
}

/// An amount of CPU, or a share of the capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CpuBudget {
    Amount(MilliCpu),
    Share(Percent),
}

impl Read for CpuBudget {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.text() {
            Some(text) if text.trim_end().ends_with('%') => {
                Percent::read(node, reader).map(Self::Share)
            }
            _ => MilliCpu::read(node, reader).map(Self::Amount),
        }
    }

    fn schema() -> Json {
        json!({ "type": ["string", "number"], "examples": ["1500m", "25%"] })
    }
}

/// What an alert looks at.
#[derive(Debug, Clone)]
pub enum When {
    Down,
    Measured(Box<RawWhen>),
}

impl Read for When {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.text() {
            Some("down") => Some(Self::Down),
            Some(text) => {
                reader.problem(
                    node.place,
                    format!("{} is no condition of an alert", quoted(text)),
                    format!(
                        "write `down`, or a mapping of one of {}",
                        RawWhen::KEYS.join(", ")
                    ),
                );
                None
            }
            None => RawWhen::read(node, reader).map(|when| Self::Measured(Box::new(when))),
        }
    }

    fn schema() -> Json {
        json!({ "oneOf": [{ "const": "down" }, RawWhen::schema()] })
    }
}

/// Whom an alert watches.
#[derive(Debug, Clone)]
pub enum Watched {
    All,
    Platform,
    Services(Vec<Placed<String>>),
}

impl Read for Watched {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.text() {
            Some("all") => Some(Self::All),
            Some("platform") => Some(Self::Platform),
            _ => Vec::read(node, reader).map(Self::Services),
        }
    }

    fn schema() -> Json {
        Vec::<String>::schema()
    }
}
