//! Shortest paths between two nodes.

use super::{Direction, Graph, NodeIndex, Origin, walk::walk};

/// All shortest paths that there are, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortestPaths {
    /// Hops of each.
    pub hops: u32,
    /// How many there are in all; the largest number where there are more.
    pub total: u64,
    /// From the one end to the other, in the order of names, `limit` of them.
    pub paths: Vec<Vec<NodeIndex>>,
}

/// The shortest ways that data takes from one node to another; none where no way leads there.
pub fn shortest_paths(
    graph: &Graph,
    from: NodeIndex,
    to: NodeIndex,
    limit: usize,
) -> Option<ShortestPaths> {
    // Hops to the far end, so that the way from the near end never turns into a dead end.
    let mut hops = vec![u32::MAX; graph.node_count()];
    let reached = walk(
        graph,
        &Origin::of_node(to),
        Direction::Upstream,
        u32::MAX - 1,
    );
    for visit in &reached.visits {
        hops[visit.node] = visit.depth;
    }
    if hops[from] == u32::MAX {
        return None;
    }
    let nearer = |node: NodeIndex| {
        let mut next: Vec<NodeIndex> = graph
            .neighbours(node, Direction::Downstream)
            .filter(|&next| hops[next] != u32::MAX && hops[next] + 1 == hops[node])
            .collect();
        next.sort_by(|&a, &b| graph.by_name(a, b));
        next
    };
    // Ways to the far end by node; visits come in the order of hops.
    let mut ways = vec![0_u64; graph.node_count()];
    ways[to] = 1;
    for visit in reached.visits.iter().filter(|visit| visit.depth > 0) {
        ways[visit.node] = nearer(visit.node)
            .into_iter()
            .fold(0_u64, |sum, next| sum.saturating_add(ways[next]));
    }
    let mut paths = Vec::new();
    let mut unfinished = vec![vec![from]];
    while let Some(path) = unfinished.pop() {
        if paths.len() == limit {
            break;
        }
        let Some(&end) = path.last() else { continue };
        if end == to {
            paths.push(path);
            continue;
        }
        for next in nearer(end).into_iter().rev() {
            let mut longer = path.clone();
            longer.push(next);
            unfinished.push(longer);
        }
    }
    Some(ShortestPaths {
        hops: hops[from],
        total: ways[from],
        paths,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{graph, names};
    use super::*;

    #[test]
    fn finds_all_shortest_paths_in_the_order_of_names() {
        let graph = graph("a>c a>b b>d c>d d>e a>f f>g g>h h>e c>x x>y");
        let at = |name: &str| graph.find(name, None).unwrap();
        let found = shortest_paths(&graph, at("a"), at("e"), 10).unwrap();
        assert_eq!((found.hops, found.total), (3, 2));
        let named: Vec<_> = found
            .paths
            .into_iter()
            .map(|path| names(&graph, path).join(" "))
            .collect();
        assert_eq!(named, ["a b d e", "a c d e"]);
        assert!(shortest_paths(&graph, at("e"), at("a"), 10).is_none());
        assert_eq!(
            shortest_paths(&graph, at("a"), at("a"), 10).unwrap().hops,
            0
        );
    }

    /// 2^40 paths: counted, not listed.
    #[test]
    fn counts_more_paths_than_can_be_listed() {
        let edges: Vec<String> = (0..40)
            .map(|n| format!("n{n}>a{n} n{n}>b{n} a{n}>n{m} b{n}>n{m}", m = n + 1))
            .collect();
        let graph = graph(&edges.join(" "));
        let at = |name: &str| graph.find(name, None).unwrap();
        let found = shortest_paths(&graph, at("n0"), at("n40"), 3).unwrap();
        assert_eq!(
            (found.hops, found.total, found.paths.len()),
            (80, 1 << 40, 3)
        );
    }
}
