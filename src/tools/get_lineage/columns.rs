//! Lineage of columns: where one comes from and lands, or all of an entity at once.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{super::lineage, listing::Listing};
use crate::{
    answer::{Answer, Table},
    catalog::{
        graph::{
            Direction, Graph, NodeIndex,
            columns::{ColumnTrace, mapped_columns, trace},
        },
        lineage::Lineage,
    },
};

/// Which columns were asked for.
pub enum Wanted {
    /// FQN.
    One(String),
    All,
}

/// Columns that one cell or field names.
const MOST: usize = 20;

/// Puts what the columns say into the answer and lists the nodes that they reach.
pub fn put(
    answer: &mut Answer,
    collected: &Lineage,
    wanted: &Wanted,
    directions: &[Direction],
    depth: u32,
) -> Listing {
    let mut listing = Listing::default();
    let graph = &collected.graph;
    let Some(root) = collected.root else {
        answer.warn("no lineage is recorded for this entity");
        return listing;
    };
    let columns: Vec<String> = match wanted {
        Wanted::One(column) => vec![column.clone()],
        Wanted::All => mapped_columns(graph, root).into_iter().collect(),
    };
    let mut unmapped = BTreeSet::new();
    for &direction in directions {
        let traced = trace(graph, root, &columns, direction, depth);
        let reached = traced.reached.iter().map(|(&node, reached)| {
            let names = reached
                .columns
                .iter()
                .map(|column| lineage::column_name(graph.node(node), column).to_owned())
                .collect();
            (node, reached.depth, names)
        });
        listing.add(direction, reached);
        if traced.goes_on {
            listing.more_beyond.push(direction.as_str());
        }
        unmapped.extend(traced.unmapped);
    }
    listing.sort(graph);
    // A node of a cycle may be mapped one way and not the other.
    for row in &listing.rows {
        unmapped.remove(&row.node);
    }
    put_unmapped(answer, graph, &unmapped);
    match wanted {
        Wanted::One(column) => {
            let mut field = serde_json::Map::new();
            field.insert("fqn".into(), column.clone().into());
            for &direction in directions {
                let traced = trace(graph, root, &columns, direction, depth);
                field.insert(end_name(direction).into(), ends(&traced));
            }
            field.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
            answer.put("column", field);
        }
        Wanted::All => put_all(answer, graph, root, &columns, directions, depth),
    }
    listing
}

fn end_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Upstream => "comes_from",
        Direction::Downstream => "lands_in",
    }
}

fn ends(traced: &ColumnTrace) -> Value {
    let ends: Vec<&String> = traced.ends.iter().collect();
    lineage::some(&ends, MOST)
}

fn put_all(
    answer: &mut Answer,
    graph: &Graph,
    root: NodeIndex,
    columns: &[String],
    directions: &[Direction],
    depth: u32,
) {
    /// Rows; the rest is counted.
    const MOST_COLUMNS: usize = 60;
    let mut table = Table::new(&["column", "comes_from", "lands_in"]);
    for column in columns.iter().take(MOST_COLUMNS) {
        let cell = |direction| {
            if !directions.contains(&direction) {
                return Value::Null;
            }
            ends(&trace(
                graph,
                root,
                std::slice::from_ref(column),
                direction,
                depth,
            ))
        };
        table.push(vec![
            lineage::column_name(graph.node(root), column).into(),
            cell(Direction::Upstream),
            cell(Direction::Downstream),
        ]);
    }
    if columns.len() > MOST_COLUMNS {
        answer.warn(format!(
            "{} columns have lineage, {MOST_COLUMNS} are shown: ask for others by name",
            columns.len()
        ));
    }
    answer.put("columns", table.into_value());
}

fn put_unmapped(answer: &mut Answer, graph: &Graph, unmapped: &BTreeSet<NodeIndex>) {
    if unmapped.is_empty() {
        return;
    }
    let mut nodes: Vec<NodeIndex> = unmapped.iter().copied().collect();
    nodes.sort_by(|&a, &b| graph.by_name(a, b));
    answer.put(
        "table_level_only",
        json!({"total": nodes.len(), "entities": lineage::names(graph, &nodes, MOST)}),
    );
    answer.warn(
        "table_level_only: the edges there name no columns, so whether the column goes on is not known",
    );
}
