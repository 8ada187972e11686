//! Right questions of many kinds to every tool, as clients ask them.

use serde_json::{Value, json};

pub const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";
pub const RAW: &str = "openpolicy_pg.openpolicy.scrapers.raw_bills";
pub const M000: &str = "warehouse.DW.MESH.m000";
pub const WIDE: &str = "warehouse.DW.MART.survey_wide";
pub const TEST: &str = "openpolicy_pg.openpolicy.core.bills.number.number_not_null";

/// Right questions of many kinds, as a client may ask them; those of one tool stand together.
pub fn questions() -> Vec<(&'static str, Value)> {
    let every_section = json!([
        "summary",
        "columns",
        "tags",
        "owners",
        "members",
        "quality",
        "usage",
        "contract",
        "queries",
        "versions",
        "custom_properties",
        "profile",
        "joins",
        "definition",
        "sample"
    ]);
    vec![
        ("search_entities", json!({"query": "bills"})),
        ("search_entities", json!({"facets": ["all"]})),
        ("search_entities", json!({"query": "bilz"})),
        ("search_entities", json!({"query": BILLS})),
        (
            "search_entities",
            json!({"owner": "data-platform", "tier": "1"}),
        ),
        (
            "search_entities",
            json!({"missing": ["owner", "description"]}),
        ),
        (
            "search_entities",
            json!({"column": "bill_id", "types": ["table"]}),
        ),
        ("get_entity", json!({"entities": [BILLS]})),
        (
            "get_entity",
            json!({"entities": [BILLS, WIDE, M000, "no.such.table", "kafka.bill-events"]}),
        ),
        (
            "get_entity",
            json!({"entities": [BILLS], "sections": every_section}),
        ),
        ("get_entity", json!({"entities": [WIDE]})),
        (
            "get_entity",
            json!({"entities": ["superset.parliament_overview"], "sections": ["all"]}),
        ),
        (
            "get_entity",
            json!({"entities": ["airflow.scrape_bills"], "sections": ["all"]}),
        ),
        (
            "get_entity",
            json!({"entities": ["databaseService:warehouse", "team:data-platform"]}),
        ),
        ("get_lineage", json!({"entity": BILLS})),
        ("get_lineage", json!({"entity": BILLS, "details": true})),
        ("get_lineage", json!({"entity": BILLS, "column": "*"})),
        (
            "get_lineage",
            json!({"entity": BILLS, "column": "title", "direction": "downstream"}),
        ),
        ("get_lineage", json!({"entity": M000, "depth": 10})),
        (
            "get_lineage",
            json!({"entity": M000, "depth": 10, "details": true}),
        ),
        (
            "find_lineage_path",
            json!({"from": BILLS, "to": "superset.parliament_overview"}),
        ),
        (
            "find_lineage_path",
            json!({"from": "superset.parliament_overview", "to": BILLS}),
        ),
        (
            "find_lineage_path",
            json!({"from": BILLS, "to": "no.such.table"}),
        ),
        (
            "find_lineage_path",
            json!({"from": M000, "to": "warehouse.DW.MESH.m200"}),
        ),
        ("analyze_impact", json!({"entity": BILLS})),
        (
            "analyze_impact",
            json!({"entity": BILLS, "column": "title"}),
        ),
        ("analyze_impact", json!({"service": "warehouse"})),
        ("find_root_cause", json!({"entity": BILLS})),
        ("find_root_cause", json!({"entity": TEST})),
        ("find_root_cause", json!({"service": "warehouse"})),
        ("get_data_quality", json!({})),
        ("get_data_quality", json!({"entity": BILLS})),
        (
            "get_data_quality",
            json!({"service": "openpolicy_pg", "since": "7d"}),
        ),
        ("get_ingestion", json!({})),
        (
            "get_ingestion",
            json!({"pipeline": "openpolicy_pg.pg_profiler"}),
        ),
        (
            "get_ingestion",
            json!({"service": "openpolicy_pg", "since": "7d"}),
        ),
        ("get_changes", json!({})),
        ("get_changes", json!({"entity": BILLS, "since": "30d"})),
        (
            "read_openmetadata",
            json!({"path": format!("tables/name/{BILLS}")}),
        ),
        (
            "read_openmetadata",
            json!({"path": "tables", "limit": 3, "fields": ["name"]}),
        ),
        (
            "update_entity",
            json!({"entity": BILLS, "set": {"tier": "2", "owners": ["scraping"]}}),
        ),
        (
            "update_entity",
            json!({"entity": BILLS, "set": {"columns": {"title": "As tabled."}}}),
        ),
        (
            "edit_lineage",
            json!({"action": "add", "from": BILLS, "to": "superset.parliament_overview"}),
        ),
        (
            "edit_lineage",
            json!({"action": "remove", "from": RAW, "to": BILLS}),
        ),
        (
            "update_incident",
            json!({"test": TEST, "action": "acknowledge"}),
        ),
        (
            "control_ingestion",
            json!({"pipeline": "openpolicy_pg.pg_profiler", "action": "run"}),
        ),
    ]
}

/// The largest that a caller can ask for.
pub fn largest() -> Vec<(&'static str, Value)> {
    vec![
        ("search_entities", json!({"limit": 100, "facets": ["all"]})),
        (
            "get_entity",
            json!({"entities": [WIDE], "sections": ["all", "sample"], "limit": 500}),
        ),
        (
            "get_entity",
            json!({
            "entities": [WIDE, BILLS, RAW, M000, "databaseService:warehouse", "team:data-platform",
                "superset.parliament_overview", "airflow.scrape_bills", "kafka.bill-events", "mlflow.topic_classifier"],
            "sections": ["all", "sample"], "limit": 500}),
        ),
        (
            "get_lineage",
            json!({"entity": M000, "depth": 10, "limit": 500}),
        ),
        (
            "get_lineage",
            json!({"entity": M000, "depth": 10, "limit": 500, "details": true}),
        ),
        (
            "get_lineage",
            json!({"entity": BILLS, "depth": 10, "limit": 500, "details": true, "column": "*"}),
        ),
        (
            "find_lineage_path",
            json!({"from": M000, "to": "warehouse.DW.MESH.m239", "limit": 50, "direction": "both"}),
        ),
        (
            "analyze_impact",
            json!({"service": "warehouse", "limit": 500}),
        ),
        ("analyze_impact", json!({"entity": RAW, "limit": 500})),
        (
            "find_root_cause",
            json!({"service": "warehouse", "limit": 200}),
        ),
        ("get_data_quality", json!({"since": "365d", "limit": 200})),
        ("get_ingestion", json!({"since": "90d", "limit": 200})),
        ("get_changes", json!({"since": "365d", "limit": 200})),
        (
            "read_openmetadata",
            json!({"path": "tables", "limit": 1000}),
        ),
        (
            "read_openmetadata",
            json!({"path": format!("tables/name/{WIDE}")}),
        ),
    ]
}

/// Right questions about a platform, `scripted_platform::with_failures`.
pub fn platform_questions() -> Vec<(&'static str, Value)> {
    vec![
        ("check_health", json!({"refresh": true})),
        ("check_health", json!({"history": true})),
        ("check_health", json!({"services": ["api"]})),
        ("get_platform", json!({})),
        ("get_platform", json!({"view": "dependencies"})),
        ("get_platform", json!({"view": "scorecard"})),
        ("get_platform", json!({"view": "lint"})),
        ("get_service", json!({"service": "postgres"})),
        ("get_service", json!({"service": "p-api-1"})),
        ("get_logs", json!({})),
        ("get_logs", json!({"services": ["api"], "raw": true})),
        ("get_resources", json!({})),
        ("get_resources", json!({"view": "phases", "sort": "name"})),
        ("get_alerts", json!({})),
        (
            "get_alerts",
            json!({"state": ["firing", "pending", "resolved"]}),
        ),
    ]
}

/// Questions with a list that goes on, and the name of the list.
pub fn paged() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("search_entities", json!({"query": "bills"}), "hits"),
        (
            "search_entities",
            json!({"types": ["table"], "tier": "1"}),
            "hits",
        ),
        ("get_lineage", json!({"entity": BILLS}), "nodes"),
        (
            "get_lineage",
            json!({"entity": M000, "depth": 2, "details": true}),
            "nodes",
        ),
        (
            "get_lineage",
            json!({"entity": BILLS, "column": "*"}),
            "nodes",
        ),
        (
            "analyze_impact",
            json!({"entity": BILLS, "depth": 5}),
            "items",
        ),
        ("find_root_cause", json!({"entity": BILLS}), "causes"),
        (
            "get_data_quality",
            json!({"service": "openpolicy_pg"}),
            "tests",
        ),
        ("get_ingestion", json!({}), "pipelines"),
        (
            "get_ingestion",
            json!({"pipeline": "openpolicy_pg.pg_metadata"}),
            "runs",
        ),
        ("get_changes", json!({"since": "30d"}), "changes"),
    ]
}
