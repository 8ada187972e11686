//! What the answers of both servers become: values, or errors told apart.

use openpolicy_mcp::{
    catalog::{CatalogError, responses, sent::Sent},
    net::Reply,
};
use serde_json::{Value, json};

use super::{client, client_with, token};
use crate::support::{
    recordings::Recording,
    replay::{Answer, Identity, Replay, Version},
};

#[tokio::test]
async fn reads_the_version_once_and_without_a_token() {
    let server = Replay::start(Version::V1_12_6).await;
    let client = client(&server.url());
    let version = client.version().await.unwrap();
    assert_eq!(version.to_string(), "1.12.6");
    assert!(version.has_lineage_in_search() && version.has_many_owners());
    client.version().await.unwrap();
    let asked = server.requests_to("/api/v1/system/version");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].bearer(), None);

    let old = Replay::start(Version::V1_2_0).await;
    let version = super::client(&old.url()).version().await.unwrap();
    assert_eq!(version.to_string(), "1.2.0");
    assert!(!version.has_lineage_in_search() && !version.has_many_owners());
    assert!(!version.has_if_match() && !version.has_data_asset_index());
}

/// Asks a server for a path and returns what it says is wrong.
async fn error_of(server: &Replay, path: &str, query: &[(&str, &str)]) -> CatalogError {
    client(&server.url()).get(path, query).await.unwrap_err()
}

#[tokio::test]
async fn tells_the_errors_of_a_new_server_apart() {
    let server = Replay::start(Version::V1_12_6).await;
    let missing = error_of(
        &server,
        "tables/name/openpolicy_pg.openpolicy.core.nope",
        &[],
    )
    .await;
    assert!(matches!(missing, CatalogError::NotFound { .. }));
    assert_eq!(
        missing.to_string(),
        "table instance for openpolicy_pg.openpolicy.core.nope was not found"
    );
    let route = error_of(&server, "no/such/route", &[]).await;
    assert!(
        matches!(route, CatalogError::Unsupported { .. }),
        "{route:?}"
    );
    let field = error_of(
        &server,
        "tables/name/openpolicy_pg.openpolicy.core.bills",
        &[("fields", "nonsense")],
    )
    .await;
    assert!(matches!(field, CatalogError::Invalid { .. }), "{field:?}");
    assert!(field.to_string().contains("Invalid field name nonsense"));
    // 500 is what this server answers to an unknown name here.
    let lineage = error_of(
        &server,
        "lineage/getLineage",
        &[
            ("fqn", "openpolicy_pg.openpolicy.core.nope"),
            ("type", "table"),
            ("upstreamDepth", "1"),
            ("downstreamDepth", "1"),
        ],
    )
    .await;
    assert!(
        matches!(lineage, CatalogError::NotFound { .. }),
        "{lineage:?}"
    );
    let quote = error_of(
        &server,
        "search/query",
        &[("q", "bills \""), ("index", "dataAsset")],
    )
    .await;
    assert!(matches!(quote, CatalogError::Invalid { .. }), "{quote:?}");
    let index = error_of(
        &server,
        "search/query",
        &[("q", "*"), ("index", "no_such_index")],
    )
    .await;
    assert!(
        matches!(index, CatalogError::Unsupported { .. }),
        "{index:?}"
    );
}

#[tokio::test]
async fn reads_the_texts_of_an_old_server() {
    let server = Replay::start(Version::V1_2_0).await;
    // 500 with `HTTP 404 Not Found` in it is an absent route; asking again does not help.
    let route = error_of(&server, "no/such/route", &[]).await;
    assert!(
        matches!(route, CatalogError::Unsupported { .. }),
        "{route:?}"
    );
    assert_eq!(server.requests_to("/api/v1/no/such/route").len(), 1);
    let status = error_of(&server, "system/status", &[]).await;
    assert!(
        matches!(status, CatalogError::Unsupported { .. }),
        "{status:?}"
    );
    let index = error_of(
        &server,
        "search/query",
        &[
            ("q", "bills"),
            ("index", "dataAsset"),
            ("size", "3"),
            ("include_aggregations", "false"),
        ],
    )
    .await;
    assert!(
        matches!(index, CatalogError::Unsupported { .. }),
        "{index:?}"
    );
    let missing = error_of(
        &server,
        "tables/name/openpolicy_pg.openpolicy.core.nope",
        &[],
    )
    .await;
    assert!(
        matches!(missing, CatalogError::NotFound { .. }),
        "{missing:?}"
    );
    let field = error_of(
        &server,
        "tables/name/openpolicy_pg.openpolicy.core.bills",
        &[("fields", "owners")],
    )
    .await;
    assert!(matches!(field, CatalogError::Invalid { .. }), "{field:?}");
}

#[tokio::test]
async fn says_that_the_search_engine_is_down_and_not_openmetadata() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let server = Replay::start(version).await;
        server.search_down();
        let query = [
            ("q", "bills"),
            ("index", "table_search_index"),
            ("size", "3"),
        ];
        let down = error_of(&server, "search/query", &query).await;
        assert!(matches!(down, CatalogError::Unavailable { .. }), "{down:?}");
        assert!(down.to_string().contains("search engine"), "{down}");
    }
}

#[tokio::test]
async fn refuses_a_page_where_data_was_expected() {
    let server = Replay::start(Version::V1_12_6).await;
    for answer in [
        Answer::html(200),
        // A page that claims to be data.
        Answer::empty(200)
            .with_header("content-type", "application/json")
            .with_body("<html></html>"),
    ] {
        server.answer_next(1, answer);
        let page = error_of(&server, "tables", &[]).await;
        assert!(matches!(page, CatalogError::BadUpstream { .. }), "{page:?}");
        assert!(page.to_string().contains("login page"), "{page}");
    }
    // The old server's 404 outside its API is a page too.
    server.answer_next(1, Answer::html(404));
    let page = error_of(&server, "tables", &[]).await;
    assert!(matches!(page, CatalogError::BadUpstream { .. }), "{page:?}");
}

#[tokio::test]
async fn tells_a_missing_right_from_a_missing_credential() {
    let server = Replay::start(Version::V1_12_6).await;
    server.token_identity("reader", Identity::Reader);
    let reader = client_with(&server.url(), token("reader"));
    let refused = reader.get("system/settings", &[]).await.unwrap_err();
    assert!(
        matches!(refused, CatalogError::Forbidden { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("plain.reader"), "{refused}");
}

#[tokio::test]
async fn takes_passwords_out_that_a_bot_is_shown() {
    let server = Replay::start(Version::V1_12_6).await;
    server.token_identity("bot", Identity::Bot);
    let bot = client_with(&server.url(), token("bot"));
    let services = [
        "databaseServices/name/openpolicy_pg",
        "databaseServices/name/warehouse",
        "dashboardServices/name/superset",
        "pipelineServices/name/airflow",
    ];
    for service in services {
        let read = bot.get(&format!("services/{service}"), &[]).await.unwrap();
        assert!(read["name"].is_string());
        assert_eq!(read.get("connection"), None, "{service}");
        let text = read.to_string();
        assert!(
            !text.contains("assword") && !text.contains("hostPort"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn takes_the_bot_token_out_of_an_old_ingestion_list() {
    let server = Replay::start(Version::V1_2_0).await;
    let leaking = json!({"data": [{
        "name": "a",
        "openMetadataServerConnection": {"securityConfig": {"jwtToken": super::CANARY}},
        "entity": format!("{{\"jwtToken\": \"{}\"}}", super::CANARY),
    }]});
    server.canned(
        "GET",
        "/api/v1/services/ingestionPipelines",
        &[],
        Answer::json(200, &leaking),
    );
    let list = client(&server.url())
        .get("services/ingestionPipelines", &[("limit", "2")])
        .await
        .unwrap();
    assert_eq!(list, json!({"data": [{"name": "a", "entity": "{}"}]}));
}

#[tokio::test]
async fn an_error_text_is_short_and_without_credentials() {
    let server = Replay::start(Version::V1_12_6).await;
    let said = format!(
        "failed on {{\"password\": \"{}\", \"jwt\": \"{}\"}} {}",
        super::CANARY,
        super::jwt("{}"),
        "x".repeat(5_000)
    );
    server.answer_next(1, Answer::json(400, &json!({"code": 400, "message": said})));
    let error = error_of(&server, "tables", &[]).await.to_string();
    assert!(
        !error.contains(super::CANARY) && !error.contains("eyJ"),
        "{error}"
    );
    assert!(error.len() < 600, "{} bytes", error.len());
}

/// What a recorded answer becomes, without a server between.
fn read(recording: &Recording) -> Result<Value, CatalogError> {
    let mut headers = http::HeaderMap::new();
    for (name, value) in &recording.response_headers {
        let name = http::HeaderName::try_from(name.as_str()).unwrap();
        headers.insert(name, value.parse().unwrap());
    }
    let body = match &recording.response {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        body => body.to_string().into_bytes(),
    };
    let reply = Reply {
        status: recording.status,
        headers,
        body,
    };
    responses::read(&reply, &recording.method, &Sent::nothing())
}

/// Names of fields, also of those in JSON that stands in a text.
fn field_names(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if field.is_string() || field.is_object() || field.is_array() {
                    names.push(name.clone());
                }
                field_names(field, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| field_names(item, names)),
        Value::String(text) => {
            if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
                field_names(&inner, names);
            }
        }
        _ => {}
    }
}

#[test]
fn nothing_recorded_comes_out_with_a_credential_or_an_endless_error() {
    const SECRET: &[&str] = &[
        "connection",
        "authType",
        "password",
        "jwtToken",
        "JWTToken",
        "accessToken",
        "refreshToken",
        "securityConfig",
        "openMetadataServerConnection",
        "authenticationMechanism",
    ];
    let mut leaks = 0;
    for version in [Version::V1_12_6, Version::V1_2_0] {
        for recording in version.recordings() {
            let mut sent = Vec::new();
            field_names(&recording.response, &mut sent);
            leaks += usize::from(sent.iter().any(|name| SECRET.contains(&name.as_str())));
            match read(recording) {
                Ok(value) => {
                    let mut names = Vec::new();
                    field_names(&value, &mut names);
                    names.retain(|name| SECRET.contains(&name.as_str()));
                    assert!(names.is_empty(), "{}: {names:?}", recording.name);
                }
                Err(error) => {
                    let is_page = recording.name == "system/unknown-page"
                        || recording.name == "system/root-old";
                    assert!(
                        recording.status >= 400 || is_page,
                        "{}: {error}",
                        recording.name
                    );
                    assert!(error.to_string().len() < 700, "{}: {error}", recording.name);
                }
            }
        }
    }
    assert!(
        leaks > 10,
        "the recordings hold credentials to be taken out"
    );
}

#[test]
fn every_recorded_refusal_is_of_its_kind() {
    let kind = |version: Version, name: &str| match read(version.recording(name)) {
        Err(CatalogError::NotFound { .. }) => "not found",
        Err(CatalogError::Invalid { .. }) => "invalid",
        Err(CatalogError::Unauthorized { .. }) => "unauthorized",
        Err(CatalogError::Forbidden { .. }) => "forbidden",
        Err(CatalogError::Conflict { .. }) => "conflict",
        Err(CatalogError::Unsupported { .. }) => "unsupported",
        Err(CatalogError::Unavailable { .. }) => "unavailable",
        Err(CatalogError::BadUpstream { .. }) => "bad upstream",
        Err(_) => "another",
        Ok(_) => "fine",
    };
    for (name, expected) in [
        ("system/bad-token", "unauthorized"),
        ("system/forged-token", "unauthorized"),
        ("system/refresh-wrong", "not found"),
        ("system/unknown-api-route", "unsupported"),
        ("system/unknown-page", "bad upstream"),
        ("entities/table-deleted", "not found"),
        ("entities/table-bad-id", "unsupported"),
        ("rights/reader-put-lineage", "forbidden"),
        ("rights/reader-patch", "fine"),
        ("writes/patch-if-match-stale", "conflict"),
        ("writes/patch-wrong-content-type", "invalid"),
        ("writes/patch-bad-path", "invalid"),
        ("writes/patch-two-tiers", "invalid"),
        ("writes/patch-unknown-tag", "not found"),
        ("writes/post-existing-domain", "conflict"),
        ("writes/post-not-json", "invalid"),
        ("writes/delete-lineage-again", "not found"),
        ("lineage/get-missing", "not found"),
        ("lineage/get-column-as-entity", "not found"),
        ("lineage/legacy-d4", "invalid"),
        ("lineage-by-search/too-many-hashes", "invalid"),
        ("search/vector", "unsupported"),
        ("search/from-9990", "invalid"),
        ("search/index-unknown", "unsupported"),
        ("search-down/getLineage", "unavailable"),
    ] {
        assert_eq!(kind(Version::V1_12_6, name), expected, "{name}");
    }
    for (name, expected) in [
        ("system/bad-token", "unauthorized"),
        ("system/unknown-api-route", "unsupported"),
        ("system/status", "unsupported"),
        ("system/health", "unsupported"),
        ("system/healthcheck-old", "bad upstream"),
        ("system/login-new-email", "invalid"),
        ("entities/table-bad-id", "unsupported"),
        ("entities/field-owners", "invalid"),
        ("search/size-not-a-number-old", "unsupported"),
        ("search/unbalanced-quote-old", "invalid"),
        ("search/misspelt", "unsupported"),
        ("search-down/search-old", "unavailable"),
        ("writes/incident-ack", "unsupported"),
        ("writes/patch-by-fqn", "unsupported"),
        ("writes/patch-wrong-content-type", "invalid"),
        ("writes/patch-test-op-version", "conflict"),
        ("writes/patch-bad-path", "invalid"),
        ("writes/create-malformed", "invalid"),
        ("writes/patch-domains", "invalid"),
    ] {
        assert_eq!(kind(Version::V1_2_0, name), expected, "{name}");
    }
    // What is wrong stands behind the entity that the server quotes.
    let error = read(Version::V1_12_6.recording("writes/patch-bad-path")).unwrap_err();
    assert!(
        error.to_string().contains("no mapping for the name 'nope'"),
        "{error}"
    );
}
