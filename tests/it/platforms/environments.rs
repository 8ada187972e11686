//! The two environments against the matrix of their document.

use std::{fs, time::Duration};

use openpolicy_mcp::platform::{
    Bytes, MilliCpu, Percent, ProbeKind, model::Environment, yaml::Node,
};

use crate::support::server::command;

use super::{
    alerts,
    document::{Document, between, number, slug},
    names, path, path_of, platform,
    readme::tree,
    service,
};

/// On one machine, and on a cluster.
const FILES: [&str; 4] = [
    "environments/platform.yaml",
    "environments/production.yaml",
    "environments/cluster.yaml",
    "environments/cluster-production.yaml",
];

/// `Policy` of the Core Services is `policy-service` elsewhere.
fn name_of(short: &str) -> String {
    match short {
        "API Gateway" | "Mobile API" => slug(short),
        "Web" => "web-frontend".to_owned(),
        "Admin" => "admin-dashboard".to_owned(),
        _ => format!("{}-service", slug(short)),
    }
}

#[test]
fn every_category_has_its_services_replicas_and_resources() {
    let document = Document::of("environments");
    let rows = document.section("2. Service Deployment Matrix").rows();
    assert_eq!(rows.len(), 5);
    for file in FILES {
        let platform = platform(file);
        assert_eq!(platform.groups.len(), rows.len());
        let mut listed = 0;
        for (row, group) in rows.iter().zip(&platform.groups) {
            assert_eq!(group.name, slug(&row[0]), "{file}");
            let members: Vec<String> = row[1].split(", ").map(name_of).collect();
            let in_group: Vec<String> = platform
                .services
                .iter()
                .filter(|service| service.group.as_ref() == Some(&group.name))
                .map(|service| service.name.0.clone())
                .collect();
            assert_eq!(in_group, members, "{file}");
            listed += members.len();
            let (least, most) = row[2].split_once('-').expect("a range");
            let (reserved, limit) = row[3].split_once('-').expect("a range");
            for name in members {
                let service = service(&platform, &name);
                assert_eq!(
                    service.replicas,
                    Some((number(least) as u32, number(most) as u32)),
                    "{name}"
                );
                assert_eq!(
                    service.memory_reserved,
                    Bytes::parse(reserved).ok(),
                    "{name}"
                );
                assert_eq!(service.memory, Bytes::parse(limit).ok(), "{name}");
                assert_eq!(service.cpu_reserved, MilliCpu::parse("250m").ok(), "{name}");
                assert_eq!(service.cpu, MilliCpu::parse("500m").ok(), "{name}");
                let probe = service.probe.as_ref().expect("a probe");
                match &probe.kind {
                    ProbeKind::Http { url, .. } => assert_eq!(path_of(url), row[4], "{name}"),
                    // The readiness of its pods; each probe of the manifests asks for the same path.
                    kind => assert!(matches!(kind, ProbeKind::Process), "{name}"),
                }
            }
        }
        // PostgreSQL, which the backup names, stands beside them.
        assert_eq!(platform.services.len(), listed + 1);
        let backup = document.section("Backup Strategy").code().join("\n");
        let container = between(&backup, "-it ", " ").expect("a container");
        assert_eq!(service(&platform, container).name.0, "postgresql");
    }
}

#[test]
fn phases_are_the_order_of_the_folders_that_are_applied() {
    let document = Document::of("environments");
    let order: Vec<String> = document
        .section("Service-by-Service Deployment")
        .code()
        .iter()
        .filter_map(|line| between(line, "deploy/k8s/", "/").map(str::to_owned))
        .collect();
    assert_eq!(order.len(), 4);
    for file in FILES {
        let platform = platform(file);
        assert_eq!(platform.phases[0].name, "infrastructure");
        assert_eq!(platform.phases.len(), order.len() + 1);
        for (phase, folder) in platform.phases[1..].iter().zip(&order) {
            assert_eq!(format!("{}-services", phase.name), *folder);
            let members: Vec<String> = platform
                .services
                .iter()
                .filter(|service| service.group.as_ref() == Some(folder))
                .map(|service| service.name.0.clone())
                .collect();
            assert_eq!(
                phase
                    .steps
                    .iter()
                    .flat_map(|step| names(step))
                    .collect::<Vec<_>>(),
                members
            );
        }
    }
}

#[test]
fn objectives_standards_and_alerts_are_those_of_the_document() {
    let document = Document::of("environments");
    let technical = document.section("Technical Metrics");
    let business = document.section("Business Metrics");
    let share = |label: &str| {
        let text = technical
            .value(label)
            .or_else(|| business.value(label))
            .expect(label);
        Some(Percent(number(&text)))
    };
    let time = |label: &str| {
        let text = technical
            .value(label)
            .or_else(|| business.value(label))
            .expect(label);
        Some(alerts::duration(&text))
    };
    for file in FILES {
        let platform = platform(file);
        let objectives = platform.objectives;
        assert_eq!(objectives.uptime, share("Service Uptime"));
        assert_eq!(objectives.p95, time("Response Time"));
        assert_eq!(objectives.errors, share("Error Rate"));
        assert_eq!(objectives.utilisation, share("Resource Utilization"));
        assert_eq!(
            business.value("Deployment Frequency").as_deref(),
            Some("Daily")
        );
        assert_eq!(
            objectives.deployment_every,
            Some(Duration::from_secs(86_400))
        );
        assert_eq!(objectives.lead_time, time("Lead Time"));
        assert_eq!(objectives.time_to_restore, time("MTTR"));
        assert_eq!(objectives.change_failure_rate, share("Change Failure Rate"));
        let standards = platform.standards.as_ref().expect("standards");
        let series = document
            .section("COMPLETED PHASES")
            .value("Port Standardization");
        assert!(series.is_some_and(|series| series.starts_with("9000-series")));
        assert_eq!(standards.ports, Some((9_000, 9_999)));
        assert_eq!(standards.health_path.as_deref(), Some("/healthz"));
        alerts::are_those_of(document.section("Alert Rules"), &platform);
        let scaling = document
            .section("Horizontal Pod Autoscaling")
            .code()
            .join("\n");
        let bound = |key: &str| {
            let text = between(&format!("{scaling}\n"), key, "\n").map(number);
            text.expect(key) as u32
        };
        assert_eq!(
            service(&platform, "api-gateway").replicas,
            Some((bound("minReplicas:"), bound("maxReplicas:")))
        );
    }
}

#[test]
fn production_says_nothing_but_what_is_its_own() {
    let [development, production, ..] = FILES.map(tree);
    let keys: Vec<&str> = production
        .entries()
        .iter()
        .map(|one| one.key.as_str())
        .collect();
    assert_eq!(keys, ["extends", "environment", "runtime"]);
    let project = |file: &Node| {
        let project = file.at(&["runtime", "compose", "project"]);
        project.and_then(Node::text).map(str::to_owned)
    };
    assert_eq!(project(&development).as_deref(), Some("openpolicy-dev"));
    assert_eq!(project(&production).as_deref(), Some("openpolicy-prod"));
    for (file, environment) in FILES.into_iter().zip([
        Environment::Development,
        Environment::Production,
        Environment::Development,
        Environment::Production,
    ]) {
        assert_eq!(platform(file).environment, environment, "{file}");
    }
}

/// A flag that does not exist would be noticed in the middle of a release.
#[test]
fn the_pipeline_calls_commands_that_there_are() {
    let text = fs::read_to_string(path("environments/workflow.yaml")).expect("a file");
    // A command that goes on in the next line is one.
    let text = text.replace("\\\n", " ");
    let mut commands = 0;
    for line in text.lines() {
        let Some((_, called)) = line.split_once("openpolicy-mcp ") else {
            continue;
        };
        let mut words = called.split_whitespace();
        let subcommand = words.next().expect("a command");
        if !subcommand.bytes().all(|byte| byte.is_ascii_lowercase()) {
            continue;
        }
        let ended = command(&[subcommand, "--help"], &[]).output();
        let help = String::from_utf8(ended.expect("the binary").stdout).expect("a text");
        for flag in words.filter(|word| word.starts_with("--")) {
            assert!(
                help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
                "{line}"
            );
        }
        commands += 1;
    }
    assert!(commands >= 8, "{commands} commands");
}
