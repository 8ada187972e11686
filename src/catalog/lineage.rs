//! Collects the lineage around an entity or a service, from whichever side has it.
//!
//! What could not be collected is a `Gap`: counts are then lower bounds, and 'not connected' is
//! not said.

mod columns;
mod documents;
mod edges;
mod index;
mod legacy;
mod merged;
mod stored;

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Catalog, CatalogError, EntitySummary, Snapshot, fqn,
    graph::{Detail, Direction, EdgeIndex, Graph, Node, NodeIndex, Origin},
};

pub use columns::columns_in;
pub use edges::{EdgeDetails, EdgeWrite};
pub use merged::downstream_of_all;

/// Nodes that one question collects from a live catalog at most.
pub const MOST_NODES: usize = 20_000;

/// How far to look: hops in each direction, 0 for not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    pub upstream: u32,
    pub downstream: u32,
}

impl Reach {
    /// Far enough for any catalog: until nothing is left.
    pub const EVERYTHING: u32 = 1_000;

    pub fn only(direction: Direction, depth: u32) -> Self {
        match direction {
            Direction::Upstream => Self {
                upstream: depth,
                downstream: 0,
            },
            Direction::Downstream => Self {
                upstream: 0,
                downstream: depth,
            },
        }
    }

    pub fn of(self, direction: Direction) -> u32 {
        match direction {
            Direction::Upstream => self.upstream,
            Direction::Downstream => self.downstream,
        }
    }
}

/// What was collected.
#[derive(Debug, Clone)]
pub struct Lineage {
    pub graph: Arc<Graph>,
    /// Where walks begin.
    pub origin: Origin,
    /// The position of the entity that was asked for, where it has edges of its own.
    pub root: Option<NodeIndex>,
    /// Not empty: counts are lower bounds.
    pub gaps: Vec<Gap>,
    /// Directions in which it was not looked whether more lies beyond the reach.
    pub unknown_beyond: Vec<Direction>,
    /// What the reader has to know besides.
    pub notes: Vec<String>,
    /// SQL of edges that was read for this question; see `Catalog::add_sql`.
    pub sql: HashMap<EdgeIndex, String>,
}

impl Lineage {
    fn new(graph: Graph) -> Self {
        Self {
            graph: Arc::new(graph),
            origin: Origin::default(),
            root: None,
            gaps: Vec::new(),
            unknown_beyond: Vec::new(),
            notes: Vec::new(),
            sql: HashMap::new(),
        }
    }

    /// The SQL of an edge, as far as it was read.
    pub fn sql(&self, edge: EdgeIndex) -> Option<&str> {
        self.graph
            .edge(edge)
            .sql
            .or_else(|| self.sql.get(&edge).map(String::as_str))
    }
}

/// Why a lineage may lack something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// The time ran out: `depth` hops are complete.
    Deadline { direction: Direction, depth: u32 },
    /// More than can be collected: `depth` hops are complete.
    TooMany { direction: Direction, depth: u32 },
    /// Parts of the search index did not answer.
    Shards { failed: u64 },
    /// The catalog failed in the middle: `depth` hops are complete.
    Failed {
        direction: Direction,
        depth: u32,
        message: String,
    },
    /// The search index gave fewer documents than it counted.
    Missing { documents: u64 },
}

impl Gap {
    /// Why not even the first hop could be read.
    fn at_the_start(&self) -> Option<&str> {
        match self {
            Self::Failed {
                depth: 0, message, ..
            } => Some(message),
            _ => None,
        }
    }
}

fn from_database(why: &str) -> String {
    format!("read from OpenMetadata's database, as its search did not answer ({why})")
}

impl fmt::Display for Gap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only = |direction: &Direction, depth: &u32| {
            format!("{} is complete for {depth} hops only", direction.as_str())
        };
        match self {
            Self::Deadline { direction, depth } => {
                write!(formatter, "time ran out: {}", only(direction, depth))
            }
            Self::TooMany { direction, depth } => write!(
                formatter,
                "more than {MOST_NODES} entities: {}",
                only(direction, depth)
            ),
            Self::Shards { failed } => write!(
                formatter,
                "{failed} parts of OpenMetadata's search index did not answer: entities may be missing"
            ),
            Self::Failed {
                direction,
                depth,
                message,
            } => write!(formatter, "{message}: {}", only(direction, depth)),
            Self::Missing { documents } => write!(
                formatter,
                "OpenMetadata counted {documents} entities more than it returned"
            ),
        }
    }
}

impl Catalog {
    /// The lineage around an entity. A pipeline stands between what it reads and what it writes.
    ///
    /// Errors only where nothing could be learnt; else the gaps say what is missing.
    pub async fn lineage(
        &self,
        entity: &EntitySummary,
        reach: Reach,
        deadline: Instant,
    ) -> Result<Lineage, CatalogError> {
        match self {
            Self::Snapshot(snapshot) => of_snapshot(snapshot, entity),
            Self::Live(client) => {
                if !client.version().await?.has_lineage_in_search() {
                    return legacy::collect(client, entity, reach, deadline).await;
                }
                match index::collect(client, &index::Start::Entity(entity), reach, deadline).await {
                    Err(error) if error.is_search_trouble() => {
                        let mut lineage = legacy::collect(client, entity, reach, deadline)
                            .await
                            // The first error says what is really wrong.
                            .map_err(|second| match second {
                                CatalogError::NotFound { .. } => second,
                                _ => error.clone(),
                            })?;
                        lineage.notes.push(from_database(&error.to_string()));
                        Ok(lineage)
                    }
                    Ok(lineage) => {
                        // Downstream alone begins with no read of its own: its first one failed.
                        let Some(why) = lineage.gaps.iter().find_map(Gap::at_the_start) else {
                            return Ok(lineage);
                        };
                        let why = why.to_owned();
                        match legacy::collect(client, entity, reach, deadline).await {
                            Ok(mut other) => {
                                other.notes.push(from_database(&why));
                                Ok(other)
                            }
                            Err(_) => Ok(lineage),
                        }
                    }
                    error => error,
                }
            }
        }
    }

    /// Everything downstream of an entity; of a service, a database or a schema everything that
    /// lives in it too, at depth 0.
    pub async fn all_downstream_of(
        &self,
        entity: &EntitySummary,
        deadline: Instant,
    ) -> Result<Lineage, CatalogError> {
        match container(entity) {
            Some((service, within)) => self.lineage_of_container(&service, &within, deadline).await,
            None => {
                let reach = Reach::only(Direction::Downstream, Reach::EVERYTHING);
                self.lineage(entity, reach, deadline).await
            }
        }
    }

    /// Everything downstream of what lives in a service, a database or a schema; what lives in it
    /// is at depth 0.
    ///
    /// `service`: FQN of the service. `within`: FQN that the entities' FQNs begin with.
    pub async fn lineage_of_container(
        &self,
        service: &str,
        within: &str,
        deadline: Instant,
    ) -> Result<Lineage, CatalogError> {
        match self {
            Self::Snapshot(snapshot) => {
                let graph = Arc::clone(snapshot.lineage()?);
                let members: Vec<(NodeIndex, u32)> = (0..graph.node_count())
                    .filter(|&index| {
                        let node = graph.node(index);
                        is_within(node.service, node.fqn, service, within)
                    })
                    .map(|index| (index, 0))
                    .collect();
                Ok(Lineage {
                    origin: Origin {
                        upstream: members.clone(),
                        downstream: members,
                    },
                    graph,
                    ..Lineage::new(Graph::default())
                })
            }
            Self::Live(client) => {
                if !client.version().await?.has_lineage_in_search() {
                    return legacy::collect_container(client, service, within, deadline).await;
                }
                let start = index::Start::Container { service, within };
                let reach = Reach::only(Direction::Downstream, Reach::EVERYTHING);
                index::collect(client, &start, reach, deadline).await
            }
        }
    }
}

/// Service and name of what holds other entities; none for an asset.
pub fn container(entity: &EntitySummary) -> Option<(String, String)> {
    let kind = entity.entity_type.as_str();
    let holds = kind.ends_with("Service") || matches!(kind, "database" | "databaseSchema");
    let service = fqn::parts(&entity.fqn)
        .first()
        .map(|part| fqn::quoted(part))?;
    holds.then(|| (service, entity.fqn.clone()))
}

/// Lives in the service, at or below this name. `lives_in` and `fqn` are those of an entity.
fn is_within(lives_in: Option<&str>, fqn: &str, service: &str, within: &str) -> bool {
    // Search documents name the service bare, FQNs quote it where it has a dot.
    let is_in_service =
        lives_in.is_some_and(|name| name == service || name == service_name(service));
    let is_below = || {
        fqn.strip_prefix(within)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    is_in_service && (within == service || is_below())
}

/// The bare name of a service, without the quotes of its FQN.
fn service_name(service: &str) -> String {
    fqn::parts(service).swap_remove(0)
}

fn of_snapshot(snapshot: &Snapshot, entity: &EntitySummary) -> Result<Lineage, CatalogError> {
    let graph = Arc::clone(snapshot.lineage()?);
    let root = graph.find(&entity.fqn, Some(&entity.entity_type));
    Ok(Lineage {
        origin: origin(&graph, root, entity),
        root,
        graph,
        ..Lineage::new(Graph::default())
    })
}

/// Where the walks of an entity begin.
fn origin(graph: &Graph, root: Option<NodeIndex>, entity: &EntitySummary) -> Origin {
    let mut origin = root.map(Origin::of_node).unwrap_or_default();
    if entity.entity_type.as_str() == "pipeline" {
        for edge in (0..graph.edge_count()).map(|edge| graph.edge(edge)) {
            if edge.pipeline == Some(entity.fqn.as_str()) {
                origin.upstream.push((edge.from, 1));
                origin.downstream.push((edge.to, 1));
            }
        }
    }
    origin
}

/// A node that only an edge names.
fn named(fqn: &str, entity_type: &str, id: &str) -> Node {
    Node {
        name: fqn::parts(fqn).pop().unwrap_or_default(),
        fqn: fqn.to_owned(),
        id: id.to_owned(),
        entity_type: super::EntityType::new(entity_type),
        display_name: None,
        owners: Vec::new(),
        tier: None,
        domains: Vec::new(),
        service: fqn::parts(fqn).first().map(|part| fqn::quoted(part)),
        is_deleted: false,
        detail: Detail::Named,
    }
}

/// A node out of what is known of an entity.
pub fn node_of(entity: &EntitySummary, detail: Detail) -> Node {
    Node {
        fqn: entity.fqn.clone(),
        id: entity.id.clone(),
        entity_type: entity.entity_type.clone(),
        name: entity.name.clone(),
        display_name: entity.display_name.clone(),
        owners: entity.owners.clone(),
        tier: entity.tier.clone(),
        domains: entity.domains.clone(),
        service: entity.service.clone(),
        is_deleted: entity.is_deleted,
        detail,
    }
}

/// The answer, or `None` where the deadline comes first.
async fn before<T>(deadline: Instant, answer: impl Future<Output = T>) -> Option<T> {
    if deadline.saturating_duration_since(Instant::now()) == Duration::ZERO {
        return None;
    }
    tokio::time::timeout_at(deadline.into(), answer).await.ok()
}
