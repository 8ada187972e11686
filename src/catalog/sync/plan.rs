//! What to ask of which version of OpenMetadata. Pure.

use crate::catalog::{
    model::EntityType, reading, search::filter::Dialect, snapshot::Kind, version::Version,
};

/// How far back results of tests and runs are read. Answers have no limit of their own: a month of
/// an hourly run is 720 entries of about 500 bytes.
pub const SERIES_DAYS: i64 = 30;

/// Types of which each list is read in full also by an incremental copy: their documents change
/// without a new version (the last run of a pipeline).
pub const VOLATILE: &[&str] = &["pipeline"];

/// Types that stand in lineages, for servers that have to be asked one by one.
pub const WITH_LINEAGE: &[&str] = &[
    "table",
    "dashboard",
    "dashboardDataModel",
    "topic",
    "mlmodel",
    "container",
    "searchIndex",
    "pipeline",
    "storedProcedure",
    "apiEndpoint",
    "metric",
];

/// Lists that repeat what other entities say of themselves: a team of the whole organisation owns
/// everything, and a schema has 10,000 tables.
const NOT_IN_LISTS: &[&str] = &[
    "owns",
    "tables",
    "databaseSchemas",
    "tests",
    "users",
    "apiEndpoints",
];

/// What to know of an entity of the search index: what `wire::summary` reads, what tells that it
/// changed, and the edges into it.
pub fn scan_fields(version: Version) -> Vec<&'static str> {
    let mut fields = Dialect::of(version).source_fields().to_vec();
    fields.extend([
        "serviceType",
        "updatedAt",
        "version",
        "upstreamLineage",
        "lineageSqlQueries",
    ]);
    fields
}

/// The types whose lists are read, services first so that a summary begins with them.
pub fn listed_types() -> impl Iterator<Item = EntityType> {
    EntityType::known()
        .filter(|name| !matches!(*name, "testCase" | "ingestionPipeline"))
        .map(EntityType::new)
}

/// Optional fields of a list of this type.
pub fn list_fields(entity_type: &EntityType, version: Version) -> Vec<&'static str> {
    let owners = reading::owner_field(version);
    match entity_type.as_str() {
        // The status stood in the last result alone before about 1.4 (1.2.0 is recorded so).
        "testCase" if version < Version::new(1, 4, 0) => {
            vec!["testSuite", "testDefinition", "testCaseResult", owners]
        }
        "testCase" => vec!["testSuite", "testDefinition", "incidentId", owners],
        "ingestionPipeline" => vec!["pipelineStatuses", owners],
        // As recorded (1.12.6, contracts/list).
        "dataContract" => Vec::new(),
        _ => reading::fields_of(entity_type, version)
            .into_iter()
            .filter(|field| !NOT_IN_LISTS.contains(field))
            .collect(),
    }
}

/// As what the entries of a list are kept.
pub fn kind_of(entity_type: &EntityType) -> Kind {
    match entity_type.as_str() {
        "testCase" => Kind::TestCase,
        "ingestionPipeline" => Kind::IngestionPipeline,
        _ => Kind::Entity,
    }
}

/// The types that the scan of the search index may hold (`dataAsset` of 1.12.6).
pub fn is_scanned(entity_type: &EntityType) -> bool {
    crate::catalog::search::filter::ASSETS.contains(&entity_type.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_leave_out_what_repeats_others() {
        let fields = |name: &str| list_fields(&EntityType::new(name), Version::new(1, 12, 6));
        assert!(!fields("team").contains(&"owns"));
        assert!(!fields("databaseSchema").contains(&"tables"));
        assert!(fields("table").contains(&"schemaDefinition"));
        assert!(fields("testCase").contains(&"incidentId"));
        let old = list_fields(&EntityType::new("testCase"), Version::new(1, 2, 0));
        assert!(old.contains(&"testCaseResult") && old.contains(&"owner"));
    }

    #[test]
    fn scans_with_the_edges() {
        let fields = scan_fields(Version::new(1, 12, 6));
        for field in ["id", "upstreamLineage", "version", "owners", "deleted"] {
            assert!(fields.contains(&field), "{field}");
        }
    }
}
