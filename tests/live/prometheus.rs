//! Exported rules, Prometheus and Alertmanager, the real ones.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use openpolicy_mcp::{
    health::{self, rules::prometheus_rules},
    observe::{
        ObserveError, Prometheus,
        alertmanager::{Ours, State},
        fit,
        prometheus::Span,
    },
    platform::{
        AlertCondition, AlertRule, AlertScope, Percent, Platform, Service, ServiceName, Severity,
        TrustedDigests, Variables, load,
    },
    store::History,
    tools::{self, Caller, Context},
};
use serde_json::json;

use crate::engines::{
    free_port, over_http,
    prometheus::{Watch, check_rules, endpoint},
};
use crate::local::{Local, Manner};

const LIMIT: Duration = Duration::from_secs(20);

fn rule(name: &str, when: AlertCondition, scope: AlertScope) -> AlertRule {
    AlertRule {
        name: name.into(),
        when,
        hold: Duration::ZERO,
        severity: Severity::Critical,
        scope,
    }
}

fn conditions() -> Vec<AlertCondition> {
    vec![
        AlertCondition::Down,
        AlertCondition::ResponseAbove(Duration::from_millis(500)),
        AlertCondition::ErrorsAbove {
            share: Percent(5.0),
            window: Duration::from_secs(2),
        },
        AlertCondition::MemoryAbove(Percent(80.0)),
        AlertCondition::CpuAbove(Percent(80.0)),
        AlertCondition::IngestionFailuresAbove(Percent(10.0)),
        AlertCondition::OlderThan(Duration::from_secs(24 * 3_600)),
    ]
}

fn only(name: &str) -> AlertScope {
    AlertScope::Services(vec![ServiceName(name.into())])
}

#[test]
fn promtool_takes_every_rule_whatever_its_names() {
    let names = [
        "plain",
        "a \"quoted\" {{name}}",
        "back\\slash: #1\nline",
        "ünïcode 'x'",
    ];
    for name in names {
        let mut platform = Platform {
            name: name.into(),
            services: vec![Service::named(name), Service::named("db.main|x")],
            ..Platform::default()
        };
        for (number, when) in conditions().into_iter().enumerate() {
            for (scope, of) in [
                (AlertScope::AllServices, "all"),
                (AlertScope::Platform, "platform"),
                (only(name), "one"),
            ] {
                let mut rule = rule(&format!("{name} {number} {of}"), when.clone(), scope);
                rule.hold = Duration::from_secs(90);
                platform.alerts.push(rule);
            }
        }
        check_rules(&prometheus_rules(&platform));
    }
    check_rules(&prometheus_rules(&Platform::default()));
}

#[test]
fn promtool_takes_the_rules_of_the_reference_platforms() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("platforms");
    let mut rules = 0;
    for name in ["metadata", "kubernetes", "environments", "v4", "planned"] {
        let path = folder.join(name).join("platform.yaml");
        let loaded = load(&path, &Variables::default(), &TrustedDigests::default());
        let platform = loaded
            .unwrap_or_else(|problems| panic!("{problems}"))
            .platform;
        rules += platform.alerts.len();
        check_rules(&prometheus_rules(&platform));
    }
    assert!(rules > 10, "{rules}");
}

/// What `/metrics` says when `ill` has everything that a rule can find, and `well` nothing.
fn metrics(scrape: u32, now: i64) -> String {
    let mut text = String::new();
    for (service, is_ill) in [("ill", true), ("well", false)] {
        let of = |ill: f64, well: f64| if is_ill { ill } else { well };
        let labels = format!("platform=\"planned\",service=\"{service}\"");
        for (name, value) in [
            ("openpolicy_service_response_seconds", of(2.0, 0.01)),
            ("openpolicy_service_memory_bytes", of(900.0, 100.0)),
            ("openpolicy_service_memory_limit_bytes", 1_000.0),
            ("openpolicy_service_cpu_cores", of(0.95, 0.1)),
            ("openpolicy_service_cpu_limit_cores", 1.0),
            ("openpolicy_service_ingestion_failure_ratio", of(0.5, 0.0)),
            (
                "openpolicy_service_ingestion_success_timestamp_seconds",
                now as f64 - of(100_000.0, 10.0),
            ),
        ] {
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
        for (outcome, count) in [("failed", of(1.0, 0.0)), ("passed", 1.0)] {
            let count = f64::from(scrape) * count;
            let _ = writeln!(
                text,
                "openpolicy_service_checks_total{{{labels},outcome=\"{outcome}\"}} {count}"
            );
        }
        let down = of(1.0, 0.0);
        let _ = writeln!(
            text,
            "openpolicy_service_verdict{{{labels},verdict=\"down\"}} {down}"
        );
    }
    // Of another platform, for which no rule is.
    text.push_str(
        "openpolicy_service_verdict{platform=\"other\",service=\"x\",verdict=\"down\"} 1\n",
    );
    text
}

#[tokio::test]
async fn rules_fire_there_for_what_is_ill_and_for_nothing_else() {
    let scrapes = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&scrapes);
    let target = Local::start(Manner::http(move |_| {
        let scrape = counts.fetch_add(1, Ordering::SeqCst);
        let body = metrics(scrape, Timestamp::now().as_second());
        (200, "text/plain; version=0.0.4", body)
    }))
    .await;
    let mut platform = Platform {
        name: "planned".into(),
        services: vec![Service::named("ill"), Service::named("well")],
        ..Platform::default()
    };
    let named = |number: usize| format!("rule-{number}");
    for (number, when) in conditions().into_iter().enumerate() {
        platform
            .alerts
            .push(rule(&named(number), when, AlertScope::AllServices));
    }
    let count = platform.alerts.len();
    let mut watch = Watch::start(target.port, &prometheus_rules(&platform)).await;

    // Alertmanager hears of each, from Prometheus, and we hear of it.
    let alerts = watch
        .until(
            async |watch| watch.alertmanager.alerts(LIMIT).await.unwrap_or_default(),
            |alerts| alerts.len() >= count,
        )
        .await;
    let mut fired: Vec<_> = alerts
        .iter()
        .map(|alert| {
            (
                alert.name.clone(),
                alert.service.clone().unwrap_or_default(),
            )
        })
        .collect();
    fired.sort();
    let expected: Vec<_> = (0..count)
        .map(|number| (named(number), "ill".to_owned()))
        .collect();
    assert_eq!(fired, expected);
    let down = alerts
        .iter()
        .find(|alert| alert.name == "rule-0")
        .expect("it fires");
    assert_eq!(down.severity.as_deref(), Some("critical"));
    assert_eq!(down.summary.as_deref(), Some("ill is down"));

    questions(&watch).await;
    through_the_tool(watch.port).await;
    ours(&mut watch).await;
}

/// What an agent is told of the same series.
async fn through_the_tool(port: u16) {
    let platform = Platform {
        name: "planned".into(),
        prometheus: Some(endpoint(port)),
        metrics: vec![(
            "memory".into(),
            "openpolicy_service_memory_bytes{service=\"ill\"}".into(),
        )],
        ..Platform::default()
    };
    let nobody_looks: health::watch::Check = Arc::new(|_, _| Box::pin(async { Vec::new() }));
    let history = Arc::new(History::in_memory().expect("a history"));
    let watch = health::Watch::new(Arc::new(platform), history, nobody_looks);
    let context =
        Context::new(Arc::default(), Caller::default()).with_platform(Some(Ok(Arc::new(watch))));
    let tool = tools::find("query_metrics").expect("the tool");
    let ask = async |arguments| (tool.call)(&context, arguments).await;

    let told = ask(json!({"query": "memory"})).await.expect("an answer");
    let told = told.structured();
    assert_eq!(told["series"][0]["value"], 900, "{told:?}");
    assert_eq!(
        (&told["total"], &told["complete"]),
        (&json!(1), &json!(true))
    );

    let wide = json!({"query": "{__name__=~\".+\"}", "from": "1m", "step": "1s"});
    let told = ask(wide).await.expect("an answer").structured();
    let (total, returned) = (told["total"].as_u64(), told["returned"].as_u64());
    assert!(returned < total, "{told:?}");
    assert_eq!(told["complete"], false);
    assert!(told["warnings"].to_string().contains("not all series fit"));

    let told = ask(json!({"query": "no_such_metric"}))
        .await
        .expect("an answer");
    let told = told.structured();
    assert_eq!((&told["total"], &told["series"]), (&json!(0), &json!([])));
    let error = ask(json!({"query": "sum("})).await.expect_err("no PromQL");
    assert_eq!(error.argument.as_deref(), Some("query"));
    assert!(error.message.contains("parse error"), "{}", error.message);
}

async fn questions(watch: &Watch) {
    let prometheus = &watch.prometheus;
    let query = "openpolicy_service_memory_bytes{service=\"ill\"}";
    let found = prometheus.at(query, None, LIMIT).await.expect("an answer");
    assert_eq!(found.series.len(), 1);
    assert_eq!(found.series[0].points[0].value, 900.0);

    let now = Timestamp::now();
    let from = now
        .checked_sub(jiff::SignedDuration::from_secs(60))
        .expect("a time");
    let span = Span::new(from, now, Some(Duration::from_secs(1)), 60);
    let found = prometheus.over("{job=\"openpolicy\"}", span, LIMIT).await;
    let found = found.expect("an answer");
    assert!(found.series.len() > 15, "{}", found.series.len());
    let fitted = fit::fit(&found.series, 600);
    assert_eq!(fitted.total, found.series.len());
    assert!(
        fitted.shared.iter().any(|(name, _)| name == "job"),
        "{fitted:?}"
    );

    let scalar = prometheus
        .at("1 / 0", None, LIMIT)
        .await
        .expect("an answer");
    assert_eq!(scalar.series[0].points[0].value, f64::INFINITY);
    let error = prometheus
        .at("sum(", None, LIMIT)
        .await
        .expect_err("no PromQL");
    assert!(
        matches!(&error, ObserveError::BadQuestion { message, .. } if message.contains("parse error")),
        "{error}"
    );
    let nobody = Prometheus::new(&endpoint(free_port()), None).expect("an address");
    let error = nobody
        .at("up", None, LIMIT)
        .await
        .expect_err("nobody there");
    assert!(matches!(error, ObserveError::Unreachable { .. }), "{error}");
    let hanging = Local::start(Manner::Hang).await;
    let hanging = Prometheus::new(&endpoint(hanging.port), None).expect("an address");
    let error = hanging.at("up", None, Duration::from_millis(200)).await;
    assert!(
        matches!(error, Err(ObserveError::Timeout { .. })),
        "{error:?}"
    );
}

async fn ours(watch: &mut Watch) {
    let now = Timestamp::now();
    let minute = jiff::SignedDuration::from_secs(60);
    let mut alert = Ours {
        platform: "planned".into(),
        rule: "ServiceDown".into(),
        service: Some("postgresql".into()),
        severity: Severity::Warning,
        summary: "postgresql is down".into(),
        since: now.checked_sub(minute).expect("a time"),
        until: now.checked_add(minute).expect("a time"),
    };
    let sent = watch
        .alertmanager
        .send(std::slice::from_ref(&alert), LIMIT)
        .await;
    sent.expect("it is taken");
    let is_ours =
        |alert: &openpolicy_mcp::observe::alertmanager::Alert| alert.name == "ServiceDown";
    let listed = watch
        .until(
            async |watch| watch.alertmanager.alerts(LIMIT).await.unwrap_or_default(),
            |alerts| alerts.iter().any(is_ours),
        )
        .await;
    let found = listed
        .iter()
        .find(|alert| is_ours(alert))
        .expect("it is there");
    assert_eq!(found.service.as_deref(), Some("postgresql"));
    assert_eq!(found.summary.as_deref(), Some("postgresql is down"));
    assert_eq!(found.since.as_millisecond(), alert.since.as_millisecond());
    assert!(
        matches!(found.state, State::Active | State::Unprocessed),
        "{found:?}"
    );
    // Ended.
    alert.until = now;
    watch
        .alertmanager
        .send(&[alert.clone()], LIMIT)
        .await
        .expect("it is taken");
    watch
        .until(
            async |watch| watch.alertmanager.alerts(LIMIT).await.unwrap_or_default(),
            |alerts| !alerts.is_empty() && !alerts.iter().any(is_ours),
        )
        .await;
    // Ends before it begins.
    alert.until = alert.since.checked_sub(minute).expect("a time");
    let error = watch
        .alertmanager
        .send(&[alert], LIMIT)
        .await
        .expect_err("nonsense");
    assert!(matches!(error, ObserveError::BadQuestion { .. }), "{error}");
}

/// Ends the server with the test, whatever becomes of it.
struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_server_that_watches_sends_what_fires_and_what_ends() {
    let target = Local::start(Manner::http(|_| (200, "text/plain", String::new()))).await;
    let mut watch = Watch::start(target.port, "groups: []\n").await;
    let alerts = watch.alertmanager_port;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("platform.yaml");
    let service = free_port();
    std::fs::write(
        &file,
        format!(
            "platform: watched\n\
             alertmanager: {{ url: \"http://127.0.0.1:{alerts}\" }}\n\
             services:\n  db: {{ probe: {{ tcp: \"127.0.0.1:{service}\", interval: 1s, retries: 1 }} }}\n\
             alerts:\n  - {{ name: ServiceDown, when: down, for: 0s, severity: critical }}\n"
        ),
    )
    .expect("a file");
    let http = free_port();
    let server = std::process::Command::new(env!("CARGO_BIN_EXE_openpolicy-mcp"))
        .args([
            "serve",
            "--http",
            &format!("127.0.0.1:{http}"),
            "--platform",
        ])
        .arg(&file)
        .arg("--state")
        .arg(folder.path().join("state"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary");
    let _server = Served(server);
    let sent = async |watch: &Watch| watch.alertmanager.alerts(LIMIT).await.unwrap_or_default();
    let fired = watch.until(sent, |alerts| !alerts.is_empty()).await;
    assert_eq!(fired.len(), 1, "{fired:?}");
    assert_eq!(fired[0].name, "ServiceDown");
    assert_eq!(fired[0].service.as_deref(), Some("db"));
    assert_eq!(fired[0].severity.as_deref(), Some("critical"));
    // A client is told of ours, and of what Alertmanager has from others too.
    let theirs = Ours {
        platform: "another".into(),
        rule: "DiskFull".into(),
        service: Some("storage".into()),
        severity: Severity::Warning,
        summary: "the disk is full".into(),
        since: Timestamp::now(),
        until: Timestamp::now() + jiff::SignedDuration::from_secs(600),
    };
    let taken = watch.alertmanager.send(&[theirs], LIMIT).await;
    taken.expect("it is taken");
    watch.until(sent, |alerts| alerts.len() == 2).await;
    let told = over_http(http, "get_alerts", json!({}))
        .await
        .expect("an answer");
    assert_eq!(told["counts"]["firing"], 1, "{told}");
    let names = |table: &str| {
        let rows = told[table]["rows"].as_array().expect("rows").iter();
        let mut names: Vec<_> = rows
            .map(|row| row[0].as_str().unwrap_or_default())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names("alerts"), ["ServiceDown"]);
    assert_eq!(names("alertmanager"), ["DiskFull", "ServiceDown"]);
    assert_eq!(told["alertmanager"]["total"], 2, "{told}");
    // It comes back: the alert ends there too.
    let _listener = std::net::TcpListener::bind(("127.0.0.1", service)).expect("the port");
    watch
        .until(sent, |alerts| {
            alerts.iter().all(|alert| alert.name != "ServiceDown")
        })
        .await;
    // Alertmanager goes: our own alerts are told all the same, and that it was not asked.
    drop(watch);
    let told = over_http(http, "get_alerts", json!({}))
        .await
        .expect("an answer");
    assert!(told["alertmanager"].is_null(), "{told}");
    let missed = told["could_not_look"].to_string();
    assert!(missed.contains(&alerts.to_string()), "{told}");
}
