//! search_entities, live and from a snapshot.

use openpolicy_mcp::catalog::snapshot::{self, Kind};

#[test]
fn the_embedded_catalog_opens_and_holds_what_was_recorded() {
    let demo = snapshot::demo().unwrap();
    assert_eq!(demo.as_of().to_string(), "2026-11-21T01:20:14Z");
    assert_eq!(demo.documents(Kind::SearchDocument).unwrap().len(), 298);
    let bills = demo
        .document(Kind::Entity, "openpolicy_pg.openpolicy.core.bills")
        .unwrap()
        .unwrap();
    assert_eq!(bills["columns"].as_array().unwrap().len(), 9);
}
