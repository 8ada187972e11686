//! What a driver sees of the platform: asked for, and answered by whoever can look.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;

use super::gate::Reading;
use crate::{
    health::Verdict,
    platform::{ServiceName, model::Condition},
};

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Services that are deployed so far.
    pub services: Vec<ServiceName>,
    pub wants: Wants,
}

/// What else to read: each costs something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    pub usage: bool,
    pub catalog: bool,
    /// Response times and errors, where a query of the platform file tells them.
    pub responses: bool,
}

impl Wants {
    /// What these conditions look at.
    pub fn of<'a>(conditions: impl IntoIterator<Item = &'a Condition>) -> Self {
        use Condition as C;
        let mut wants = Self::default();
        for condition in conditions {
            match condition {
                C::MemoryAbove(_) | C::MemoryBelow(_) | C::CpuAbove(_) | C::CpuBelow(_) => {
                    wants.usage = true;
                }
                C::IngestionSuccessAbove(_) | C::TestsPassingAbove(_) | C::FresherThan(_) => {
                    wants.catalog = true;
                }
                C::MeanResponseAbove(_)
                | C::MeanResponseBelow(_)
                | C::P95Above(_)
                | C::P95Below(_)
                | C::ErrorsAbove(_)
                | C::ErrorsBelow(_) => wants.responses = true,
                C::Healthy(_) | C::UnhealthyAbove(_) => {}
            }
        }
        wants
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// One for each service that was asked for.
    pub services: Vec<ServiceSeen>,
    pub memory: Reading<f64>,
    pub cpu: Reading<f64>,
    pub ingestion_success: Reading<f64>,
    pub tests_passing: Reading<f64>,
    pub age: Reading<Duration>,
    /// What the platform file's own queries say in place of what probes saw.
    pub metered: Metered,
    /// Memory in use, in bytes, for people.
    pub memory_bytes: Option<u64>,
}

/// Answers of Prometheus; none where the platform file names no query for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metered {
    pub mean_response: Option<Reading<Duration>>,
    pub p95: Option<Reading<Duration>>,
    /// In percent.
    pub errors: Option<Reading<f64>>,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSeen {
    pub service: ServiceName,
    pub verdict: Verdict,
    pub reason: Option<String>,
    pub response: Option<Duration>,
    /// Looks since the look before: made, and failed.
    pub looks: u32,
    pub failed: u32,
}

impl ServiceSeen {
    /// `api is down: refused`.
    pub fn words(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{} is {}: {reason}", self.service, self.verdict.as_str()),
            None => format!("{} is {}", self.service, self.verdict.as_str()),
        }
    }
}

/// Looks. Bounded in time by itself; what it could not read it says.
pub type Look = Arc<dyn Fn(Order) -> BoxFuture<'static, Seen> + Send + Sync>;
