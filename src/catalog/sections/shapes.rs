//! What is told of each part of an entity: pure, over what a server or a snapshot answered.

use serde_json::{Map, Value};

use crate::catalog::{
    facts::{put, time},
    wire::text,
};

/// Tests by state, and the names of those that fail.
pub(super) fn quality_of(tests: &[Value], total: u64) -> Value {
    let mut by_state: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    let mut failing = Vec::new();
    for test in tests {
        let state = text(test, "testCaseStatus")
            .or_else(|| {
                test.pointer("/testCaseResult/testCaseStatus")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            })
            .unwrap_or_else(|| "no result".into())
            .to_lowercase();
        if matches!(state.as_str(), "failed" | "aborted") {
            failing.extend(text(test, "name"));
        }
        *by_state.entry(state).or_default() += 1;
    }
    let mut fields = Map::new();
    fields.insert("tests".into(), total.into());
    if (tests.len() as u64) < total {
        fields.insert("looked_at".into(), tests.len().into());
    }
    for (state, count) in by_state {
        fields.insert(state, count.into());
    }
    if !failing.is_empty() {
        failing.sort();
        failing.truncate(10);
        fields.insert("failing".into(), failing.into());
    }
    fields.into()
}

pub(super) fn contract_of(document: &Value) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "name", text(document, "name"));
    put(&mut fields, "description", text(document, "description"));
    put(
        &mut fields,
        "status",
        text(document, "entityStatus").filter(|status| status != "Unprocessed"),
    );
    if let Some(result) = document
        .get("latestResult")
        .filter(|result| result.is_object())
    {
        put(&mut fields, "last_result", text(result, "status"));
        put(&mut fields, "at", time(result.get("timestamp")));
    }
    if let Some(refresh) = document.pointer("/sla/refreshFrequency") {
        let interval = refresh
            .get("interval")
            .map(Value::to_string)
            .unwrap_or_default();
        let unit = text(refresh, "unit").unwrap_or_default();
        fields.insert(
            "refresh_every".into(),
            format!("{interval} {unit}").trim().into(),
        );
    }
    for (name, field) in [
        ("schema_columns", "schema"),
        ("rules", "qualityExpectations"),
    ] {
        let count = document.get(field).and_then(Value::as_array).map(Vec::len);
        put(&mut fields, name, count.filter(|count| *count > 0));
    }
    fields.into()
}

pub(super) fn queries_of(queries: &[Value], total: u64) -> Value {
    let shown: Vec<Value> = queries
        .iter()
        .take(5)
        .filter_map(|query| {
            let mut fields = Map::new();
            put(
                &mut fields,
                "sql",
                text(query, "query").map(|sql| short(&sql, 300)),
            );
            put(
                &mut fields,
                "by",
                query.pointer("/users/0/name").and_then(Value::as_str),
            );
            put(&mut fields, "duration_ms", query.get("duration").cloned());
            (!fields.is_empty()).then(|| fields.into())
        })
        .collect();
    let mut fields = Map::new();
    fields.insert("total".into(), total.into());
    fields.insert("returned".into(), shown.len().into());
    fields.insert("queries".into(), shown.into());
    fields.into()
}

/// Newest first: version, when, by whom, which fields.
pub(super) fn versions_of(versions: &[Value]) -> Value {
    const MOST: usize = 10;
    let rows: Vec<Value> = versions
        .iter()
        .take(MOST)
        .map(|version| {
            let changed = changed_fields(version);
            let mut cells = vec![
                version.get("version").cloned().unwrap_or_default(),
                time(version.get("updatedAt")).into(),
                text(version, "updatedBy").into(),
            ];
            cells.extend(changed.map(Value::from));
            Value::Array(cells)
        })
        .collect();
    let mut fields = Map::new();
    fields.insert(
        "columns".into(),
        Value::from(vec!["version", "at", "by", "changed"]),
    );
    fields.insert("total".into(), versions.len().into());
    fields.insert("returned".into(), rows.len().into());
    fields.insert("rows".into(), rows.into());
    fields.into()
}

fn changed_fields(version: &Value) -> Option<String> {
    let mut words = Vec::new();
    for (list, sign) in [
        ("fieldsAdded", "+"),
        ("fieldsUpdated", ""),
        ("fieldsDeleted", "-"),
    ] {
        let fields = version
            .pointer(&format!("/changeDescription/{list}"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|field| text(field, "name"));
        words.extend(fields.map(|field| format!("{sign}{field}")));
    }
    (!words.is_empty()).then(|| short(&words.join(", "), 120))
}

pub(super) fn profile_of(document: &Value) -> Option<Value> {
    let profile = document
        .get("profile")
        .filter(|profile| profile.is_object())?;
    let mut fields = Map::new();
    put(&mut fields, "rows", profile.get("rowCount").and_then(whole));
    put(&mut fields, "at", time(profile.get("timestamp")));
    put(&mut fields, "sample", profile.get("profileSample").cloned());
    let mut rows = Vec::new();
    for column in document
        .get("columns")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let Some(profile) = column.get("profile").filter(|profile| profile.is_object()) else {
            continue;
        };
        let number = |name: &str| profile.get(name).and_then(whole);
        rows.push(Value::Array(vec![
            text(column, "name").into(),
            number("nullCount").into(),
            number("distinctCount").into(),
            profile.get("min").cloned().unwrap_or_default(),
            profile.get("max").cloned().unwrap_or_default(),
        ]));
    }
    if !rows.is_empty() {
        const MOST: usize = 30;
        let mut table = Map::new();
        table.insert(
            "columns".into(),
            Value::from(vec!["name", "nulls", "distinct", "min", "max"]),
        );
        table.insert("total".into(), rows.len().into());
        rows.truncate(MOST);
        table.insert("returned".into(), rows.len().into());
        for row in &mut rows {
            // Cells at the end that say nothing.
            if let Value::Array(cells) = row {
                while cells.last().is_some_and(Value::is_null) {
                    cells.pop();
                }
            }
        }
        table.insert("rows".into(), rows.into());
        fields.insert("profiled".into(), table.into());
    }
    (!fields.is_empty()).then(|| fields.into())
}

/// Counts arrive as floats.
fn whole(number: &Value) -> Option<Value> {
    let float = number.as_f64()?;
    // 2^53: beyond it a float is no longer every whole number.
    if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 {
        Some((float as i64).into())
    } else {
        Some(number.clone())
    }
}

/// The first rows, cells cut. They are data of the table: only on request.
pub(super) fn sample_of(document: &Value) -> Option<Value> {
    const MOST_ROWS: usize = 5;
    const MOST_COLUMNS: usize = 15;
    let sample = document
        .get("sampleData")
        .filter(|sample| sample.is_object())?;
    let mut fields = Map::new();
    if let Some(messages) = sample.get("messages").and_then(Value::as_array) {
        let shown: Vec<Value> = messages
            .iter()
            .filter_map(Value::as_str)
            .take(MOST_ROWS)
            .map(|message| short(message, 300).into())
            .collect();
        fields.insert("total".into(), messages.len().into());
        fields.insert("returned".into(), shown.len().into());
        fields.insert("messages".into(), shown.into());
        return Some(fields.into());
    }
    let rows = sample.get("rows").and_then(Value::as_array)?;
    let shown: Vec<Value> = rows
        .iter()
        .take(MOST_ROWS)
        .map(|row| {
            row.as_array()
                .into_iter()
                .flatten()
                .take(MOST_COLUMNS)
                .map(|cell| match cell {
                    Value::String(text) => short(text, 60).into(),
                    Value::Object(_) | Value::Array(_) => short(&cell.to_string(), 60).into(),
                    other => other.clone(),
                })
                .collect()
        })
        .collect();
    let columns = sample.get("columns")?.as_array()?;
    fields.insert(
        "columns".into(),
        columns.iter().take(MOST_COLUMNS).cloned().collect(),
    );
    if columns.len() > MOST_COLUMNS {
        fields.insert("columns_in_all".into(), columns.len().into());
    }
    fields.insert("total".into(), rows.len().into());
    fields.insert("returned".into(), shown.len().into());
    fields.insert("rows".into(), shown.into());
    Some(fields.into())
}

fn short(text: &str, longest: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    crate::answer::clean::text(&line, longest)
}

pub(super) fn list(document: &Value, field: &str) -> Vec<Value> {
    document
        .get(field)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}
