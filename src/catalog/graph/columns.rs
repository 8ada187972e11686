//! Follows columns along the mappings of edges: where a column comes from and where it lands.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Column, Direction, Graph, Mapping, NodeIndex};

/// Where a column goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnTrace {
    /// The columns that were reached by node, with the fewest hops; the start is not in it.
    pub reached: BTreeMap<NodeIndex, Reached>,
    /// Columns (FQN) from which no mapping leads on: where it lands, or comes from.
    pub ends: BTreeSet<String>,
    /// Entities one hop from a reached one, by an edge without any column mapping: nobody wrote
    /// down whether the column goes there.
    pub unmapped: BTreeSet<NodeIndex>,
    /// A mapping leads on beyond the depth.
    pub goes_on: bool,
}

/// The columns of one node that a trace reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Hops of the nearest.
    pub depth: u32,
    /// FQNs.
    pub columns: BTreeSet<String>,
}

/// Follows columns (FQNs) of a node in one direction for at most `depth` hops.
pub fn trace(
    graph: &Graph,
    node: NodeIndex,
    columns: &[String],
    direction: Direction,
    depth: u32,
) -> ColumnTrace {
    let mut trace = ColumnTrace::default();
    let mut seen: BTreeSet<(NodeIndex, String)> = columns
        .iter()
        .map(|column| (node, column.clone()))
        .collect();
    let starts = seen.clone();
    let mut level: Vec<(NodeIndex, String)> = seen.iter().cloned().collect();
    let mut hops = 0;
    while !level.is_empty() {
        hops += 1;
        let mut next_level = Vec::new();
        for (node, column) in &level {
            let mut leads_on = false;
            for edge in graph.edges_of(*node, direction) {
                let neighbour = graph.far_end(edge, direction);
                let edge = graph.edge(edge);
                if edge.columns.is_empty() {
                    if neighbour != *node {
                        trace.unmapped.insert(neighbour);
                    }
                    continue;
                }
                for mapping in edge.columns {
                    let next: Vec<Column<'_>> = match direction {
                        Direction::Downstream if mapping.from().any(|from| from.is(column)) => {
                            vec![mapping.to]
                        }
                        Direction::Upstream if mapping.to.is(column) => mapping.from().collect(),
                        _ => Vec::new(),
                    };
                    for column in next {
                        leads_on = true;
                        let place = (neighbour, column.to_string());
                        if hops > depth {
                            trace.goes_on |= !seen.contains(&place);
                        } else if seen.insert(place.clone()) {
                            next_level.push(place);
                        }
                    }
                }
            }
            if !leads_on && !starts.contains(&(*node, column.clone())) {
                trace.ends.insert(column.clone());
            }
        }
        if hops > depth {
            break;
        }
        for (node, column) in &next_level {
            let reached = trace.reached.entry(*node).or_insert_with(|| Reached {
                depth: hops,
                columns: BTreeSet::new(),
            });
            reached.columns.insert(column.clone());
        }
        level = next_level;
    }
    trace
        .unmapped
        .retain(|node| !trace.reached.contains_key(node));
    trace.unmapped.remove(&node);
    trace
}

/// Columns (FQN) of a node that some edge maps, and in which directions.
pub fn mapped_columns(graph: &Graph, node: NodeIndex) -> BTreeSet<String> {
    let leaving = graph
        .edges_of(node, Direction::Downstream)
        .flat_map(|edge| graph.edge(edge).columns)
        .flat_map(|mapping| mapping.from());
    let entering = graph
        .edges_of(node, Direction::Upstream)
        .flat_map(|edge| graph.edge(edge).columns)
        .map(|mapping| mapping.to);
    let prefix = format!("{}.", graph.node(node).fqn);
    leaving
        .chain(entering)
        .map(|column| column.to_string())
        .filter(|column| column.starts_with(&prefix))
        .collect()
}

/// A shortest way of a column to another, as column FQNs; none where no mapping leads there.
pub fn shortest_column_path(
    graph: &Graph,
    from: (NodeIndex, &str),
    to: (NodeIndex, &str),
    depth: u32,
) -> Option<Vec<String>> {
    let start = (from.0, from.1.to_owned());
    let goal = (to.0, to.1.to_owned());
    let mut came_from: HashMap<(NodeIndex, String), Option<(NodeIndex, String)>> =
        HashMap::from([(start.clone(), None)]);
    let mut level = vec![start];
    let mut hops = 0;
    while !came_from.contains_key(&goal) && hops < depth && !level.is_empty() {
        hops += 1;
        let mut next_level = BTreeSet::new();
        for place in &level {
            for edge in graph.edges_of(place.0, Direction::Downstream) {
                let edge = graph.edge(edge);
                let leads_on = |mapping: &Mapping<'_>| mapping.from().any(|from| from.is(&place.1));
                for mapping in edge.columns.filter(leads_on) {
                    let next = (edge.to, mapping.to.to_string());
                    if !came_from.contains_key(&next) {
                        came_from.insert(next.clone(), Some(place.clone()));
                        next_level.insert(next);
                    }
                }
            }
        }
        level = next_level.into_iter().collect();
    }
    let mut path = Vec::new();
    let mut place = Some(goal);
    while let Some(current) = place {
        place = came_from.get(&current)?.clone();
        path.push(current.1);
    }
    path.reverse();
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{graph, names};
    use super::*;

    const BILLS: &str = "raw>bills:raw.p>bills.title,raw.p>bills.number,raw.id>bills.id \
        bills>stg:bills.title>stg.title,bills.number>stg.no \
        bills>topic stg>dim:stg.title>dim.label,stg.no>dim.label dim>board";

    #[test]
    fn a_column_is_followed_to_where_it_lands() {
        let graph = graph(BILLS);
        let at = |name: &str| graph.find(name, None).unwrap();
        let down = trace(
            &graph,
            at("bills"),
            &["bills.title".into()],
            Direction::Downstream,
            9,
        );
        assert_eq!(names(&graph, down.reached.keys().copied()), ["stg", "dim"]);
        assert_eq!(down.ends, BTreeSet::from(["dim.label".to_owned()]));
        assert_eq!(
            names(&graph, down.unmapped.iter().copied()),
            ["topic", "board"]
        );
        assert!(!down.goes_on);
        let up = trace(
            &graph,
            at("dim"),
            &["dim.label".into()],
            Direction::Upstream,
            9,
        );
        assert_eq!(up.ends, BTreeSet::from(["raw.p".to_owned()]));
        assert_eq!(up.reached[&at("stg")].columns.len(), 2);
        assert_eq!(up.reached[&at("raw")].depth, 3);
    }

    #[test]
    fn a_cut_trace_says_that_it_goes_on() {
        let graph = graph(BILLS);
        let bills = graph.find("bills", None).unwrap();
        let cut = trace(
            &graph,
            bills,
            &["bills.title".into()],
            Direction::Downstream,
            1,
        );
        assert!(cut.goes_on);
        assert!(cut.ends.is_empty());
        let none = trace(
            &graph,
            bills,
            &["bills.id".into()],
            Direction::Downstream,
            9,
        );
        assert!(none.reached.is_empty() && !none.goes_on);
    }

    #[test]
    fn a_cycle_of_columns_ends() {
        let graph = graph("a>b:a.x>b.x b>a:b.x>a.x");
        let a = graph.find("a", None).unwrap();
        let round = trace(&graph, a, &["a.x".into()], Direction::Downstream, 50);
        assert_eq!(round.reached.len(), 1);
        assert!(round.ends.is_empty());
    }

    #[test]
    fn columns_have_paths_too() {
        let graph = graph(BILLS);
        let at = |name: &str| graph.find(name, None).unwrap();
        assert_eq!(
            shortest_column_path(&graph, (at("raw"), "raw.p"), (at("dim"), "dim.label"), 9)
                .unwrap()
                .len(),
            4
        );
        assert_eq!(
            shortest_column_path(&graph, (at("raw"), "raw.id"), (at("dim"), "dim.label"), 9),
            None
        );
    }
}
