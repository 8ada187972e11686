//! The imitation answers whatever a client asks about the recorded catalog, not only what was asked.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::replay::get;
use crate::support::documents::name_hash;
use crate::support::recordings::Version;
use crate::support::replay::Replay;

/// A search that no recording answers, as a client sends it.
fn search(index: &str, filter: &Value, fields: &[&str], more: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("q", "*").append_pair("index", index);
    query.append_pair("query_filter", &filter.to_string());
    for field in fields {
        query.append_pair("include_source_fields", field);
    }
    format!(
        "/api/v1/search/query?{}&include_aggregations=false&track_total_hits=true{more}",
        query.finish()
    )
}

#[tokio::test]
async fn the_mesh_is_walked_down_level_by_level() {
    let replay = Replay::start(Version::V1_12_6).await;
    let root = "warehouse.DW.MESH.m000";
    let mut known = BTreeSet::from([root.to_owned()]);
    let mut level = vec![root.to_owned()];
    let mut hops = 0;
    while !level.is_empty() {
        let mut next = BTreeSet::new();
        // Other portions than the recorded ones, so that no recording answers.
        for portion in level.chunks(23) {
            let hashes: Vec<String> = portion.iter().map(|name| name_hash(name)).collect();
            let filter = json!({ "query": { "bool": { "must": [
                { "terms": { "upstreamLineage.fromEntity.fqnHash.keyword": hashes } }
            ] } } });
            let body = get(
                &replay,
                &search("all", &filter, &["fullyQualifiedName"], "&size=200"),
            )
            .await
            .json();
            let hits = body["hits"]["hits"].as_array().unwrap();
            assert_eq!(body["hits"]["total"]["value"], hits.len());
            let name = |hit: &Value| {
                hit["_source"]["fullyQualifiedName"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            };
            next.extend(hits.iter().map(name));
        }
        level = next
            .into_iter()
            .filter(|name| known.insert(name.clone()))
            .collect();
        hops += usize::from(!level.is_empty());
    }
    // `lineage/get-mesh-down-d10` holds 240 nodes, the root among them.
    assert_eq!((known.len(), hops), (240, 5));
}

#[tokio::test]
async fn too_many_hashes_are_refused() {
    let replay = Replay::start(Version::V1_12_6).await;
    let hashes: Vec<String> = (0..101)
        .map(|number| name_hash(&format!("a.b.c.m{number}")))
        .collect();
    let filter =
        json!({ "query": { "bool": { "must": [{ "terms": { "fqnHash.keyword": hashes } }] } } });
    assert_eq!(
        get(&replay, &search("all", &filter, &["id"], ""))
            .await
            .status,
        414
    );
}

#[tokio::test]
async fn the_whole_catalog_is_scanned_in_pages() {
    let replay = Replay::start(Version::V1_12_6).await;
    let filter = json!({ "query": { "match_all": {} } });
    let mut ids = BTreeSet::new();
    let mut after = String::new();
    loop {
        let more = format!("&size=37&sort_field=id.keyword&sort_order=asc{after}");
        let body = get(
            &replay,
            &search("dataAsset", &filter, &["id", "owners"], &more),
        )
        .await
        .json();
        let hits = body["hits"]["hits"].as_array().unwrap();
        assert_eq!(body["hits"]["total"]["value"], 298);
        let Some(last) = hits.last() else { break };
        after = format!("&search_after={}", last["sort"][0].as_str().unwrap());
        ids.extend(hits.iter().map(|hit| hit["_id"].to_string()));
    }
    assert_eq!(ids.len(), 298);
}

#[tokio::test]
async fn the_old_server_repeats_its_first_page() {
    let replay = Replay::start(Version::V1_2_0).await;
    let page = |more: &str| {
        let start =
            "/api/v1/search/query?q=*&index=table_search_index&size=7&include_source_fields=id";
        format!("{start}&sort_field=name.keyword&sort_order=asc{more}")
    };
    let ids = |body: Value| -> Vec<String> {
        let hits = body["hits"]["hits"].as_array().unwrap().iter();
        hits.map(|hit| hit["_id"].to_string()).collect()
    };
    let first = ids(get(&replay, &page("")).await.json());
    assert_eq!(
        first,
        ids(get(&replay, &page("&search_after=m010")).await.json())
    );
    assert_ne!(first, ids(get(&replay, &page("&from=7")).await.json()));
}

#[tokio::test]
async fn an_entity_is_made_of_its_search_document() {
    let replay = Replay::start(Version::V1_12_6).await;
    let table = "/api/v1/tables/name/warehouse.DW.MESH.m017";
    let body = get(&replay, &format!("{table}?fields=owners,tags,domains"))
        .await
        .json();
    assert_eq!(body["name"], "m017");
    assert_eq!(body["service"]["name"], "warehouse");
    assert!(body["owners"].is_array() && body["tags"].is_array());
    assert_eq!(body["columns"][0]["dataType"], "BIGINT");
    assert!(get(&replay, table).await.json().get("owners").is_none());
    let by_id = format!("/api/v1/tables/{}", body["id"].as_str().unwrap());
    assert_eq!(get(&replay, &by_id).await.json()["name"], "m017");

    let unknown = get(&replay, "/api/v1/tables/name/warehouse.DW.MESH.m999").await;
    assert_eq!(unknown.status, 404);
    let message = "table instance for warehouse.DW.MESH.m999 not found";
    assert_eq!(unknown.json(), json!({ "code": 404, "message": message }));
    // Case decides between two tables here, unlike in a search.
    let twin = get(
        &replay,
        "/api/v1/tables/name/openpolicy_pg.openpolicy.core.BILLS",
    )
    .await;
    assert_eq!(twin.status, 404);
}

#[tokio::test]
async fn the_old_mesh_is_walked_by_steps_of_three() {
    let replay = Replay::start(Version::V1_2_0).await;
    let mut left = vec!["warehouse.DW.MESH.m000".to_owned()];
    let mut known: BTreeSet<String> = left.iter().cloned().collect();
    while let Some(name) = left.pop() {
        let page = format!("/api/v1/lineage/table/name/{name}?upstreamDepth=0&downstreamDepth=3");
        for node in get(&replay, &page).await.json()["nodes"]
            .as_array()
            .unwrap()
        {
            let name = node["fullyQualifiedName"].as_str().unwrap().to_owned();
            if known.insert(name.clone()) {
                left.push(name);
            }
        }
    }
    assert_eq!(known.len(), 120);
}

#[tokio::test]
async fn the_old_server_lacks_routes() {
    let replay = Replay::start(Version::V1_2_0).await;
    for page in [
        "/api/v1/lineage/getLineage?fqn=warehouse.DW.MESH.m007&type=table",
        "/api/v1/dataContracts/entity?entityId=x",
        "/api/v1/tables/name/warehouse.DW.MESH.m007/columns?limit=3",
    ] {
        let heard = get(&replay, page).await;
        assert_eq!(heard.status, 500, "{page}");
        assert!(
            heard.json()["responseMessage"]
                .as_str()
                .unwrap()
                .contains("HTTP 404 Not Found")
        );
    }
    let fields = get(
        &replay,
        "/api/v1/tables/name/warehouse.DW.MESH.m007?fields=owners,tags",
    )
    .await;
    assert_eq!(
        (fields.status, &fields.json()["message"]),
        (400, &"Invalid field name owners".into())
    );
}

#[tokio::test]
async fn lists_are_filtered_as_asked() {
    let replay = Replay::start(Version::V1_12_6).await;
    let tests = "/api/v1/dataQuality/testCases?limit=50&includeAllTests=true&entityLink=";
    let total = async |name: &str| {
        let heard = get(&replay, &format!("{tests}%3C%23E::table::{name}%3E")).await;
        heard.json()["paging"]["total"].clone()
    };
    assert_eq!(total("openpolicy_pg.openpolicy.core.votes").await, 1);
    assert_eq!(total("warehouse.DW.MESH.m001").await, 0);
    let runs = "/api/v1/services/ingestionPipelines?service=warehouse&fields=pipelineStatuses";
    assert_eq!(get(&replay, runs).await.json()["paging"]["total"], 2);
    let latest = "/api/v1/services/ingestionPipelines/openpolicy_pg.pg_metadata/pipelineStatus";
    let body = get(
        &replay,
        &format!("{latest}?startTs=1794532829000&endTs=1795224029624&limit=2"),
    )
    .await
    .json();
    assert_eq!(body["data"].as_array().unwrap().len(), 2);
}
