//! Which edges a node has on one side: numbers alone, four bytes an edge and eight a node.
//!
//! As small as sorted rows of edges, and it grows in place, which a live catalog needs.

use super::{EdgeIndex, NodeIndex};

/// No edge.
const END: u32 = u32::MAX;

#[derive(Debug, Clone, Default)]
pub(super) struct Adjacency {
    /// By node.
    first: Vec<u32>,
    last: Vec<u32>,
    /// By edge: the next of the same node.
    next: Vec<u32>,
}

impl Adjacency {
    pub fn add_node(&mut self) {
        self.first.push(END);
        self.last.push(END);
    }

    /// Adds the next edge in the order of their numbers.
    pub fn add_edge(&mut self, node: NodeIndex) {
        let edge = u32::try_from(self.next.len()).unwrap_or(END);
        self.next.push(END);
        match self.last[node] {
            END => self.first[node] = edge,
            last => self.next[last as usize] = edge,
        }
        self.last[node] = edge;
    }

    /// The edges of a node in the order in which they were added.
    pub fn of(&self, node: NodeIndex) -> Edges<'_> {
        Edges {
            next: &self.next,
            at: self.first[node],
        }
    }
}

/// Edges of one node.
#[derive(Debug, Clone)]
pub struct Edges<'a> {
    next: &'a [u32],
    at: u32,
}

impl Iterator for Edges<'_> {
    type Item = EdgeIndex;

    fn next(&mut self) -> Option<EdgeIndex> {
        if self.at == END {
            return None;
        }
        let edge = self.at as usize;
        self.at = self.next[edge];
        Some(edge)
    }
}
