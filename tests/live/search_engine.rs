//! The probe of search engines against a real OpenSearch, which `./run test opensearch` fetches.

use std::process::Command;

use openpolicy_mcp::{
    health::{
        Outcome,
        probe::{Surroundings, look},
    },
    platform::ProbeKind,
};

use crate::engines::{
    Engine, assert_failed, assert_passed, fact, free_port, impatient, probe, seen, wait_for,
};

fn put(port: u16, path: &str, body: &str) {
    let url = format!("http://127.0.0.1:{port}{path}");
    let done = Command::new("curl")
        .args(["-sf", "--max-time", "30", "-X", "PUT"])
        .args(["-H", "content-type: application/json", "-d", body, &url])
        .output()
        .expect("curl");
    assert!(done.status.success(), "{path}: {done:?}");
}

#[tokio::test]
#[ignore = "half a minute and 0.8 GB: ./run test opensearch"]
async fn everything_that_an_opensearch_can_say() {
    let variable = |name: &str| std::env::var(name).expect("set by ./run test opensearch");
    let (java, classes) = (
        variable("OPENPOLICY_JAVA"),
        variable("OPENPOLICY_OPENSEARCH"),
    );
    let folder = tempfile::tempdir().unwrap();
    let (port, between) = (free_port(), free_port());
    let home = folder.path().display().to_string();
    let mut engine = Engine::start(
        &[
            java,
            "-Xmx512m".into(),
            "-cp".into(),
            format!("{classes}/lib/*:{classes}"),
            "Main".into(),
            home,
            port.to_string(),
            between.to_string(),
        ],
        &[],
    );
    let at = |path: &str| ProbeKind::SearchEngine {
        url: format!("http://127.0.0.1:{port}{path}").into(),
    };
    let kind = at("");
    let green = wait_for(&kind, &mut engine, |outcome| *outcome == Outcome::Passed).await;
    assert_eq!(fact(&green, "colour"), "green");
    assert_eq!(fact(&green, "cluster"), "openpolicy");

    // A copy that has no second node to go to.
    put(port, "/bills", r#"{"settings": {"number_of_replicas": 1}}"#);
    let yellow = seen(at("/_cluster/health")).await;
    assert_passed(&yellow);
    assert_eq!(fact(&yellow, "colour"), "yellow");
    assert_eq!(fact(&yellow, "unassigned_shards"), "1");

    // Data that no node may have. The answer comes before the shards are given up.
    let nowhere = r#"{"settings": {"number_of_replicas": 0,
        "index.routing.allocation.require._name": "nowhere"}}"#;
    put(port, "/votes?wait_for_active_shards=0", nowhere);
    let red = wait_for(&kind, &mut engine, |outcome| {
        matches!(outcome, Outcome::Failed(_))
    })
    .await;
    assert_failed(&red, "its cluster is red");
    // Another web service of the same server.
    assert_failed(
        &seen(at("/bills")).await,
        "is this Elasticsearch or OpenSearch?",
    );

    let mut slow = probe(at("/_cluster/health"));
    slow.slow_above = Some(std::time::Duration::ZERO);
    let slow = look(&slow, &Surroundings::default()).await;
    // Red goes before slow.
    assert_failed(&slow, "its cluster is red");

    engine.signal("STOP");
    let hanging = look(&impatient(kind.clone()), &Surroundings::default()).await;
    assert_failed(&hanging, "gave no answer within 300 ms");
    drop(engine);
    assert_failed(&seen(kind).await, "refuses connections");
}
