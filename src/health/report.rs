//! What is known of the platform's health, put together for a reader. Pure.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    dependency::{self, Cause, Conclusion},
    observation::Verdict,
    recording::verdict_named,
};
use crate::{
    platform::{Platform, Service},
    store::history::ServiceRecord,
};

/// The health of all services at one time.
#[derive(Debug, Clone)]
pub struct Health {
    /// In the order of the platform file.
    pub services: Vec<ServiceHealth>,
    /// The one that blocks most first.
    pub causes: Vec<Cause>,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceHealth {
    pub name: String,
    pub verdict: Verdict,
    pub blocked_by: Vec<String>,
    /// Why it is not simply up; one sentence.
    pub reason: Option<String>,
    /// Of the last look.
    pub response: Option<Duration>,
    /// Since when the verdict holds, as far as anyone looked.
    pub since: Option<Timestamp>,
    pub looked_at: Option<Timestamp>,
    /// Failed looks in a row.
    pub failures: u32,
    pub facts: Vec<(String, String)>,
    pub started_at: Option<Timestamp>,
}

impl Health {
    /// What the records say of the services of this platform.
    pub fn of(platform: &Platform, records: &BTreeMap<String, ServiceRecord>) -> Self {
        let services: Vec<ServiceHealth> = platform
            .services
            .iter()
            .map(|service| of_service(service, records.get(&service.name.0)))
            .collect();
        let conclusions: BTreeMap<String, Conclusion> = services
            .iter()
            .map(|service| {
                let conclusion = Conclusion {
                    verdict: service.verdict,
                    blocked_by: service.blocked_by.clone(),
                };
                (service.name.clone(), conclusion)
            })
            .collect();
        Self {
            causes: dependency::causes(&conclusions),
            services,
        }
    }

    pub fn service(&self, name: &str) -> Option<&ServiceHealth> {
        self.services.iter().find(|service| service.name == name)
    }

    /// How many services are what, in the order of the verdicts; only those that occur.
    pub fn counts(&self) -> BTreeMap<Verdict, usize> {
        let mut counts = BTreeMap::new();
        for service in &self.services {
            *counts.entry(service.verdict).or_default() += 1;
        }
        counts
    }

    /// The services as a reader wants them: causes first, then what is blocked, then by how bad
    /// it is; within each as in the file.
    pub fn worst_first(&self) -> Vec<&ServiceHealth> {
        let mut services: Vec<&ServiceHealth> = self.services.iter().collect();
        services.sort_by_key(|service| match service.verdict {
            // The one that blocks most, then the others.
            Verdict::Down => (0, self.rank_of(&service.name)),
            Verdict::Blocked => (1, 0),
            Verdict::Unknown => (2, 0),
            Verdict::Starting => (3, 0),
            Verdict::Degraded => (4, 0),
            Verdict::Up => (5, 0),
        });
        services
    }

    fn rank_of(&self, cause: &str) -> usize {
        self.causes
            .iter()
            .position(|other| other.service == cause)
            .unwrap_or(usize::MAX)
    }
}

fn of_service(service: &Service, record: Option<&ServiceRecord>) -> ServiceHealth {
    let Some(record) = record else {
        return ServiceHealth {
            name: service.name.0.clone(),
            verdict: Verdict::Unknown,
            blocked_by: Vec::new(),
            reason: Some("nobody has looked at it yet".into()),
            response: None,
            since: None,
            looked_at: None,
            failures: 0,
            facts: Vec::new(),
            started_at: None,
        };
    };
    let time = |millis: i64| Timestamp::from_millisecond(millis).ok();
    ServiceHealth {
        name: service.name.0.clone(),
        verdict: verdict_named(&record.verdict),
        blocked_by: record.blocked_by.clone(),
        reason: record.reason.clone(),
        response: record.response_us.map(Duration::from_micros),
        since: time(record.since),
        looked_at: time(record.looked_at),
        failures: record.failures,
        facts: serde_json::from_str(&record.facts).unwrap_or_default(),
        started_at: record.started_at.and_then(time),
    }
}
