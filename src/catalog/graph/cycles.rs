//! Cycles: parts of a graph where data comes back to where it was.

use super::{Direction, Graph, NodeIndex};

/// Every group of these nodes that reach one another, and every node with an edge to itself; each
/// group in the order of names, the groups in the order of their first.
pub fn cycles(graph: &Graph, among: &[NodeIndex]) -> Vec<Vec<NodeIndex>> {
    let mut is_among = vec![false; graph.node_count()];
    for &node in among {
        is_among[node] = true;
    }
    let mut groups: Vec<Vec<NodeIndex>> = strongly_connected(graph, among, &is_among)
        .into_iter()
        .filter(|group| {
            group.len() > 1
                || group
                    .first()
                    .is_some_and(|&node| graph.edge_between(node, node).is_some())
        })
        .collect();
    for group in &mut groups {
        group.sort_by(|&a, &b| graph.by_name(a, b));
    }
    groups.sort_by(|a, b| graph.by_name(a[0], b[0]));
    groups
}

/// Tarjan's algorithm without recursion: a chain of 10,000 tables must not end the stack.
fn strongly_connected(
    graph: &Graph,
    among: &[NodeIndex],
    is_among: &[bool],
) -> Vec<Vec<NodeIndex>> {
    const UNSEEN: usize = usize::MAX;
    let size = graph.node_count();
    let mut order = vec![UNSEEN; size];
    let mut lowest = vec![0; size];
    let mut is_open = vec![false; size];
    let mut open = Vec::new();
    let mut groups = Vec::new();
    let mut seen = 0;
    for &start in among {
        if order[start] != UNSEEN {
            continue;
        }
        // A node and its edges that were not followed yet.
        let edges_of = |node| graph.edges_of(node, Direction::Downstream);
        let mut path = vec![(start, edges_of(start))];
        while let Some((node, edges)) = path.last_mut() {
            let node = *node;
            if order[node] == UNSEEN {
                order[node] = seen;
                lowest[node] = seen;
                seen += 1;
                open.push(node);
                is_open[node] = true;
            }
            if let Some(edge) = edges.next() {
                let next = graph.far_end(edge, Direction::Downstream);
                if !is_among[next] {
                    continue;
                }
                if order[next] == UNSEEN {
                    path.push((next, edges_of(next)));
                } else if is_open[next] {
                    lowest[node] = lowest[node].min(order[next]);
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                lowest[parent] = lowest[parent].min(lowest[node]);
            }
            if lowest[node] == order[node] {
                let mut group = Vec::new();
                while let Some(member) = open.pop() {
                    is_open[member] = false;
                    group.push(member);
                    if member == node {
                        break;
                    }
                }
                groups.push(group);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{any_graph, graph, names};
    use super::super::{Origin, walk::walk};
    use super::*;

    fn named(edges: &str) -> Vec<String> {
        let graph = graph(edges);
        let all: Vec<_> = (0..graph.node_count()).collect();
        cycles(&graph, &all)
            .into_iter()
            .map(|group| names(&graph, group).join(" "))
            .collect()
    }

    #[test]
    fn finds_each_cycle_and_nothing_else() {
        for (edges, expected) in [
            ("a>b b>c a>c", vec![]),
            ("b>a a>b", vec!["a b"]),
            ("a>a a>b", vec!["a"]),
            ("a>b b>c c>a c>d d>e e>d", vec!["a b c", "d e"]),
            ("a>b b>a b>c c>b", vec!["a b c"]),
        ] {
            assert_eq!(named(edges), expected, "{edges}");
        }
    }

    #[test]
    fn a_long_chain_does_not_end_the_stack() {
        let edges: Vec<String> = (0..20_000)
            .map(|n| format!("n{n}>n{}", (n + 1) % 20_000))
            .collect();
        let graph = graph(&edges.join(" "));
        let all: Vec<_> = (0..graph.node_count()).collect();
        assert_eq!(cycles(&graph, &all)[0].len(), 20_000);
    }

    #[test]
    fn nodes_outside_do_not_close_a_cycle() {
        let graph = graph("a>b b>c c>a");
        let some = [
            graph.find("a", None).unwrap(),
            graph.find("b", None).unwrap(),
        ];
        assert!(cycles(&graph, &some).is_empty());
    }

    proptest! {
        /// Two nodes stand in one cycle if and only if each is downstream of the other.
        #[test]
        fn agrees_with_walks_from_every_node(graph in any_graph()) {
            let all: Vec<NodeIndex> = (0..graph.node_count()).collect();
            let mut group_of = vec![None; all.len()];
            for (number, group) in cycles(&graph, &all).into_iter().enumerate() {
                for node in group {
                    prop_assert!(group_of[node].is_none(), "in two cycles");
                    group_of[node] = Some(number);
                }
            }
            let below: Vec<Vec<NodeIndex>> = all
                .iter()
                .map(|&node| {
                    // Back at the start after a hop or more.
                    let next = graph.neighbours(node, Direction::Downstream).map(|n| (n, 1)).collect();
                    let origin = Origin { upstream: Vec::new(), downstream: next };
                    walk(&graph, &origin, Direction::Downstream, 100).visits.iter().map(|v| v.node).collect()
                })
                .collect();
            for &a in &all {
                prop_assert_eq!(group_of[a].is_some(), below[a].contains(&a));
                for &b in &all {
                    let together = below[a].contains(&b) && below[b].contains(&a);
                    prop_assert_eq!(group_of[a].is_some() && group_of[a] == group_of[b], together);
                }
            }
        }
    }
}
