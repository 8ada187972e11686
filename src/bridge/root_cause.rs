//! Which services of the platform may be why data is wrong, or why a service fails. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::impact::carriers_of;
use crate::{
    health::{Health, ServiceHealth, Verdict},
    platform::Platform,
};

/// A service that may be why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCause {
    pub verdict: Verdict,
    pub service: String,
    /// Hops upstream of what was asked about: of entities along the lineage, of services along
    /// what they need.
    pub distance: u32,
    pub since: Option<Timestamp>,
    pub evidence: String,
}

/// The services that carry these entities, with the least hops. `entities`: FQNs and their hops.
pub fn carriers<'a>(
    platform: &'a Platform,
    entities: impl IntoIterator<Item = (&'a str, u32)>,
) -> BTreeMap<&'a str, u32> {
    let mut carriers: BTreeMap<&str, u32> = BTreeMap::new();
    for (fqn, hops) in entities {
        for (service, _) in carriers_of(platform, fqn) {
            let known = carriers.entry(service).or_insert(hops);
            *known = (*known).min(hops);
        }
    }
    carriers
}

/// What is wrong with the services that carry the data: each failing one by its deepest cause.
pub fn of_carriers(carriers: &BTreeMap<&str, u32>, health: &Health) -> Vec<ServiceCause> {
    let mut causes: Vec<ServiceCause> = Vec::new();
    for (carrier, hops) in carriers {
        let Some(service) = health.service(carrier) else {
            continue;
        };
        match service.verdict {
            Verdict::Up | Verdict::Unknown => {}
            Verdict::Blocked => {
                for cause in &service.blocked_by {
                    if let Some(cause) = health.service(cause) {
                        let how = format!("{carrier}, which carries the data, is blocked by it");
                        causes.push(of(cause, *hops, Some(&how)));
                    }
                }
            }
            Verdict::Degraded | Verdict::Starting | Verdict::Down => {
                causes.push(of(service, *hops, Some("it carries the data")));
            }
        }
    }
    ranked(causes)
}

/// Why a service fails: the causes below it, else itself.
pub fn of_service(platform: &Platform, health: &Health, name: &str) -> Vec<ServiceCause> {
    let Some(service) = health.service(name) else {
        return Vec::new();
    };
    let mut causes = Vec::new();
    for cause in &service.blocked_by {
        if let Some(cause) = health.service(cause) {
            let hops = hops_to(platform, name, &cause.name).unwrap_or(1);
            causes.push(of(cause, hops, None));
        }
    }
    if causes.is_empty() && service.verdict != Verdict::Up {
        causes.push(of(service, 0, None));
    }
    // What it needs and nobody could look at explains nothing, and may be why all the same.
    let needs = platform.service(name).map_or(&[][..], |it| &it.needs);
    for need in needs {
        if let Some(need) = health.service(&need.0)
            && matches!(need.verdict, Verdict::Unknown | Verdict::Degraded)
            && service.verdict != Verdict::Up
        {
            causes.push(of(need, 1, None));
        }
    }
    ranked(causes)
}

fn of(service: &ServiceHealth, distance: u32, how: Option<&str>) -> ServiceCause {
    let why = service.reason.as_deref().unwrap_or("its look failed");
    ServiceCause {
        verdict: service.verdict,
        service: service.name.clone(),
        distance,
        since: service.since,
        evidence: match how {
            Some(how) => format!("{why} ({how})"),
            None => why.to_owned(),
        },
    }
}

/// The nearest first; then what is down before what only is not well.
fn ranked(mut causes: Vec<ServiceCause>) -> Vec<ServiceCause> {
    let badness = |verdict: Verdict| match verdict {
        Verdict::Down => 0,
        Verdict::Starting => 1,
        Verdict::Degraded => 2,
        _ => 3,
    };
    causes.sort_by(|a, b| {
        badness(a.verdict)
            .cmp(&badness(b.verdict))
            .then(a.distance.cmp(&b.distance))
            .then_with(|| a.service.cmp(&b.service))
    });
    // One service may be why for several reasons: the nearest tells.
    let mut seen = BTreeSet::new();
    causes.retain(|cause| seen.insert(cause.service.clone()));
    causes
}

/// Hops along what services need.
fn hops_to(platform: &Platform, from: &str, to: &str) -> Option<u32> {
    let mut level: Vec<&str> = vec![from];
    let mut seen: BTreeSet<&str> = level.iter().copied().collect();
    let mut hops = 0;
    while !level.is_empty() {
        if level.contains(&to) {
            return Some(hops);
        }
        hops += 1;
        level = level
            .iter()
            .filter_map(|name| platform.service(name))
            .flat_map(|service| service.needs.iter().map(|need| need.0.as_str()))
            .filter(|need| seen.insert(need))
            .collect();
    }
    None
}
