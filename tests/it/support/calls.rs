//! Calls tools in process, on the demo's snapshot or on a replay server.

use std::sync::Arc;

use openpolicy_mcp::{
    catalog::{Catalogs, Credential, Settings, snapshot},
    tools::{self, Caller, Context, ToolError},
};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::replay::{Replay, Version};

/// What a call gave, in both forms.
#[derive(Debug)]
pub struct Told {
    pub fields: Map<String, Value>,
    pub text: String,
}

impl Told {
    /// The table of this name as one object a row, names whole.
    pub fn rows(&self, table: &str) -> Vec<Map<String, Value>> {
        let Some(table) = self.fields.get(table) else {
            return Vec::new();
        };
        let columns: Vec<&str> = table["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column.as_str().unwrap())
            .collect();
        let prefix = table["prefix"].as_str().unwrap_or_default();
        let rows = table["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            let mut fields = Map::new();
            for (column, cell) in columns.iter().zip(row.as_array().unwrap()) {
                let cell = match cell {
                    Value::String(name) if *column == "fqn" => format!("{prefix}{name}").into(),
                    cell => cell.clone(),
                };
                fields.insert((*column).to_owned(), cell);
            }
            fields
        })
        .collect()
    }

    /// One column of a table.
    pub fn column(&self, table: &str, column: &str) -> Vec<Value> {
        let rows = self.rows(table).into_iter();
        rows.map(|mut row| row.remove(column).unwrap_or_default())
            .collect()
    }

    pub fn warnings(&self) -> String {
        self.fields
            .get("warnings")
            .map(Value::to_string)
            .unwrap_or_default()
    }
}

/// A context on the snapshot that the binary ships.
pub fn demo() -> Context {
    let snapshot = snapshot::demo().expect("the demo's snapshot");
    Context::new(Arc::new(Catalogs::of_snapshot(snapshot)), Caller::default())
}

/// A context on a replay server, at the time when it was recorded.
pub fn live(replay: &Replay, version: Version) -> Context {
    let settings = Settings {
        url: replay.url(),
        credential: Credential::Token(SecretString::from("a.test.token")),
        ..Settings::default()
    };
    let catalogs = Catalogs::of_openmetadata(&settings).expect("an address");
    let mut context = Context::new(Arc::new(catalogs), Caller::default());
    let recorded_at = match version {
        Version::V1_12_6 => 1_795_224_029_624,
        Version::V1_2_0 => 1_795_224_929_999,
    };
    context.now = jiff::Timestamp::from_millisecond(recorded_at).unwrap();
    context
}

/// Every tool that reads, with arguments that reach what the recordings hold.
pub fn reads() -> Vec<(&'static str, Value)> {
    let table = "table:openpolicy_pg.openpolicy.core.bills";
    let sections = [
        "summary", "columns", "tags", "owners", "quality", "usage", "contract", "queries",
        "versions",
    ];
    vec![
        ("search_entities", json!({"query": "bills"})),
        ("get_entity", json!({"entities": [table]})),
        (
            "get_entity",
            json!({"entities": [table], "sections": sections}),
        ),
        ("get_lineage", json!({"entity": table})),
        (
            "find_lineage_path",
            json!({"from": table, "to": "warehouse.DW.MART.dim_bills"}),
        ),
        ("analyze_impact", json!({"entity": table})),
        ("find_root_cause", json!({"entity": table})),
        ("get_data_quality", json!({})),
        ("get_data_quality", json!({"entity": table})),
        ("get_ingestion", json!({})),
        ("get_ingestion", json!({"service": "openpolicy_pg"})),
        ("get_changes", json!({})),
        ("get_changes", json!({"entity": table})),
        (
            "read_openmetadata",
            json!({"path": "/services/databaseServices"}),
        ),
        (
            "read_openmetadata",
            json!({"path": "/services/ingestionPipelines"}),
        ),
    ]
}

/// The tools that write, showing what they would do.
pub fn writes() -> Vec<(&'static str, Value)> {
    let table = "table:openpolicy_pg.openpolicy.core.bills";
    vec![
        (
            "update_entity",
            json!({"entity": table, "set": {"description": "x"}}),
        ),
        (
            "edit_lineage",
            json!({"action": "add", "from": table, "to": "table:a.b.c.d"}),
        ),
        (
            "update_incident",
            json!({"test": "a.b.c.d.t", "action": "acknowledge"}),
        ),
        (
            "control_ingestion",
            json!({"pipeline": "openpolicy_pg.pg_metadata", "action": "run"}),
        ),
    ]
}

pub async fn try_call(context: &Context, name: &str, arguments: Value) -> Result<Told, ToolError> {
    let tool = tools::find(name).expect("a tool of this name");
    let answer = (tool.call)(context, arguments).await?;
    Ok(Told {
        fields: answer.structured(),
        text: answer.text(),
    })
}

pub async fn call(context: &Context, name: &str, arguments: Value) -> Told {
    match try_call(context, name, arguments).await {
        Ok(told) => told,
        Err(error) => panic!("{name} failed: {error:?}"),
    }
}
