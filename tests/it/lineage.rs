//! get_lineage, find_lineage_path, analyze_impact and edit_lineage.

mod live;
mod old;
mod snapshot;
mod writes;

use openpolicy_mcp::tools::{self, Context, Outcome};
use serde_json::{Map, Value};

use crate::support::tokens;

pub const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";
pub const TWIN: &str = "openpolicy_pg.openpolicy.core.Bills";
pub const M000: &str = "warehouse.DW.MESH.m000";

pub async fn call(context: &Context, tool: &str, arguments: Value) -> Outcome {
    (tools::find(tool).unwrap().call)(context, arguments).await
}

/// The structured form of an answer.
pub async fn ask(context: &Context, tool: &str, arguments: Value) -> Map<String, Value> {
    match call(context, tool, arguments.clone()).await {
        Ok(answer) => answer.structured(),
        Err(error) => panic!("{tool} {arguments}: {}", error.text()),
    }
}

/// The error of a call that has to fail.
pub async fn fault(context: &Context, tool: &str, arguments: Value) -> tools::ToolError {
    match call(context, tool, arguments.clone()).await {
        Ok(answer) => panic!("{tool} {arguments} was answered:\n{}", answer.text()),
        Err(error) => error,
    }
}

/// The structured form, after both forms were found within so many tokens.
pub async fn within(
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

/// The first column of a table, prefix and all.
pub fn names(table: &Value) -> Vec<String> {
    let prefix = table["prefix"].as_str().unwrap_or_default();
    table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{prefix}{}", row[0].as_str().unwrap()))
        .collect()
}

/// A cell by the name in the first column and the column's name.
pub fn cell(table: &Value, name: &str, column: &str) -> Value {
    let row = names(table)
        .iter()
        .position(|listed| listed == name)
        .unwrap_or_else(|| panic!("no row {name} in {table}"));
    let column = table["columns"]
        .as_array()
        .unwrap()
        .iter()
        .position(|listed| listed == column)
        .unwrap_or_else(|| panic!("no column {column} in {table}"));
    table["rows"][row][column].clone()
}
