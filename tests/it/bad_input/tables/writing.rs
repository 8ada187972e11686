//! What the tools that write refuse.

use serde_json::{Value, json};

use super::{
    super::{Bad, bad, lost},
    HOSTILE, TEST, VOTES, names, with,
};
use crate::support::server::BILLS;

pub fn control_ingestion() -> Vec<Bad> {
    let base = json!({"pipeline": "pg_profiler", "action": "run"});
    let mut rows = vec![
        bad(json!({}), "pipeline", "FQN or name"),
        bad(
            json!({"pipeline": "pg_profiler"}),
            "action",
            "run, stop, enable, disable",
        ),
        bad(with(&base, "action", "rum"), "action", "run, stop").near("run"),
        bad(
            with(&base, "action", json!(["run", "stop"])),
            "action",
            "one of: run",
        ),
        bad(with(&base, "dry_run", "maybe"), "dry_run", "true or false"),
        bad(with(&base, "dry_run", 2), "dry_run", "true or false"),
        bad(with(&base, "dryrun", false), "dryrun", "no argument").near("dry_run"),
        lost(with(&base, "pipeline", "pg_profilr"), "pipeline").near("openpolicy_pg.pg_profiler"),
        lost(with(&base, "pipeline", "x".repeat(20_000)), "pipeline"),
        bad(with(&base, "dry_run", false), "dry_run", "local copy").code("unsupported_version"),
    ];
    let hostile = HOSTILE.iter();
    rows.extend(hostile.map(|text| lost(with(&base, "pipeline", *text), "pipeline")));
    rows
}

pub fn edit_lineage() -> Vec<Bad> {
    let base = json!({"action": "add", "from": BILLS, "to": VOTES});
    let columns = |mapping: Value| with(&base, "columns", mapping);
    let mut rows = vec![
        bad(json!({"from": BILLS, "to": VOTES}), "action", "add, remove"),
        bad(with(&base, "to", BILLS), "to", "would feed itself"),
        bad(
            with(&base, "to", "openpolicy_pg"),
            "to",
            "no lineage of its own",
        ),
        bad(with(&base, "action", "delete"), "action", "add, remove"),
        bad(columns(json!("title")), "columns[0]", "give an object"),
        bad(
            columns(json!([{"from": "title"}])),
            "columns[0].to",
            "missing",
        ),
        bad(
            columns(json!([{"from": [], "to": "id"}])),
            "columns[0].from",
            "missing",
        ),
        bad(
            columns(json!([{"form": "title", "to": "id"}])),
            "columns[0].form",
            "from, to",
        )
        .near("from"),
        bad(
            columns(json!({"from": "titel", "to": "id"})),
            "columns[0].from",
            "no column",
        )
        .near("title"),
        bad(
            columns(json!({"from": "title", "to": "idd"})),
            "columns[0].to",
            "no column",
        )
        .near("id"),
        bad(
            with(&base, "description", "a\u{202E}b"),
            "description",
            "U+202E",
        ),
        bad(with(&base, "dry_run", "no"), "dry_run", "local copy").code("unsupported_version"),
    ];
    let mut remove = with(&base, "description", "x");
    remove["action"] = "remove".into();
    rows.push(bad(remove, "description", "does not belong"));
    rows.extend(names(&base, "from"));
    rows.extend(names(&base, "to"));
    rows
}

pub fn update_entity() -> Vec<Bad> {
    let base = json!({"entity": BILLS, "set": {"display_name": "x"}});
    let set = |set: Value| json!({"entity": BILLS, "set": set});
    let mut rows = vec![
        bad(json!({"entity": BILLS}), "set", "The fields to change"),
        bad(set(json!({})), "set", "names no field"),
        bad(set(json!({"description": ""})), "set", "names no field"),
        bad(set(json!(["description"])), "set", "an object"),
        bad(set(json!("{\"description\":")), "set", "an object"),
        bad(
            set(json!({"descripton": "x"})),
            "set.descripton",
            "no argument",
        )
        .near("description"),
        bad(
            with(&base, "description", "x"),
            "description",
            "no argument",
        )
        .near("set.description"),
        bad(
            set(json!({"description": "a\u{0}"})),
            "set.description",
            "U+0000",
        ),
        bad(
            set(json!({"display_name": "a\u{202E}"})),
            "set.display_name",
            "U+202E",
        ),
        bad(
            set(json!({"columns": {"title": "\u{1b}"}})),
            "set.columns.title",
            "U+001B",
        ),
        bad(
            set(json!({"description": "x".repeat(30_000)})),
            "set.description",
            "longer than",
        ),
        bad(
            set(json!({"owners": "data-platfrm"})),
            "set.owners",
            "no user or team",
        )
        .near("data-platform"),
        bad(set(json!({"tags": "PII.Sensitiv"})), "set.tags", "no tag").near("PII.Sensitive"),
        bad(
            set(json!({"owners": "x\u{0}"})),
            "set.owners",
            "no user or team",
        ),
        bad(
            set(json!({"owners": "ldap://x"})),
            "set.owners",
            "no user or team",
        ),
        bad(set(json!({"tags": "Tier.Tier1"})), "set.tags", "is a tier"),
        bad(set(json!({"tier": "9"})), "set.tier", "no tag").near("Tier.Tier1"),
        bad(set(json!({"domain": "Civc"})), "set.domain", "no domain").near("Civic"),
        bad(
            set(json!({"terms": "Parliament.Bil"})),
            "set.terms",
            "no glossaryTerm",
        )
        .near("Parliament.Bill"),
        bad(
            set(json!({"columns": {"titel": "x"}})),
            "set.columns.titel",
            "no column",
        )
        .near("title"),
        bad(set(json!({"columns": "title"})), "set.columns", "an object"),
        bad(with(&base, "mode", "replace"), "mode", "set, add, remove"),
        bad(
            with(&base, "expected_version", "x"),
            "expected_version",
            "a number",
        ),
        bad(
            with(&base, "expected_version", 9),
            "expected_version",
            "version 9",
        )
        .code("conflict"),
        bad(with(&base, "dry_run", false), "dry_run", "local copy").code("unsupported_version"),
    ];
    for field in ["owners", "tags", "tier", "domain", "terms"] {
        let named = match field {
            "owners" => "set.owners",
            "tags" => "set.tags",
            "tier" => "set.tier",
            "domain" => "set.domain",
            _ => "set.terms",
        };
        let hostile = HOSTILE.iter();
        rows.extend(hostile.map(|text| bad(set(json!({field: text})), named, "there is no")));
    }
    rows.extend(names(&base, "entity"));
    rows
}

pub fn update_incident() -> Vec<Bad> {
    let call = |action: &str| json!({"test": TEST, "action": action});
    let resolve = with(&call("resolve"), "reason", "Other");
    let mut rows = vec![
        bad(json!({}), "test", "missing"),
        bad(
            json!({"test": TEST}),
            "action",
            "acknowledge, assign, resolve",
        ),
        bad(call("ack"), "action", "one of").near("acknowledge"),
        bad(call("resolve"), "reason", "FalsePositive"),
        bad(resolve.clone(), "comment", "missing"),
        bad(with(&resolve, "comment", "a\u{202E}b"), "comment", "U+202E"),
        bad(
            with(&call("resolve"), "reason", "false positive"),
            "reason",
            "one of",
        )
        .near("FalsePositive"),
        bad(call("assign"), "assignee", "missing"),
        lost(with(&call("assign"), "assignee", "maria.santo"), "assignee").near("\"maria.santos\""),
        bad(
            with(&call("acknowledge"), "assignee", "admin"),
            "assignee",
            "does not belong",
        ),
        bad(
            with(&call("acknowledge"), "reason", "Other"),
            "reason",
            "does not belong",
        ),
        bad(
            with(&call("acknowledge"), "dry_run", 0),
            "dry_run",
            "local copy",
        )
        .code("unsupported_version"),
    ];
    let base = json!({"action": "acknowledge"});
    rows.push(lost(with(&base, "test", format!("{TEST}x")), "test").near(TEST));
    rows.push(lost(with(&base, "test", BILLS), "test"));
    let hostile = HOSTILE.iter();
    rows.extend(hostile.map(|text| lost(with(&base, "test", *text), "test")));
    rows
}
