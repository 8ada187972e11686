//! Copies of the recorded catalogs.

use openpolicy_mcp::catalog::{
    snapshot::{Kind, Part},
    sync::Mode,
};
use serde_json::Value;

use super::Bench;
use crate::support::replay::Version;

/// Edges as the recorded scan of the whole index has them.
fn recorded_edges() -> usize {
    (1..=4)
        .flat_map(|page| {
            let recording = Version::V1_12_6.recording(&format!("sync/page-{page}"));
            recording.hits().expect("hits").iter()
        })
        .map(|hit| {
            hit["_source"]["upstreamLineage"]
                .as_array()
                .map_or(0, Vec::len)
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_everything_that_was_recorded() {
    let bench = Bench::new(Version::V1_12_6);
    let summary = bench.copy().await.expect("a copy");
    assert_eq!(summary.mode, Mode::Full);
    assert_eq!(summary.remarks, Vec::<String>::new());
    assert_eq!(summary.head.notes, Vec::<String>::new());
    let snapshot = bench.snapshot();
    let head = snapshot.head();
    assert_eq!(head.url, Some(bench.server.url()));
    assert_eq!(head.version, "1.12.6");
    for part in Part::ALL {
        assert_eq!(head.part(part).in_full, Some(head.as_of), "{part:?}");
    }
    // As many of each type as the server counts (recorded: counts/*).
    for (collection, entity_type) in [
        ("tables", "table"),
        ("databaseSchemas", "databaseSchema"),
        ("dashboards", "dashboard"),
        ("pipelines", "pipeline"),
    ] {
        let recording = Version::V1_12_6.recording(&format!("counts/{collection}"));
        let said = recording
            .response
            .pointer("/paging/total")
            .and_then(Value::as_u64);
        let count = head
            .counts
            .iter()
            .find(|count| count.entity_type == entity_type)
            .expect("a count");
        assert_eq!(
            (count.said, Some(count.copied)),
            (said, said),
            "{entity_type}"
        );
    }
    assert_eq!(summary.edges, recorded_edges() as u64);
    assert_eq!(snapshot.lineage().unwrap().edge_count(), recorded_edges());
    // Names that break clients.
    let names = snapshot.names(Kind::Entity).unwrap();
    for name in ["core.bills", "core.Bills", "core.motions/amendments"] {
        let fqn = format!("openpolicy_pg.openpolicy.{name}");
        assert!(names.contains(&fqn), "{fqn}");
    }
    // What stands below an entity.
    let bills = "openpolicy_pg.openpolicy.core.bills";
    assert!(snapshot.document(Kind::Contract, bills).unwrap().is_some());
    let results = snapshot
        .document(
            Kind::TestResults,
            &format!("{bills}.number.number_not_null"),
        )
        .unwrap();
    assert!(results.is_some());
    assert_eq!(snapshot.documents(Kind::TestCase).unwrap().len(), 5);
    assert_eq!(
        snapshot.documents(Kind::IngestionPipeline).unwrap().len(),
        4
    );
    assert!(!snapshot.documents(Kind::Incidents).unwrap().is_empty());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_may_read_it_and_nothing_is_left_beside_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new(Version::V1_12_6);
    let summary = bench.copy().await.expect("a copy");
    let mode = std::fs::metadata(&summary.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut left: Vec<String> = std::fs::read_dir(bench.place().folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["snapshot.sqlite", "sync.holder", "sync.lock"]);
}
