//! What Compose would start is what the platform files say.

use std::collections::HashMap;

use openpolicy_mcp::platform::{Bytes, MilliCpu, yaml::Node};

use super::{on_one_machine, path, platform, readme::tree};

/// Images that are there in earnest; every other service is a stand-in.
const REAL: [&str; 4] = ["postgres:", "redis:", "rabbitmq:", "elasticsearch:"];

/// `postgres:15` of `${POSTGRES_IMAGE:-postgres:15}`.
fn default_of(text: &str) -> &str {
    text.split_once(":-")
        .map_or(text, |(_, rest)| rest.trim_end_matches('}'))
}

/// Host and container ports of a service.
fn published(service: &Node) -> Vec<(u16, u16)> {
    let ports = service.get("ports").map(Node::items).unwrap_or_default();
    ports
        .iter()
        .map(|port| {
            let text = port.text().expect("a port");
            let mut parts = text.rsplit(':').map(|part| part.parse().expect(text));
            let inside = parts.next().expect(text);
            (parts.next().expect(text), inside)
        })
        .collect()
}

fn texts(node: Option<&Node>) -> Vec<String> {
    let items = node.map(Node::items).unwrap_or_default();
    items
        .iter()
        .filter_map(Node::text)
        .map(str::to_owned)
        .collect()
}

#[test]
fn services_images_ports_limits_and_dependencies_agree() {
    for file in on_one_machine() {
        let platform = platform(file);
        let folder = file.split('/').next().expect(file);
        let compose = tree(&format!("{folder}/compose.yaml"));
        let services = compose.get("services").expect("services");
        let mut named: Vec<&str> = services
            .entries()
            .iter()
            .map(|entry| entry.key.as_str())
            .collect();
        let mut expected: Vec<&str> = platform
            .services
            .iter()
            .map(|s| s.name.0.as_str())
            .collect();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected, "{file}");
        let mut uses: HashMap<u16, usize> = HashMap::new();
        for port in platform.services.iter().flat_map(|service| &service.ports) {
            *uses.entry(*port).or_default() += 1;
        }
        for service in &platform.services {
            let name = &service.name.0;
            let node = services.get(name).expect(name);
            let image = default_of(node.get("image").and_then(Node::text).expect(name));
            assert!(
                image == "openpolicy/stand-in:1" || REAL.iter().any(|real| image.starts_with(real)),
                "{file}: {name} {image}"
            );
            let open: Vec<u16> = published(node).iter().map(|(_, inside)| *inside).collect();
            let exposed = texts(node.get("expose"));
            if service.ports.iter().any(|port| uses.get(port) > Some(&1)) {
                assert!(
                    open.is_empty(),
                    "{file}: {name} has a port that another one has"
                );
                let ports: Vec<String> = service.ports.iter().map(u16::to_string).collect();
                assert_eq!(exposed, ports, "{file}: {name}");
            } else {
                assert_eq!(open, service.ports, "{file}: {name}");
                assert!(published(node).iter().all(|(host, inside)| host == inside));
            }
            let limit = |short: &str, part: &str, long: &str| {
                node.get(short)
                    .or_else(|| node.at(&["deploy", "resources", part, long]))
                    .and_then(Node::text)
                    .map(str::to_owned)
            };
            let memory = limit("mem_limit", "limits", "memory");
            assert_eq!(
                service.memory,
                memory.and_then(|m| Bytes::parse(&m).ok()),
                "{file}: {name}"
            );
            let cpu = limit("cpus", "limits", "cpus");
            assert_eq!(
                service.cpu,
                cpu.and_then(|c| MilliCpu::parse(&c).ok()),
                "{file}: {name}"
            );
            let reserved = limit("mem_reservation", "reservations", "memory");
            assert_eq!(
                service.memory_reserved,
                reserved.and_then(|m| Bytes::parse(&m).ok()),
                "{file}: {name}"
            );
            let needed: Vec<&str> = service
                .needs
                .iter()
                .map(|name| name.0.as_str())
                // Its profile may be off, and Compose refuses that.
                .filter(|needed| !(name == "admin-ui" && *needed == "openmetadata-server"))
                .collect();
            let depends_on: Vec<&str> = node
                .get("depends_on")
                .map(Node::entries)
                .unwrap_or_default()
                .iter()
                .map(|entry| entry.key.as_str())
                .collect();
            assert_eq!(depends_on, needed, "{file}: {name}");
            if let Some(container) = node.get("container_name").and_then(Node::text) {
                assert_eq!(service.aliases, [container], "{file}");
            }
        }
    }
}

#[test]
fn ports_that_two_services_have_are_published_once_each_by_the_second_file() {
    for (folder, services) in [("metadata", 2), ("kubernetes", 2), ("planned", 4)] {
        let base = tree(&format!("{folder}/compose.yaml"));
        let publish = tree(&format!("{folder}/compose.publish.yaml"));
        let published_by = |tree: &Node| -> Vec<u16> {
            let services = tree.get("services").map(Node::entries).unwrap_or_default();
            let ports = services.iter().flat_map(|entry| published(&entry.value));
            ports.map(|(host, _)| host).collect()
        };
        let added = published_by(&publish);
        assert_eq!(added.len(), services, "{folder}");
        let mut all = published_by(&base);
        all.extend(added);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{folder} publishes a port twice");
        // Probes look where it is published.
        let text = std::fs::read_to_string(path(&format!("{folder}/platform.yaml"))).expect(folder);
        for port in all.iter().filter(|port| **port > 10_000) {
            assert!(
                text.contains(&port.to_string()),
                "{folder}: nothing looks at {port}"
            );
        }
    }
}

#[test]
fn health_checks_are_the_template_of_the_documents() {
    for file in on_one_machine() {
        let folder = file.split('/').next().expect(file);
        let compose = tree(&format!("{folder}/compose.yaml"));
        let path = if matches!(folder, "kubernetes" | "environments") {
            "/healthz"
        } else {
            "/health"
        };
        for entry in compose.get("services").expect("services").entries() {
            let test = texts(entry.value.at(&["healthcheck", "test"]));
            if test.is_empty() {
                assert!(
                    ["legacy-scrapers", "scraper-runner", "fluentd"].contains(&entry.key.as_str()),
                    "{file}: {} is not checked",
                    entry.key
                );
                continue;
            }
            for key in ["interval", "timeout", "retries", "start_period"] {
                assert!(
                    entry.value.at(&["healthcheck", key]).is_some(),
                    "{file}: {}",
                    entry.key
                );
            }
            let port = texts(entry.value.get("expose"))
                .first()
                .map(|port| port.parse().expect("a port"))
                .or_else(|| published(&entry.value).first().map(|(_, inside)| *inside));
            let template = format!("http://localhost:{}{path}", port.unwrap_or_default());
            let has_its_own = [
                "postgres",
                "postgresql",
                "db",
                "redis",
                "rabbitmq",
                "elasticsearch",
            ]
            .contains(&entry.key.as_str())
                || ["openmetadata-server", "admin-ui", "web-ui"].contains(&entry.key.as_str())
                || ["prometheus", "grafana", "logstash", "kibana"].contains(&entry.key.as_str());
            if !has_its_own {
                assert_eq!(
                    test,
                    ["CMD", "curl", "-f", &template],
                    "{file}: {}",
                    entry.key
                );
            }
        }
    }
}
