//! What a Compose file says is part of the platform; the platform file wins.

use std::time::Duration;

use openpolicy_mcp::platform::{self, ProbeKind};

use super::Folder;

const COMPOSE: &str = r#"
x-base: &base { restart: always, deploy: { resources: { limits: { memory: 512M, cpus: "0.5" } } } }
services:
  db:
    image: postgres:${PG_VERSION:-15}
    container_name: shop-db-1
    ports: ["127.0.0.1:15432:5432", { target: 9187, published: "19187" }]
    volumes: ["data:/var/lib/postgresql/data"]
    environment: { POSTGRES_USER: shop, POSTGRES_PASSWORD: "${DB_PASSWORD:-x}" }
    mem_limit: 1g
    mem_reservation: 512m
    cpus: 1.5
    healthcheck: { test: [CMD, pg_isready], interval: 5s, timeout: 3s, retries: 7, start_period: 1m30s }
  init:
    image: shop/init
    depends_on: [db]
  api:
    <<: *base
    image: shop/api
    expose: ["8000"]
    depends_on:
      db: { condition: service_healthy }
      init: { condition: service_completed_successfully }
    environment: ["LEVEL=info", "API_TOKEN=hidden", "PASSED"]
  extra:
    extends: api
    image: shop/extra
    profiles: [more]
"#;

#[test]
fn images_ports_limits_dependencies_and_health_checks_are_read() {
    let loaded = Folder::with("platform: p\nruntime: { compose: {} }\n")
        .file("compose.yaml", COMPOSE)
        .load();
    let names: Vec<&str> = loaded
        .platform
        .services
        .iter()
        .map(|service| service.name.0.as_str())
        .collect();
    assert_eq!(
        names,
        ["db", "init", "api"],
        "`extra` has a profile that is not on"
    );
    let db = loaded
        .platform
        .service("shop-db-1")
        .expect("by its container");
    assert_eq!(db.image.as_deref(), Some("postgres:15"));
    assert_eq!(db.ports, [5432, 9187]);
    assert_eq!(db.memory.expect("a limit").to_string(), "1Gi");
    assert_eq!(
        db.memory_reserved.expect("a reservation").to_string(),
        "512Mi"
    );
    assert_eq!(db.cpu.expect("a limit").to_string(), "1500m");
    assert!(db.is_stateful);
    let probe = db.probe.as_ref().expect("its health check");
    assert!(matches!(probe.kind, ProbeKind::Process));
    assert_eq!(
        (probe.interval, probe.timeout),
        (Duration::from_secs(5), Duration::from_secs(3))
    );
    assert_eq!(
        (probe.retries, probe.start_period),
        (7, Duration::from_secs(90))
    );
    assert_eq!(
        db.environment,
        [
            ("POSTGRES_USER".to_owned(), Some("shop".to_owned())),
            ("POSTGRES_PASSWORD".to_owned(), None)
        ]
    );
    let api = loaded.platform.service("api").expect("api");
    assert_eq!(api.memory.expect("of the anchor").to_string(), "512Mi");
    assert_eq!(api.ports, [8000]);
    let needs: Vec<&str> = api.needs.iter().map(|name| name.0.as_str()).collect();
    assert_eq!(needs, ["db", "init"]);
    assert_eq!(
        api.environment,
        [
            ("LEVEL".to_owned(), Some("info".to_owned())),
            ("API_TOKEN".to_owned(), None),
            ("PASSED".to_owned(), None)
        ]
    );
    assert!(loaded.platform.service("init").expect("init").is_one_shot);
}

#[test]
fn a_profile_that_is_on_brings_its_services_with_what_they_extend() {
    let loaded = Folder::with("platform: p\nruntime: { compose: { profiles: [more] } }\n")
        .file("compose.yaml", COMPOSE)
        .load();
    let extra = loaded.platform.service("extra").expect("it is on");
    assert_eq!(extra.image.as_deref(), Some("shop/extra"));
    assert_eq!(extra.memory.expect("extended").to_string(), "512Mi");
    assert!(
        extra.needs.is_empty(),
        "Compose takes dependencies not over"
    );
}

#[test]
fn the_platform_file_wins_and_lint_tells_where_they_differ() {
    let loaded = Folder::with(
        "platform: p\nruntime: { compose: {} }\nservices:\n  database: { compose: db, memory: 2Gi, aliases: [pg] }\n",
    )
    .file("compose.yaml", COMPOSE)
    .load();
    let db = loaded.platform.service("pg").expect("by its alias");
    assert_eq!(db.name.0, "database");
    assert_eq!(db.memory.expect("a limit").to_string(), "2Gi");
    assert_eq!(
        db.image.as_deref(),
        Some("postgres:15"),
        "what it does not say is read"
    );
    let api = loaded.platform.service("api").expect("api");
    assert_eq!(
        api.needs[0].0, "database",
        "under the name of the platform file"
    );
    let findings = platform::lint(&loaded);
    let found = findings
        .iter()
        .find(|finding| finding.code == "runtime-differs");
    assert_eq!(
        found.expect("they differ").message,
        "`memory` of `database` is 2Gi here and 1Gi in the runtime's files, which decide what runs"
    );
}

#[test]
fn later_files_and_env_files_win_as_compose_has_it() {
    let loaded = Folder::with("platform: p\nruntime: { compose: { files: [a.yaml, b.yaml] } }\n")
        .file(
            "a.yaml",
            "services: { db: { image: \"x:${TAG}\", ports: [\"1:10\"] } }\n",
        )
        .file(
            "b.yaml",
            "include: [c.yaml]\nservices: { db: { mem_limit: 1g, ports: [\"2:20\"] } }\n",
        )
        .file("c.yaml", "services: { other: { image: y } }\n")
        .file(".env", "# tags\nTAG='7'\n")
        .load();
    let db = loaded.platform.service("db").expect("db");
    assert_eq!(db.image.as_deref(), Some("x:7"));
    assert_eq!(db.ports, [10, 20]);
    assert_eq!(db.memory.expect("a limit").to_string(), "1Gi");
    assert!(loaded.platform.service("other").is_some());
}

#[test]
fn faults_of_a_compose_file_are_told_in_that_file() {
    let found = Folder::with("platform: p\nruntime: { compose: {} }\n")
        .file(
            "compose.yaml",
            "services:\n  db:\n    mem_limit: much\n    ports: [\"a:b\"]\n    healthcheck: { interval: soon }\n",
        )
        .faults();
    assert_eq!(
        found,
        [
            "compose.yaml:3:16: `much` is not a size like 512Mi, 1.5Gi or 512MB",
            "compose.yaml:4:13: `b` is no port; write it like `8080:80`",
            "compose.yaml:5:30: `soon` is not a duration like 500ms, 30s, 5m, 1h30m or 7d",
        ]
    );
}

#[test]
fn what_is_not_read_is_told() {
    let loaded = Folder::with("platform: p\nruntime: { compose: {} }\n")
        .file(
            "compose.yaml",
            "services: { db: { image: x, extends: { file: other.yaml, service: base } } }\n",
        )
        .load();
    let findings = platform::lint(&loaded);
    assert!(
        findings.iter().any(|finding| finding.code == "not-read"),
        "{findings:?}"
    );
}
