//! get_lineage, find_lineage_path, analyze_impact and edit_lineage.

use std::sync::Arc;

use openpolicy_mcp::{
    catalog::{Catalogs, snapshot},
    tools::{self, Caller, Context, Outcome},
};
use serde_json::{Map, Value, json};

use crate::support::tokens;

const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";
const M000: &str = "warehouse.DW.MESH.m000";

fn demo() -> Context {
    let catalogs = Catalogs::of_snapshot(snapshot::demo().unwrap());
    Context::new(Arc::new(catalogs), Caller::default())
}

async fn call(context: &Context, tool: &str, arguments: Value) -> Outcome {
    (tools::find(tool).unwrap().call)(context, arguments).await
}

/// The structured form, after both forms were found within so many tokens.
async fn within(
    context: &Context,
    tool: &str,
    arguments: Value,
    most: usize,
) -> Map<String, Value> {
    let answer = call(context, tool, arguments.clone()).await.unwrap();
    let structured = answer.structured();
    for (form, text) in [
        ("text", answer.text()),
        ("structured", Value::Object(structured.clone()).to_string()),
    ] {
        let count = tokens(&text);
        assert!(
            count <= most,
            "{count} tokens of {form} for {arguments}:\n{text}"
        );
    }
    structured
}

/// The names of a table, prefix and all.
fn names(table: &Value) -> Vec<String> {
    let prefix = table["prefix"].as_str().unwrap_or_default();
    table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{prefix}{}", row[0].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn bills_both_ways() {
    let answer = within(&demo(), "get_lineage", json!({"entity": BILLS}), 450).await;
    println!("{}", Value::Object(answer.clone()));
    assert_eq!(answer["counts"]["upstream"], 2);
}

#[tokio::test]
async fn mesh() {
    let answer = within(
        &demo(),
        "get_lineage",
        json!({"entity": M000, "depth": 10}),
        1800,
    )
    .await;
    println!("{}", Value::Object(answer.clone()));
    let answer = within(
        &demo(),
        "get_lineage",
        json!({"entity": M000, "depth": 10, "direction": "downstream", "limit": 100}),
        1200,
    )
    .await;
    println!("{}", Value::Object(answer.clone()));
}
