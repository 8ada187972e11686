//! How long a snapshot takes to answer: search in 100,000 entities, lineage of 10,000 nodes.
//!
//! `cargo bench --bench snapshot` prints a table; the catalog is made here, so nothing is fetched.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    catalog::{
        Catalogs,
        snapshot::{Builder, Kind},
    },
    tools::{self, Caller, Context},
};
use serde_json::{Value, json};

const ENTITIES: usize = 100_000;
/// Each node of the lineage reads this many of the nodes before it: 10,000 nodes, 30,000 edges.
const NODES: usize = 10_000;
const EDGES_A_NODE: usize = 3;
const REPEATS: usize = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("| question | matches | median | slowest of {REPEATS} |\n|---|---|---|---|");
    let search = snapshot_of(ENTITIES, entity)?;
    for (name, arguments) in [
        ("one word, 3,000 match", json!({"query": "batch7"})),
        ("two words, 30 match", json!({"query": "fact_42 batch7"})),
        ("one word, everything matches", json!({"query": "orders"})),
        (
            "everything matches, filtered by owner",
            json!({"query": "orders", "owner": "team3"}),
        ),
        ("column", json!({"column": "measure_5"})),
        (
            "exact FQN",
            json!({"query": "service01.db.schema01.fact_01_orders_000001"}),
        ),
        (
            "service with facets",
            json!({"service": "service07", "facets": ["owner"]}),
        ),
        (
            "nothing found, near matches",
            json!({"query": "ordrs_xyzzy"}),
        ),
    ] {
        measure(&search, "search_entities", name, arguments).await?;
    }
    drop(search);
    let lineage = snapshot_of(NODES, node)?;
    for (name, arguments) in [
        (
            "lineage, 10 hops down from the root",
            json!({"entity": "warehouse.DW.MESH.n00000", "direction": "downstream", "depth": 10}),
        ),
        (
            "impact of the root",
            json!({"entity": "warehouse.DW.MESH.n00000"}),
        ),
        (
            "path from the root to the last",
            json!({"from": "warehouse.DW.MESH.n00000", "to": format!("warehouse.DW.MESH.n{:05}", NODES - 1)}),
        ),
    ] {
        let tool = match name.split(' ').next() {
            Some("impact") => "analyze_impact",
            Some("path") => "find_lineage_path",
            _ => "get_lineage",
        };
        measure(&lineage, tool, name, arguments).await?;
    }
    Ok(())
}

fn snapshot_of(
    count: usize,
    document: fn(usize) -> (String, Value),
) -> Result<Arc<Catalogs>, Box<dyn Error>> {
    let mut builder = Builder::in_memory()?;
    for number in 0..count {
        let (fqn, document) = document(number);
        builder.add(Kind::SearchDocument, &fqn, "table", &document)?;
    }
    let built = builder.finish("2026-11-21T00:00:00Z".parse()?, "1.12.6")?;
    Ok(Arc::new(Catalogs::of_snapshot(built)))
}

fn entity(number: usize) -> (String, Value) {
    let (service, subject) = (number % 50, number % 97);
    let name = format!("fact_{subject:02}_orders_{number:06}");
    let fqn = format!("service{service:02}.db.schema{subject:02}.{name}");
    let document = json!({"id": number.to_string(), "name": name, "fullyQualifiedName": fqn,
        "entityType": "table",
        "description": format!("Orders of subject{subject}, batch{}", number / 3_000),
        "service": {"name": format!("service{service:02}")},
        "owners": [{"id": "o", "type": "team", "name": format!("team{}", number % 20)}],
        "columns": [{"name": "id"}, {"name": "created_at"}, {"name": format!("measure_{subject}")}]});
    (fqn, document)
}

/// A node that reads nodes from a tenth of its own number on: a graph of few, wide hops.
fn node(number: usize) -> (String, Value) {
    let fqn_of = |number: usize| format!("warehouse.DW.MESH.n{number:05}");
    let upstream: Vec<Value> = (0..EDGES_A_NODE.min(number))
        .map(|step| {
            let from = fqn_of((number / 10 + step).min(number - 1));
            json!({"fromEntity": {"id": from, "fullyQualifiedName": from, "type": "table"}})
        })
        .collect();
    let fqn = fqn_of(number);
    let document = json!({"id": fqn, "name": format!("n{number:05}"), "fullyQualifiedName": fqn,
        "entityType": "table", "service": {"name": "warehouse"}, "upstreamLineage": upstream});
    (fqn, document)
}

async fn measure(
    catalogs: &Arc<Catalogs>,
    tool: &str,
    name: &str,
    arguments: Value,
) -> Result<(), Box<dyn Error>> {
    let tool = tools::find(tool).ok_or("no such tool")?;
    let mut times: Vec<Duration> = Vec::with_capacity(REPEATS);
    let mut total = Value::Null;
    // The first call loads what is kept in memory from then on.
    for repeat in 0..=REPEATS {
        let context = Context::new(Arc::clone(catalogs), Caller::default());
        let begun = Instant::now();
        let answer = (tool.call)(&context, arguments.clone())
            .await
            .map_err(|error| error.message)?;
        if repeat > 0 {
            times.push(begun.elapsed());
        }
        let fields = answer.structured();
        total = fields
            .get("affected")
            .and_then(|affected| affected.get("total"))
            .or_else(|| fields.get("total"))
            .cloned()
            .unwrap_or_default();
    }
    times.sort();
    println!(
        "| {name} | {total} | {:.2} ms | {:.2} ms |",
        milliseconds(times[REPEATS / 2]),
        milliseconds(times[REPEATS - 1])
    );
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
