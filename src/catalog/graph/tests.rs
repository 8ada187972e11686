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
        .map(|index| graph.node(index).fqn.to_owned())
        .collect()
}
