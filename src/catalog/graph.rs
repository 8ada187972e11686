//! The lineage graph: entities, the edges between them, and what can be read off it.
//!
//! Pure: nothing here awaits, reads a clock or knows where a graph came from.

mod adjacency;
pub mod columns;
pub mod cycles;
pub mod mappings;
pub mod paths;
#[cfg(test)]
mod plain;
#[cfg(test)]
pub(crate) mod tests;
mod texts;
pub mod walk;

use std::{cmp::Ordering, collections::HashMap};

use super::model::{EntityType, Owner};

pub use adjacency::Edges;
pub use mappings::{Column, Mapping, Mappings};
pub use walk::{Direction, Origin, Visit, Walk};

use adjacency::Adjacency;
use mappings::Stored;
use texts::{Lists, Text, Texts};

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

/// A node of a graph, read where it stands.
#[derive(Debug, Clone, Copy)]
pub struct NodeView<'a> {
    pub fqn: &'a str,
    /// A UUID; empty where only a name is known.
    pub id: &'a str,
    pub entity_type: &'a EntityType,
    pub name: &'a str,
    pub display_name: Option<&'a str>,
    pub owners: &'a [Owner],
    pub tier: Option<&'a str>,
    pub domains: &'a [String],
    pub service: Option<&'a str>,
    pub is_deleted: bool,
    pub detail: Detail,
}

/// An edge of a graph, read where it stands; fields as `Edge` has them.
#[derive(Clone, Copy)]
pub struct EdgeView<'a> {
    pub from: NodeIndex,
    pub to: NodeIndex,
    pub columns: Mappings<'a>,
    pub pipeline: Option<&'a str>,
    pub sql: Option<&'a str>,
    pub has_more_sql: bool,
    pub source: Option<&'a str>,
    pub description: Option<&'a str>,
}

/// Nodes and edges; grows, never shrinks. Each entity stands in it once, each edge too.
///
/// Compact, as a snapshot keeps the lineage of a whole catalog in memory: numbers, and texts that
/// stand once. benches/README.md has the sizes.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    texts: Texts,
    types: Vec<EntityType>,
    owners: Lists<Owner>,
    domains: Lists<String>,
    nodes: Vec<NodeRow>,
    edges: Vec<EdgeRow>,
    /// By node: edges that leave it.
    below: Adjacency,
    /// By node: edges that enter it.
    above: Adjacency,
    /// By the hash of the FQN the first node; others follow by `NodeRow::next`. Entities of
    /// different types may share an FQN.
    by_fqn: HashMap<u64, u32>,
    mappings: Stored,
    /// By edge, what few have.
    sql: HashMap<EdgeIndex, String>,
    descriptions: HashMap<EdgeIndex, String>,
    /// By node, its place in the order of names; empty where that was not made.
    ranks: Vec<u32>,
}

#[derive(Debug, Clone)]
struct NodeRow {
    fqn: Text,
    id: Text,
    name: Text,
    display_name: Text,
    tier: Text,
    service: Text,
    entity_type: u32,
    owners: u32,
    domains: u32,
    /// The next node of the same hash.
    next: u32,
    is_deleted: bool,
    detail: Detail,
}

#[derive(Debug, Clone)]
struct EdgeRow {
    from: u32,
    to: u32,
    pipeline: Text,
    source: Text,
    columns: u32,
    has_more_sql: bool,
}

/// No node.
const NOBODY: u32 = u32::MAX;

impl Graph {
    /// Adds a node, or what is new about one that is there.
    pub fn add_node(&mut self, node: Node) -> NodeIndex {
        if let Some(present) = self.find(&node.fqn, Some(&node.entity_type)) {
            if node.detail > self.nodes[present].detail {
                self.replace_node(present, node);
            }
            return present;
        }
        let index = self.nodes.len();
        self.link(&node.fqn, index);
        let row = self.row_of(node);
        self.nodes.push(row);
        self.below.add_node();
        self.above.add_node();
        self.ranks.clear();
        index
    }

    /// Puts another in the place of a node: what was read of it since. Its name stays.
    pub fn replace_node(&mut self, index: NodeIndex, node: Node) {
        let row = self.row_of(node);
        let present = &mut self.nodes[index];
        *present = NodeRow {
            fqn: present.fqn,
            entity_type: present.entity_type,
            next: present.next,
            ..row
        };
    }

    fn link(&mut self, fqn: &str, index: NodeIndex) {
        let number = u32::try_from(index).unwrap_or(NOBODY);
        let first = *self.by_fqn.entry(texts::hash_of(fqn)).or_insert(number);
        if first == number {
            return;
        }
        let mut last = first as usize;
        while self.nodes[last].next != NOBODY {
            last = self.nodes[last].next as usize;
        }
        self.nodes[last].next = number;
    }

    fn row_of(&mut self, node: Node) -> NodeRow {
        let fqn = self.texts.add(&node.fqn);
        let known = self
            .types
            .iter()
            .position(|known| *known == node.entity_type);
        let entity_type = known.unwrap_or_else(|| {
            self.types.push(node.entity_type);
            self.types.len() - 1
        });
        let name = self.texts.end_of(fqn, &node.name);
        let mut once =
            |text: Option<String>| text.map_or(Text::NONE, |text| self.texts.add_once(&text));
        NodeRow {
            fqn,
            tier: once(node.tier),
            service: once(node.service),
            name: name.unwrap_or_else(|| self.texts.add(&node.name)),
            id: self.texts.add(&node.id),
            display_name: node
                .display_name
                .map_or(Text::NONE, |text| self.texts.add(&text)),
            entity_type: u32::try_from(entity_type).unwrap_or(0),
            owners: self.owners.add(node.owners),
            domains: self.domains.add(node.domains),
            next: NOBODY,
            is_deleted: node.is_deleted,
            detail: node.detail,
        }
    }

    /// Adds an edge; two between the same entities become one that says what both say.
    pub fn add_edge(&mut self, edge: Edge) -> EdgeIndex {
        if let Some(present) = self.edge_between(edge.from, edge.to) {
            self.merge(present, edge);
            return present;
        }
        let index = self.edges.len();
        self.below.add_edge(edge.from);
        self.above.add_edge(edge.to);
        let text = |texts: &mut Texts, text: Option<String>| {
            text.map_or(Text::NONE, |text| texts.add_once(&text))
        };
        let row = EdgeRow {
            from: u32::try_from(edge.from).unwrap_or(NOBODY),
            to: u32::try_from(edge.to).unwrap_or(NOBODY),
            pipeline: text(&mut self.texts, edge.pipeline),
            source: text(&mut self.texts, edge.source),
            columns: self.mappings.add(
                self.texts.text(self.nodes[edge.from].fqn),
                self.texts.text(self.nodes[edge.to].fqn),
                &edge.columns,
            ),
            has_more_sql: edge.has_more_sql,
        };
        self.edges.push(row);
        self.sql.extend(edge.sql.map(|sql| (index, sql)));
        self.descriptions
            .extend(edge.description.map(|text| (index, text)));
        index
    }

    /// What is new about an edge that is there.
    fn merge(&mut self, present: EdgeIndex, edge: Edge) {
        let mut columns = self.edge(present).columns.to_vec();
        let had = columns.len();
        for mapping in edge.columns {
            if !columns.contains(&mapping) {
                columns.push(mapping);
            }
        }
        if columns.len() > had {
            self.edges[present].columns = self.mappings.add(
                self.texts.text(self.nodes[edge.from].fqn),
                self.texts.text(self.nodes[edge.to].fqn),
                &columns,
            );
        }
        let kept = &mut self.edges[present];
        kept.has_more_sql |= edge.has_more_sql && !self.sql.contains_key(&present);
        for (place, text) in [
            (&mut kept.pipeline, edge.pipeline),
            (&mut kept.source, edge.source),
        ] {
            if *place == Text::NONE
                && let Some(text) = text
            {
                *place = self.texts.add_once(&text);
            }
        }
        if let Some(sql) = edge.sql {
            self.sql.entry(present).or_insert(sql);
        }
        if let Some(text) = edge.description {
            self.descriptions.entry(present).or_insert(text);
        }
    }

    /// The node of this name; the first where types share it and none is given.
    pub fn find(&self, fqn: &str, entity_type: Option<&EntityType>) -> Option<NodeIndex> {
        let mut next = *self.by_fqn.get(&texts::hash_of(fqn))?;
        while next != NOBODY {
            let index = next as usize;
            let row = &self.nodes[index];
            if self.texts.text(row.fqn) == fqn
                && entity_type.is_none_or(|wanted| self.types[row.entity_type as usize] == *wanted)
            {
                return Some(index);
            }
            next = row.next;
        }
        None
    }

    pub fn edge_between(&self, from: NodeIndex, to: NodeIndex) -> Option<EdgeIndex> {
        // It would stand in both lists: the shorter one says whether it is there.
        let mut below = self.below.of(from);
        let mut above = self.above.of(to);
        loop {
            let (leaving, entering) = (below.next()?, above.next()?);
            if self.edges[leaving].to as usize == to {
                return Some(leaving);
            }
            if self.edges[entering].from as usize == from {
                return Some(entering);
            }
        }
    }

    pub fn node(&self, index: NodeIndex) -> NodeView<'_> {
        let row = &self.nodes[index];
        NodeView {
            fqn: self.texts.text(row.fqn),
            id: self.texts.text(row.id),
            entity_type: &self.types[row.entity_type as usize],
            name: self.texts.text(row.name),
            display_name: self.texts.get(row.display_name),
            owners: self.owners.get(row.owners),
            tier: self.texts.get(row.tier),
            domains: self.domains.get(row.domains),
            service: self.texts.get(row.service),
            is_deleted: row.is_deleted,
            detail: row.detail,
        }
    }

    pub fn edge(&self, index: EdgeIndex) -> EdgeView<'_> {
        let row = &self.edges[index];
        let (from, to) = (row.from as usize, row.to as usize);
        EdgeView {
            from,
            to,
            columns: self.mappings.of(
                row.columns,
                self.texts.text(self.nodes[from].fqn),
                self.texts.text(self.nodes[to].fqn),
            ),
            pipeline: self.texts.get(row.pipeline),
            sql: self.sql.get(&index).map(String::as_str),
            has_more_sql: row.has_more_sql,
            source: self.texts.get(row.source),
            description: self.descriptions.get(&index).map(String::as_str),
        }
    }

    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// Edges of a node on the side that the direction looks to, in the order in which they came.
    pub fn edges_of(&self, node: NodeIndex, direction: Direction) -> Edges<'_> {
        match direction {
            Direction::Upstream => self.above.of(node),
            Direction::Downstream => self.below.of(node),
        }
    }

    /// Nodes one hop away.
    pub fn neighbours(
        &self,
        node: NodeIndex,
        direction: Direction,
    ) -> impl Iterator<Item = NodeIndex> + '_ {
        self.edges_of(node, direction)
            .map(move |edge| self.far_end(edge, direction))
    }

    /// The end of an edge that lies in this direction.
    pub fn far_end(&self, edge: EdgeIndex, direction: Direction) -> NodeIndex {
        let edge = &self.edges[edge];
        match direction {
            Direction::Upstream => edge.from as usize,
            Direction::Downstream => edge.to as usize,
        }
    }

    /// Finds out the order of all names once, so that long lists sort by numbers.
    pub fn rank_names(&mut self) {
        let mut order: Vec<NodeIndex> = (0..self.nodes.len()).collect();
        order.sort_unstable_by(|&a, &b| self.compare_names(a, b));
        let mut ranks = vec![0; order.len()];
        for (rank, node) in order.into_iter().enumerate() {
            ranks[node] = u32::try_from(rank).unwrap_or(NOBODY);
        }
        self.ranks = ranks;
    }

    /// The order of two nodes: by FQN, then by type.
    pub fn by_name(&self, a: NodeIndex, b: NodeIndex) -> Ordering {
        match (self.ranks.get(a), self.ranks.get(b)) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => self.compare_names(a, b),
        }
    }

    fn compare_names(&self, a: NodeIndex, b: NodeIndex) -> Ordering {
        let (a, b) = (self.node(a), self.node(b));
        a.fqn
            .cmp(b.fqn)
            .then_with(|| a.entity_type.cmp(b.entity_type))
    }
}
