//! The metadata platform against the lists of its document.

use std::time::Duration;

use openpolicy_mcp::platform::{
    AlertCondition, AlertScope, Percent, ProbeKind,
    model::{HookAction, RuntimeKind},
};
use secrecy::ExposeSecret as _;

use super::{
    alerts,
    document::{Document, between, number},
    loaded, names, needs, path_of, platform,
    readme::tree,
    service,
};

/// A service of the document: its name, its container and the lines below.
#[derive(Default)]
struct Entry {
    title: String,
    container: Option<String>,
    phase: usize,
    facts: Vec<(String, String)>,
}

impl Entry {
    fn fact(&self, key: &str) -> Option<&str> {
        let found = self.facts.iter().find(|(given, _)| given == key)?;
        Some(&found.1)
    }
}

fn entries(document: &Document) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for section in document.sections() {
        let Some(phase) = between(&section.heading, "(Phase ", " -").map(number) else {
            continue;
        };
        for line in section.lines() {
            if line.starts_with(|first: char| first.is_ascii_digit()) {
                let (_, rest) = line.split_once(". ").expect("a number");
                entries.push(Entry {
                    title: rest.split(" (").next().unwrap_or_default().to_owned(),
                    container: between(rest, "(", ")").map(str::to_owned),
                    phase: phase as usize,
                    facts: Vec::new(),
                });
            } else if let Some((key, given)) = line
                .strip_prefix("- ")
                .and_then(|line| line.split_once(": "))
                && let Some(entry) = entries.last_mut()
            {
                entry.facts.push((key.to_owned(), given.to_owned()));
            }
        }
    }
    entries
}

/// What the document calls a service, as its commands name it.
fn name_of(title: &str) -> &'static str {
    match title.split(" (").next().unwrap_or_default() {
        "PostgreSQL Database" | "PostgreSQL" | "db" => "db",
        "Redis Cache" | "Redis" => "redis",
        "API Gateway" => "api-gateway",
        "User Service" => "user-service",
        "ETL Service" => "etl",
        "Legacy Scrapers" => "legacy-scrapers",
        "OpenMetadata Server" => "openmetadata-server",
        "Elasticsearch" => "elasticsearch",
        "OpenMetadata Ingestion" => "openmetadata-ingestion",
        "Admin UI" => "admin-ui",
        "Web UI" => "web-ui",
        other => panic!("{other}"),
    }
}

#[test]
fn every_service_has_its_container_ports_dependencies_and_check() {
    let document = Document::of("metadata");
    let platform = platform("metadata/platform.yaml");
    let entries = entries(&document);
    assert_eq!(entries.len(), 11);
    assert_eq!(platform.services.len(), entries.len());
    for entry in &entries {
        let service = service(&platform, name_of(&entry.title));
        assert_eq!(service.title.as_ref(), Some(&entry.title));
        if let Some(container) = &entry.container {
            let found = platform.service(container).expect(container);
            assert_eq!(found.name, service.name);
        }
        let ports: Vec<u16> = entry
            .fact("Port")
            .or_else(|| entry.fact("Ports"))
            .map(|ports| ports.split(", ").map(|port| number(port) as u16).collect())
            .unwrap_or_default();
        assert_eq!(service.ports, ports, "{}", entry.title);
        let purpose = entry.fact("Purpose").expect("a purpose");
        assert_eq!(
            service
                .purpose
                .as_deref()
                .unwrap_or_default()
                .to_lowercase(),
            purpose.to_lowercase()
        );
        let expected: Vec<&str> = match entry.fact("Dependencies").expect("dependencies") {
            "None" => Vec::new(),
            some => some.split(", ").map(name_of).collect(),
        };
        assert_eq!(needs(service), expected, "{}", entry.title);
        let probe = service.probe.as_ref().expect("a probe");
        let check = entry.fact("Health Check").expect("a check");
        let kind = probe.kind.name();
        let fits = match check {
            "Database connectivity" => kind == "postgres",
            "Redis ping" => kind == "redis",
            "Page load status" => kind == "page",
            "Airflow webserver status" => kind == "airflow",
            "Scraper status endpoints" => kind == "process",
            endpoint => {
                let path = endpoint.strip_suffix(" endpoint").expect(check);
                match &probe.kind {
                    ProbeKind::Http { url, .. } => path_of(url) == path,
                    // Looked at where it really is; the document's path is kept.
                    _ => service.documented_path.as_deref() == Some(path),
                }
            }
        };
        assert!(fits, "{}: {check} is not {kind}", entry.title);
        let phase = &platform.phases[entry.phase - 1];
        assert!(
            phase
                .steps
                .iter()
                .flatten()
                .any(|name| *name == service.name),
            "{} is not in phase {}",
            entry.title,
            entry.phase
        );
    }
}

#[test]
fn phases_take_their_minutes_and_run_their_commands() {
    let document = Document::of("metadata");
    let loaded = loaded("metadata/platform.yaml");
    let platform = &loaded.platform;
    for (at, phase) in platform.phases.iter().enumerate() {
        let section = document.section(&format!("Phase {}:", at + 1));
        assert_eq!(
            phase.title.as_deref(),
            between(&section.heading, ": ", " (")
        );
        let minutes = between(&section.heading, "(", " minutes")
            .map(number)
            .expect("minutes");
        let expected = Duration::from_secs_f64(minutes * 60.0);
        assert_eq!(phase.expected, Some((expected, expected)));
        let mut started: Vec<String> = Vec::new();
        for line in section.code() {
            if let Some((_, services)) = line.split_once(" up -d ") {
                started.extend(services.split(' ').map(str::to_owned));
            }
        }
        let steps: Vec<String> = phase.steps.iter().flat_map(|step| names(step)).collect();
        match at {
            // The command leaves the scrapers out, the comment above it does not.
            1 => assert_eq!(started, ["etl"]),
            // By its profile.
            2 => {
                assert!(started.is_empty());
                let RuntimeKind::Compose { profiles, .. } = &platform.runtime else {
                    panic!("no Compose");
                };
                assert_eq!(profiles, &["openmetadata"]);
                let compose = tree("metadata/compose.yaml");
                let services = compose.get("services").expect("services").entries();
                let mut with_profile: Vec<String> = services
                    .iter()
                    .filter(|service| service.value.get("profiles").is_some())
                    .map(|service| service.key.clone())
                    .collect();
                let mut steps = steps.clone();
                with_profile.sort();
                steps.sort();
                assert_eq!(with_profile, steps);
            }
            _ => assert_eq!(started, steps),
        }
        let hooks: Vec<String> = section
            .code()
            .iter()
            .filter_map(|line| {
                line.split_once(" exec ")
                    .map(|(_, command)| command.to_owned())
            })
            .collect();
        let given: Vec<String> = phase
            .after
            .iter()
            .map(|hook| match &hook.action {
                HookAction::Exec { service, command } => format!("{service} {}", command.join(" ")),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(given, hooks, "{}", phase.name);
        for hook in &phase.after {
            assert!(hook.check.is_some(), "whether it has run can be told");
        }
    }
}

#[test]
fn addresses_times_and_retries_are_those_of_the_health_checks() {
    let document = Document::of("metadata");
    let platform = platform("metadata/platform.yaml");
    let mut name = "";
    let mut read = 0;
    for line in document.section("Service Health Checks").code() {
        let (key, given) = line.trim().split_once(':').expect(line);
        let given = given.trim().trim_matches('"');
        let service_of = |name| {
            service(
                &platform,
                match name {
                    "database" => "db",
                    "api_gateway" => "api-gateway",
                    "openmetadata" => "openmetadata-server",
                    other => other,
                },
            )
        };
        match key {
            "health_checks" => {}
            "endpoint" => {
                let service = service_of(name);
                let probe = service.probe.as_ref().expect("a probe");
                let url = match &probe.kind {
                    ProbeKind::Http { url, .. }
                    | ProbeKind::Postgres { url, .. }
                    | ProbeKind::Redis { url, .. } => url.expose_secret().to_owned(),
                    // The path of the document is kept beside the real one.
                    ProbeKind::OpenMetadata { url } => format!(
                        "{}{}",
                        url.expose_secret().trim_end_matches('/'),
                        service.documented_path.clone().unwrap_or_default()
                    ),
                    other => panic!("{other:?}"),
                };
                assert_eq!(url.trim_end_matches('/'), given, "{name}");
                read += 1;
            }
            "timeout" => {
                let probe = service_of(name).probe.as_ref().expect("a probe");
                assert_eq!(
                    probe.timeout,
                    Duration::from_secs(number(given) as u64),
                    "{name}"
                );
                read += 1;
            }
            "retries" => {
                let probe = service_of(name).probe.as_ref().expect("a probe");
                assert_eq!(f64::from(probe.retries), number(given), "{name}");
                read += 1;
            }
            service => name = service,
        }
    }
    assert_eq!(read, 12);
}

#[test]
fn the_dependency_chain_is_kept_as_the_document_draws_it() {
    let document = Document::of("metadata");
    let loaded = loaded("metadata/platform.yaml");
    let drawn: Vec<Vec<String>> = document
        .section("Dependency Chain")
        .code()
        .iter()
        .map(|line| {
            line.split(" -> ")
                .map(|name| match name {
                    "scrapers" => "legacy-scrapers",
                    "ingestion" => "openmetadata-ingestion",
                    other => other,
                })
                .map(str::to_owned)
                .collect()
        })
        .collect();
    let kept: Vec<Vec<String>> = loaded
        .raw
        .stated
        .iter()
        .flat_map(|stated| &stated.value)
        .filter_map(|statement| statement.chain.as_ref())
        .map(|chain| chain.value.iter().map(|name| name.value.clone()).collect())
        .collect();
    assert_eq!(kept, drawn);
}

#[test]
fn alerts_are_those_of_the_document() {
    let document = Document::of("metadata");
    let platform = platform("metadata/platform.yaml");
    let rules: Vec<String> = document
        .section("Alerting Rules")
        .lines()
        .filter_map(|line| line.strip_prefix("- ").map(str::to_owned))
        .collect();
    assert_eq!(rules.len(), platform.alerts.len());
    for (rule, alert) in rules.iter().zip(&platform.alerts) {
        let bound = rule.split_once('>').expect("a bound").1;
        let (when, hold) = if rule.starts_with("Service down") {
            (AlertCondition::Down, alerts::duration(bound))
        } else if rule.starts_with("Data ingestion") {
            (
                AlertCondition::IngestionFailuresAbove(Percent(number(bound))),
                Duration::ZERO,
            )
        } else {
            (
                AlertCondition::ResponseAbove(alerts::duration(bound)),
                Duration::ZERO,
            )
        };
        assert_eq!((&alert.when, alert.hold), (&when, hold), "{rule}");
    }
    let scope = |at: usize| match &platform.alerts[at].scope {
        AlertScope::Services(services) => names(services),
        _ => Vec::new(),
    };
    assert_eq!(scope(1), ["db"]);
    assert_eq!(scope(2), ["api-gateway"]);
}
