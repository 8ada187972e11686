//! search_entities, live and from a snapshot.

use std::sync::Arc;

use openpolicy_mcp::{
    answer::Answer,
    catalog::{
        Catalogs, Credential, Settings,
        snapshot::{self, Kind},
    },
    tools::{self, Caller, Context, ToolError},
};
use serde_json::{Value, json};

use crate::support::{replay::{Answer as Reply, Replay, Version}, tokens};

fn demo() -> Context {
    let catalogs = Catalogs::of_snapshot(snapshot::demo().unwrap());
    Context::new(Arc::new(catalogs), Caller::default())
}

fn live(server: &Replay) -> Context {
    let catalogs = Catalogs::of_openmetadata(&Settings {
        url: server.url(),
        credential: Credential::Token("any".into()),
        ..Settings::default()
    });
    Context::new(Arc::new(catalogs.unwrap()), Caller::default())
}

async fn search(context: &Context, arguments: Value) -> Result<Answer, ToolError> {
    let tool = tools::find("search_entities").unwrap();
    (tool.call)(context, arguments).await
}

async fn found(context: &Context, arguments: Value) -> Value {
    let answer = search(context, arguments).await.unwrap();
    Value::Object(answer.structured())
}

/// Hits as objects with whole names.
fn hits(answer: &Value) -> Vec<Value> {
    let table = &answer["hits"];
    let prefix = table["prefix"].as_str().unwrap_or("");
    let columns: Vec<&str> = table["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column.as_str().unwrap())
        .collect();
    let row = |row: &Value| {
        let mut hit = serde_json::Map::new();
        for (column, cell) in columns.iter().zip(row.as_array().unwrap()) {
            let cell = match cell {
                Value::String(name) if *column == "fqn" => format!("{prefix}{name}").into(),
                cell => cell.clone(),
            };
            hit.insert((*column).to_owned(), cell);
        }
        Value::Object(hit)
    };
    table["rows"].as_array().unwrap().iter().map(row).collect()
}

fn names(answer: &Value) -> Vec<String> {
    hits(answer)
        .iter()
        .map(|hit| hit["fqn"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_embedded_catalog_opens_and_holds_what_was_recorded() {
    let demo = snapshot::demo().unwrap();
    assert_eq!(demo.as_of().to_string(), "2026-11-21T01:20:14Z");
    assert_eq!(demo.version(), "1.12.6");
    assert_eq!(demo.documents(Kind::SearchDocument).unwrap().len(), 298);
    let bills = demo
        .document(Kind::Entity, "openpolicy_pg.openpolicy.core.bills")
        .unwrap()
        .unwrap();
    assert_eq!(bills["columns"].as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn probe() {
    for context in [demo()] {
    for arguments in ARGS() {
        let start = std::time::Instant::now();
        let answer = search(&context, arguments.clone()).await;
        println!("=== {arguments} {:?}", start.elapsed());
        match answer {
            Ok(answer) => {
                let text = answer.text();
                let structured = Value::Object(answer.structured()).to_string();
                println!("{text}\n--- {} / {}", tokens(&text), tokens(&structured));
            }
            Err(error) => println!("{}", error.text()),
        }
    }
    }
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let server = Replay::start(version).await;
        server.allow_unmatched();
        let context = live(&server);
        for arguments in ARGS() {
            let before = server.requests().len();
            let answer = search(&context, arguments.clone()).await;
            println!("=== {version:?} {arguments} {} calls", server.requests().len() - before);
            match answer {
                Ok(answer) => println!("{}", answer.text()),
                Err(error) => println!("{}", error.text()),
            }
        }
        println!("UNMATCHED {:#?}", server.unmatched());
    }
}

#[allow(non_snake_case)]
fn ARGS() -> Vec<Value> { vec![
        json!({"query": "bills"}),
        json!({"query": "deputes"}),
        json!({"query": "ballot"}),
        json!({"query": "core:bills"}),
        json!({"query": "openpolicy_pg.openpolicy.core.bills"}),
        json!({"query": "openpolicy_pg.openpolicy.core.BILLS"}),
        json!({"query": "reprezentatives"}),
        json!({"tier": "1", "facets": ["all"], "limit": 2}),
        json!({"missing": ["owner"], "types": ["tables"]}),
        json!({"owner": "Maria Santos"}),
        json!({"owner": "Mario Santo"}),
        json!({"column": "ballot"}),
        json!({"query": "maria", "types": ["user"]}),
        json!({"types": ["tabel"]}),
        json!({"deleted": true}),
        json!({"query": "votes public dashboards"}),
    ] }
