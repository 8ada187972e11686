//! Walks from an origin, hop by hop: who is reached, and how near.

use super::{Graph, NodeIndex};

/// Which way data is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To where data comes from.
    Upstream,
    /// To where data goes.
    Downstream,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }

    pub fn reversed(self) -> Self {
        match self {
            Self::Upstream => Self::Downstream,
            Self::Downstream => Self::Upstream,
        }
    }
}

/// Where a walk begins: nodes and how many hops away they already are. An entity begins with
/// itself at 0; a pipeline with the entities that it reads or writes at 1; a service with all that
/// is in it at 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub upstream: Vec<(NodeIndex, u32)>,
    pub downstream: Vec<(NodeIndex, u32)>,
}

impl Origin {
    pub fn of_node(node: NodeIndex) -> Self {
        Self {
            upstream: vec![(node, 0)],
            downstream: vec![(node, 0)],
        }
    }

    pub fn starts(&self, direction: Direction) -> &[(NodeIndex, u32)] {
        match direction {
            Direction::Upstream => &self.upstream,
            Direction::Downstream => &self.downstream,
        }
    }
}

/// A node that a walk reached, by the fewest hops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    pub node: NodeIndex,
    /// Hops from the origin; 0 for the nodes that the walk began at.
    pub depth: u32,
}

/// What a walk reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    /// Each node once, in the order of depth. Nodes at depth 0 are in it.
    pub visits: Vec<Visit>,
    /// More lies one hop beyond the depth that was asked for.
    pub goes_on: bool,
}

impl Walk {
    /// The nodes beyond the origin.
    pub fn beyond_origin(&self) -> impl Iterator<Item = Visit> + '_ {
        self.visits.iter().copied().filter(|visit| visit.depth > 0)
    }
}

/// Everything within `depth` hops of the origin in this direction.
pub fn walk(graph: &Graph, origin: &Origin, direction: Direction, depth: u32) -> Walk {
    let mut seen = vec![false; graph.node_count()];
    let mut visits = Vec::new();
    let mut waiting = origin.starts(direction).to_vec();
    waiting.sort_by_key(|&(node, hops)| (hops, node));
    let mut level: Vec<NodeIndex> = Vec::new();
    let mut hops = 0;
    let mut goes_on = false;
    loop {
        let due = waiting.partition_point(|&(_, start)| start <= hops);
        for (node, _) in waiting.drain(..due) {
            if !std::mem::replace(&mut seen[node], true) {
                level.push(node);
            }
        }
        if hops > depth {
            goes_on = !level.is_empty();
            break;
        }
        if level.is_empty() && waiting.is_empty() {
            break;
        }
        visits.extend(level.iter().map(|&node| Visit { node, depth: hops }));
        let mut next = Vec::new();
        for &node in &level {
            for neighbour in graph.neighbours(node, direction) {
                if !std::mem::replace(&mut seen[neighbour], true) {
                    next.push(neighbour);
                }
            }
        }
        level = next;
        hops += 1;
    }
    Walk { visits, goes_on }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Graph;
    use super::super::tests::{any_graph, graph, names};
    use super::*;

    fn reached(edges: &str, root: &str, direction: Direction, depth: u32) -> (Vec<String>, bool) {
        let graph = graph(edges);
        let root = graph.find(root, None).unwrap();
        let walk = walk(&graph, &Origin::of_node(root), direction, depth);
        (
            walk.beyond_origin()
                .map(|visit| format!("{}{}", names(&graph, [visit.node])[0], visit.depth))
                .collect(),
            walk.goes_on,
        )
    }

    #[test]
    fn each_node_is_reached_once_by_the_fewest_hops() {
        let diamond = "a>b a>c b>d c>d a>d d>e";
        for (edges, root, direction, depth, expected, goes_on) in [
            (diamond, "a", Direction::Downstream, 9, "b1 c1 d1 e2", false),
            (diamond, "a", Direction::Downstream, 1, "b1 c1 d1", true),
            (diamond, "e", Direction::Upstream, 9, "d1 b2 c2 a2", false),
            ("a>b b>a", "a", Direction::Downstream, 9, "b1", false),
            ("a>b b>a", "a", Direction::Downstream, 1, "b1", false),
            ("a>a", "a", Direction::Upstream, 3, "", false),
            ("a>b", "a", Direction::Upstream, 3, "", false),
        ] {
            let (nodes, more) = reached(edges, root, direction, depth);
            assert_eq!(nodes.join(" "), expected, "{edges} from {root}");
            assert_eq!(more, goes_on, "{edges} from {root}");
        }
    }

    #[test]
    fn a_walk_may_begin_some_hops_away() {
        let graph = graph("a>b b>c");
        let at = |name: &str| graph.find(name, None).unwrap();
        let origin = Origin {
            upstream: Vec::new(),
            downstream: vec![(at("c"), 1), (at("a"), 0)],
        };
        let walk = walk(&graph, &origin, Direction::Downstream, 5);
        assert_eq!(
            walk.visits
                .iter()
                .map(|visit| (visit.node, visit.depth))
                .collect::<Vec<_>>(),
            [(at("a"), 0), (at("b"), 1), (at("c"), 1)]
        );
    }

    /// Hops by relaxing every edge until nothing changes: slow and plainly right.
    fn hops_by_relaxing(graph: &Graph, root: NodeIndex, direction: Direction) -> Vec<Option<u32>> {
        let mut hops = vec![None; graph.node_count()];
        hops[root] = Some(0);
        for _ in 0..graph.node_count() {
            for edge in 0..graph.edge_count() {
                let near = graph.far_end(edge, direction.reversed());
                let far = graph.far_end(edge, direction);
                if let Some(near) = hops[near]
                    && hops[far].is_none_or(|known| known > near + 1)
                {
                    hops[far] = Some(near + 1);
                }
            }
        }
        hops
    }

    proptest! {
        #[test]
        fn agrees_with_relaxing_every_edge(graph in any_graph(), depth in 0_u32..8, up in any::<bool>()) {
            let direction = if up { Direction::Upstream } else { Direction::Downstream };
            let walk = walk(&graph, &Origin::of_node(0), direction, depth);
            let hops = hops_by_relaxing(&graph, 0, direction);
            let mut reached = vec![None; graph.node_count()];
            for visit in &walk.visits {
                prop_assert!(reached[visit.node].is_none(), "reached twice");
                reached[visit.node] = Some(visit.depth);
            }
            let within: Vec<_> = hops.iter().map(|hops| hops.filter(|hops| *hops <= depth)).collect();
            prop_assert_eq!(reached, within);
            prop_assert_eq!(walk.goes_on, hops.iter().flatten().any(|hops| *hops > depth));
        }
    }
}
