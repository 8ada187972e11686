//! What the tools that read refuse.

use serde_json::json;

use super::{
    super::{Bad, bad, lost},
    HOSTILE, VOTES, common, names, numbers, services, times, with,
};
use crate::support::server::BILLS;

pub fn analyze_impact() -> Vec<Bad> {
    let base = json!({"entity": BILLS});
    let mut rows = vec![
        bad(json!({}), "entity", "neither `entity` nor `service`"),
        bad(
            json!({"entity": " ", "service": "null"}),
            "entity",
            "neither",
        ),
        bad(with(&base, "service", "openpolicy_pg"), "service", "both"),
        bad(with(&base, "column", "titel"), "column", "no column titel").near("title"),
        bad(
            json!({"service": "openpolicy_pg", "column": "title"}),
            "column",
            "no columns",
        ),
        bad(
            with(&base, "types", json!([])),
            "types",
            "there is no argument",
        ),
    ];
    rows.extend(common(&base));
    rows.extend(names(&json!({}), "entity"));
    rows.extend(services(&json!({})));
    rows.extend(numbers(&base, "depth", 100));
    rows.extend(numbers(&base, "limit", 500));
    rows
}

pub fn find_lineage_path() -> Vec<Bad> {
    let base = json!({"from": BILLS, "to": VOTES});
    let mut rows = vec![
        bad(json!({}), "from", "Entity, or column"),
        bad(json!({"from": BILLS}), "to", "missing"),
        bad(with(&base, "to", BILLS), "to", "are the same"),
        bad(with(&base, "from", "a\u{7}"), "from", "control characters"),
        bad(with(&base, "direction", "down"), "direction", "one of").near("downstream"),
        bad(with(&base, "depth", 3), "depth", "no argument").near("max_depth"),
    ];
    rows.extend(numbers(&base, "max_depth", 100));
    rows.extend(numbers(&base, "limit", 50));
    rows
}

pub fn find_root_cause() -> Vec<Bad> {
    let base = json!({"entity": BILLS});
    let mut rows = vec![
        bad(json!({}), "entity", "neither `entity` nor `service`"),
        bad(with(&base, "service", "openpolicy_pg"), "service", "both"),
    ];
    rows.extend(common(&base));
    rows.extend(names(&json!({}), "entity"));
    rows.extend(services(&json!({})));
    rows.extend(times(&base, "since"));
    rows.extend(numbers(&base, "limit", 200));
    rows
}

pub fn get_changes() -> Vec<Bad> {
    let base = json!({});
    let window = |since: &str, until: &str| json!({"since": since, "until": until});
    let mut rows = vec![
        bad(
            json!({"entity": BILLS, "service": "openpolicy_pg"}),
            "service",
            "both",
        ),
        bad(window("1d", "7d"), "until", "does not come after"),
        bad(window("1d", "1d"), "until", "does not come after"),
        bad(window("now", "now"), "until", "does not come after"),
        bad(
            json!({"kinds": "scheme"}),
            "kinds[0]",
            "schema, lineage, entity",
        )
        .near("schema"),
        bad(
            json!({"kinds": ["test", 5]}),
            "kinds[1]",
            "schema, lineage, entity",
        ),
    ];
    rows.extend(common(&base));
    rows.extend(names(&base, "entity"));
    rows.extend(services(&base));
    rows.extend(times(&base, "since"));
    rows.extend(times(&base, "until"));
    rows.extend(numbers(&base, "limit", 200));
    rows
}

pub fn get_data_quality() -> Vec<Bad> {
    let base = json!({});
    let mut rows = vec![
        bad(
            json!({"entity": BILLS, "service": "openpolicy_pg"}),
            "service",
            "both",
        ),
        bad(json!({"status": "fail"}), "status", "failed, aborted").near("failed"),
        bad(json!({"until": "1d"}), "until", "there is no argument"),
    ];
    rows.extend(common(&base));
    rows.extend(names(&base, "entity"));
    rows.extend(services(&base));
    rows.extend(times(&base, "since"));
    rows.extend(numbers(&base, "limit", 200));
    rows
}

pub fn get_entity() -> Vec<Bad> {
    let base = json!({"entities": [BILLS]});
    let mut rows = vec![
        bad(json!({}), "entities", "1 to 10"),
        bad(json!({"entities": []}), "entities", "missing"),
        bad(
            json!({"entities": ["", null, "null"]}),
            "entities",
            "missing",
        ),
        bad(
            json!({"entities": vec![BILLS; 11]}),
            "entities",
            "1 to 10 names",
        ),
        bad(
            json!({"entities": vec!["x"; 100_000]}),
            "entities",
            "100000 values",
        ),
        bad(
            json!({"entities": {"fqn": BILLS}}),
            "entities[0]",
            "give a text",
        ),
        bad(
            json!({"entities": [BILLS, ["a", "b"]]}),
            "entities[1]",
            "give a text",
        ),
        bad(json!({"entity": BILLS}), "entity", "no argument").near("entities"),
        bad(with(&base, "sections", "column"), "sections[0]", "one of").near("columns"),
        bad(
            with(&base, "sections", "summary,tagz"),
            "sections[1]",
            "one of",
        )
        .near("tags"),
    ];
    rows.extend(common(&base));
    rows.extend(numbers(&base, "limit", 500));
    rows
}

pub fn get_ingestion() -> Vec<Bad> {
    let base = json!({});
    let other = json!({"pipeline": "pg_profiler", "service": "warehouse"});
    let mut rows = vec![
        lost(json!({"pipeline": "pg_profilr"}), "pipeline").near("openpolicy_pg.pg_profiler"),
        lost(json!({"pipeline": "PG_PROFILER"}), "pipeline").near("openpolicy_pg.pg_profiler"),
        bad(other, "pipeline", "no pipeline of warehouse"),
    ];
    rows.extend(common(&base));
    rows.extend(services(&base));
    rows.extend(times(&base, "since"));
    rows.extend(numbers(&base, "limit", 200));
    rows
}

pub fn get_lineage() -> Vec<Bad> {
    let base = json!({"entity": BILLS});
    let mut rows = vec![
        bad(json!({}), "entity", "missing"),
        bad(with(&base, "direction", "up"), "direction", "one of").near("upstream"),
        bad(with(&base, "types", "tabel"), "types", "no entity type").near("table"),
        bad(
            with(&base, "types", json!(["table", 5])),
            "types",
            "no entity type",
        ),
        bad(with(&base, "column", "titel"), "column", "no column").near("title"),
        bad(
            with(&base, "details", "perhaps"),
            "details",
            "true or false",
        ),
        lost(json!({"entity": format!("{BILLS}.titel")}), "entity").near("title"),
    ];
    rows.extend(common(&base));
    rows.extend(names(&json!({}), "entity"));
    rows.extend(numbers(&base, "depth", 10));
    rows.extend(numbers(&base, "limit", 500));
    rows
}

pub fn read_openmetadata() -> Vec<Bad> {
    let path = |path: &str| json!({ "path": path });
    let base = path("tables/name/openpolicy_pg.openpolicy.core.bills");
    let mut rows = vec![
        bad(json!({}), "path", "Below /api/v1"),
        bad(path("tables/name/../users"), "path", "upwards"),
        bad(path("tables/name/%2e%2E/users"), "path", "upwards"),
        bad(path("tables/name/a%00b"), "path", "control characters"),
        bad(
            path("https://evil.example/api/v1/tables"),
            "path",
            "address",
        ),
        bad(path("users/token/1"), "path", "token").code("forbidden"),
        bad(path("tabels/name/x"), "path", "snapshot")
            .code("unsupported_version")
            .near("tables/name/x"),
        bad(path("no_such"), "path", "snapshot").code("unsupported_version"),
        bad(with(&base, "query", "fields=owners"), "query", "an object"),
        bad(
            with(&base, "query", json!({"a": {"b": 1}})),
            "query.a",
            "a text",
        ),
        bad(with(&base, "qurey", json!({})), "qurey", "no argument").near("query"),
    ];
    rows.push(lost(path(&format!("tables/name/{BILLS}x")), "path").near(BILLS));
    rows.extend(numbers(&base, "limit", 1000));
    rows
}

pub fn search_entities() -> Vec<Bad> {
    let base = json!({});
    let mut rows = vec![
        bad(
            json!({"query": "?!\u{202E}"}),
            "query",
            "no letter and no digit",
        ),
        bad(
            json!({"query": "word ".repeat(200)}),
            "query",
            "longer than",
        ),
        bad(json!({"types": "tabel"}), "types", "no entity type").near("table"),
        bad(json!({"types": vec!["table"; 501]}), "types", "501 values"),
        bad(json!({"service": "openpolicy_gp"}), "service", "called").near("openpolicy_pg"),
        bad(json!({"owner": "data-platfrm"}), "owner", "called").near("data-platform"),
        bad(json!({"tags": ["PII.Sensitiv"]}), "tags", "called").near("PII.Sensitive"),
        bad(json!({"tier": 9}), "tier", "called").near("Tier.Tier1"),
        bad(json!({"domain": "Civc"}), "domain", "called").near("Civic"),
        bad(json!({"term": "Parliament.Bil"}), "term", "called").near("Parliament.Bill"),
        bad(json!({"column": "titel"}), "column", "called").near("title"),
        bad(json!({"missing": "owners"}), "missing[0]", "one of").near("owner"),
        bad(json!({"facets": "types"}), "facets[0]", "one of").near("type"),
        bad(json!({"deleted": "maybe"}), "deleted", "true or false"),
        bad(
            json!({"owner": "scraping", "missing": "owner"}),
            "missing",
            "exclude",
        ),
        bad(
            json!({"tier": 1, "missing": ["term", "tier"]}),
            "missing",
            "exclude",
        ),
        bad(json!({"name": "bills"}), "name", "no argument"),
    ];
    for name in [
        "service", "owner", "tags", "tier", "domain", "term", "column",
    ] {
        let hostile = HOSTILE.iter();
        rows.extend(hostile.map(|text| bad(with(&base, name, *text), name, "called")));
    }
    rows.extend(common(&base));
    rows.extend(numbers(&base, "limit", 100));
    rows
}
