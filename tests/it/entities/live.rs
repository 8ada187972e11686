//! Reading entities of recorded servers: each surprise of theirs that concerns a read.

use super::*;
use crate::support::replay::{Answer, Identity};

/// Answers a read by what was recorded of it, whatever fields are asked for.
fn keep(server: &Replay, version: Version, recording: &str) {
    let recording = version.recording(recording);
    server.canned(
        "GET",
        &recording.path,
        &[],
        Answer::json(recording.status, &recording.response),
    );
}

/// The recorded answer of a search that finds nothing.
fn no_hit() -> Value {
    Version::V1_12_6.recording("search/no-hit").response.clone()
}

async fn both() -> [(Version, Replay); 2] {
    [
        (Version::V1_12_6, Replay::start(Version::V1_12_6).await),
        (Version::V1_2_0, Replay::start(Version::V1_2_0).await),
    ]
}

#[tokio::test]
async fn a_bare_table_name_costs_one_call() {
    for (_, server) in both().await {
        let bills = one(&live(&server), json!({"entities": [BILLS]})).await;
        assert_eq!(bills["owners"], json!(["data-platform"]));
        assert_eq!(bills["domains"], json!(["Civic"]));
        assert_eq!(bills["tier"], "Tier1");
        assert_eq!(bills["columns"]["total"], 12);
        let asked: Vec<_> = server
            .requests()
            .into_iter()
            .filter(|seen| !seen.path.ends_with("/system/version"))
            .collect();
        assert_eq!(asked.len(), 1, "{asked:?}");
    }
}

#[tokio::test]
async fn a_table_in_full_stays_within_its_budget() {
    for (_, server) in both().await {
        let context = live(&server);
        let arguments = json!({"entities": [BILLS], "sections": ["all"]});
        let answer = call(&context, "get_entity", arguments).await.unwrap();
        assert!(cost(&answer) <= 700, "{}", cost(&answer));
        let answer = Value::Object(answer.structured());
        let bills = &answer["entities"][0];
        assert_eq!(bills["quality"]["failing"], json!(["number_not_null"]));
        // By FQN: by id it would be 404.
        assert_eq!(bills["profile"]["rows"], 5120);
        // The versions come as JSON in strings.
        assert_eq!(bills["versions"]["rows"][0][3], "description");
        assert_eq!(bills["queries"], "none");
        let url = format!("{}/table/{BILLS}", server.url());
        assert_eq!(bills["url"], url);
    }
}

#[tokio::test]
async fn what_an_old_server_does_not_have_is_could_not_look() {
    let server = Replay::start(Version::V1_2_0).await;
    let answer = get(
        &live(&server),
        json!({"entities": [BILLS], "sections": ["contract"]}),
    )
    .await;
    assert!(answer["entities"][0].get("contract").is_none());
    let warning = answer["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("contract of") && warning.contains("could not look"),
        "{warning}"
    );
}

#[tokio::test]
async fn upper_and_lower_case_are_two_entities() {
    for (_, server) in both().await {
        let context = live(&server);
        // The index folds case; what it finds is compared.
        let upper = one(
            &context,
            json!({"entities": ["openpolicy_pg.openpolicy.core.Bills"]}),
        )
        .await;
        assert_eq!(upper["fqn"], "openpolicy_pg.openpolicy.core.Bills");
        let answer = get(
            &context,
            json!({"entities": ["openpolicy_pg.openpolicy.core.BILLS"]}),
        )
        .await;
        assert_eq!(records(&answer["missing"])[0]["reason"], "not_found");
        assert_eq!(
            records(&answer["missing"])[0]["did_you_mean"],
            json!(["openpolicy_pg.openpolicy.core.Bills", BILLS])
        );
    }
}

#[tokio::test]
async fn forgotten_quotes_and_deleted_tables_are_told_apart() {
    for (_, server) in both().await {
        server.canned(
            "GET",
            "/api/v1/search/query",
            &[("q", "nope")],
            Answer::json(200, &no_hit()),
        );
        let answer = get(
            &live(&server),
            json!({"entities": [
                "openpolicy_pg.openpolicy.core.votes.2025",
                "openpolicy_pg.openpolicy.core.deleted_table",
                "table:openpolicy_pg.openpolicy.core.nope"
            ]}),
        )
        .await;
        let missing = records(&answer["missing"]);
        assert_eq!(missing[0]["reason"], "not_found");
        assert_eq!(
            missing[0]["did_you_mean"],
            json!(["openpolicy_pg.openpolicy.core.\"votes.2025\""])
        );
        assert_eq!(missing[1]["reason"], "deleted");
        assert_eq!(missing[2]["reason"], "not_found");
    }
}

#[tokio::test]
async fn a_field_that_the_server_refuses_is_asked_for_no_more() {
    // A server between the recorded versions: it says 1.12.6 but has one owner and one domain.
    let server = Replay::start(Version::V1_2_0).await;
    server.canned(
        "GET",
        "/api/v1/system/version",
        &[],
        Answer::json(200, &json!({"version": "1.12.6"})),
    );
    let bills = one(&live(&server), json!({"entities": [BILLS]})).await;
    assert_eq!(bills["owners"], json!(["data-platform"]));
    assert_eq!(bills["domains"], json!(["Civic"]));
    let asked = server.requests_to("/api/v1/tables/");
    assert!(asked.len() > 1);
    let last = asked
        .last()
        .unwrap()
        .parameter("fields")
        .unwrap()
        .to_owned();
    assert!(
        last.contains("owner,") && last.contains("viewDefinition"),
        "{last}"
    );
}

#[tokio::test]
async fn names_of_other_shapes_are_found_by_search() {
    let server = Replay::start(Version::V1_12_6).await;
    for recording in [
        "entities/dashboards-one",
        "entities/pipelines-one",
        "entities/glossaryTerms-one",
        "entities/domains-one",
    ] {
        keep(&server, Version::V1_12_6, recording);
    }
    let answer = get(
        &live(&server),
        json!({"entities": ["superset.parliament_overview", "airflow.load_core", "Parliament.Bill", "Civic"]}),
    )
    .await;
    let types: Vec<_> = answer["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["dashboard", "pipeline", "glossaryTerm", "domain"]);
    assert_eq!(answer["entities"][0]["charts"]["total"], 1);
    assert_eq!(
        answer["entities"][1]["last_run"],
        json!({"state": "Successful", "at": "2026-11-21T00:15:59Z"})
    );
}

#[tokio::test]
async fn without_search_names_are_looked_up_by_their_shape() {
    let server = Replay::start(Version::V1_12_6).await;
    keep(&server, Version::V1_12_6, "entities/pipelines-one");
    server.search_down();
    let context = live(&server);
    assert_eq!(
        one(&context, json!({"entities": [BILLS]})).await["type"],
        "table"
    );
    // Two parts: asked of each collection whose names have two.
    let missing = Answer::json(404, &json!({"code": 404, "message": "instance not found"}));
    for collection in [
        "databases",
        "dashboards",
        "topics",
        "containers",
        "charts",
        "mlmodels",
        "searchIndexes",
        "apiCollections",
        "glossaryTerms",
        "tags",
        "services/ingestionPipelines",
        "domains",
    ] {
        server.canned(
            "GET",
            &format!("/api/v1/{collection}/name/airflow.load_core"),
            &[],
            missing.clone(),
        );
        server.canned(
            "GET",
            &format!("/api/v1/{collection}/name/airflow.nope"),
            &[],
            missing.clone(),
        );
    }
    server.canned(
        "GET",
        "/api/v1/pipelines/name/airflow.nope",
        &[],
        missing.clone(),
    );
    assert_eq!(
        one(&context, json!({"entities": ["airflow.load_core"]})).await["type"],
        "pipeline"
    );
    // Looked at what could be looked at: that is not 'not found'.
    let error = call(
        &context,
        "get_entity",
        json!({"entities": ["airflow.nope"]}),
    )
    .await
    .unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(
        error.message.contains("could not look"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn column_pages_of_the_server_are_used_where_it_has_them() {
    for (version, server) in both().await {
        let recording = Version::V1_12_6.recording("entities/table-wide-columns-page");
        if version == Version::V1_12_6 {
            // Recorded without `fields`, which we send so that tags come too.
            server.canned(
                "GET",
                &recording.path,
                &[("limit", "20"), ("offset", "40")],
                Answer::json(200, &recording.response),
            );
        }
        let context = live(&server);
        let mut arguments = json!({"entities": [WIDE], "sections": ["columns"], "limit": 40});
        let first = get(&context, arguments.clone()).await;
        assert_eq!(first["entities"][0]["columns"]["returned"], 40);
        arguments["cursor"] = first["next"].clone();
        arguments["limit"] = 20.into();
        let second = get(&context, arguments).await;
        let columns = &second["entities"][0]["columns"];
        assert_eq!(columns["rows"][0][0], "c040");
        assert_eq!(
            (&columns["returned"], &columns["total"]),
            (&json!(20), &json!(300))
        );
        assert_eq!(
            server
                .requests_to(&format!("/api/v1/tables/name/{WIDE}/columns"))
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn large_lists_are_counted_and_cut() {
    for (version, server) in both().await {
        keep(&server, version, "entities/teams-one");
        let context = live(&server);
        let arguments = json!({"entities": ["team:data-platform"]});
        let answer = call(&context, "get_entity", arguments).await.unwrap();
        assert!(cost(&answer) <= 2_000, "{}", cost(&answer));
        let answer = Value::Object(answer.structured());
        let owns = &answer["entities"][0]["owns"];
        let total = version.recording("entities/teams-one").response["owns"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(owns["total"], total);
        assert_eq!(owns["returned"], 20);
        assert_eq!(owns["complete"], false);
        assert_eq!(answer["complete"], false);
    }
}

#[tokio::test]
async fn no_password_of_a_service_leaves() {
    let server = Replay::start(Version::V1_12_6).await;
    server.token_identity("bot.bot.bot", Identity::Bot);
    // 1.12.6 shows this to a bot in clear.
    let recording = Version::V1_12_6.recording("bot-token/databaseServices-openpolicy_pg");
    server.canned(
        "GET",
        &recording.path,
        &[],
        Answer::json(200, &recording.response),
    );
    let context = with_token(&server, "bot.bot.bot");
    let arguments = json!({"entities": ["databaseService:openpolicy_pg"], "sections": ["summary", "members", "custom_properties"]});
    let answer = call(&context, "get_entity", arguments).await.unwrap();
    let shown = format!("{}{}", answer.text(), Value::Object(answer.structured()));
    for secret in ["psycopg2", "password", "db:5432", "connection"] {
        assert!(recording.response.to_string().contains(secret));
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn not_allowed_is_not_not_found() {
    let server = Replay::start(Version::V1_12_6).await;
    let refused = json!({"code": 403, "message": "Principal: CatalogPrincipal{name='plain.reader'} operations [ViewBasic] not allowed"});
    server.fail_where(
        |seen| seen.path.ends_with("scratch_pad"),
        Answer::json(403, &refused),
    );
    let answer = get(
        &live(&server),
        json!({"entities": [BILLS, "openpolicy_pg.openpolicy.core.scratch_pad"]}),
    )
    .await;
    assert_eq!(answer["returned"], 1);
    assert_eq!(records(&answer["missing"])[0]["reason"], "forbidden");
}

#[tokio::test]
async fn a_refused_token_is_said_once_for_all() {
    let server = Replay::start(Version::V1_12_6).await;
    server.expect_token("another.a.b");
    let error = call(
        &live(&server),
        "get_entity",
        json!({"entities": [BILLS, WIDE]}),
    )
    .await
    .unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthorized);
}
