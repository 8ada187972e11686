//! Which services of the platform may be why data is wrong, or why a service fails. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::impact::carriers_of;
use crate::{
    deploy::past::Past,
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
    // What it needs may be why also where that blocks nothing: while the service itself only
    // starts, or where nobody could look.
    let needs = platform.service(name).map_or(&[][..], |it| &it.needs);
    let needs = needs.iter().filter(|_| service.verdict != Verdict::Up);
    for need in needs.filter_map(|need| health.service(&need.0)) {
        match need.verdict {
            Verdict::Up => {}
            Verdict::Blocked => {
                for cause in need.blocked_by.iter().filter_map(|it| health.service(it)) {
                    let hops = hops_to(platform, name, &cause.name).unwrap_or(2);
                    causes.push(of(cause, hops, None));
                }
            }
            _ => causes.push(of(need, 1, None)),
        }
    }
    ranked(causes)
}

/// How far back runs and stops are read, in milliseconds.
pub const DEPLOYED_WITHIN: i64 = 7 * 86_400_000;
/// So long after it was acted on a failure is told with it.
const SHORTLY: i64 = 3_600_000;
/// Of what was done to one service so much is told: the last is the likeliest.
const MOST_DEPLOYMENTS: usize = 2;
/// A look that finds a failure may come a little before the run wrote that it began.
const SLACK: i64 = 60_000;

/// Something that was done to a failing service shortly before it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentCause {
    pub service: String,
    /// `run 7`.
    pub subject: String,
    pub at: Timestamp,
    pub evidence: String,
}

/// Runs and stops that acted on a failing service shortly before it failed, newest first.
pub fn of_deployments(
    causes: &[ServiceCause],
    past: &Past,
    now: Timestamp,
) -> Vec<DeploymentCause> {
    let failing = causes.iter().filter(|one| one.verdict != Verdict::Up);
    let failing = failing.map(|cause| (cause.service.as_str(), cause.since.unwrap_or(now)));
    acted_on(failing, past, now)
}

/// Runs and stops that acted on a service shortly before a time at which something went wrong, of
/// the service or of the data that it carries.
pub fn acted_on<'a>(
    failing: impl IntoIterator<Item = (&'a str, Timestamp)>,
    past: &Past,
    now: Timestamp,
) -> Vec<DeploymentCause> {
    let mut all: Vec<DeploymentCause> = Vec::new();
    for (service, failed) in failing {
        let failed = failed.as_millisecond();
        let is_shortly = |from: i64, to: i64| from <= failed + SLACK && to >= failed - SHORTLY;
        let mut found = Vec::new();
        for stop in &past.interventions {
            if stop.services.iter().any(|one| one == service) && is_shortly(stop.at, stop.at) {
                let why = stop.reason.as_deref().map(|why| format!(" ({why})"));
                found.push(DeploymentCause {
                    service: service.to_owned(),
                    subject: "stop_services".into(),
                    at: Timestamp::from_millisecond(stop.at).unwrap_or(now),
                    evidence: format!("{} stopped it{}", stop.by, why.unwrap_or_default()),
                });
            }
        }
        for run in &past.runs {
            let ended = run.ended.unwrap_or(now).as_millisecond();
            let is_touched = run.touched.iter().any(|one| one.0 == service);
            if is_touched && is_shortly(run.began.as_millisecond(), ended) {
                found.push(DeploymentCause {
                    service: service.to_owned(),
                    subject: format!("run {}", run.run),
                    at: run.began,
                    evidence: format!(
                        "acted on it and {}; begun by {}",
                        match run.ended {
                            Some(_) => format!("ended as {}", run.status.as_str()),
                            None => format!("is {}", run.status.as_str()),
                        },
                        run.by
                    ),
                });
            }
        }
        found.sort_by_key(|one| std::cmp::Reverse(one.at));
        for one in found.into_iter().take(MOST_DEPLOYMENTS) {
            // Several things may have gone wrong after the same run.
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deploy::{Status, event::EndState, past::PastRun, plan::Kind},
        platform::ServiceName,
    };

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).expect("a time")
    }

    fn run(id: i64, began: i64, touched: &str) -> PastRun {
        PastRun {
            run: id,
            kind: Kind::Deploy,
            status: Status::Ended(EndState::Succeeded),
            began: at(began),
            ended: Some(at(began + 1)),
            by: "ada".into(),
            reason: None,
            phases: vec!["apps".into()],
            touched: vec![ServiceName(touched.into())],
            planned: at(began),
        }
    }

    #[test]
    fn what_acted_on_a_service_shortly_before_it_failed_is_told() {
        let cause = ServiceCause {
            verdict: Verdict::Down,
            service: "api".into(),
            distance: 0,
            since: Some(at(200)),
            evidence: String::new(),
        };
        let past = Past {
            runs: vec![
                run(6, 260, "api"),
                run(5, 199, "api"),
                run(4, 198, "db"),
                run(3, 190, "api"),
                run(2, 180, "api"),
                run(1, 100, "api"),
            ],
            ..Past::default()
        };
        let found = of_deployments(std::slice::from_ref(&cause), &past, at(300));
        let runs: Vec<&str> = found.iter().map(|one| one.subject.as_str()).collect();
        assert_eq!(
            runs,
            ["run 5", "run 3"],
            "neither later, nor long before, nor of another"
        );
        let well = ServiceCause {
            verdict: Verdict::Up,
            ..cause
        };
        assert!(of_deployments(&[well], &past, at(300)).is_empty());
    }
}
