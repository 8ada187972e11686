//! Several lineages as one: everything downstream of any of their origins. Pure.

use std::{collections::HashMap, sync::Arc};

use super::{Lineage, Reach};
use crate::catalog::graph::{
    Direction, Edge, Graph, Node, NodeIndex, NodeView, Origin, walk::walk,
};

/// One lineage of what lies downstream of several; gaps and notes of all of them. Columns and SQL
/// of edges stay behind.
pub fn downstream_of_all(mut lineages: Vec<Lineage>) -> Lineage {
    if lineages.len() == 1
        && let Some(only) = lineages.pop()
    {
        return only;
    }
    let mut graph = Graph::default();
    let mut starts = Vec::new();
    let mut merged = Lineage::new(Graph::default());
    for lineage in lineages {
        let from = &lineage.graph;
        let walked = walk(
            from,
            &lineage.origin,
            Direction::Downstream,
            Reach::EVERYTHING,
        );
        let mut positions: HashMap<NodeIndex, NodeIndex> = HashMap::new();
        for visit in &walked.visits {
            positions.insert(visit.node, graph.add_node(owned(from.node(visit.node))));
        }
        for visit in &walked.visits {
            for edge in from.edges_of(visit.node, Direction::Downstream) {
                let view = from.edge(edge);
                if let (Some(&start), Some(&end)) =
                    (positions.get(&view.from), positions.get(&view.to))
                {
                    graph.add_edge(bare(start, end, view.pipeline));
                }
            }
        }
        let origin = lineage.origin.starts(Direction::Downstream).iter();
        starts.extend(origin.filter_map(|(node, hops)| Some((*positions.get(node)?, *hops))));
        merged.gaps.extend(lineage.gaps);
        merged.notes.extend(lineage.notes);
        merged.unknown_beyond.extend(lineage.unknown_beyond);
    }
    merged.gaps.dedup();
    merged.notes.sort();
    merged.notes.dedup();
    merged.graph = Arc::new(graph);
    merged.origin = Origin {
        upstream: Vec::new(),
        downstream: starts,
    };
    merged
}

fn owned(node: NodeView<'_>) -> Node {
    Node {
        fqn: node.fqn.to_owned(),
        id: node.id.to_owned(),
        entity_type: node.entity_type.clone(),
        name: node.name.to_owned(),
        display_name: node.display_name.map(str::to_owned),
        owners: node.owners.to_vec(),
        tier: node.tier.map(str::to_owned),
        domains: node.domains.to_vec(),
        service: node.service.map(str::to_owned),
        is_deleted: node.is_deleted,
        detail: node.detail,
    }
}

fn bare(from: NodeIndex, to: NodeIndex, pipeline: Option<&str>) -> Edge {
    Edge {
        from,
        to,
        columns: Vec::new(),
        pipeline: pipeline.map(str::to_owned),
        sql: None,
        has_more_sql: false,
        source: None,
        description: None,
    }
}
