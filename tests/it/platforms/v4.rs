//! The v4 platform against the lists of its document.

use std::time::Duration;

use openpolicy_mcp::platform::{
    AlertCondition, Bytes, MilliCpu, Percent,
    model::{Condition, Platform, ProbeKind},
};

use super::{
    document::{Document, Section, between, number},
    names, platform, service,
};

/// The sections of the five phases.
fn phases(document: &Document) -> Vec<&Section> {
    let phases: Vec<&Section> = document
        .sections_of("Phase ")
        .filter(|section| section.heading.contains("services)"))
        .collect();
    assert_eq!(phases.len(), 5);
    phases
}

struct Line {
    name: String,
    ports: Vec<u16>,
    purpose: String,
}

/// `1. **`postgres`** (5432) - Main database`, in the section that follows a phase.
fn services(document: &Document) -> Vec<Vec<Line>> {
    let mut all: Vec<Vec<Line>> = Vec::new();
    for section in document.sections() {
        let lines: Vec<Line> = section
            .lines()
            .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
            .filter_map(|line| {
                let (_, rest) = line.split_once(". ")?;
                let (name, purpose) = rest.split_once(" - ")?;
                let ports = between(name, "(", ")").unwrap_or_default();
                Some(Line {
                    name: name.split(' ').next()?.to_owned(),
                    ports: ports
                        .split(", ")
                        .filter_map(|port| port.parse().ok())
                        .collect(),
                    purpose: purpose.to_owned(),
                })
            })
            .collect();
        if !lines.is_empty() {
            all.push(lines);
        }
    }
    all
}

fn stands_in(platform: &Platform, phase: usize) -> Vec<String> {
    platform.phases[phase]
        .steps
        .iter()
        .flat_map(|step| names(step))
        .collect()
}

#[test]
fn every_service_has_the_ports_and_the_purpose_of_its_line() {
    let document = Document::of("v4");
    let platform = platform("v4/platform.yaml");
    let lines = services(&document);
    assert_eq!(lines.len(), 5);
    for (phase, lines) in lines.iter().enumerate() {
        let listed: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(stands_in(&platform, phase), listed);
        for line in lines {
            let service = service(&platform, &line.name);
            assert_eq!(service.ports, line.ports, "{}", line.name);
            let purpose = service.purpose.as_deref().unwrap_or_default();
            assert_eq!(purpose.to_lowercase(), line.purpose.to_lowercase());
            assert!(service.needs.is_empty(), "the document names no dependency");
        }
    }
    assert_eq!(lines.concat_len(), 32);
    assert_eq!(platform.services.len(), 32);
}

trait ConcatLen {
    fn concat_len(&self) -> usize;
}

impl ConcatLen for Vec<Vec<Line>> {
    fn concat_len(&self) -> usize {
        self.iter().map(Vec::len).sum()
    }
}

#[test]
fn budgets_networks_times_and_risks_are_those_of_the_document() {
    let document = Document::of("v4");
    let platform = platform("v4/platform.yaml");
    let summary = document.section("Deployment Phases Summary").rows();
    // Each phase has its own "Resource Allocation".
    let allocations: Vec<&Section> = document.sections_of("Resource Allocation").collect();
    assert_eq!(allocations.len(), 5);
    let mut so_far = 0;
    for (at, phase) in platform.phases.iter().enumerate() {
        let heading = &phases(&document)[at].heading;
        assert_eq!(phase.title.as_deref(), between(heading, ": ", " ("));
        assert_eq!(phase.priority_word.as_deref(), between(heading, "(", " - "));
        let given = |label: &str| allocations[at].value(label).expect(label);
        let size =
            |label: &str| Bytes::parse(given(label).split(' ').next().unwrap_or_default()).ok();
        assert_eq!(phase.budget.memory, size("Memory"), "{}", phase.name);
        assert_eq!(phase.budget.storage, size("Storage"), "{}", phase.name);
        assert_eq!(phase.budget.cpu_share, Some(Percent(number(&given("CPU")))));
        assert_eq!(phase.network.as_ref(), Some(&given("Network")));
        so_far += stands_in(&platform, at).len();
        let row = &summary[at];
        assert_eq!(number(&row[1]) as usize, so_far, "{}", phase.name);
        assert_eq!(phase.budget.memory, Bytes::parse(&row[2]).ok());
        assert_eq!(phase.budget.cpu_share, Some(Percent(number(&row[3]))));
        let hours = |number: f64| Duration::from_secs_f64(number * 3_600.0);
        let expected = row[4].strip_suffix(" hours").map(|range| {
            let (from, to) = range.split_once('-').expect("a range");
            (hours(number(from)), hours(number(to)))
        });
        assert_eq!(phase.expected, expected, "{}", row[4]);
        assert_eq!(phase.risk.as_ref(), Some(&row[5]));
        assert!(phase.gate.contains(&Condition::Healthy(None)));
    }
}

#[test]
fn commands_start_the_services_of_their_phase() {
    let document = Document::of("v4");
    let platform = platform("v4/platform.yaml");
    let mut commands = 0;
    for section in document.sections_of("Deployment Commands") {
        for line in section.code() {
            if let Some((_, started)) = line.split_once("up -d ") {
                let started: Vec<&str> = started.split(' ').collect();
                assert_eq!(stands_in(&platform, commands), started);
                commands += 1;
            }
        }
    }
    assert_eq!(commands, 3, "phases 4 and 5 have no command");
}

#[test]
fn limits_and_the_health_check_are_those_of_the_document() {
    let document = Document::of("v4");
    let platform = platform("v4/platform.yaml");
    let mut name = String::new();
    let mut part = "";
    let mut read = 0;
    for line in document.section("Immediate Resource Limits").code() {
        let indent = line.len() - line.trim_start().len();
        let (key, given) = line.trim().split_once(':').expect(line);
        let given = given.trim().trim_matches('\'');
        match (indent, key) {
            (2, _) => name = key.to_owned(),
            (_, "limits" | "reservations") => {
                part = if key == "limits" {
                    "limits"
                } else {
                    "reserved"
                }
            }
            (_, "memory" | "cpus") => {
                let service = service(&platform, &name);
                read += 1;
                let matches = match (part, key) {
                    ("limits", "memory") => service.memory == Bytes::parse(given).ok(),
                    ("limits", _) => service.cpu == MilliCpu::parse(given).ok(),
                    (_, "memory") => service.memory_reserved == Bytes::parse(given).ok(),
                    _ => service.cpu_reserved == MilliCpu::parse(given).ok(),
                };
                assert!(matches, "{name} {part} {line}");
            }
            _ => {}
        }
    }
    assert_eq!(read, 8);
    assert_eq!(
        platform
            .services
            .iter()
            .filter(|service| service.memory.is_some())
            .count(),
        3,
        "no other limit is given"
    );

    let template: Vec<(String, String)> = document
        .section("Health Check Improvements")
        .code()
        .iter()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(key, given)| (key.to_owned(), given.to_owned()))
        .collect();
    let seconds = |key: &str| {
        let (_, given) = template.iter().find(|(name, _)| name == key).expect(key);
        Duration::from_secs(number(given) as u64)
    };
    for service in &platform.services {
        let probe = service.probe.as_ref().expect("a probe");
        assert_eq!(probe.interval, seconds("interval"), "{}", service.name);
        assert_eq!(probe.timeout, seconds("timeout"), "{}", service.name);
        assert_eq!(u64::from(probe.retries), seconds("retries").as_secs());
        assert_eq!(
            probe.start_period,
            seconds("start_period"),
            "{}",
            service.name
        );
        // The template's path is looked at, or kept beside the real one.
        let path = match &probe.kind {
            ProbeKind::Http { url, .. } => super::path_of(url),
            _ => String::new(),
        };
        let documented = service.documented_path.as_deref();
        assert!(
            documented == Some("/health") || (path == "/health" && documented.is_none()),
            "{}",
            service.name
        );
    }
}

#[test]
fn emergencies_alerts_and_targets_are_those_of_the_document() {
    let document = Document::of("v4");
    let platform = platform("v4/platform.yaml");
    let after = |section: &str, words: &str| -> Vec<String> {
        let code = document.section(section).code();
        let line = code
            .iter()
            .find_map(|line| line.split_once(words))
            .expect(words);
        line.1.split(' ').map(str::to_owned).collect()
    };
    assert_eq!(
        names(&platform.minimal),
        after("If Docker Becomes Unresponsive", "up -d ")
    );
    let dispensable: Vec<String> = platform
        .services
        .iter()
        .filter(|service| !service.is_essential)
        .map(|service| service.name.0.clone())
        .collect();
    assert_eq!(
        dispensable,
        after("If System Resources Exhausted", ".yml stop ")
    );
    let alert = document.section("Resource Monitoring").code().join(" ");
    let above = between(&alert, "$3 > \"", "%")
        .map(number)
        .expect("a bound");
    assert!(alert.contains("HIGH MEMORY"));
    assert_eq!(platform.alerts.len(), 1);
    assert_eq!(
        platform.alerts[0].when,
        AlertCondition::MemoryAbove(Percent(above))
    );

    let targets = document.section("Performance Targets");
    let target = |label: &str| number(&targets.value(label).expect(label));
    assert_eq!(platform.objectives.uptime, Some(Percent(target("Uptime"))));
    assert_eq!(
        platform.objectives.utilisation,
        Some(Percent(target("Resource Usage")))
    );
    assert_eq!(
        platform.objectives.healthy,
        Some(Percent(target("Service Health")))
    );
    let group = service(&platform, "api").group.as_deref();
    let core = platform
        .groups
        .iter()
        .find(|found| Some(found.name.as_str()) == group);
    assert_eq!(
        core.expect("a group").objectives.p95,
        Some(Duration::from_millis(target("Response Time") as u64))
    );
}
