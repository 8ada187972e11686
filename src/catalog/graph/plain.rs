//! Holds the compact graph to a plain one: lists that are searched from front to back.

use proptest::prelude::*;

use super::{ColumnMapping, Detail, Direction, Edge, EntityType, Graph, Node, Owner};

/// What a graph has to be, without any thought for size or time.
#[derive(Default)]
struct Plain {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

impl Plain {
    fn add_node(&mut self, node: Node) -> usize {
        let present = self
            .nodes
            .iter()
            .position(|known| known.fqn == node.fqn && known.entity_type == node.entity_type);
        match present {
            Some(index) => {
                if node.detail > self.nodes[index].detail {
                    self.nodes[index] = node;
                }
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        }
    }

    fn add_edge(&mut self, edge: Edge) {
        let same = |known: &&mut Edge| (known.from, known.to) == (edge.from, edge.to);
        let Some(kept) = self.edges.iter_mut().find(same) else {
            self.edges.push(edge);
            return;
        };
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
    }
}

fn node_of(graph: &Graph, index: usize) -> Node {
    let view = graph.node(index);
    let text = |text: Option<&str>| text.map(str::to_owned);
    Node {
        fqn: view.fqn.into(),
        id: view.id.into(),
        entity_type: view.entity_type.clone(),
        name: view.name.into(),
        display_name: text(view.display_name),
        owners: view.owners.to_vec(),
        tier: text(view.tier),
        domains: view.domains.to_vec(),
        service: text(view.service),
        is_deleted: view.is_deleted,
        detail: view.detail,
    }
}

fn edge_of(graph: &Graph, index: usize) -> Edge {
    let view = graph.edge(index);
    let text = |text: Option<&str>| text.map(str::to_owned);
    Edge {
        from: view.from,
        to: view.to,
        columns: view.columns.to_vec(),
        pipeline: text(view.pipeline),
        sql: text(view.sql),
        has_more_sql: view.has_more_sql,
        source: text(view.source),
        description: text(view.description),
    }
}

fn few(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(words).prop_map(str::to_owned))
}

fn any_node() -> impl Strategy<Value = Node> {
    let fqn = prop::sample::select(&["s.a", "s.b", "s.a.b", "t.\"x.y\"", "s.é", "b"][..]);
    let owner = |name: String| Owner {
        id: format!("id of {name}"),
        kind: "team".into(),
        name,
        display_name: None,
    };
    let detail = prop::sample::select(&[Detail::Named, Detail::Reference, Detail::Full][..]);
    (
        fqn,
        prop::sample::select(&["table", "topic"][..]),
        few(&["Shown", ""]),
        prop::collection::vec("[ab]", 0..3),
        few(&["Tier.Tier1", "Tier.Tier2"]),
        few(&["s", "t"]),
        detail,
        any::<bool>(),
    )
        .prop_map(
            move |(fqn, entity_type, display_name, names, tier, service, detail, is_deleted)| {
                Node {
                    fqn: fqn.into(),
                    id: format!("{fqn}/{entity_type}"),
                    entity_type: EntityType::new(entity_type),
                    // Mostly the end of the FQN, as it is in a catalog.
                    name: match fqn.chars().last() {
                        Some(last) if !is_deleted => last.to_string(),
                        _ => "other".into(),
                    },
                    display_name,
                    owners: names.iter().cloned().map(owner).collect(),
                    domains: names,
                    tier,
                    service,
                    is_deleted,
                    detail,
                }
            },
        )
}

fn any_mapping() -> impl Strategy<Value = ColumnMapping> {
    let column = || prop::sample::select(&["s.a.x", "s.a.b.x", "s.b.x.y", "s.ab", "x", "s.a"][..]);
    (prop::collection::vec(column(), 1..3), column()).prop_map(|(from, to)| ColumnMapping {
        from: from.into_iter().map(str::to_owned).collect(),
        to: to.to_owned(),
    })
}

fn any_edge() -> impl Strategy<Value = Edge> {
    (
        0..12_usize,
        0..12_usize,
        prop::collection::vec(any_mapping(), 0..3),
        few(&["airflow.load", "airflow.other"]),
        few(&["select 1"]),
        any::<bool>(),
        few(&["Manual", "QueryLineage"]),
        few(&["because"]),
    )
        .prop_map(
            |(from, to, columns, pipeline, sql, has_more_sql, source, description)| Edge {
                from,
                to,
                columns,
                pipeline,
                sql,
                has_more_sql,
                source,
                description,
            },
        )
}

proptest! {
    #[test]
    fn says_the_same_as_a_plain_graph(
        nodes in prop::collection::vec(any_node(), 1..20),
        edges in prop::collection::vec(any_edge(), 0..40),
        late in prop::collection::vec(any_node(), 0..5),
        is_ranked in any::<bool>(),
    ) {
        let (mut graph, mut plain) = (Graph::default(), Plain::default());
        for node in nodes {
            prop_assert_eq!(graph.add_node(node.clone()), plain.add_node(node));
        }
        for mut edge in edges {
            edge.from %= plain.nodes.len();
            edge.to %= plain.nodes.len();
            graph.add_edge(edge.clone());
            plain.add_edge(edge);
        }
        // What was ranked may grow.
        if is_ranked {
            graph.rank_names();
        }
        for node in late {
            prop_assert_eq!(graph.add_node(node.clone()), plain.add_node(node));
        }
        prop_assert_eq!(graph.node_count(), plain.nodes.len());
        prop_assert_eq!(graph.edge_count(), plain.edges.len());
        for (index, node) in plain.nodes.iter().enumerate() {
            prop_assert_eq!(&node_of(&graph, index), node);
            prop_assert_eq!(graph.find(&node.fqn, Some(&node.entity_type)), Some(index));
            let first = plain.nodes.iter().position(|other| other.fqn == node.fqn);
            prop_assert_eq!(graph.find(&node.fqn, None), first);
            for (direction, is_of) in [
                (Direction::Downstream, (|edge| edge.from) as fn(&Edge) -> usize),
                (Direction::Upstream, |edge| edge.to),
            ] {
                let of: Vec<usize> = graph.edges_of(index, direction).collect();
                let all = plain.edges.iter().enumerate();
                let expected: Vec<usize> = all
                    .filter(|(_, edge)| is_of(edge) == index)
                    .map(|(position, _)| position)
                    .collect();
                prop_assert_eq!(of, expected);
            }
            for (other, with) in plain.nodes.iter().enumerate() {
                let between = plain.edges.iter().position(|edge| (edge.from, edge.to) == (index, other));
                prop_assert_eq!(graph.edge_between(index, other), between);
                let order = (&node.fqn, &node.entity_type).cmp(&(&with.fqn, &with.entity_type));
                prop_assert_eq!(graph.by_name(index, other), order);
            }
        }
        for (index, edge) in plain.edges.iter().enumerate() {
            prop_assert_eq!(&edge_of(&graph, index), edge);
            for (mapping, packed) in edge.columns.iter().zip(graph.edge(index).columns) {
                prop_assert!(packed.to.is(&mapping.to));
                prop_assert!(packed.from().zip(&mapping.from).all(|(packed, name)| packed.is(name)));
            }
        }
        prop_assert_eq!(graph.find("nobody", None), None);
    }
}
