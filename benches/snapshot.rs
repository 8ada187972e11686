//! How long a snapshot takes to answer: search in 100,000 entities, lineage of 10,000 and
//! of 100,000 nodes.
//!
//! `cargo bench --bench snapshot` prints a table; the catalog is made here, so nothing is fetched.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    answer::Answer,
    catalog::{
        Catalogs, Snapshot,
        snapshot::{Builder, Kind},
    },
    tools::{self, Caller, Context},
};
use serde_json::{Value, json};

const ENTITIES: usize = 100_000;
/// Each node of the lineage reads this many of the nodes before it.
const NODES: [usize; 2] = [10_000, 100_000];
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
    for nodes in NODES {
        lineage(nodes).await?;
    }
    Ok(())
}

/// Lineage in a snapshot of so many nodes, read from a file: what is in memory is the graph.
async fn lineage(nodes: usize) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("snapshot.sqlite");
    let mut builder = Builder::at(&path)?;
    add(&mut builder, nodes, node)?;
    drop(builder.finish("2026-11-21T00:00:00Z".parse()?, "1.12.6")?);
    let lineage = Arc::new(Catalogs::of_snapshot(Snapshot::open(&path)?));
    let root = fqn_of_node(0);
    let before = own_memory()?;
    let begun = Instant::now();
    let load = json!({"entity": root, "depth": 1});
    ask(&lineage, "get_lineage", &load).await?;
    println!(
        "| {nodes} nodes, {} edges: first question, reads the graph | | {:.0} ms | {:.1} MiB kept |",
        nodes * EDGES_A_NODE,
        milliseconds(begun.elapsed()),
        (own_memory()? - before) as f64 / 1_024.0
    );
    for (tool, name, arguments) in [
        (
            "get_lineage",
            "10 hops down from the root",
            json!({"entity": root, "direction": "downstream", "depth": 10}),
        ),
        (
            "analyze_impact",
            "impact of the root",
            json!({"entity": root}),
        ),
        (
            "find_lineage_path",
            "path from the root to the last",
            json!({"from": root, "to": fqn_of_node(nodes - 1)}),
        ),
    ] {
        measure(&lineage, tool, &format!("{nodes} nodes: {name}"), arguments).await?;
    }
    Ok(())
}

/// Memory of this process that no file stands behind, in KiB (Linux: RssAnon).
fn own_memory() -> Result<i64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(size.ok_or("no RssAnon")?.parse()?)
}

async fn ask(
    catalogs: &Arc<Catalogs>,
    tool: &str,
    arguments: &Value,
) -> Result<Answer, Box<dyn Error>> {
    let tool = tools::find(tool).ok_or("no such tool")?;
    let context = Context::new(Arc::clone(catalogs), Caller::default());
    let answer = (tool.call)(&context, arguments.clone()).await;
    Ok(answer.map_err(|error| error.message)?)
}

fn snapshot_of(
    count: usize,
    document: fn(usize) -> (String, Value),
) -> Result<Arc<Catalogs>, Box<dyn Error>> {
    let mut builder = Builder::in_memory()?;
    add(&mut builder, count, document)?;
    let built = builder.finish("2026-11-21T00:00:00Z".parse()?, "1.12.6")?;
    Ok(Arc::new(Catalogs::of_snapshot(built)))
}

fn add(
    builder: &mut Builder,
    count: usize,
    document: fn(usize) -> (String, Value),
) -> Result<(), Box<dyn Error>> {
    for number in 0..count {
        let (fqn, document) = document(number);
        builder.add(Kind::SearchDocument, &fqn, "table", &document)?;
    }
    Ok(())
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

fn fqn_of_node(number: usize) -> String {
    format!("warehouse.DW.MESH.node_{number:06}")
}

/// A node that reads nodes from a tenth of its own number on: a graph of few, wide hops. As dbt
/// writes them: an owner, a tier, and for each edge two columns, a pipeline and its SQL.
fn node(number: usize) -> (String, Value) {
    let id = |number: usize| format!("6f1c5a1e-0000-4000-8000-{number:012x}");
    let fqn = fqn_of_node(number);
    let upstream: Vec<Value> = (0..EDGES_A_NODE.min(number))
        .map(|step| {
            let from = (number / 10 + step).min(number - 1);
            let (from, from_id) = (fqn_of_node(from), id(from));
            let columns: Vec<Value> = ["created_at", "amount"]
                .iter()
                .map(|column| {
                    json!({"fromColumns": [format!("{from}.{column}")],
                           "toColumn": format!("{fqn}.{column}")})
                })
                .collect();
            json!({"fromEntity": {"id": from_id, "fullyQualifiedName": from, "type": "table"},
                   "columns": columns, "source": "DbtLineage",
                   "sqlQuery": format!("insert into {fqn} select created_at, amount from {from}"),
                   "pipeline": {"fullyQualifiedName": format!("airflow.load_{}", number % 300)}})
        })
        .collect();
    let document = json!({"id": id(number), "name": format!("node_{number:06}"),
        "fullyQualifiedName": fqn, "entityType": "table", "service": {"name": "warehouse"},
        "owners": [{"id": "o", "type": "team", "name": format!("team{}", number % 20)}],
        "tier": {"tagFQN": format!("Tier.Tier{}", number % 5 + 1)}, "upstreamLineage": upstream});
    (fqn, document)
}

async fn measure(
    catalogs: &Arc<Catalogs>,
    tool: &str,
    name: &str,
    arguments: Value,
) -> Result<(), Box<dyn Error>> {
    let mut times: Vec<Duration> = Vec::with_capacity(REPEATS);
    let mut total = Value::Null;
    // The first call loads what is kept in memory from then on.
    for repeat in 0..=REPEATS {
        let begun = Instant::now();
        let answer = ask(catalogs, tool, &arguments).await?;
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
