//! The list of nodes and edges of a lineage: order, counts, pages.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::super::{Outcome, lineage};
use crate::{
    answer::{self, Answer, CursorScope, Table, Total, budget, clean},
    catalog::{
        EntityType,
        graph::{Direction, EdgeIndex, Graph, NodeIndex, walk::walk},
        lineage::Lineage,
    },
};

/// Characters of SQL that one edge shows.
const LONGEST_SQL: usize = 300;

/// One node of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub node: NodeIndex,
    /// Hops; negative upstream; 0 for the root.
    pub depth: i64,
    /// Names of the columns that were followed to here.
    pub columns: Vec<String>,
}

/// What is listed, and the counts of what was walked.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub rows: Vec<Row>,
    by_direction: Vec<(Direction, u64)>,
    by_depth: BTreeMap<(u64, bool), u64>,
    pub more_beyond: Vec<&'static str>,
}

/// Which part of the list is wanted.
pub struct Page<'a> {
    pub scope: &'a CursorScope,
    pub start: u64,
    pub limit: Option<u32>,
    pub details: bool,
}

/// Everything within `depth` hops.
pub fn of_entities(lineage: &Lineage, directions: &[Direction], depth: u32) -> Listing {
    let mut listing = Listing::default();
    for &direction in directions {
        let reached = walk(&lineage.graph, &lineage.origin, direction, depth);
        let visits = reached
            .beyond_origin()
            .map(|visit| (visit.node, visit.depth, Vec::new()));
        listing.add(direction, visits);
        if reached.goes_on {
            listing.more_beyond.push(direction.as_str());
        }
    }
    listing.sort(&lineage.graph);
    listing
}

impl Listing {
    /// Adds what one direction reached; what the other has reached already is listed at the nearer.
    pub fn add(
        &mut self,
        direction: Direction,
        visits: impl Iterator<Item = (NodeIndex, u32, Vec<String>)>,
    ) {
        let places: HashMap<NodeIndex, usize> = self
            .rows
            .iter()
            .enumerate()
            .map(|(place, row)| (row.node, place))
            .collect();
        let mut count = 0;
        for (node, hops, columns) in visits {
            count += 1;
            let is_upstream = direction == Direction::Upstream;
            *self
                .by_depth
                .entry((u64::from(hops), !is_upstream))
                .or_default() += 1;
            let depth = i64::from(hops) * if is_upstream { -1 } else { 1 };
            match places.get(&node) {
                Some(&place) => {
                    let row = &mut self.rows[place];
                    if depth.abs() < row.depth.abs() {
                        row.depth = depth;
                    }
                    row.columns.extend(columns);
                }
                None => self.rows.push(Row {
                    node,
                    depth,
                    columns,
                }),
            }
        }
        self.by_direction.push((direction, count));
    }

    /// Nearest first, upstream before downstream, then by name.
    pub fn sort(&mut self, graph: &Graph) {
        self.rows.sort_by(|a, b| {
            let key = |row: &Row| (row.depth.abs(), row.depth > 0);
            key(a)
                .cmp(&key(b))
                .then_with(|| graph.by_name(a.node, b.node))
        });
    }

    /// `{upstream, downstream, by_type, by_depth}` of everything that was walked.
    pub fn counts(&self, graph: &Graph) -> Value {
        let mut fields = Map::new();
        for (direction, count) in &self.by_direction {
            fields.insert(direction.as_str().into(), (*count).into());
        }
        let mut by_type = BTreeMap::new();
        for row in &self.rows {
            *by_type
                .entry(graph.node(row.node).entity_type.as_str())
                .or_default() += 1;
        }
        if !by_type.is_empty() {
            fields.insert("by_type".into(), lineage::counts(by_type, 30).into());
        }
        if !self.by_depth.is_empty() {
            let by_depth: Map<String, Value> = self
                .by_depth
                .iter()
                .map(|(&(hops, is_downstream), count)| {
                    let sign = if is_downstream { "" } else { "-" };
                    (format!("{sign}{hops}"), (*count).into())
                })
                .collect();
            fields.insert("by_depth".into(), by_depth.into());
        }
        fields.into()
    }

    /// Lists only these types; all where none is given.
    pub fn keep_types(&mut self, graph: &Graph, types: &[EntityType]) {
        if !types.is_empty() {
            self.rows
                .retain(|row| types.contains(graph.node(row.node).entity_type));
        }
    }

    /// Puts the root before all, so that edges can point to it.
    pub fn add_root(&mut self, root: Option<NodeIndex>) {
        let Some(root) = root else { return };
        self.rows.retain(|row| row.node != root);
        self.rows.insert(
            0,
            Row {
                node: root,
                depth: 0,
                columns: Vec::new(),
            },
        );
    }

    /// Edges between listed nodes.
    pub fn edges(&self, graph: &Graph) -> Vec<EdgeIndex> {
        let listed: BTreeSet<NodeIndex> = self.rows.iter().map(|row| row.node).collect();
        listed
            .iter()
            .flat_map(|&node| graph.edges_of(node, Direction::Downstream))
            .filter(|&edge| listed.contains(&graph.far_end(edge, Direction::Downstream)))
            .collect()
    }

    /// Writes one page of the list into the answer.
    pub fn put(&self, answer: Answer, collected: &Lineage, page: &Page<'_>) -> Outcome {
        let graph = &collected.graph;
        let first = usize::try_from(page.start)
            .unwrap_or(usize::MAX)
            .min(self.rows.len());
        let limit = page
            .limit
            .map_or(lineage::MOST_ROWS, |limit| limit as usize);
        let mut end = self.rows.len().min(first.saturating_add(limit));
        let edges = if page.details {
            self.edges_in_order(graph)
        } else {
            Vec::new()
        };
        loop {
            let mut answer = answer.clone();
            let table = self.table(collected, first, end);
            if page.details {
                let mut rows: Vec<Value> = edges
                    .iter()
                    .filter(|edge| (first..end).contains(&edge.later))
                    .map(|edge| edge.row(collected))
                    .collect();
                // An edge takes place that nodes do not have: the list ends where both fit.
                let room = answer.room();
                let spent: usize = rows.iter().map(budget::of_value).sum();
                if end > first + 1 && spent + table.estimate() > room {
                    end = first + ((end - first) * 3 / 4).max(1);
                    continue;
                }
                if spent > room {
                    let fitting = rows
                        .iter()
                        .scan(table.estimate(), |sum, row| {
                            *sum += budget::of_value(row);
                            Some(*sum)
                        })
                        .take_while(|sum| *sum <= room)
                        .count();
                    answer.warn(format!(
                        "{} edges into this row are left away, as they do not fit",
                        rows.len() - fitting
                    ));
                    rows.truncate(fitting);
                }
                if !rows.is_empty() {
                    let columns = ["from", "to", "columns", "pipeline", "sql", "source"];
                    answer.put("edges", json!({"columns": columns, "rows": rows}));
                }
            }
            let total = self.rows.len() as u64;
            answer.page(
                "nodes",
                answer::Page {
                    table,
                    total: if collected.gaps.is_empty() {
                        Total::Exact(total)
                    } else {
                        Total::AtLeast(total)
                    },
                    start: first as u64,
                    scope: page.scope,
                },
            );
            let returned = answer
                .field("returned")
                .and_then(Value::as_u64)
                .and_then(|returned| usize::try_from(returned).ok())
                .unwrap_or_default();
            if page.details && returned < end - first && end > first + 1 {
                // Nodes were cut, so edges point to what is not there: again with fewer.
                end = first + returned;
                continue;
            }
            return Ok(answer);
        }
    }

    fn table(&self, collected: &Lineage, first: usize, end: usize) -> Table {
        let mut table = Table::new(&["fqn", "type", "depth", "columns", "state"]);
        for row in &self.rows[first..end] {
            let node = collected.graph.node(row.node);
            table.push(vec![
                node.fqn.into(),
                node.entity_type.as_str().into(),
                row.depth.into(),
                json!(row.columns),
                lineage::state(collected, row.node),
            ]);
        }
        table
    }

    fn edges_in_order(&self, graph: &Graph) -> Vec<PlacedEdge> {
        let places: HashMap<NodeIndex, usize> = self
            .rows
            .iter()
            .enumerate()
            .map(|(place, row)| (row.node, place))
            .collect();
        let mut edges: Vec<PlacedEdge> = self
            .edges(graph)
            .into_iter()
            .filter_map(|edge| {
                let from = *places.get(&graph.edge(edge).from)?;
                let to = *places.get(&graph.edge(edge).to)?;
                Some(PlacedEdge {
                    edge,
                    from,
                    to,
                    later: from.max(to),
                })
            })
            .collect();
        edges.sort_by_key(|edge| (edge.later, edge.from, edge.to));
        edges
    }
}

/// An edge by the positions of its ends in the whole list.
struct PlacedEdge {
    edge: EdgeIndex,
    from: usize,
    to: usize,
    later: usize,
}

impl PlacedEdge {
    fn row(&self, collected: &Lineage) -> Value {
        let graph = &collected.graph;
        let edge = graph.edge(self.edge);
        let (from, to) = (graph.node(edge.from), graph.node(edge.to));
        let columns: Vec<String> = edge
            .columns
            .to_vec()
            .iter()
            .map(|mapping| {
                let sources: Vec<&str> = mapping
                    .from
                    .iter()
                    .map(|column| lineage::column_name(from, column))
                    .collect();
                format!(
                    "{} > {}",
                    sources.join(" + "),
                    lineage::column_name(to, &mapping.to)
                )
            })
            .collect();
        let mut row = vec![
            self.from.into(),
            self.to.into(),
            json!(columns),
            json!(edge.pipeline),
            json!(
                collected
                    .sql(self.edge)
                    .map(|sql| clean::text(sql, LONGEST_SQL))
            ),
            json!(edge.source),
        ];
        // Cells at the end that say nothing are left away.
        while row.len() > 2
            && row
                .last()
                .is_some_and(|cell| cell.is_null() || cell.as_array().is_some_and(Vec::is_empty))
        {
            row.pop();
        }
        row.into()
    }
}
