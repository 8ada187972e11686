//! What changed between copies, in the timeline of a live catalog and of a snapshot.

use std::sync::Arc;

use openpolicy_mcp::{
    catalog::{
        Catalogs, Snapshot,
        snapshot::{Builder, Difference, DifferenceKind, Head},
    },
    tools::{Caller, Context},
};
use serde_json::json;

use crate::support::{
    calls::{self, Told, try_call},
    replay::{Replay, Version},
};

const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";
const RAW: &str = "openpolicy_pg.openpolicy.scrapers.raw_bills";
const FIRST: &str = "2026-11-20T00:00:00Z";
const SECOND: &str = "2026-11-21T01:00:00Z";

/// A second copy, which knows what changed since the first.
fn second_copy(differences: &[(DifferenceKind, &str, &str, Option<&str>)]) -> Arc<Snapshot> {
    let at = |text: &str| text.parse().expect("a time");
    let mut builder = Builder::in_memory().expect("memory");
    for (kind, fqn, what, other) in differences {
        builder
            .add_difference(&Difference {
                after: at(FIRST),
                before: at(SECOND),
                kind: *kind,
                fqn: (*fqn).to_owned(),
                entity_type: "table".into(),
                what: (*what).to_owned(),
                other: other.map(str::to_owned),
            })
            .expect("a difference");
    }
    let head = Head {
        url: Some("http://om".into()),
        identity: Some("reader".into()),
        changes_since: Some(at(FIRST)),
        ..Head::of(at(SECOND), "1.12.6")
    };
    Arc::new(builder.finish_as(&head).expect("a copy"))
}

fn with_edges() -> Arc<Snapshot> {
    second_copy(&[
        (DifferenceKind::EdgeCame, BILLS, "", Some(RAW)),
        (
            DifferenceKind::EdgeGone,
            "warehouse.DW.MART.dim_bills",
            "",
            Some(BILLS),
        ),
        (DifferenceKind::Owners, BILLS, "owners: a became b", None),
    ])
}

async fn changes(context: &Context, arguments: serde_json::Value) -> Told {
    try_call(context, "get_changes", arguments)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"))
}

fn whats(told: &Told) -> Vec<String> {
    told.column("changes", "what")
        .iter()
        .map(|what| what.as_str().expect("a text").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_timeline_tells_the_lineage_that_came_or_went() {
    let replay = Replay::start(Version::V1_12_6).await;
    let context = calls::live(&replay, Version::V1_12_6).with_spare(Some(with_edges()));
    let question = json!({"kinds": ["lineage"], "since": "2026-11-20T12:00:00Z"});
    let told = changes(&context, question.clone()).await;
    let seen = format!("(seen between {FIRST} and {SECOND})");
    for what in [
        format!("lineage from {RAW} added {seen}"),
        format!("lineage from {BILLS} removed {seen}"),
    ] {
        assert!(whats(&told).contains(&what), "{told:?}");
    }
    assert_eq!(told.fields["total"], 2);
    assert_eq!(told.fields["complete"], true);
    let looked_at = told.fields["looked_at"].to_string();
    assert!(
        looked_at.contains(&format!("copies compared from {FIRST} to {SECOND}")),
        "{looked_at}"
    );
    // Of one entity: the edges that come in and those that leave.
    let mut question = question;
    question["entity"] = json!(format!("table:{BILLS}"));
    assert_eq!(changes(&context, question).await.fields["total"], 2);
    // Without a copy nobody knows.
    let alone = calls::live(&replay, Version::V1_12_6);
    let told = changes(&alone, json!({"kinds": ["lineage"]})).await;
    assert_eq!(told.fields["total"], 0);
    assert!(told.warnings().contains("openpolicy-mcp sync"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_copies_do_not_reach_is_said() {
    let replay = Replay::start(Version::V1_12_6).await;
    let context = calls::live(&replay, Version::V1_12_6).with_spare(Some(with_edges()));
    let question = json!({"kinds": ["lineage"], "since": "2026-11-01T00:00:00Z"});
    let told = changes(&context, question).await;
    assert_eq!(told.fields["complete"], false);
    let missed = told.fields["could_not_look"].to_string();
    assert!(missed.contains(&format!("before {FIRST}")), "{missed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_tells_its_differences_too_and_each_once() {
    let on = |copy: Arc<Snapshot>| {
        let copy = Arc::into_inner(copy).expect("nobody else");
        Context::new(Arc::new(Catalogs::of_snapshot(copy)), Caller::default())
    };
    let told = changes(&on(with_edges()), json!({"since": "2026-11-20T12:00:00Z"})).await;
    assert_eq!(told.fields["total"], 3, "{told:?}");
    let kinds = told.column("changes", "kind");
    assert_eq!(
        kinds,
        [json!("lineage"), json!("lineage"), json!("entity")],
        "{told:?}"
    );
    // The first copy has nothing to be compared with, and says so.
    let only = Builder::in_memory().expect("memory");
    let only = only
        .finish(SECOND.parse().expect("a time"), "1.12.6")
        .expect("a copy");
    let told = changes(&on(Arc::new(only)), json!({})).await;
    assert!(told.warnings().contains("the only one so far"), "{told:?}");
}
