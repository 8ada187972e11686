//! `doctor`: each fault is found and explained.

use openpolicy_mcp::catalog::{
    Credential, Identity,
    doctor::{Check, State, Surroundings, checks},
};
use serde_json::json;
use tokio::net::TcpListener;

use super::{CANARY, jwt, settings, token};
use crate::support::replay::{Answer, Identity as Role, Replay, Version};

async fn look(url: &str, credential: Credential) -> Vec<Check> {
    let found = checks(&settings(url, credential), &Surroundings::default()).await;
    let all = format!("{found:?}");
    assert!(!all.contains(CANARY) && !all.contains("eyJh"), "{all}");
    for check in &found {
        let is_explained = check.advice.is_some();
        let is_wrong = matches!(check.state, State::Failed | State::Warning);
        assert!(is_explained || !is_wrong, "{check:?}");
    }
    found
}

fn find<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    let found = checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("no check `{name}` in {checks:#?}"))
}

fn admin() -> Credential {
    token(&jwt("{\"sub\":\"admin\",\"exp\":4102444800}"))
}

#[tokio::test]
async fn a_new_server_is_well_but_for_its_pipeline_client() {
    let server = Replay::start(Version::V1_12_6).await;
    let found = look(&format!("{}/api/v1/", server.url()), admin()).await;
    assert!(find(&found, "server").finding.contains("1.12.6"));
    assert_eq!(find(&found, "search").state, State::Ok);
    assert!(find(&found, "search").finding.contains("298"));
    assert_eq!(find(&found, "server parts").state, State::Ok);
    let ingestion = find(&found, "ingestion");
    assert_eq!(ingestion.state, State::Warning);
    assert!(ingestion.finding.contains("no pipeline client"));
    let credential = find(&found, "credential");
    assert!(
        credential
            .finding
            .contains("admin (administrator), until 2100")
    );
    assert!(credential.advice.as_deref().unwrap().contains("ViewAll"));
    assert!(!found.iter().any(|check| check.state == State::Failed));
}

#[tokio::test]
async fn an_old_server_is_asked_what_it_understands() {
    let server = Replay::start(Version::V1_2_0).await;
    let found = look(&server.url(), admin()).await;
    assert!(find(&found, "server").finding.contains("1.2.0"));
    assert_eq!(find(&found, "search").state, State::Ok);
    assert!(find(&found, "server parts").finding.contains("healthy"));
    assert_eq!(find(&found, "ingestion").state, State::Warning);
    assert!(server.requests_to("/api/v1/system/status").is_empty());
}

#[tokio::test]
async fn a_search_engine_that_is_down_is_found_under_a_status_of_200() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let server = Replay::start(version).await;
        server.search_down();
        let found = look(&server.url(), admin()).await;
        let search = find(&found, "search");
        assert_eq!(search.state, State::Failed);
        assert!(search.advice.as_deref().unwrap().contains("OpenSearch"));
        if version == Version::V1_12_6 {
            assert!(
                find(&found, "server parts")
                    .finding
                    .starts_with("searchInstance")
            );
        }
    }
}

#[tokio::test]
async fn an_empty_or_broken_index_is_not_well() {
    let server = Replay::start(Version::V1_12_6).await;
    for (failed, total, says) in [(0, 0, "empty"), (2, 10, "2 parts")] {
        let answer = json!({
            "_shards": {"failed": failed},
            "hits": {"total": {"value": total, "relation": "eq"}, "hits": []},
        });
        server.canned(
            "GET",
            "/api/v1/search/query",
            &[],
            Answer::json(200, &answer),
        );
        let found = look(&server.url(), admin()).await;
        let search = find(&found, "search");
        assert_eq!(search.state, State::Warning);
        assert!(search.finding.contains(says), "{search:?}");
    }
}

#[tokio::test]
async fn says_what_is_wrong_with_a_credential() {
    let server = Replay::start(Version::V1_12_6).await;
    server.token_identity("bot", Role::Bot);
    let bot = look(&server.url(), token("bot")).await;
    let bot = find(&bot, "credential");
    assert!(bot.finding.contains("ingestion-bot (a bot)"), "{bot:?}");
    assert!(
        bot.advice.as_deref().unwrap().contains("passwords"),
        "{bot:?}"
    );

    server.expect_token("another");
    for (wrong, says) in [
        (token("admin"), "is not a JWT"),
        (token(&jwt("{\"exp\":1700000000}")), "expired at 2023"),
        (Credential::None, "none is configured"),
    ] {
        let found = look(&server.url(), wrong).await;
        let credential = find(&found, "credential");
        assert_eq!(credential.state, State::Failed);
        assert!(credential.finding.contains(says), "{credential:?}");
    }
    // With callers who bring their own, none is nothing wrong.
    let mut settings = settings(&server.url(), Credential::None);
    settings.identity = Identity::Caller;
    let found = checks(&settings, &Surroundings::default()).await;
    assert_eq!(find(&found, "credential").state, State::Skipped);
}

#[tokio::test]
async fn explains_an_address_where_nothing_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    drop(listener);
    let found = look(&url, admin()).await;
    let connection = find(&found, "connection");
    assert_eq!(connection.state, State::Failed);
    assert!(
        connection.advice.as_deref().unwrap().contains("8585"),
        "{connection:?}"
    );

    // The same inside a container is another fault.
    let inside = Surroundings {
        in_container: true,
        has_proxy: false,
    };
    let found = checks(&settings(&url, admin()), &inside).await;
    for name in ["address", "connection"] {
        let advice = find(&found, name).advice.as_deref().unwrap();
        assert!(
            advice.contains("http://openmetadata-server:8585"),
            "{advice}"
        );
    }

    // A container's name, asked for from the host and from another network.
    let unknown = "http://no-such-host-of-openmetadata.invalid:8585";
    let found = look(unknown, admin()).await;
    assert_eq!(find(&found, "name").state, State::Failed);
    let found = checks(&settings(unknown, admin()), &inside).await;
    let advice = find(&found, "name").advice.clone().unwrap();
    assert!(advice.contains("docker network"), "{advice}");
    for written in ["", "localhost:8585"] {
        let found = look(written, admin()).await;
        assert_eq!(find(&found, "address").state, State::Failed);
    }
}

#[tokio::test]
async fn tells_another_service_a_page_and_tls_apart() {
    let server = Replay::start(Version::V1_12_6).await;
    server.answer_next(1, Answer::html(200));
    let found = look(&server.url(), admin()).await;
    assert!(
        find(&found, "server")
            .advice
            .as_deref()
            .unwrap()
            .contains("sign-in page")
    );
    server.answer_next(1, Answer::json(404, &json!({"error": "no such thing"})));
    let found = look(&server.url(), admin()).await;
    assert!(
        find(&found, "server")
            .advice
            .as_deref()
            .unwrap()
            .contains("not OpenMetadata")
    );
    server.answer_next(1, Answer::json(200, &json!({"version": {"number": "8.1"}})));
    let found = look(&server.url(), admin()).await;
    assert_eq!(find(&found, "server").state, State::Failed);
}

#[tokio::test]
async fn https_to_a_server_without_tls_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        // As Jetty answers what it cannot read.
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let found = look(&format!("https://{address}"), admin()).await;
    let connection = find(&found, "connection");
    assert_eq!(connection.state, State::Failed);
    let advice = connection.advice.as_deref().unwrap();
    assert!(
        advice.contains(&format!("use http://{address}")),
        "{connection:?}"
    );
}

#[tokio::test]
async fn sees_a_clock_that_is_wrong() {
    let server = Replay::start(Version::V1_12_6).await;
    let answer = Answer::json(200, &json!({"version": "1.12.6"}))
        .with_header("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    server.canned("GET", "/api/v1/system/version", &[], answer);
    let found = look(&server.url(), admin()).await;
    let clock = find(&found, "clock");
    assert_eq!(clock.state, State::Warning);
    assert!(clock.finding.contains("behind"), "{clock:?}");
}

#[tokio::test]
async fn judges_the_token_and_names_what_it_left_where_nothing_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let found = look(&url, token("admin")).await;
    assert_eq!(find(&found, "connection").state, State::Failed);
    let credential = find(&found, "credential");
    assert_eq!(credential.state, State::Failed);
    assert!(
        credential.finding.contains("is not a JWT"),
        "{credential:?}"
    );
    assert!(
        find(&found, "server parts")
            .finding
            .contains("not looked at")
    );

    let found = look(&url, admin()).await;
    assert_eq!(find(&found, "credential").state, State::Skipped);
}
