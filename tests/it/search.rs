//! search_entities, live and from a snapshot.

use std::sync::Arc;

use openpolicy_mcp::{
    answer::Answer,
    catalog::{
        Catalogs, Credential, Settings, Snapshot,
        snapshot::{self, Kind},
    },
    tools::{self, Caller, Context, ErrorCode, ToolError},
};
use serde_json::{Value, json};

use crate::support::{
    replay::{Answer as Reply, Replay, Version},
    tokens,
};

fn demo() -> Context {
    let catalogs = Catalogs::of_snapshot(snapshot::demo().unwrap());
    Context::new(Arc::new(catalogs), Caller::default())
}

fn live(server: &Replay) -> Context {
    let catalogs = Catalogs::of_openmetadata(&Settings {
        url: server.url(),
        credential: Credential::Token("any".into()),
        ..Settings::default()
    });
    Context::new(Arc::new(catalogs.unwrap()), Caller::default())
}

async fn search(context: &Context, arguments: Value) -> Result<Answer, ToolError> {
    let tool = tools::find("search_entities").unwrap();
    (tool.call)(context, arguments).await
}

async fn found(context: &Context, arguments: Value) -> Value {
    let answer = search(context, arguments).await.unwrap();
    Value::Object(answer.structured())
}

/// Hits as objects with whole names.
fn hits(answer: &Value) -> Vec<Value> {
    let table = &answer["hits"];
    let prefix = table["prefix"].as_str().unwrap_or("");
    let columns: Vec<&str> = table["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column.as_str().unwrap())
        .collect();
    let row = |row: &Value| {
        let mut hit = serde_json::Map::new();
        for (column, cell) in columns.iter().zip(row.as_array().unwrap()) {
            let cell = match cell {
                Value::String(name) if *column == "fqn" => format!("{prefix}{name}").into(),
                cell => cell.clone(),
            };
            hit.insert((*column).to_owned(), cell);
        }
        Value::Object(hit)
    };
    table["rows"].as_array().unwrap().iter().map(row).collect()
}

fn names(answer: &Value) -> Vec<String> {
    hits(answer)
        .iter()
        .map(|hit| hit["fqn"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_embedded_catalog_opens_and_holds_what_was_recorded() {
    let demo = snapshot::demo().unwrap();
    assert_eq!(demo.as_of().to_string(), "2026-11-21T01:20:14Z");
    assert_eq!(demo.version(), "1.12.6");
    assert_eq!(demo.documents(Kind::SearchDocument).unwrap().len(), 298);
    let bills = demo
        .document(Kind::Entity, "openpolicy_pg.openpolicy.core.bills")
        .unwrap()
        .unwrap();
    assert_eq!(bills["columns"].as_array().unwrap().len(), 9);
}

/// A context on a server that answers from the recordings.
async fn openmetadata(version: Version) -> (Replay, Context) {
    let server = Replay::start(version).await;
    let context = live(&server);
    (server, context)
}

/// The recorded answer of this name, for a request that the test describes.
fn recorded(version: Version, name: &str) -> Reply {
    let recording = version.recording(name);
    Reply::json(recording.status, &recording.response)
}

fn searches(server: &Replay) -> usize {
    server.requests_to("/api/v1/search/").len()
}

// --- From a running OpenMetadata

#[tokio::test]
async fn a_live_search_is_one_small_request_in_the_order_of_the_server() {
    let (server, context) = openmetadata(Version::V1_12_6).await;
    server.canned(
        "GET",
        "/api/v1/search/query",
        &[("q", "bills"), ("index", "dataAsset")],
        recorded(Version::V1_12_6, "search/bills"),
    );
    let answer = search(&context, json!({"query": "bills"})).await.unwrap();
    let structured = Value::Object(answer.structured());
    assert!(tokens(&answer.text()) <= 500, "{}", answer.text());
    assert!(tokens(&structured.to_string()) <= 500, "{structured}");
    assert_eq!(structured["total"], 14);
    assert_eq!(structured["complete"], false);
    assert!(structured.get("source").is_none());
    let found = hits(&structured);
    assert_eq!(found[0]["fqn"], "openpolicy_pg.openpolicy.core.bills");
    assert_eq!(found[0]["why"], "exact name");
    assert_eq!(found[0]["owners"], json!(["data-platform"]));
    assert_eq!(found[0]["tier"], "Tier1");
    assert_eq!(
        found[2]["fqn"],
        "openpolicy_pg.openpolicy.scrapers.raw_bills"
    );
    let seen = server.requests_to("/api/v1/search/");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].parameter("include_aggregations"), Some("false"));
    assert_eq!(seen[0].parameter("track_total_hits"), Some("true"));
    assert_eq!(seen[0].parameter("deleted"), Some("false"));
}

#[tokio::test]
async fn a_spelling_that_the_server_tolerates_is_called_similar() {
    let (server, context) = openmetadata(Version::V1_12_6).await;
    server.canned(
        "GET",
        "/api/v1/search/query",
        &[("q", "reprezentatives")],
        recorded(Version::V1_12_6, "search/misspelt"),
    );
    let answer = found(&context, json!({"query": "reprezentatives"})).await;
    assert_eq!(answer["total"], 2);
    for hit in hits(&answer) {
        assert_eq!(hit["why"], "similar name");
    }
}

#[tokio::test]
async fn an_exact_fqn_is_one_request_and_never_the_twin_on_both_versions() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let (server, context) = openmetadata(version).await;
        for (asked, twin) in [("bills", "Bills"), ("Bills", "bills")] {
            let before = searches(&server);
            let fqn = format!("openpolicy_pg.openpolicy.core.{asked}");
            let answer = found(&context, json!({"query": fqn})).await;
            assert_eq!(names(&answer), [fqn]);
            let warning = answer["warnings"][0].as_str().unwrap();
            assert!(warning.ends_with(&format!("core.{twin}")), "{warning}");
            assert_eq!(searches(&server) - before, 1);
        }
        let answer = found(
            &context,
            json!({"query": "openpolicy_pg.openpolicy.core.BILLS"}),
        )
        .await;
        assert_eq!(answer["total"], 2);
        assert_eq!(hits(&answer)[0]["why"], "name, other case");
    }
}

/// Recorded as search/filter-*: the old server has other field names, and ignores what it does
/// not know.
#[tokio::test]
async fn filters_mean_the_same_on_both_versions() {
    for (arguments, new, old) in [
        (json!({"owner": "maria.santos"}), 1, 1),
        (json!({"owner": "Maria Santos"}), 1, 1),
        (json!({"tier": "1", "types": ["table"]}), 27, 15),
        (json!({"tags": ["PII.Sensitive"]}), 2, 2),
        (json!({"term": "Parliament.Bill"}), 1, 1),
        (json!({"domain": "Civic records"}), 3, 3),
        (json!({"domain": "Civic"}), 3, 3),
        (json!({"column": "ballot"}), 2, 2),
        (json!({"types": ["table"], "missing": ["owner"]}), 10, 10),
        (json!({"deleted": true}), 1, 1),
    ] {
        for (version, total) in [(Version::V1_12_6, new), (Version::V1_2_0, old)] {
            let (server, context) = openmetadata(version).await;
            let answer = found(&context, arguments.clone()).await;
            assert_eq!(answer["total"], total, "{arguments} {version:?}");
            assert!(server.unmatched().is_empty());
        }
    }
}

/// The filters of the server and those of the snapshot were written apart; the catalog is the same.
#[tokio::test]
async fn what_is_missing_is_missing_live_and_in_the_snapshot() {
    let (_server, live) = openmetadata(Version::V1_12_6).await;
    let snapshot = demo();
    for missing in ["owner", "description", "tier", "tags", "domain", "term"] {
        let arguments = json!({"types": ["table"], "missing": [missing], "limit": 1});
        let there = found(&live, arguments.clone()).await;
        let here = found(&snapshot, arguments).await;
        assert_eq!(there["total"], here["total"], "{missing}");
        assert!(
            there["total"].as_u64().unwrap() < 261,
            "{missing} filters nothing"
        );
    }
}

/// Recorded: `all` finds 56 entities for a word that stands nowhere, each index alone none.
#[tokio::test]
async fn the_old_server_finds_nothing_where_nothing_is() {
    let (_server, context) = openmetadata(Version::V1_2_0).await;
    let answer = found(&context, json!({"query": "zzzznothing"})).await;
    assert_eq!(answer["total"], 0);
    assert_eq!(answer["complete"], true);
}

#[tokio::test]
async fn the_old_server_merges_its_indexes_and_pages_through_them() {
    let (server, context) = openmetadata(Version::V1_2_0).await;
    let arguments = |cursor: Option<Value>| json!({"query": "bills", "types": ["table", "pipeline"], "limit": 5, "cursor": cursor});
    let first = found(&context, arguments(None)).await;
    assert_eq!(first["returned"], 5);
    let second = found(&context, arguments(first.get("next").cloned())).await;
    let mut all = [names(&first), names(&second)].concat();
    assert_eq!(second["complete"], true);
    assert_eq!(first["total"], all.len());
    all.sort();
    all.dedup();
    assert_eq!(first["total"], all.len());
    assert!(all.contains(&"airflow.scrape_bills".to_owned()), "{all:?}");
    assert!(server.unmatched().is_empty());
}

#[tokio::test]
async fn failed_shards_are_said() {
    let (server, context) = openmetadata(Version::V1_12_6).await;
    let mut body = Version::V1_12_6.recording("search/bills").response.clone();
    body["_shards"]["failed"] = 3.into();
    server.canned("GET", "/api/v1/search/query", &[], Reply::json(200, &body));
    let answer = found(&context, json!({"query": "bills", "limit": 100})).await;
    assert_eq!(answer["complete"], false);
    assert_eq!(answer["total_is_lower_bound"], true);
    assert!(answer["warnings"][0].as_str().unwrap().contains("3 parts"));
}

#[tokio::test]
async fn without_its_search_engine_only_exact_names_are_answered() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let (server, context) = openmetadata(version).await;
        server.search_down();
        let error = search(&context, json!({"query": "bills"}))
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::Unavailable);
        assert!(error.message.contains("search engine"), "{error:?}");
        let fqn = "openpolicy_pg.openpolicy.core.bills";
        let answer = found(&context, json!({"query": fqn})).await;
        assert_eq!(names(&answer), [fqn]);
        assert!(
            answer["warnings"][0]
                .as_str()
                .unwrap()
                .contains("search engine")
        );
    }
}

#[tokio::test]
async fn beyond_ten_thousand_the_caller_is_told_to_narrow() {
    let (server, context) = openmetadata(Version::V1_12_6).await;
    let empty = json!({"query": "bills"});
    let first = found(&context, empty).await;
    let next = first["next"].as_str().unwrap();
    let far = format!("{}.9995", next.split('.').next().unwrap());
    let before = searches(&server);
    let error = search(&context, json!({"query": "bills", "cursor": far}))
        .await
        .unwrap_err();
    assert!(error.message.contains("10000"), "{error:?}");
    assert_eq!(searches(&server), before);
}

#[tokio::test]
async fn live_facets_have_the_names_that_people_write() {
    let (server, context) = openmetadata(Version::V1_12_6).await;
    server.canned(
        "GET",
        "/api/v1/search/query",
        &[("include_aggregations", "true")],
        recorded(Version::V1_12_6, "search/aggregations"),
    );
    let answer = found(&context, json!({"facets": ["all"], "limit": 1})).await;
    assert_eq!(answer["facets"]["type"]["databaseSchema"], 7);
    assert_eq!(answer["facets"]["tier"]["Tier1"], 28);
    assert_eq!(answer["facets"]["owner"]["data platform"], 86);
    assert_eq!(answer["facets"]["service"]["warehouse"], 251);
}

#[tokio::test]
async fn live_answers_that_find_nothing_offer_near_names() {
    let (_server, context) = openmetadata(Version::V1_12_6).await;
    // Recorded: the server does not fold accents.
    let answer = found(&context, json!({"query": "deputes"})).await;
    assert_eq!(answer["total"], 0);
    assert_eq!(
        answer["did_you_mean"],
        json!(["openpolicy_pg.openpolicy.étl.députés_élus"])
    );
}

#[tokio::test]
async fn a_live_filter_that_names_nobody_is_told() {
    let (server, context) = openmetadata(Version::V1_12_6).await;
    server.canned(
        "GET",
        "/api/v1/search/query",
        &[("index", "all")],
        recorded(Version::V1_12_6, "search/users"),
    );
    let error = search(&context, json!({"owner": "Mario Santo"}))
        .await
        .unwrap_err();
    assert_eq!(error.argument.as_deref(), Some("owner"));
    assert_eq!(error.did_you_mean, ["maria.santos"]);
    let answer = found(
        &context,
        json!({"owner": "maria.santos", "types": ["topic"]}),
    )
    .await;
    assert_eq!(answer["total"], 0);
}

#[tokio::test]
async fn what_people_type_never_reaches_the_server_as_syntax() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let (server, context) = openmetadata(version).await;
        for query in [
            "bills \"",
            "(bills",
            "motions/amendments",
            "bills AND (",
            "[bills TO",
        ] {
            let arguments = json!({"query": query, "types": ["table"]});
            let answer = found(&context, arguments).await;
            assert!(answer["total"].is_u64(), "{query}");
        }
        let answer = found(&context, json!({"query": "core:bills", "types": ["table"]})).await;
        assert!(names(&answer).contains(&"openpolicy_pg.openpolicy.core.bills".to_owned()));
        drop(server);
    }
}

// --- From the snapshot

#[tokio::test]
async fn ten_hits_stay_within_five_hundred_tokens_in_either_form() {
    let answer = search(&demo(), json!({"query": "bills"})).await.unwrap();
    let structured = Value::Object(answer.structured());
    assert_eq!(names(&structured).len(), 10);
    assert_eq!(structured["source"], "snapshot");
    assert_eq!(structured["as_of"], "2026-11-21T01:20:14Z");
    assert!(tokens(&answer.text()) <= 500, "{}", answer.text());
    assert!(tokens(&structured.to_string()) <= 500, "{structured}");
}

#[tokio::test]
async fn the_exact_name_comes_first_and_parts_of_identifiers_are_found() {
    let answer = found(&demo(), json!({"query": "bills", "limit": 100})).await;
    let names = names(&answer);
    assert_eq!(names[0], "openpolicy_pg.openpolicy.core.bills");
    assert_eq!(hits(&answer)[0]["why"], "exact name");
    assert_eq!(names[1], "openpolicy_pg.openpolicy.core.Bills");
    assert_eq!(hits(&answer)[1]["why"], "name, other case");
    for name in [
        "openpolicy_pg.openpolicy.scrapers.raw_bills",
        "warehouse.DW.MART.dim_bills",
    ] {
        assert!(names.contains(&name.to_owned()), "{name} in {names:?}");
    }
    assert_eq!(answer["total"], names.len());
    assert_eq!(answer["complete"], true);
}

#[tokio::test]
async fn accents_do_not_matter() {
    for query in ["deputes", "députés", "DÉPUTÉS elus"] {
        let answer = found(&demo(), json!({"query": query})).await;
        assert_eq!(
            names(&answer),
            ["openpolicy_pg.openpolicy.étl.députés_élus"],
            "{query}"
        );
    }
}

#[tokio::test]
async fn an_exact_fqn_is_that_entity_alone_and_its_twin_is_named() {
    for (asked, twin) in [("bills", "Bills"), ("Bills", "bills")] {
        let fqn = format!("openpolicy_pg.openpolicy.core.{asked}");
        let answer = found(&demo(), json!({"query": fqn})).await;
        assert_eq!(names(&answer), [fqn]);
        assert_eq!(hits(&answer)[0]["why"], "exact name");
        let warning = answer["warnings"][0].as_str().unwrap();
        assert!(warning.ends_with(&format!("core.{twin}")), "{warning}");
    }
    let answer = found(
        &demo(),
        json!({"query": "openpolicy_pg.openpolicy.core.BILLS"}),
    )
    .await;
    assert_eq!(answer["total"], 2);
    for hit in hits(&answer) {
        assert_eq!(hit["why"], "name, other case");
    }
    // Names that need quotes, and the type before the name.
    for query in [
        "openpolicy_pg.openpolicy.core.\"votes.2025\"",
        "table:openpolicy_pg.openpolicy.core.\"votes.2025\"",
    ] {
        let answer = found(&demo(), json!({"query": query})).await;
        assert_eq!(
            names(&answer),
            ["openpolicy_pg.openpolicy.core.\"votes.2025\""]
        );
    }
}

#[tokio::test]
async fn says_what_matched() {
    let context = demo();
    for (query, fqn, why) in [
        (
            "ballot",
            "openpolicy_pg.openpolicy.core.votes",
            "column ballot",
        ),
        (
            "councillors",
            "openpolicy_pg.openpolicy.core.representatives",
            "description",
        ),
        (
            "Parliament overview",
            "superset.parliament_overview",
            "name",
        ),
        (
            "scrapers raw_votes",
            "openpolicy_pg.openpolicy.scrapers.raw_votes",
            "name, path",
        ),
    ] {
        let answer = found(&context, json!({"query": query})).await;
        let hit = hits(&answer).into_iter().find(|hit| hit["fqn"] == fqn);
        assert_eq!(hit.unwrap_or_default()["why"], why, "{query}: {answer}");
    }
    // Without words there is nothing to explain.
    let answer = found(&context, json!({"tier": "1"})).await;
    assert!(!answer["hits"]["columns"].to_string().contains("why"));
}

#[tokio::test]
async fn signs_are_words_or_a_clear_error() {
    let context = demo();
    let first = |answer: &Value| names(answer).first().cloned().unwrap_or_default();
    for (query, fqn) in [
        ("core:bills", "openpolicy_pg.openpolicy.core.bills"),
        ("core.bills", "openpolicy_pg.openpolicy.core.bills"),
        ("bills \"", "openpolicy_pg.openpolicy.core.bills"),
        ("(bills", "openpolicy_pg.openpolicy.core.bills"),
        (
            "motions/amendments",
            "openpolicy_pg.openpolicy.core.motions/amendments",
        ),
        (
            "\"votes.2025\"",
            "openpolicy_pg.openpolicy.core.\"votes.2025\"",
        ),
        (
            "rate%limits",
            "openpolicy_pg.openpolicy.core.rate%limits+plus",
        ),
        (
            "represent*",
            "openpolicy_pg.openpolicy.core.representatives",
        ),
    ] {
        let answer = found(&context, json!({"query": query})).await;
        assert_eq!(first(&answer), fqn, "{query}");
    }
    let error = search(&context, json!({"query": "::\"("}))
        .await
        .unwrap_err();
    assert_eq!(error.argument.as_deref(), Some("query"));
    let long = "word ".repeat(200);
    let error = search(&context, json!({"query": long})).await.unwrap_err();
    assert_eq!(error.argument.as_deref(), Some("query"));
}

#[tokio::test]
async fn nothing_found_is_said_with_near_names() {
    let answer = found(&demo(), json!({"query": "reprezentatives"})).await;
    assert_eq!(
        (&answer["total"], &answer["complete"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(
        answer["did_you_mean"][0],
        "openpolicy_pg.openpolicy.core.representatives"
    );
    let answer = found(&demo(), json!({"query": "zzzznothing"})).await;
    assert_eq!(answer["total"], 0);
    assert!(answer.get("did_you_mean").is_none());
}

#[tokio::test]
async fn filters_find_what_the_server_finds() {
    let context = demo();
    // Totals as recorded: search/filter-*.
    for (arguments, total) in [
        (json!({"tier": "1"}), 28),
        (json!({"tier": "Tier.Tier1"}), 28),
        (json!({"tier": "tier1"}), 28),
        (json!({"owner": "maria.santos"}), 1),
        (json!({"owner": "Maria Santos"}), 1),
        (json!({"tags": ["PII.Sensitive"]}), 2),
        (json!({"tags": "sensitive"}), 2),
        (json!({"term": "Parliament.Bill"}), 1),
        (json!({"domain": "Civic records"}), 3),
        (json!({"domain": "Civic"}), 3),
        (json!({"column": "ballot", "types": ["table"]}), 2),
        (json!({"types": ["dashboards"]}), 2),
        // The recorded 11 count the deleted table.
        (json!({"types": ["table"], "missing": ["owner"]}), 10),
        (json!({"deleted": true}), 1),
        (json!({"types": ["table"]}), 261),
        (json!({"types": ["user"], "query": "maria"}), 1),
        (json!({"types": ["testCase"]}), 5),
    ] {
        let answer = found(&context, arguments.clone()).await;
        assert_eq!(answer["total"], total, "{arguments}");
    }
}

#[tokio::test]
async fn a_filter_that_names_nothing_is_told_from_one_that_finds_nothing() {
    let context = demo();
    for (arguments, argument, near) in [
        (json!({"owner": "Mario Santo"}), "owner", "maria.santos"),
        (json!({"tags": ["PII.Sensitiv"]}), "tags", "PII.Sensitive"),
        (json!({"domain": "Civik"}), "domain", "Civic"),
        (json!({"term": "Parliament.Bil"}), "term", "Parliament.Bill"),
        (json!({"service": "openpolicy"}), "service", "openpolicy_pg"),
        (json!({"column": "balot"}), "column", "ballot"),
        (json!({"tier": "9"}), "tier", "Tier.Tier1"),
        (json!({"types": ["tabel"]}), "types", "table"),
    ] {
        let error = search(&context, arguments.clone()).await.unwrap_err();
        assert_eq!(error.argument.as_deref(), Some(argument), "{arguments}");
        assert!(
            error.did_you_mean.contains(&near.to_owned()),
            "{arguments}: {error:?}"
        );
    }
    // Known, and owner of nothing that is asked for.
    let answer = found(
        &context,
        json!({"owner": "Maria Santos", "types": ["topic"]}),
    )
    .await;
    assert_eq!(answer["total"], 0);
}

#[tokio::test]
async fn facets_count_everything_that_was_found() {
    let answer = found(&demo(), json!({"facets": ["type", "tier"], "limit": 1})).await;
    assert_eq!(answer["facets"]["type"]["table"], 261);
    assert_eq!(answer["facets"]["tier"]["Tier1"], 28);
    assert_eq!(answer["returned"], 1);
    let all = found(&demo(), json!({"query": "bills", "facets": ["all"]})).await;
    let types = all["facets"]["type"].as_object().unwrap();
    let sum: u64 = types.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(all["total"], sum);
}

#[tokio::test]
async fn pages_give_every_hit_once() {
    let context = demo();
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    let mut calls = 0;
    loop {
        let arguments = json!({"query": "m0", "limit": 40, "cursor": cursor});
        let answer = found(&context, arguments).await;
        seen.extend(names(&answer));
        calls += 1;
        assert!(calls < 20);
        match answer.get("next") {
            Some(next) => cursor = next.clone(),
            None => {
                assert_eq!(answer["complete"], true);
                assert_eq!(answer["total"], seen.len());
                break;
            }
        }
    }
    let count = seen.len();
    assert!(count >= 100, "{count}");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count);
    let error = search(&context, json!({"query": "other", "cursor": "0000.7"})).await;
    assert_eq!(error.unwrap_err().argument.as_deref(), Some("cursor"));
}

/// A snapshot that is written to a file and opened answers as one in memory.
#[test]
fn a_snapshot_lives_in_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.sqlite");
    let mut builder = snapshot::Builder::at(&path).unwrap();
    let bills = json!({"id": "1", "name": "bills", "fullyQualifiedName": "pg.db.core.bills",
        "entityType": "table", "columns": [{"name": "ballotKind"}], "upstreamLineage": [
            {"fromEntity": {"type": "table", "fullyQualifiedName": "pg.db.core.raw"}}]});
    builder
        .add(Kind::SearchDocument, "pg.db.core.bills", "table", &bills)
        .unwrap();
    let as_of = "2026-11-21T00:00:00Z".parse().unwrap();
    drop(builder.finish(as_of, "1.12.6").unwrap());
    let opened = Snapshot::open(&path).unwrap();
    assert_eq!(opened.as_of(), as_of);
    assert_eq!(opened.summaries_named("pg.db.core.bills").unwrap().len(), 1);
    assert_eq!(
        opened
            .documents_with_id(Kind::SearchDocument, "1")
            .unwrap()
            .len(),
        1
    );
    let edges = opened.edges().unwrap();
    assert_eq!(
        (edges[0].from.1.as_str(), edges[0].to.1.as_str()),
        ("pg.db.core.raw", "pg.db.core.bills")
    );
    // A file of something else is refused, not read as an empty catalog.
    let other = folder.path().join("other.sqlite");
    std::fs::write(&other, "not a database").unwrap();
    assert!(Snapshot::open(&other).is_err());
}

#[tokio::test]
async fn says_where_there_are_too_many_hits_to_rank() {
    let mut builder = snapshot::Builder::in_memory().unwrap();
    for number in 0..5_001 {
        let name = format!("orders_{number:04}");
        let fqn = format!("service.db.schema.{name}");
        let document =
            json!({"id": fqn, "name": name, "fullyQualifiedName": fqn, "entityType": "table"});
        builder
            .add(Kind::SearchDocument, &fqn, "table", &document)
            .unwrap();
    }
    let built = builder
        .finish("2026-11-21T00:00:00Z".parse().unwrap(), "1.12.6")
        .unwrap();
    let context = Context::new(Arc::new(Catalogs::of_snapshot(built)), Caller::default());
    let all = found(&context, json!({"query": "orders"})).await;
    assert_eq!(all["total"], 5_001);
    assert!(all["warnings"].to_string().contains("not by how well"));
    let one = found(&context, json!({"query": "orders_0042"})).await;
    assert_eq!(one["hits"]["rows"][0][0], "service.db.schema.orders_0042");
    assert!(one["warnings"].is_null());
}
