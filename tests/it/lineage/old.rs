//! The lineage tools on OpenMetadata 1.2.0, replayed: its one endpoint, three hops at a time, ids
//! for names, duplicates.

use serde_json::json;

use super::{BILLS, M000, TWIN, ask, cell, live::on, names};
use crate::support::replay::{Answer, Replay, Version};

/// What is recorded of these was asked for with fewer fields (entities/*-one-old).
fn owned(server: &Replay) {
    // Nor is the exact search for these recorded, without which the database is asked.
    server.allow_unmatched();
    for (collection, fqn, owner) in [
        ("topics", "kafka.bill-events", "data-platform"),
        ("mlmodels", "mlflow.topic_classifier", "li.wei"),
        (
            "searchIndexes",
            "elasticsearch.bills_index",
            "data-platform",
        ),
        ("pipelines", "airflow.load_core", "data-platform"),
        (
            "services/databaseServices",
            "openpolicy_pg",
            "data-platform",
        ),
    ] {
        let body = json!({"id": "00000000-0000-4000-8000-000000000000", "name": fqn.rsplit('.').next(),
                          "fullyQualifiedName": fqn, "owner": {"id": "1", "type": "team", "name": owner}});
        let path = format!("/api/v1/{collection}/name/{fqn}");
        server.canned("GET", &path, &[], Answer::json(200, &body));
    }
}

#[tokio::test]
async fn bills_are_one_request() {
    let server = Replay::start(Version::V1_2_0).await;
    let answer = ask(&on(&server), "get_lineage", json!({"entity": BILLS})).await;
    assert_eq!(answer["counts"]["upstream"], 2);
    assert_eq!(answer["counts"]["downstream"], 10);
    assert_eq!(answer["total"], 12);
    assert_eq!(
        cell(&answer["nodes"], "mlflow.topic_classifier", "depth"),
        3
    );
    // Whether there is a fourth hop nobody looked; that is said.
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("beyond 3 hops downstream"), "{warnings}");
    assert_eq!(server.requests_to("/api/v1/lineage/").len(), 1);
}

#[tokio::test]
async fn deep_meshes_are_walked_stride_by_stride_without_duplicates() {
    let server = Replay::start(Version::V1_2_0).await;
    let arguments = json!({"entity": M000, "depth": 10, "direction": "downstream", "limit": 500});
    let answer = ask(&on(&server), "get_lineage", arguments).await;
    assert_eq!(answer["counts"]["downstream"], 119);
    let listed = names(&answer["nodes"]);
    let mut once = listed.clone();
    once.sort();
    once.dedup();
    assert_eq!((listed.len(), once.len()), (119, 119));
    for seen in server.requests_to("/api/v1/lineage/") {
        // Above 3 is refused (recorded: legacy-d4).
        for name in ["upstreamDepth", "downstreamDepth"] {
            assert!(seen.parameter(name).unwrap().parse::<u32>().unwrap() <= 3);
        }
    }
}

#[tokio::test]
async fn a_cycle_repeats_edges_and_is_named_once() {
    let server = Replay::start(Version::V1_2_0).await;
    let answer = ask(&on(&server), "get_lineage", json!({"entity": TWIN})).await;
    let other = "openpolicy_pg.openpolicy.core.rate%limits+plus";
    assert_eq!(answer["cycles"], json!([[TWIN, other]]));
    assert_eq!(names(&answer["nodes"]), [other]);
}

#[tokio::test]
async fn every_kind_of_root() {
    let server = Replay::start(Version::V1_2_0).await;
    owned(&server);
    let context = on(&server);
    for (name, depth, upstream, downstream) in [
        ("container:s3.raw-dumps", 3, 0, 7),
        ("dashboard:superset.parliament_overview", 3, 8, 0),
        ("topic:kafka.bill-events", 2, 2, 1),
        ("openpolicy_pg.openpolicy.core.\"votes.2025\"", 3, 1, 2),
        ("openpolicy_pg.openpolicy.core.motions/amendments", 3, 2, 1),
        ("warehouse.DW.MART.orphan_report", 3, 0, 0),
        ("pipeline:airflow.load_core", 1, 3, 3),
    ] {
        let arguments = json!({"entity": name, "depth": depth});
        let answer = ask(&context, "get_lineage", arguments).await;
        assert_eq!(answer["counts"]["upstream"], upstream, "{name}");
        assert_eq!(answer["counts"]["downstream"], downstream, "{name}");
    }
}

#[tokio::test]
async fn edges_have_columns_pipeline_and_sql() {
    let server = Replay::start(Version::V1_2_0).await;
    let arguments = json!({"entity": BILLS, "depth": 1, "details": true});
    let answer = ask(&on(&server), "get_lineage", arguments).await;
    let edges = answer["edges"].to_string();
    assert!(
        edges.contains("CREATE VIEW public.bill_summaries"),
        "{edges}"
    );
    assert!(edges.contains("airflow.build_marts") && edges.contains("title + number > summary"));
    let column = json!({"entity": BILLS, "column": "title", "depth": 3});
    let answer = ask(&on(&server), "get_lineage", column).await;
    assert_eq!(
        answer["column"]["comes_from"],
        json!(["openpolicy_pg.openpolicy.scrapers.raw_bills.payload"])
    );
}

#[tokio::test]
async fn bare_references_get_their_owners_for_impact_and_not_without_end() {
    let server = Replay::start(Version::V1_2_0).await;
    owned(&server);
    let context = on(&server);
    let near = ask(
        &context,
        "analyze_impact",
        json!({"entity": BILLS, "depth": 1}),
    )
    .await;
    assert_eq!(near["affected"]["total"], 4);
    assert!(
        near["affected"]["by_owner"]["data-platform"]
            .as_u64()
            .unwrap()
            >= 1,
        "{near:?}"
    );
    assert!(near["affected"]["by_owner"].get("not read").is_none());
    let all = ask(&context, "analyze_impact", json!({"entity": BILLS})).await;
    assert_eq!(all["affected"]["total"], 130);
    assert_eq!(all["affected"]["by_owner"]["not read"], 30);
    assert!(
        all["warnings"]
            .to_string()
            .contains("30 of 130 affected were not read")
    );
}

#[tokio::test]
async fn paths() {
    let server = Replay::start(Version::V1_2_0).await;
    owned(&server);
    let context = on(&server);
    let question =
        json!({"from": "container:s3.raw-dumps", "to": "dashboard:superset.parliament_overview"});
    let path = ask(&context, "find_lineage_path", question).await;
    assert_eq!(
        (&path["status"], &path["hops"]),
        (&json!("connected"), &json!(5))
    );
    let none = ask(
        &context,
        "find_lineage_path",
        json!({"from": "warehouse.DW.MART.orphan_report", "to": BILLS}),
    )
    .await;
    assert_eq!(
        (&none["status"], &none["searched"]),
        (&json!("not_connected"), &json!(2))
    );
}

#[tokio::test]
async fn impact_of_a_service() {
    let server = Replay::start(Version::V1_2_0).await;
    owned(&server);
    let service = json!({"entity": "databaseService:openpolicy_pg", "limit": 200});
    let impact = ask(&on(&server), "analyze_impact", service).await;
    // Recorded: 19 in it (search/filter-service-old); below it the warehouse and what it feeds.
    assert_eq!(impact["affected"]["by_type"]["databaseSchema"], 4);
    assert!(
        impact["affected"]["total"].as_u64().unwrap() > 139,
        "{}",
        impact["affected"]
    );
    assert!(
        !impact.contains_key("total_is_lower_bound"),
        "{:?}",
        impact["warnings"]
    );
}

#[tokio::test]
async fn a_failure_in_the_middle_is_a_lower_bound() {
    let server = Replay::start(Version::V1_2_0).await;
    server.fail_where(
        |seen| seen.path.contains("/lineage/") && !seen.path.contains("m000"),
        Answer::json(500, &json!({"responseMessage": "broken"})),
    );
    let arguments = json!({"entity": M000, "depth": 10, "direction": "downstream"});
    let answer = ask(&on(&server), "get_lineage", arguments).await;
    assert_eq!(answer["total_is_lower_bound"], true);
    assert!(
        answer["warnings"]
            .to_string()
            .contains("complete for 3 hops only")
    );
}
