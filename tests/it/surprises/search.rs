//! Search: what the server drops, misreads or returns without a word.

use openpolicy_mcp::tools::ErrorCode;
use serde_json::{Value, json};

use super::{BILLS, BOTH, recorded};
use crate::support::{
    calls::{call, live, try_call},
    replay::{Answer, Replay, Version},
    wire::Seen,
};

const SEARCH: &str = "/api/v1/search/query";

fn filters(server: &Replay) -> Vec<Value> {
    let asked = server.requests_to(SEARCH);
    let texts = asked
        .iter()
        .filter_map(|seen| seen.parameter("query_filter"));
    texts
        .map(|text| serde_json::from_str(text).expect("a filter is JSON"))
        .collect()
}

fn total(version: Version, name: &str) -> u64 {
    version.recording(name).total().unwrap()
}

/// Every text in a filter, names of fields too.
fn texts(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            all.push(name.clone());
            texts(field, all);
        }),
        Value::Array(items) => items.iter().for_each(|item| texts(item, all)),
        Value::String(text) => all.push(text.clone()),
        _ => {}
    }
}

/// Recorded: what is no filter is dropped and everything comes back; an unknown clause is 500.
#[tokio::test]
async fn what_is_typed_as_a_filter_never_breaks_it() {
    for (version, everything) in [
        (Version::V1_12_6, "search/filter-malformed"),
        (Version::V1_2_0, "search/filter-malformed-old"),
    ] {
        let everything = total(version, everything);
        let server = Replay::start(version).await;
        // Whether somebody is called like this was not recorded.
        server.allow_unmatched();
        let context = live(&server, version);
        let hostile = "{not json \"}]";
        for argument in ["owner", "service", "domain", "term", "column"] {
            let mut arguments = json!({"types": ["table"], "limit": 1});
            arguments[argument] = hostile.into();
            match try_call(&context, "search_entities", arguments).await {
                Ok(told) => {
                    let found = told.fields["total"].as_u64().unwrap();
                    assert!(found == 0 && found < everything, "{argument}: {found}");
                }
                Err(error) => assert_eq!(error.argument.as_deref(), Some(argument)),
            }
            let mut said = Vec::new();
            for filter in filters(&server) {
                // Without the outer `query` only one of the two servers reads it.
                assert!(filter["query"]["bool"].is_object(), "{filter}");
                texts(&filter, &mut said);
            }
            assert!(said.iter().any(|text| text.contains("{not json")));
        }
    }
}

/// Recorded: `fullyQualifiedName.keyword` is no field, and what a field lacks matches nothing.
#[tokio::test]
async fn an_exact_name_is_asked_for_by_the_field_that_there_is() {
    let nothing = "search/filter-exact-fqn-keyword";
    assert_eq!(total(Version::V1_12_6, nothing), 0);
    for version in BOTH {
        let server = Replay::start(version).await;
        let context = live(&server, version);
        let told = call(&context, "search_entities", json!({"query": BILLS})).await;
        assert_eq!(told.column("hits", "fqn"), [BILLS]);
        call(
            &context,
            "get_lineage",
            json!({"entity": BILLS, "depth": 1}),
        )
        .await;
        for filter in filters(&server) {
            let mut said = Vec::new();
            texts(&filter, &mut said);
            assert!(!said.contains(&"fullyQualifiedName.keyword".to_owned()));
            // Recorded too: plain `fqnHash` finds nothing.
            assert!(!said.contains(&"fqnHash".to_owned()), "{filter}");
        }
    }
}

/// Recorded: names of the other version match nothing, and everything where they are negated.
#[tokio::test]
async fn each_server_is_asked_in_its_own_field_names() {
    assert_eq!(
        total(Version::V1_2_0, "search/new-no-owner-filter-on-old"),
        141
    );
    assert_eq!(total(Version::V1_2_0, "search/new-owners-filter-on-old"), 0);
    assert_eq!(
        total(Version::V1_2_0, "search/new-domains-filter-on-old"),
        0
    );
    for (version, own, other) in [
        (Version::V1_12_6, ["owners", "domains"], ["owner", "domain"]),
        (Version::V1_2_0, ["owner", "domain"], ["owners", "domains"]),
    ] {
        let server = Replay::start(version).await;
        let context = live(&server, version);
        for (arguments, least, most) in [
            (json!({"owner": "maria.santos"}), 1, 1),
            (json!({"domain": "Civic"}), 3, 3),
            (json!({"types": ["table"], "missing": ["owner"]}), 10, 10),
            (json!({"types": ["table"], "missing": ["domain"]}), 11, 260),
        ] {
            let told = call(&context, "search_entities", arguments.clone()).await;
            let found = told.fields["total"].as_u64().unwrap();
            assert!((least..=most).contains(&found), "{arguments}: {found}");
        }
        let mut said = Vec::new();
        filters(&server)
            .iter()
            .for_each(|filter| texts(filter, &mut said));
        let roots: Vec<&str> = said
            .iter()
            .map(|text| text.split('.').next().unwrap())
            .collect();
        for name in own {
            assert!(roots.contains(&name), "{version:?} {name}");
        }
        for name in other {
            assert!(!roots.contains(&name), "{version:?} {name}");
        }
    }
}

/// Recorded: `search_after` is ignored by 1.2.0 (page 1 for ever), a sort by `id` is 500, by a name
/// that an index lacks drops hits; beyond 10,000 both fail.
#[tokio::test]
async fn pages_follow_each_other_and_are_sorted_by_what_every_index_has() {
    for version in BOTH {
        let server = Replay::start(version).await;
        let context = live(&server, version);
        for types in [json!(["table", "dashboard", "pipeline"]), json!(["table"])] {
            // How 1.2.0 pages through several types at once was not recorded.
            if version == Version::V1_2_0 && types != json!(["table"]) {
                continue;
            }
            let mut arguments = json!({"types": types, "limit": 100});
            let mut all = Vec::new();
            let mut promised = 0;
            for _ in 0..10 {
                let told = call(&context, "search_entities", arguments.clone()).await;
                promised = told.fields["total"].as_u64().unwrap();
                let names = told.column("hits", "fqn");
                all.extend(names.iter().map(|name| name.as_str().unwrap().to_owned()));
                assert_eq!(told.fields.get("total_is_lower_bound"), None);
                match told.fields.get("next") {
                    Some(next) => arguments["cursor"] = next.clone(),
                    None => break,
                }
            }
            assert!(promised > 100);
            all.sort();
            all.dedup();
            assert_eq!(all.len() as u64, promised, "{version:?} {types}");
        }
        for seen in server.requests_to(SEARCH) {
            assert_eq!(seen.parameter("search_after"), None);
            let sort = seen.parameter("sort_field");
            match version {
                Version::V1_12_6 => assert_ne!(sort, Some("id")),
                Version::V1_2_0 => assert_eq!(sort, Some("name.keyword")),
            }
            let number = |name: &str| seen.parameter(name).unwrap().parse::<u64>().unwrap();
            assert!(number("from") + number("size") <= 10_000);
        }
    }
}

/// Recorded: `_shards.failed` is 1 under 200 and three hits lack (1.2.0, `all` sorted by FQN).
#[tokio::test]
async fn hits_that_the_old_server_lost_are_said() {
    let recording = Version::V1_2_0.recording("sync/sort-fullyQualifiedName-all-old");
    assert_eq!(recording.status, 200);
    assert_eq!(recording.response["_shards"]["failed"], 1);
    let whole = total(Version::V1_2_0, "sync/sort-name.keyword-all-old");
    assert!(recording.total().unwrap() < whole);
    let server = Replay::start(Version::V1_2_0).await;
    server.canned("GET", SEARCH, &[], Answer::json(200, &recording.response));
    let context = live(&server, Version::V1_2_0);
    let arguments = json!({"types": ["table", "pipeline"], "limit": 100});
    let told = call(&context, "search_entities", arguments).await;
    assert_eq!(told.fields["total_is_lower_bound"], true);
    assert_eq!(told.fields["complete"], false);
    assert!(told.warnings().contains("1 parts"), "{}", told.warnings());
}

/// A twin by case was found, the entity itself is in what failed: that is not 'not found'.
#[tokio::test]
async fn a_name_in_a_part_of_the_index_that_failed_is_not_called_missing() {
    for version in BOTH {
        let server = Replay::start(version).await;
        let twin = json!({"fullyQualifiedName": "superset.Overview", "name": "Overview",
            "entityType": "dashboard", "id": "00000000-0000-4000-8000-000000000001"});
        let body = json!({"_shards": {"failed": 1, "total": 43},
            "hits": {"total": {"value": 1, "relation": "eq"}, "hits": [{"_source": twin}]}});
        server.canned("GET", SEARCH, &[], Answer::json(200, &body));
        // The database does not know it under any type that has names of two parts.
        server.fail_where(
            |seen| seen.path.contains("/name/superset.overview"),
            recorded(version, "entities/table-missing"),
        );
        let context = live(&server, version);
        let arguments = json!({"entities": ["superset.overview"]});
        let error = try_call(&context, "get_entity", arguments)
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::Unavailable, "{error:?}");
        let query = json!({"query": "superset.overview"});
        let told = call(&context, "search_entities", query).await;
        assert_eq!(told.fields["total_is_lower_bound"], true);
        assert_eq!(told.fields["complete"], false);
        assert!(told.warnings().contains("failed"), "{}", told.warnings());
        // Nor is an owner called unknown.
        let mut nobody = body.clone();
        nobody["hits"] = json!({"total": {"value": 0, "relation": "eq"}, "hits": []});
        nobody["_shards"]["failed"] = 0.into();
        let is_first = |seen: &Seen| seen.parameter("size") == Some("10");
        server.fail_where(is_first, Answer::json(200, &nobody));
        let owned = json!({"owner": "nobody", "types": ["table"]});
        let told = call(&context, "search_entities", owned).await;
        assert_eq!(told.fields["total"], 0);
    }
}

/// Recorded: `_index` ends in `_rebuild_<time>`, highlights are HTML.
#[tokio::test]
async fn types_come_from_the_document_and_markup_stays_behind() {
    let recording = Version::V1_12_6.recording("search/bills");
    let first = &recording.hits().unwrap()[0];
    assert!(first["_index"].as_str().unwrap().contains("_rebuild_"));
    assert!(first["highlight"].to_string().contains("<span"), "{first}");
    let server = Replay::start(Version::V1_12_6).await;
    server.canned("GET", SEARCH, &[], Answer::json(200, &recording.response));
    let context = live(&server, Version::V1_12_6);
    let told = call(&context, "search_entities", json!({"query": "bills"})).await;
    let types = told.column("hits", "type");
    assert_eq!(types[0], "table");
    let everything = format!("{}{}", told.text, Value::Object(told.fields.clone()));
    assert!(!everything.contains("<span") && !everything.contains("_rebuild_"));
}

/// Recorded: what is deleted comes along unless told not to (1.12.6), marked by the text `"true"`;
/// 1.2.0 leaves it out by itself and marks it by a boolean.
#[tokio::test]
async fn what_is_deleted_comes_only_when_asked_for_and_is_marked() {
    const DELETED: &str = "openpolicy_pg.openpolicy.core.deleted_table";
    let marks = [
        (Version::V1_12_6, "search/deleted", json!("true")),
        (Version::V1_2_0, "search/deleted-old", json!(true)),
    ];
    for (version, name, mark) in marks {
        let hit = &version.recording(name).hits().unwrap()[0];
        assert_eq!(hit["_source"]["deleted"], mark);
        let server = Replay::start(version).await;
        let context = live(&server, version);
        for (deleted, found) in [(false, json!([])), (true, json!([DELETED]))] {
            let arguments =
                json!({"query": "deleted_table", "types": ["table"], "deleted": deleted});
            let told = call(&context, "search_entities", arguments).await;
            let names = told.column("hits", "fqn");
            let kept = names.into_iter().filter(|name| name == DELETED);
            assert_eq!(kept.collect::<Value>(), found, "{version:?}");
        }
        let asked = server.requests_to(SEARCH);
        assert_eq!(asked[0].parameter("deleted"), Some("false"));
        let arguments = json!({"entities": [DELETED]});
        let told = call(&context, "get_entity", arguments).await;
        assert_eq!(told.column("missing", "reason"), ["deleted"]);
        // Nor is it what somebody meant by another name; the search for words was not recorded.
        server.allow_unmatched();
        let other_case = DELETED.replace("deleted_table", "DELETED_TABLE");
        let arguments = json!({"entities": [other_case]});
        let told = call(&context, "get_entity", arguments).await;
        assert_eq!(told.column("missing", "reason"), ["not_found"]);
        let near = &told.rows("missing")[0];
        assert!(
            !near.values().any(|cell| cell.to_string().contains(DELETED)),
            "{near:?}"
        );
    }
}

/// Recorded: a nonsense word finds 56 things on `all` and nothing on one index.
#[tokio::test]
async fn words_are_never_asked_of_all_indexes_at_once_on_the_old_server() {
    assert_eq!(total(Version::V1_2_0, "search/no-hit-old"), 56);
    assert_eq!(total(Version::V1_2_0, "search/nonsense-index-old"), 0);
    let server = Replay::start(Version::V1_2_0).await;
    let context = live(&server, Version::V1_2_0);
    // Of the other indexes no words were recorded.
    let arguments = json!({"query": "bills", "types": ["table", "pipeline"]});
    call(&context, "search_entities", arguments).await;
    for seen in server.requests_to(SEARCH) {
        let index = seen.parameter("index").unwrap();
        let has_words = seen.parameter("q") != Some("*");
        let is_one = index.ends_with("_search_index") && !index.contains(',');
        assert!(is_one || !has_words, "{seen}");
    }
}
