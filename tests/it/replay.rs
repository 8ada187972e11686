//! The imitation of OpenMetadata answers as the real one did.

use serde_json::Value;

use crate::support::recordings::{Recording, Version};
use crate::support::replay::{Answer, Identity, Replay};
use crate::support::{bin, tokens};

const VERSIONS: [Version; 2] = [Version::V1_12_6, Version::V1_2_0];

/// An answer as a client sees it.
pub struct Heard {
    pub status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }
}

fn encoded_path(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string()
    });
    parts.collect::<Vec<_>>().join("/")
}

fn target(path: &str, query: &[(String, String)]) -> String {
    let mut text = path.to_owned();
    if !query.is_empty() {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        text.push('?');
        text.push_str(&query);
    }
    text
}

async fn ask_as(replay: &Replay, token: Option<&str>, method: &str, target: &str) -> Heard {
    let method = method.parse().unwrap();
    let mut request = reqwest::Client::new().request(method, format!("{}{target}", replay.url()));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    heard(request).await
}

pub async fn get(replay: &Replay, target: &str) -> Heard {
    ask_as(replay, Some("any"), "GET", target).await
}

async fn heard(request: reqwest::RequestBuilder) -> Heard {
    let response = request.send().await.expect("an answer");
    Heard {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.expect("a whole body"),
    }
}

/// Sends a recorded request again.
async fn ask_again(client: &reqwest::Client, replay: &Replay, recording: &Recording) -> Heard {
    // Slashes inside of names were sent encoded; the folder-like ones were not. Both decode alike.
    let target = target(&encoded_path(&recording.path), &recording.query);
    let method = recording.method.parse().unwrap();
    let mut request = client.request(method, format!("{}{target}", replay.url()));
    if recording.authorized {
        request = request.bearer_auth("any");
    }
    if let Some(kind) = &recording.content_type {
        request = request.header("content-type", kind);
    }
    if let Some(condition) = &recording.if_match {
        request = request.header("if-match", condition);
    }
    request = match &recording.body {
        Value::Null => request,
        Value::String(text)
            if recording.name.contains("not-json") || recording.name.contains("malformed") =>
        {
            request.body(text.clone())
        }
        body => request.body(body.to_string()),
    };
    heard(request).await
}

fn is_same(heard: &Heard, recording: &Recording) -> bool {
    let body = match &recording.response {
        Value::Null => heard.text.is_empty(),
        Value::String(text) => heard.text == *text,
        body => serde_json::from_str::<Value>(&heard.text)
            .is_ok_and(|heard| without_time(&heard) == without_time(body)),
    };
    heard.status == recording.status && body
}

/// How long a search took is the one thing that two answers to one request differ in.
fn without_time(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(took) = body.get_mut("took") {
        *took = 0.into();
    }
    body
}

#[tokio::test]
async fn every_recording_is_replayed_as_it_was() {
    // The same request, asked again, is answered by the first recording of it.
    let special = |name: &str| {
        name.starts_with("search-down/")
            || name.starts_with("rights/reader-")
            || name.starts_with("bot-token/")
            || name.ends_with("bad-token")
            || name.ends_with("forged-token")
    };
    let client = reqwest::Client::new();
    let mut different = Vec::new();
    for version in VERSIONS {
        let replay = Replay::start(version).await;
        for recording in version.recordings() {
            if special(&recording.name) {
                continue;
            }
            let heard = ask_again(&client, &replay, recording).await;
            if !is_same(&heard, recording) {
                different.push(format!(
                    "{} {} -> {}",
                    version.text(),
                    recording.name,
                    heard.status
                ));
            }
        }
    }
    assert!(different.is_empty(), "{different:#?}");
}

#[tokio::test]
async fn tokens_are_checked_as_recorded() {
    for version in VERSIONS {
        let replay = Replay::start(version).await;
        replay.expect_token("right");
        let tables = "/api/v1/tables?limit=0";
        assert_eq!(ask_as(&replay, None, "GET", tables).await.status, 401);
        let wrong = ask_as(&replay, Some("wrong"), "GET", tables).await;
        assert_eq!(wrong.status, 401);
        assert_eq!(wrong.headers["www-authenticate"], "om-auth");
        assert_eq!(
            ask_as(&replay, Some("right"), "GET", tables).await.status,
            200
        );
        let version_page = "/api/v1/system/version";
        assert_eq!(ask_as(&replay, None, "GET", version_page).await.status, 200);
    }
}

#[tokio::test]
async fn a_bot_sees_passwords_and_a_reader_does_not() {
    let replay = Replay::start(Version::V1_12_6).await;
    replay
        .token_identity("bot", Identity::Bot)
        .token_identity("reader", Identity::Reader);
    let service = "/api/v1/services/databaseServices/name/openpolicy_pg";
    let password = |heard: Heard| {
        heard
            .json()
            .pointer("/connection/config/authType/password")
            .cloned()
    };
    let bot = password(ask_as(&replay, Some("bot"), "GET", service).await);
    let reader = password(ask_as(&replay, Some("reader"), "GET", service).await);
    assert_eq!(bot, Some("openpolicy".into()));
    assert_eq!(reader, Some("*********".into()));
    let settings = "/api/v1/system/settings";
    assert_eq!(
        ask_as(&replay, Some("reader"), "GET", settings)
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn search_down_spares_entities_and_legacy_lineage() {
    for version in VERSIONS {
        let replay = Replay::start(version).await;
        replay.search_down();
        let search = get(&replay, "/api/v1/search/query?q=anything&index=table").await;
        assert_eq!(search.status, 500);
        let lineage = "/api/v1/lineage/table/name/openpolicy_pg.openpolicy.core.bills";
        let depths = "upstreamDepth=1&downstreamDepth=1";
        assert_eq!(
            get(&replay, &format!("{lineage}?{depths}")).await.status,
            200
        );
        let table = "/api/v1/tables/name/openpolicy_pg.openpolicy.core.bills";
        assert_eq!(get(&replay, table).await.status, 200);
    }
}

#[tokio::test]
async fn a_route_can_be_missing() {
    for (version, status) in [(Version::V1_12_6, 404), (Version::V1_2_0, 500)] {
        let replay = Replay::start(version).await;
        replay.without("/api/v1/lineage");
        let heard = get(&replay, "/api/v1/lineage/getLineage?fqn=a&type=table").await;
        assert_eq!(heard.status, status);
        assert!(heard.text.contains("HTTP 404 Not Found"));
    }
}

#[tokio::test]
async fn faults_are_injected_and_healed() {
    let replay = Replay::start(Version::V1_12_6).await;
    replay.fail_next(2, 429, &[("retry-after", "7")]);
    let page = "/api/v1/system/version";
    for _ in 0..2 {
        let heard = get(&replay, page).await;
        assert_eq!(
            (heard.status, &heard.headers["retry-after"]),
            (429, &"7".parse().unwrap())
        );
    }
    assert_eq!(get(&replay, page).await.status, 200);
    replay.fail_where(|seen| seen.path.ends_with("/version"), Answer::html(200));
    assert!(get(&replay, page).await.text.contains("<html>"));
    replay.heal();
    assert!(get(&replay, page).await.json()["version"].is_string());
}

#[tokio::test]
async fn answers_can_be_cut_dropped_and_huge() {
    let replay = Replay::start(Version::V1_12_6).await;
    let send = || reqwest::get(format!("{}/api/v1/system/version", replay.url()));
    replay.answer_next(1, Answer::huge(1000).cut_after(10));
    assert!(send().await.unwrap().text().await.is_err());
    // A client may try a dropped connection again, so both are dropped.
    replay.answer_next(2, Answer::dropped());
    assert!(send().await.is_err());
    replay.heal();
    replay.answer_next(1, Answer::huge(100_000));
    assert!(send().await.unwrap().text().await.unwrap().len() > 100_000);
}

#[tokio::test]
async fn a_held_answer_lasts_until_the_client_gives_up() {
    let replay = Replay::start(Version::V1_12_6).await;
    replay.answer_next(1, Answer::held());
    let client = reqwest::Client::builder()
        .timeout(std::time::Duration::from_millis(50))
        .build()
        .unwrap();
    let page = "/api/v1/system/version";
    let failure = client.get(format!("{}{page}", replay.url())).send().await;
    assert!(failure.unwrap_err().is_timeout());
    assert_eq!(get(&replay, page).await.status, 200);
}

#[tokio::test]
async fn canned_answers_win() {
    let replay = Replay::start(Version::V1_12_6).await;
    let answer = Answer::json(200, &serde_json::json!({ "mine": true }));
    replay.canned("GET", "/api/v1/tables", &[("limit", "3")], answer);
    let heard = get(&replay, "/api/v1/tables?limit=3&fields=owners").await;
    assert_eq!(heard.json()["mine"], true);
    assert_eq!(
        get(&replay, "/api/v1/tables?limit=0").await.json()["paging"]["total"],
        261
    );
    let seen = replay.requests_to("/api/v1/tables");
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].parameter("fields"), Some("owners"));
}

#[tokio::test]
async fn an_answer_is_cut_to_what_was_asked() {
    let replay = Replay::start(Version::V1_12_6).await;
    let search = "/api/v1/search/query?q=bills&index=dataAsset&include_aggregations=false\
        &include_source_fields=fullyQualifiedName&include_source_fields=columns.name&size=2";
    let body = get(&replay, search).await.json();
    let hits = body["hits"]["hits"].as_array().unwrap();
    assert_eq!(
        (hits.len(), &body["hits"]["total"]["value"]),
        (2, &14.into())
    );
    let source = hits[0]["_source"].as_object().unwrap();
    assert_eq!(source.len(), 2);
    assert_eq!(source["columns"][0], serde_json::json!({ "name": "id" }));

    let table = "/api/v1/tables/name/openpolicy_pg.openpolicy.core.bills?fields=tags,domains";
    let body = get(&replay, table).await.json();
    assert!(body["tags"].is_array() && body["domains"].is_array() && body["columns"].is_array());
    assert!(body.get("owners").is_none() && body.get("votes").is_none());
}

#[tokio::test]
async fn a_time_range_cuts_the_runs() {
    let replay = Replay::start(Version::V1_12_6).await;
    let status = "/api/v1/services/ingestionPipelines/openpolicy_pg.pg_metadata/pipelineStatus";
    let start = 1_795_210_000_000_i64;
    let body = get(
        &replay,
        &format!("{status}?startTs={start}&endTs=1795224029624"),
    )
    .await
    .json();
    let runs = body["data"].as_array().unwrap();
    assert!(!runs.is_empty());
    assert!(
        runs.iter()
            .all(|run| run["timestamp"].as_i64().unwrap() >= start)
    );
}

#[tokio::test]
async fn a_second_delete_meets_another_answer() {
    let replay = Replay::start(Version::V1_12_6).await;
    let client = reqwest::Client::new();
    let recording = Version::V1_12_6.recording("writes/delete-lineage");
    assert_eq!(ask_again(&client, &replay, recording).await.status, 200);
    assert_eq!(ask_again(&client, &replay, recording).await.status, 404);
}

#[tokio::test]
async fn what_nothing_answers_fails_the_test() {
    let replay = Replay::start(Version::V1_12_6).await;
    let heard = get(&replay, "/api/v1/never/recorded?a=b").await;
    assert_eq!(heard.status, 501);
    assert!(heard.text.contains("GET /api/v1/never/recorded?a=b"));
    let failure = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(replay)));
    let message = *failure.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("/api/v1/never/recorded"));

    let replay = Replay::start(Version::V1_12_6).await;
    replay.allow_unmatched();
    assert_eq!(get(&replay, "/api/v1/never/recorded").await.status, 501);
}

#[test]
fn tokens_and_the_binary_are_at_hand() {
    assert_eq!(tokens("hello world"), 2);
    assert!(bin().exists());
}
