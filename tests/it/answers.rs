//! The contract of the answers, held over all tools alike: schema, both forms, budgets, pages.

mod hostile;
mod questions;

use std::collections::BTreeSet;

use openpolicy_mcp::tools::{self, Context, ErrorCode, contract};
use serde_json::{Map, Value, json};

use questions::{BILLS, M000, RAW, TEST, WIDE, largest, paged, platform_questions, questions};

use crate::support::{
    calls::{self, Told, call, demo, live, try_call},
    replay::{Replay, Version},
    scripted_platform, tokens,
};

/// Where a value breaks a schema: the part of JSON Schema that result schemas use.
fn faults(value: &Value, schema: &Value, place: &str, found: &mut Vec<String>) {
    let is_of_type = match schema["type"].as_str() {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => panic!("{place}: the schema has the type {other}"),
    };
    if !is_of_type {
        found.push(format!("{place} is no {}: {value}", schema["type"]));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{place} lacks {name}"));
        }
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        if let Some(schema) = schema["properties"].get(name) {
            faults(field, schema, &format!("{place}.{name}"), found);
        }
    }
    if let Some(schema) = schema.get("items") {
        for (position, item) in value.as_array().into_iter().flatten().enumerate() {
            faults(item, schema, &format!("{place}[{position}]"), found);
        }
    }
}

fn is_table(fields: &Map<String, Value>) -> bool {
    fields.contains_key("columns") && fields.contains_key("rows")
}

/// Nulls and what is empty; a cell of a table may be either, and a table may have no rows.
fn idle(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(format!("{place} is null")),
        Value::String(text) if text.is_empty() => found.push(format!("{place} is empty")),
        Value::Array(items) if items.is_empty() => found.push(format!("{place} is empty")),
        Value::Array(items) => {
            for item in items {
                idle(item, place, found);
            }
        }
        Value::Object(fields) if fields.is_empty() => found.push(format!("{place} is empty")),
        Value::Object(fields) => {
            for (name, field) in fields {
                if !(is_table(fields) && name == "rows") {
                    idle(field, &format!("{place}.{name}"), found);
                }
            }
        }
        _ => {}
    }
}

/// Every table inside, with its place.
fn tables<'a>(value: &'a Value, place: String, all: &mut Vec<(String, &'a Map<String, Value>)>) {
    match value {
        Value::Object(fields) if is_table(fields) => all.push((place, fields)),
        Value::Object(fields) => {
            for (name, field) in fields {
                tables(field, format!("{place}.{name}"), all);
            }
        }
        Value::Array(items) => {
            for item in items {
                tables(item, place.clone(), all);
            }
        }
        _ => {}
    }
}

/// Text as the text form writes it inside a line.
fn as_written(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\t', " ")
}

/// What holds for every answer of every tool.
pub fn holds(name: &str, arguments: &Value, told: &Told, most: usize, found: &mut Vec<String>) {
    let place = format!("{name} {arguments}");
    let value = Value::Object(told.fields.clone());
    let schema = contract::of(tools::find(name).unwrap())["outputSchema"].clone();
    faults(&value, &schema, &place, found);
    for field in told.fields.keys() {
        if schema["properties"].get(field).is_none() {
            found.push(format!("{place}: the contract does not name {field}"));
        }
    }
    // What the other side sent, as it stands.
    let mut ours = told.fields.clone();
    ours.remove("body");
    idle(&Value::Object(ours), &place, found);
    for (form, count) in [
        ("text", tokens(&told.text)),
        ("structured", tokens(&value.to_string())),
    ] {
        if count > most {
            found.push(format!("{place}: {count} tokens of {form}, {most} allowed"));
        }
    }
    for warning in told
        .fields
        .get("warnings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if !told
            .text
            .contains(&as_written(warning.as_str().unwrap()).replace('"', "\\\""))
            && !told.text.contains(&as_written(warning.as_str().unwrap()))
        {
            found.push(format!("{place}: the text lacks the warning {warning}"));
        }
    }
    if let (Some(returned), Some(total)) = (told.fields.get("returned"), told.fields.get("total")) {
        let is_complete = told.fields["complete"] == true;
        if returned.as_u64() > total.as_u64() {
            found.push(format!("{place}: {returned} of {total}"));
        }
        if is_complete && told.fields.contains_key("next") {
            found.push(format!("{place}: complete, and it goes on"));
        }
    }
    let mut all = Vec::new();
    tables(&value, place.clone(), &mut all);
    for (place, table) in all {
        let columns = table["columns"].as_array().unwrap();
        for row in table["rows"].as_array().unwrap() {
            let cells = row.as_array().unwrap();
            if cells.len() > columns.len() || cells.is_empty() {
                found.push(format!("{place}: {row} under {columns:?}"));
            }
            if let Some(first) = cells.first().and_then(Value::as_str)
                && !told.text.contains(&as_written(first).replace('|', "\\|"))
            {
                found.push(format!("{place}: the text lacks the row {first}"));
            }
            for cell in cells.iter().filter_map(Value::as_str) {
                let is_time = cell.len() > 19
                    && cell.as_bytes()[10] == b'T'
                    && cell.bytes().take(4).all(|byte| byte.is_ascii_digit());
                if is_time && !(cell.len() == 20 && cell.ends_with('Z')) {
                    found.push(format!("{place}: {cell} is no time in UTC seconds"));
                }
            }
        }
    }
}

fn nothing(found: Vec<String>) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_answer_keeps_the_contract_and_the_budget() {
    let context = demo();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, arguments) in questions() {
        match try_call(&context, name, arguments.clone()).await {
            // A copy holds documents, not the routes that list them.
            Err(error)
                if name == "read_openmetadata" && error.code == ErrorCode::UnsupportedVersion => {}
            Err(error) => found.push(format!("{name} {arguments}: {}", error.text())),
            Ok(told) => {
                holds(name, &arguments, &told, 2_000, &mut found);
                let first: Vec<&str> = told.fields.keys().take(2).map(String::as_str).collect();
                if first != ["source", "as_of"] {
                    found.push(format!("{name} {arguments} begins with {first:?}"));
                }
                seen.insert(name);
            }
        }
    }
    let (watch, scripted) = scripted_platform::with_failures();
    let context = scripted_platform::context(&watch);
    for (name, arguments) in platform_questions() {
        match try_call(&context, name, arguments.clone()).await {
            Err(error) => found.push(format!("{name} {arguments}: {}", error.text())),
            Ok(told) => {
                holds(name, &arguments, &told, 2_000, &mut found);
                seen.insert(name);
            }
        }
    }
    drop(scripted);
    let all: BTreeSet<&str> = tools::all()
        .iter()
        .map(|tool| tool.name)
        // Asked of a real Prometheus, in the live tests.
        .filter(|name| *name != "query_metrics")
        // Asked where something is deployed.
        .filter(|name| !crate::deploy::TOOLS.contains(name))
        .collect();
    assert_eq!(seen, all, "each tool is asked");
    nothing(found);
}

#[tokio::test]
async fn the_largest_answers_stay_below_the_hard_cap() {
    let context = demo();
    let mut found = Vec::new();
    for (name, arguments) in largest() {
        match try_call(&context, name, arguments.clone()).await {
            // A copy holds documents, not the routes that list them.
            Err(error)
                if name == "read_openmetadata" && error.code == ErrorCode::UnsupportedVersion => {}
            Err(error) => found.push(format!("{name} {arguments}: {}", error.text())),
            Ok(told) => holds(name, &arguments, &told, 8_000, &mut found),
        }
    }
    nothing(found);
}

#[tokio::test]
async fn live_answers_keep_the_contract_too() {
    let mut found = Vec::new();
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let replay = Replay::start(version).await;
        let context = live(&replay, version);
        for (name, arguments) in questions().into_iter().chain(largest()) {
            // A question whose requests were not recorded tells nothing here; a server without
            // incidents says so.
            let most = if arguments.get("limit").is_some() {
                8_000
            } else {
                2_000
            };
            match try_call(&context, name, arguments.clone()).await {
                Ok(told) => holds(name, &arguments, &told, most, &mut found),
                Err(error) if error.message.contains("nothing recorded answers") => {}
                Err(error) if error.code == ErrorCode::UnsupportedVersion => {}
                Err(error) => {
                    found.push(format!("{version:?} {name} {arguments}: {}", error.text()))
                }
            }
        }
        drop(context);
        replay.allow_unmatched();
    }
    nothing(found);
}

/// Follows `next` to the end; the rows in order.
async fn followed(
    context: &Context,
    name: &str,
    arguments: &Value,
    list: &str,
    limit: u64,
) -> (Vec<String>, u64) {
    let mut rows = Vec::new();
    let mut asked = arguments.clone();
    asked["limit"] = limit.into();
    loop {
        let told = call(context, name, asked.clone()).await;
        let page = told.rows(list);
        assert_eq!(told.fields["returned"], page.len(), "{name} {asked}");
        assert!(page.len() as u64 <= limit, "{name} {asked}");
        rows.extend(page.into_iter().map(|row| Value::Object(row).to_string()));
        let total = told.fields["total"].as_u64().unwrap();
        match told.fields.get("next") {
            Some(next) => asked["cursor"] = next.clone(),
            None => {
                // What could not be looked at is no further page.
                let is_whole = !told.fields.contains_key("total_is_lower_bound");
                assert_eq!(told.fields["complete"], is_whole, "{name} {asked}");
                return (rows, total);
            }
        }
    }
}

#[tokio::test]
async fn pages_hold_every_item_once_and_in_one_order() {
    let context = demo();
    for (name, arguments, list) in paged() {
        let schema = (tools::find(name).unwrap().arguments)();
        let most = schema["properties"]["limit"]["maximum"].as_u64().unwrap();
        let (whole, total) = followed(&context, name, &arguments, list, most).await;
        assert_eq!(whole.len() as u64, total, "{name} {arguments}");
        assert!(total > 1, "{name} {arguments} has no pages");
        for limit in [1, 7] {
            let (rows, counted) = followed(&context, name, &arguments, list, limit).await;
            assert_eq!(counted, total, "{name} {arguments}, {limit} a page");
            let subjects = |rows: &[String]| -> Vec<String> {
                let subject = |row: &String| {
                    let row: Value = serde_json::from_str(row).unwrap();
                    ["fqn", "at", "subject", "kind", "depth"]
                        .iter()
                        .map(|column| row[column].to_string())
                        .collect()
                };
                rows.iter().map(subject).collect()
            };
            assert_eq!(
                subjects(&rows),
                subjects(&whole),
                "{name} {arguments}, {limit} a page"
            );
        }
    }
}

#[tokio::test]
async fn columns_go_on_over_several_entities() {
    let context = demo();
    let mut asked = json!({"entities": [BILLS, WIDE], "limit": 70});
    let mut names = Vec::new();
    loop {
        let told = call(&context, "get_entity", asked.clone()).await;
        for entity in told.fields["entities"].as_array().unwrap() {
            let fqn = entity["fqn"].as_str().unwrap();
            for row in entity["columns"]["rows"].as_array().unwrap() {
                names.push(format!("{fqn} {}", row[0]));
            }
        }
        match told.fields.get("next") {
            Some(next) => asked["cursor"] = next.clone(),
            None => break,
        }
    }
    let once: BTreeSet<&String> = names.iter().collect();
    assert_eq!(once.len(), names.len());
    assert_eq!(names.len(), 12 + 300);
}

#[tokio::test]
async fn the_promised_figures_hold_on_the_snapshot_and_live() {
    let figures = [
        ("search_entities", json!({"query": "bills"}), 500),
        (
            "get_entity",
            json!({"entities": [BILLS], "sections": ["all"]}),
            700,
        ),
        ("get_entity", json!({"entities": [WIDE]}), 800),
        ("get_lineage", json!({"entity": BILLS, "depth": 3}), 450),
        ("get_lineage", json!({"entity": M000, "depth": 10}), 1_800),
    ];
    let replay = Replay::start(Version::V1_12_6).await;
    let mut found = Vec::new();
    for (source, context) in [
        ("snapshot", demo()),
        ("live", live(&replay, Version::V1_12_6)),
    ] {
        for (name, arguments, most) in &figures {
            let told = call(&context, name, arguments.clone()).await;
            let text = tokens(&told.text);
            let structured = tokens(&Value::Object(told.fields.clone()).to_string());
            println!("{source} {name} {arguments}: {text} {structured} of {most}");
            if text > *most || structured > *most {
                found.push(format!(
                    "{source} {name} {arguments}: {text}, {structured} > {most}"
                ));
            }
            if arguments["entity"] == M000 {
                assert_eq!(told.fields["counts"]["downstream"], 239);
            }
        }
    }
    nothing(found);
}

#[tokio::test]
async fn what_was_probably_meant_can_be_given_as_it_stands() {
    let context = demo();
    let mistakes = [
        ("search_entities", json!({"owner": "data-platfrm"}), "owner"),
        ("search_entities", json!({"owner": "Data Platfrm"}), "owner"),
        ("search_entities", json!({"types": ["tabel"]}), "types"),
        ("search_entities", json!({"service": "warehous"}), "service"),
        ("search_entities", json!({"tags": ["PII.Sensitve"]}), "tags"),
        ("search_entities", json!({"domain": "Civc"}), "domain"),
        ("search_entities", json!({"term": "Parliament.Bil"}), "term"),
        ("search_entities", json!({"tier": "9"}), "tier"),
        ("search_entities", json!({"facets": ["typ"]}), "facets"),
        (
            "get_lineage",
            json!({"entity": "openpolicy_pg.openpolicy.core.bils"}),
            "entity",
        ),
        (
            "get_lineage",
            json!({"entity": BILLS, "column": "titel"}),
            "column",
        ),
        (
            "get_lineage",
            json!({"entity": BILLS, "direction": "upstrem"}),
            "direction",
        ),
        ("analyze_impact", json!({"service": "warehous"}), "service"),
        (
            "find_root_cause",
            json!({"entity": "superset.parliament_overviw"}),
            "entity",
        ),
        (
            "get_data_quality",
            json!({"service": "openpolicy_p"}),
            "service",
        ),
        (
            "get_ingestion",
            json!({"pipeline": "pg_profilr"}),
            "pipeline",
        ),
        ("get_changes", json!({"since": "24"}), "since"),
        ("get_changes", json!({"kinds": ["shema"]}), "kinds"),
        (
            "control_ingestion",
            json!({"pipeline": "pg_profilr", "action": "run"}),
            "pipeline",
        ),
        (
            "update_incident",
            json!({"test": format!("{TEST}s"), "action": "acknowledge"}),
            "test",
        ),
        (
            "edit_lineage",
            json!({"action": "remove", "from": RAW, "to": "openpolicy_pg.openpolicy.core.bils"}),
            "to",
        ),
    ];
    let mut found = Vec::new();
    for (name, arguments, argument) in mistakes {
        let Err(error) = try_call(&context, name, arguments.clone()).await else {
            found.push(format!("{name} {arguments} was answered"));
            continue;
        };
        if error.did_you_mean.is_empty() {
            found.push(format!(
                "{name} {arguments}: nothing near: {}",
                error.text()
            ));
        }
        for near in &error.did_you_mean {
            let mut again = arguments.clone();
            again[argument] = near.as_str().into();
            let second = try_call(&context, name, again.clone()).await;
            // The name is known; that the rest of the call fits it is not promised.
            if let Err(second) = second
                && second.argument.as_deref() == Some(argument)
            {
                found.push(format!("{name} {again}: {}", second.text()));
            }
        }
    }
    nothing(found);
}

#[tokio::test]
async fn an_owner_and_a_tier_have_one_name_everywhere() {
    let context = demo();
    let hits = calls::call(
        &context,
        "search_entities",
        json!({"query": BILLS, "facets": ["owner", "tier"]}),
    )
    .await;
    let entity = call(&context, "get_entity", json!({"entities": [BILLS]})).await;
    let impact = call(&context, "analyze_impact", json!({"entity": RAW})).await;
    let affected = impact
        .rows("items")
        .into_iter()
        .find(|row| row["fqn"] == BILLS)
        .unwrap();
    let entity = &entity.fields["entities"][0];
    for (owners, tier) in [
        (
            hits.rows("hits")[0]["owners"].clone(),
            hits.rows("hits")[0]["tier"].clone(),
        ),
        (entity["owners"].clone(), entity["tier"].clone()),
        (affected["owners"].clone(), affected["tier"].clone()),
    ] {
        assert_eq!((owners, tier), (json!(["data-platform"]), json!("Tier1")));
    }
    assert!(hits.fields["facets"]["owner"]["data-platform"].is_u64());
    assert!(hits.fields["facets"]["tier"]["Tier1"].is_u64());
    let same =
        json!({"entity": BILLS, "set": {"owners": entity["owners"], "tier": entity["tier"]}});
    let told = call(&context, "update_entity", same).await;
    assert_eq!(
        told.fields["total"], 0,
        "what is read can be given: {}",
        told.text
    );
}
