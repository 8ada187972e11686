//! The Airflow probe against the answers that Airflow's documentation gives, versions 2.0 and 3.

use openpolicy_mcp::platform::ProbeKind;
use serde_json::{Value, json};

use crate::engines::{assert_failed, assert_impaired, assert_passed, fact, seen};
use crate::local::Local;

/// From "Checking Airflow Health Status" of 2.0.1.
fn of_version_2() -> Value {
    json!({
        "metadatabase": {"status": "healthy"},
        "scheduler": {
            "status": "healthy",
            "latest_scheduler_heartbeat": "2018-12-26 17:15:11+00:00"
        }
    })
}

/// The same page of version 3.
fn of_version_3() -> Value {
    let mut health = of_version_2();
    health["triggerer"] =
        json!({"status": "healthy", "latest_triggerer_heartbeat": "2018-12-26 17:16:12+00:00"});
    health["dag_processor"] =
        json!({"status": "healthy", "latest_dag_processor_heartbeat": "2018-12-26 17:16:12+00:00"});
    health
}

async fn version_2(health: Value) -> Local {
    Local::http(move |path| match path {
        "/health" => (200, "application/json", health.to_string()),
        _ => (404, "text/html", "<!DOCTYPE html><html></html>".into()),
    })
    .await
}

/// Its web interface answers for any path.
async fn version_3(health: Value) -> Local {
    Local::http(move |path| match path {
        "/api/v2/monitor/health" => (200, "application/json", health.to_string()),
        _ => (200, "text/html", "<!DOCTYPE html><html></html>".into()),
    })
    .await
}

fn kind(server: &Local, path: &str) -> ProbeKind {
    ProbeKind::Airflow {
        url: server.url(path),
    }
}

#[tokio::test]
async fn both_versions_are_well() {
    let old = version_2(of_version_2()).await;
    let new = version_3(of_version_3()).await;
    for (server, path, version) in [
        (&old, "", "2"),
        (&old, "/health", "2"),
        (&new, "/", "3"),
        (&new, "/api/v2/monitor/health", "3"),
    ] {
        let observation = seen(kind(server, path)).await;
        assert_passed(&observation);
        assert_eq!(fact(&observation, "airflow"), version, "{path}");
        assert!(fact(&observation, "scheduler_heartbeat").starts_with("2018-12-26"));
    }
}

#[tokio::test]
async fn what_is_inside_counts_not_the_200() {
    for (part, is_failed) in [
        ("metadatabase", true),
        ("scheduler", true),
        ("triggerer", false),
        ("dag_processor", false),
    ] {
        let mut health = of_version_3();
        health[part]["status"] = "unhealthy".into();
        let observation = seen(kind(&version_3(health).await, "")).await;
        let words = format!("its {part} is unhealthy");
        if is_failed {
            assert_failed(&observation, &words);
        } else {
            assert_impaired(&observation, &words);
        }
    }
    // Not deployed.
    let mut health = of_version_3();
    health["triggerer"]["status"] = Value::Null;
    health["dag_processor"] = Value::Null;
    assert_passed(&seen(kind(&version_3(health).await, "")).await);
    let mut health = of_version_2();
    health["scheduler"]["status"] = Value::Null;
    assert_failed(
        &seen(kind(&version_2(health).await, "")).await,
        "nothing of its scheduler",
    );
}

#[tokio::test]
async fn another_web_service_is_no_airflow() {
    let page = Local::http(|_| (200, "text/html", "<!DOCTYPE html><html></html>".into())).await;
    assert_failed(&seen(kind(&page, "")).await, "is this Airflow?");
    let broken = Local::http(|_| (502, "text/html", String::new())).await;
    assert_failed(&seen(kind(&broken, "")).await, "HTTP 502");
}
