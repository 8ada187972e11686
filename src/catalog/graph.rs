//! The lineage graph: entities, the edges between them, and what can be read off it.
//!
//! Pure: nothing here awaits, reads a clock or knows where a graph came from.

pub mod columns;
pub mod cycles;
pub mod paths;
pub mod walk;

use std::collections::HashMap;

use super::model::{EntityType, Owner};

pub use walk::{Direction, Origin, Visit, Walk};

/// Position of a node in its graph.
pub type NodeIndex = usize;
/// Position of an edge in its graph.
pub type EdgeIndex = usize;

/// An entity as lineage knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub fqn: String,
    /// A UUID; empty where only a name is known.
    pub id: String,
    pub entity_type: EntityType,
    pub name: String,
    pub display_name: Option<String>,
    pub owners: Vec<Owner>,
    /// `Tier.Tier1` to `Tier.Tier5`.
    pub tier: Option<String>,
    /// FQNs.
    pub domains: Vec<String>,
    /// FQN of the service that it lives in.
    pub service: Option<String>,
    pub is_deleted: bool,
    pub detail: Detail,
}

/// How much of a node was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// An edge names it, and nothing else told of it.
    Named,
    /// A bare reference: name and type, neither owners nor tier.
    Reference,
    /// All fields are as the catalog has them.
    Full,
}

/// Columns that make one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnMapping {
    /// FQNs.
    pub from: Vec<String>,
    /// FQN.
    pub to: String,
}

/// Data goes from one entity to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    pub from: NodeIndex,
    pub to: NodeIndex,
    pub columns: Vec<ColumnMapping>,
    /// FQN of the pipeline that moves the data.
    pub pipeline: Option<String>,
    pub sql: Option<String>,
    /// The catalog has SQL for this edge, `sql` does not hold it yet.
    pub has_more_sql: bool,
    /// `Manual`, `PipelineLineage`, `QueryLineage`, `ViewLineage`, `DashboardLineage`, …
    pub source: Option<String>,
    pub description: Option<String>,
}

/// Nodes and edges; grows, never shrinks. Each entity stands in it once, each edge too.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    /// By node: edges that leave it.
    below: Vec<Vec<EdgeIndex>>,
    /// By node: edges that enter it.
    above: Vec<Vec<EdgeIndex>>,
    /// Nodes by FQN. Entities of different types may share one.
    by_fqn: HashMap<String, Vec<NodeIndex>>,
    edge_between: HashMap<(NodeIndex, NodeIndex), EdgeIndex>,
}

impl Graph {
    /// Adds a node, or what is new about one that is there.
    pub fn add_node(&mut self, node: Node) -> NodeIndex {
        if let Some(present) = self.find(&node.fqn, Some(&node.entity_type)) {
            if node.detail > self.nodes[present].detail {
                self.nodes[present] = node;
            }
            return present;
        }
        let index = self.nodes.len();
        self.by_fqn.entry(node.fqn.clone()).or_default().push(index);
        self.nodes.push(node);
        self.below.push(Vec::new());
        self.above.push(Vec::new());
        index
    }

    /// Adds an edge; two between the same entities become one that says what both say.
    pub fn add_edge(&mut self, edge: Edge) -> EdgeIndex {
        if let Some(&present) = self.edge_between.get(&(edge.from, edge.to)) {
            let kept = &mut self.edges[present];
            for mapping in edge.columns {
                if !kept.columns.contains(&mapping) {
                    kept.columns.push(mapping);
                }
            }
            kept.has_more_sql |= edge.has_more_sql && kept.sql.is_none();
            kept.pipeline = kept.pipeline.take().or(edge.pipeline);
            kept.sql = kept.sql.take().or(edge.sql);
            kept.source = kept.source.take().or(edge.source);
            kept.description = kept.description.take().or(edge.description);
            return present;
        }
        let index = self.edges.len();
        self.edge_between.insert((edge.from, edge.to), index);
        self.below[edge.from].push(index);
        self.above[edge.to].push(index);
        self.edges.push(edge);
        index
    }

    /// The node of this name; the first where types share it and none is given.
    pub fn find(&self, fqn: &str, entity_type: Option<&EntityType>) -> Option<NodeIndex> {
        self.by_fqn.get(fqn)?.iter().copied().find(|&index| {
            entity_type.is_none_or(|entity_type| self.nodes[index].entity_type == *entity_type)
        })
    }

    pub fn edge_between(&self, from: NodeIndex, to: NodeIndex) -> Option<EdgeIndex> {
        self.edge_between.get(&(from, to)).copied()
    }

    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index]
    }

    pub fn node_mut(&mut self, index: NodeIndex) -> &mut Node {
        &mut self.nodes[index]
    }

    pub fn edge(&self, index: EdgeIndex) -> &Edge {
        &self.edges[index]
    }

    pub fn edge_mut(&mut self, index: EdgeIndex) -> &mut Edge {
        &mut self.edges[index]
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Edges of a node on the side that the direction looks to.
    pub fn edges_of(&self, node: NodeIndex, direction: Direction) -> &[EdgeIndex] {
        match direction {
            Direction::Upstream => &self.above[node],
            Direction::Downstream => &self.below[node],
        }
    }

    /// Nodes one hop away.
    pub fn neighbours(
        &self,
        node: NodeIndex,
        direction: Direction,
    ) -> impl Iterator<Item = NodeIndex> + '_ {
        self.edges_of(node, direction)
            .iter()
            .map(move |&edge| match direction {
                Direction::Upstream => self.edges[edge].from,
                Direction::Downstream => self.edges[edge].to,
            })
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Small graphs for the tests of this room.

    use proptest::prelude::*;

    use super::*;

    pub fn node(name: &str) -> Node {
        Node {
            fqn: name.to_owned(),
            id: String::new(),
            entity_type: EntityType::new("table"),
            name: name.to_owned(),
            display_name: None,
            owners: Vec::new(),
            tier: None,
            domains: Vec::new(),
            service: None,
            is_deleted: false,
            detail: Detail::Full,
        }
    }

    /// `"a>b b>c"`; with columns as `"a.x+a.y>b.z"` where `mapping` is not empty.
    pub fn graph(edges: &str) -> Graph {
        let mut graph = Graph::default();
        for edge in edges.split_whitespace() {
            let (ends, mapping) = edge.split_once(':').unwrap_or((edge, ""));
            let (from, to) = ends.split_once('>').unwrap();
            let (from, to) = (graph.add_node(node(from)), graph.add_node(node(to)));
            graph.add_edge(Edge {
                from,
                to,
                columns: mapping
                    .split(',')
                    .filter(|text| !text.is_empty())
                    .map(|text| {
                        let (from, to) = text.split_once('>').unwrap();
                        ColumnMapping {
                            from: from.split('+').map(str::to_owned).collect(),
                            to: to.to_owned(),
                        }
                    })
                    .collect(),
                pipeline: None,
                sql: None,
                has_more_sql: false,
                source: None,
                description: None,
            });
        }
        graph
    }

    /// Up to 25 nodes with up to 70 edges, loops and cycles too.
    pub fn any_graph() -> impl Strategy<Value = Graph> {
        (1_usize..25).prop_flat_map(|size| {
            prop::collection::vec((0..size, 0..size), 0..70).prop_map(move |pairs| {
                let mut graph = Graph::default();
                for index in 0..size {
                    graph.add_node(node(&format!("n{index:02}")));
                }
                for (from, to) in pairs {
                    graph.add_edge(Edge {
                        from,
                        to,
                        columns: Vec::new(),
                        pipeline: None,
                        sql: None,
                        has_more_sql: false,
                        source: None,
                        description: None,
                    });
                }
                graph
            })
        })
    }

    pub fn names(graph: &Graph, nodes: impl IntoIterator<Item = NodeIndex>) -> Vec<String> {
        nodes
            .into_iter()
            .map(|index| graph.node(index).fqn.clone())
            .collect()
    }
}
