//! The kubernetes platform against the matrix of its document.

use std::fs;

use openpolicy_mcp::platform::{
    Bytes, MilliCpu, Platform, ProbeKind, TrustedDigests, Variables, lint, load, model::Environment,
};

use super::{
    alerts,
    document::{Document, between, number, slug},
    loaded, names, path_of, platform, service,
};

/// The addresses of the configuration call one service otherwise than the matrix.
fn name_of(title: &str) -> String {
    match title {
        "Error Reporting" => "error-reporting-service".to_owned(),
        _ => slug(title),
    }
}

#[test]
fn every_service_is_as_its_row_of_the_matrix_says() {
    let document = Document::of("kubernetes");
    let platform = platform("kubernetes/platform.yaml");
    let rows = document.section("Service Deployment Matrix").rows();
    assert_eq!(rows.len(), 24);
    for row in &rows {
        let service = service(&platform, &name_of(&row[0]));
        assert_eq!(service.title.as_deref(), Some(row[0].as_str()));
        assert_eq!(service.ports, [number(&row[1]) as u16], "{}", row[0]);
        let (least, most) = row[2].split_once('-').expect("a range");
        assert_eq!(
            service.replicas,
            Some((number(least) as u32, number(most) as u32)),
            "{}",
            row[0]
        );
        let (reserved, limit) = row[3].split_once('-').expect("a range");
        assert_eq!(
            service.memory_reserved,
            Bytes::parse(reserved).ok(),
            "{}",
            row[0]
        );
        assert_eq!(service.memory, Bytes::parse(limit).ok(), "{}", row[0]);
        let probe = service.probe.as_ref().expect("a probe");
        let ProbeKind::Http { url, .. } = &probe.kind else {
            panic!("{}", row[0]);
        };
        assert_eq!(path_of(url), row[4], "{}", row[0]);
        assert!(service.needs.is_empty(), "the document names no dependency");
    }
    // What the addresses of the configuration name, and nothing else.
    assert_eq!(platform.services.len(), rows.len() + 3);
}

#[test]
fn processor_limits_are_those_of_the_document() {
    let document = Document::of("kubernetes");
    let platform = platform("kubernetes/platform.yaml");
    let code = document
        .section("Resource Limits & Requests")
        .code()
        .join("\n");
    let cpu: Vec<MilliCpu> = code
        .lines()
        .filter_map(|line| between(line, "cpu: \"", "\""))
        .filter_map(|cpu| MilliCpu::parse(cpu).ok())
        .collect();
    for service in platform
        .services
        .iter()
        .filter(|service| service.title.is_some())
    {
        assert_eq!(service.cpu_reserved, Some(cpu[0]), "{}", service.name);
        assert_eq!(service.cpu, Some(cpu[1]), "{}", service.name);
    }
}

#[test]
fn variables_and_secrets_are_those_of_the_document() {
    let document = Document::of("kubernetes");
    let loaded = loaded("kubernetes/platform.yaml");
    let platform = &loaded.platform;
    let gateway = service(platform, "api-gateway");
    let value = |name: &str| {
        let found = gateway.environment.iter().find(|(given, _)| given == name);
        found.expect(name).1.clone()
    };
    let variables = document.section("Environment Variables");
    let mut read = 0;
    for line in variables.code() {
        let (name, given) = line.split_once('=').expect(line);
        // The password is a secret and not in the address.
        let expected = given.replace("user:pass@", "user:$(DB_PASSWORD)@");
        assert_eq!(value(name), Some(expected), "{name}");
        if let Some((host, port)) = between(given, "://", "\u{0}")
            .or_else(|| given.split_once("://").map(|(_, rest)| rest))
            .and_then(|rest| rest.rsplit('@').next()?.split_once(':'))
        {
            let name = host.split('.').next().unwrap_or_default();
            assert_eq!(
                service(platform, name).ports,
                [number(port) as u16],
                "{name}"
            );
        }
        read += 1;
    }
    assert_eq!(read, 8);
    let secrets: Vec<String> = document
        .section("Secrets Management")
        .lines()
        .filter_map(|line| between(&line, "--from-literal=", "=").map(str::to_owned))
        .collect();
    assert_eq!(secrets.len(), 3);
    for name in secrets {
        assert_eq!(value(&name), None, "{name} is no text of the file");
    }
    assert_eq!(platform.environment, Environment::Production);
}

#[test]
fn alerts_are_those_of_the_document() {
    let document = Document::of("kubernetes");
    let platform = platform("kubernetes/platform.yaml");
    alerts::are_those_of(document.section("Alert Rules"), &platform);
    let rule = document
        .section("4.2 Custom Metrics & Alerts")
        .code()
        .join("\n");
    let expression = between(&rule, "expr: ", "\n").expect("an expression");
    assert!(
        platform
            .metrics
            .iter()
            .any(|(_, query)| query == expression)
    );
}

#[test]
fn the_manifests_for_a_cluster_say_what_the_matrix_says() {
    let document = Document::of("kubernetes");
    let platform = platform("kubernetes/cluster.yaml");
    let rows = document.section("Service Deployment Matrix").rows();
    for row in &rows {
        let service = service(&platform, &name_of(&row[0]));
        assert_eq!(service.title.as_deref(), Some(row[0].as_str()));
        assert_eq!(service.ports, [number(&row[1]) as u16], "{}", row[0]);
        let (least, most) = row[2].split_once('-').expect("a range");
        let range = (number(least) as u32, number(most) as u32);
        assert_eq!(service.replicas, Some(range), "{}", row[0]);
        let (reserved, limit) = row[3].split_once('-').expect("a range");
        assert_eq!(service.memory_reserved, Bytes::parse(reserved).ok());
        assert_eq!(service.memory, Bytes::parse(limit).ok());
        assert_eq!(service.cpu_reserved, MilliCpu::parse("250m").ok());
        assert_eq!(service.cpu, MilliCpu::parse("500m").ok());
        // The readiness of its pods, which ask for the path of the matrix.
        let probe = service.probe.as_ref().expect("a probe");
        assert!(matches!(probe.kind, ProbeKind::Process), "{}", row[0]);
    }
    assert_eq!(platform.services.len(), rows.len() + 3);
    assert_eq!(platform.environment, Environment::Production);
    // The same variables as on one machine; what is a secret is a reference.
    let own = |platform: &Platform, name: &str| {
        let mut all = service(platform, name).environment.clone();
        all.retain(|(name, _)| name != "PORT");
        all.sort();
        all
    };
    let on_one_machine = super::platform("kubernetes/platform.yaml");
    for (name, value) in own(&on_one_machine, "search-service") {
        let there = own(&platform, "search-service");
        let found = there.iter().find(|(other, _)| *other == name);
        let (_, found) = found.expect("the same variables");
        // An address with a password in it is shown by nobody.
        assert!(name == "DATABASE_URL" || *found == value, "{name}");
    }
}

#[test]
fn the_canary_is_the_platform_of_the_cluster_and_the_weights_of_the_document() {
    let (cluster, canary) = (
        platform("kubernetes/cluster.yaml"),
        platform("kubernetes/canary.yaml"),
    );
    let steps = |platform: &Platform, at: usize| platform.phases[at].steps.clone();
    assert_eq!(canary.phases.len(), cluster.phases.len() + 1);
    for at in 0..cluster.phases.len() {
        assert_eq!(steps(&canary, at), steps(&cluster, at));
    }
    let last = canary.phases.last().expect("a phase");
    let traffic = last.traffic.as_ref().expect("traffic");
    assert_eq!(names(&last.steps.concat()), ["api-gateway-v2"]);
    // What both versions are but for their image.
    let (first, second) = (
        service(&canary, "api-gateway"),
        service(&canary, "api-gateway-v2"),
    );
    assert_eq!(first.ports, second.ports);
    assert_eq!(first.memory, second.memory);
    assert_ne!(first.image, second.image);

    // The first weight makes of the object that is applied the one of the document.
    let code = Document::of("kubernetes")
        .section("3.2 Traffic Management")
        .code()
        .join("\n");
    let written = std::fs::read_to_string(super::path("kubernetes/istio/api-gateway.yaml"));
    let written = written
        .expect("a file")
        .replace("weight: 100", "weight: 90");
    let written = written.replace("weight: 0", "weight: 10");
    let object = written.split("---").next().expect("a document");
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines
            .filter(|line| {
                !line.starts_with('#') && !line.starts_with("namespace:") && !line.is_empty()
            })
            .collect()
    };
    assert_eq!(lines(object), lines(&code));
    assert_eq!(traffic.weights[0], 10);
    assert!(code.contains(&format!("name: {}", traffic.virtual_service)));
    for subset in [&traffic.from, &traffic.to] {
        assert!(code.contains(&format!("subset: {subset}")));
    }
}

/// The objects of the document, as they stand there, around the one workload that they speak of.
#[test]
fn what_the_documents_own_manifests_contradict_is_found() {
    let document = Document::of("kubernetes");
    let block = |section: &str| document.section(section).code().join("\n");
    let workload = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: api-gateway }\nspec:\n  \
                    template: { metadata: { labels: { app: api-gateway } }, spec: { containers: [] } }\n";
    let objects = [
        workload.to_owned(),
        block("Network Policies"),
        block("RBAC Configuration"),
        block("3.2 Traffic Management").replace(
            "  name: api-gateway-vs",
            "  name: api-gateway-vs\n  annotations: { description: Blue-Green deployment for API Gateway }",
        ),
        block("Horizontal Pod Autoscaling"),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("all.yaml"), objects.join("\n---\n")).expect("a file");
    let file = folder.path().join("platform.yaml");
    let text = "platform: p\nruntime: { kubernetes: { manifests: [all.yaml], namespace: p } }\n\
                services: { api-gateway: { probe: { process: true } } }\n";
    fs::write(&file, text).expect("a file");
    let loaded = load(&file, &Variables::default(), &TrustedDigests::default());
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    let found: Vec<(&str, String)> = lint(&loaded)
        .into_iter()
        .map(|finding| (finding.code, finding.message))
        .collect();
    let expected = [
        (
            "policy-cuts-off",
            "NetworkPolicy `api-gateway-network-policy` lists Egress and allows none: `api-gateway` \
             reaches nobody, and cannot even look up a name",
        ),
        (
            "role-bound-to-nobody",
            "Role `openpolicy-service-role` is bound to nobody: no RoleBinding names it",
        ),
        (
            "blue-green-is-a-canary",
            "VirtualService `api-gateway-vs` calls itself blue-green and shares traffic between 2 \
             versions, as a canary does",
        ),
        (
            "subset-undefined",
            "VirtualService `api-gateway-vs` sends to subset `v1` of \
             api-gateway.openpolicy-platform.svc.cluster.local, which no DestinationRule here defines",
        ),
        (
            "subset-undefined",
            "VirtualService `api-gateway-vs` sends to subset `v2` of \
             api-gateway.openpolicy-platform.svc.cluster.local, which no DestinationRule here defines",
        ),
    ];
    let expected = expected.map(|(code, message)| (code, message.to_owned()));
    assert_eq!(found, expected);
}
