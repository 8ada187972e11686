//! The stand-in service, as whoever looks at it meets it.

use serde_json::json;

use super::{Place, needs, stand_in, until};
use crate::support::server::{Reply, http};

async fn ask(port: u16, method: &'static str, path: &'static str, body: String) -> Reply {
    tokio::task::spawn_blocking(move || {
        http(([127, 0, 0, 1], port).into(), method, path, &[], &body)
    })
    .await
    .expect("an answer")
}

async fn get(port: u16, path: &'static str) -> Reply {
    ask(port, "GET", path, String::new()).await
}

#[tokio::test]
async fn it_answers_counts_and_fails_on_demand() {
    let place = Place::new(vec![stand_in("api", &["--port", "0"])]);
    place.apply().await;
    let port = place.port("api").await;
    let health = get(port, "/health").await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &json!("ok"))
    );
    assert_eq!(
        get(port, "/api/v1/anything").await.json()["path"],
        "/api/v1/anything"
    );

    let done = ask(port, "POST", "/control", r#"{"fail": "50%"}"#.into()).await;
    assert_eq!(done.status, 200);
    let mut failed = 0;
    for _ in 0..10 {
        failed += usize::from(get(port, "/bills").await.status == 500);
    }
    assert_eq!(failed, 5);
    let metrics = get(port, "/metrics").await.body;
    assert!(
        metrics.contains("http_requests_total{status=\"500\"} 5\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("http_requests_total{status=\"200\"} 7\n"),
        "{metrics}"
    );

    let wrong = ask(port, "POST", "/control", r#"{"fails": 1}"#.into()).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.contains("fail, delay, memory"), "{}", wrong.body);
    place.end().await;
}

#[tokio::test]
async fn it_is_unwell_while_what_it_needs_does_not_answer() {
    let db = Place::new(vec![stand_in("db", &["--port", "0"])]);
    db.apply().await;
    let db_port = db.port("db").await;
    let url = format!("http://127.0.0.1:{db_port}/health");
    let api = Place::new(vec![needs(
        stand_in("api", &["--port", "0", "--needs", &url]),
        &[],
    )]);
    api.apply().await;
    let port = api.port("api").await;
    until("it is well", async || {
        get(port, "/health").await.status == 200
    })
    .await;
    db.stop().await;
    until("it is unwell", async || {
        get(port, "/health").await.status == 503
    })
    .await;
    let health = get(port, "/health").await.json();
    assert!(
        health["faults"][0]
            .as_str()
            .expect("why")
            .contains("refused"),
        "{health}"
    );
    assert!(api.has_logged("api", "does not answer").await);
    api.end().await;
    db.end().await;
}

#[tokio::test]
async fn it_ends_on_demand_with_the_code_that_is_asked_for() {
    let mut service = stand_in("job", &["--port", "0"]);
    service.is_one_shot = true;
    let place = Place::new(vec![service]);
    place.apply().await;
    let port = place.port("job").await;
    ask(port, "POST", "/control", r#"{"exit": 42}"#.into()).await;
    until("it ended", async || {
        place.observe("job").await.state.as_str() == "exited"
    })
    .await;
    assert!(place.has_logged("job", "ended: code 42").await);
    place.end().await;
}
