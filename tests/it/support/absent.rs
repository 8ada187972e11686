//! Knows which routes the old server lacks, so that a request to one is answered as it would.

use super::recordings::Version;

/// Beginnings and endings of paths, each seen to be absent in a recording.
const BEGINNINGS: [&str; 17] = [
    "/api/v1/dataContracts",
    "/api/v1/apiEndpoints",
    "/api/v1/services/apiServices",
    "/api/v1/system/status",
    "/api/v1/system/health",
    "/api/v1/search/entityTypeCounts",
    "/api/v1/search/nlq",
    "/api/v1/search/vector",
    "/api/v1/lineage/getLineageByEntityCount",
    "/api/v1/lineage/getDataQualityLineage",
    "/api/v1/lineage/getLineageEdge",
    "/api/v1/lineage/getPaginationInfo",
    "/api/v1/lineage/getPlatformLineage",
    "/api/v1/dataQuality/testCases/testCaseResults",
    "/api/v1/dataQuality/testCases/search",
    "/api/v1/lineage/export",
    "/api/v1/metrics/",
];
const ENDINGS: [&str; 3] = ["/lineage/getLineage", "/columns", "/columns/search"];

pub fn is_absent(version: Version, path: &str) -> bool {
    // One part after `testCases` is a test, whatever it is called.
    let is_incident = path.starts_with("/api/v1/dataQuality/testCases/testCaseIncidentStatus");
    version == Version::V1_2_0
        && (is_incident
            || BEGINNINGS
                .iter()
                .any(|beginning| path.starts_with(beginning))
            || ENDINGS.iter().any(|ending| path.ends_with(ending)))
}
