//! Collects lineage level by level through the search index, exactly.
//!
//! `getLineage` cuts each hop silently, so it is not used here. Downstream: documents whose
//! `upstreamLineage` names the level before. Upstream: `upstreamLineage` of the level before,
//! whose entities are then fetched.

use std::{collections::BTreeSet, time::Instant};

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    Gap, Lineage, MOST_NODES, Reach, before, documents, is_within, node_of, origin, service_name,
};
use crate::catalog::{
    CatalogError, Client, EntitySummary, fqn,
    graph::{Detail, Direction, Graph, NodeIndex, Origin, Walk, walk::walk},
};

/// Hashes in one request: 101 make an address that the server refuses (recorded: 414).
const HASHES_A_CALL: usize = 40;
/// Characters of hashes in one request, as FQNs may have many parts (four are 131 characters).
const CHARACTERS_A_CALL: usize = 5_500;
/// Documents in one answer.
const PAGE: u64 = 200;
/// Search pages no further than this (recorded: 500 beyond).
pub(super) const WINDOW: u64 = 10_000;
/// Requests at a time.
const AT_A_TIME: usize = 4;

/// Where to begin.
pub(super) enum Start<'a> {
    Entity(&'a EntitySummary),
    /// Everything in a service at or below a name.
    Container {
        service: &'a str,
        within: &'a str,
    },
}

pub(super) async fn collect(
    client: &Client,
    start: &Start<'_>,
    reach: Reach,
    deadline: Instant,
) -> Result<Lineage, CatalogError> {
    let mut collector = Collector {
        client,
        deadline,
        graph: Graph::default(),
        gaps: Vec::new(),
        unknown_beyond: Vec::new(),
    };
    let (root, origin) = collector.start(start, reach).await?;
    for direction in [Direction::Upstream, Direction::Downstream] {
        let depth = reach.of(direction);
        if depth > 0 {
            collector.follow(&origin, direction, depth).await;
        }
    }
    Ok(Lineage {
        origin,
        root,
        gaps: collector.gaps,
        unknown_beyond: collector.unknown_beyond,
        ..Lineage::new(collector.graph)
    })
}

struct Collector<'a> {
    client: &'a Client,
    deadline: Instant,
    graph: Graph,
    gaps: Vec<Gap>,
    unknown_beyond: Vec<Direction>,
}

/// Why a level could not be completed.
enum Trouble {
    Late,
    TooMany,
    Failed(CatalogError),
}

impl Collector<'_> {
    /// Fetches what the walks begin with. An error here means that search does not answer at all.
    async fn start(
        &mut self,
        start: &Start<'_>,
        reach: Reach,
    ) -> Result<(Option<NodeIndex>, Origin), CatalogError> {
        match start {
            Start::Entity(entity) => {
                let root = self.graph.add_node(node_of(entity, Detail::Reference));
                let mut fields = Vec::new();
                if reach.upstream > 0 {
                    fields.push("fqnHash.keyword");
                }
                if entity.entity_type.as_str() == "pipeline" {
                    // In the index mappings of 1.12.6; answers by it are not recorded.
                    fields.push("upstreamLineage.pipeline.fqnHash.keyword");
                }
                for field in fields {
                    self.fetch(field, &[fqn::hash(&entity.fqn)])
                        .await
                        .map_err(Trouble::into_error)?;
                }
                let origin = origin(&self.graph, Some(root), entity);
                Ok((Some(root), origin))
            }
            Start::Container { service, within } => {
                let filter = json!({"term": {"service.name.keyword": service_name(service)}});
                let fetched = self.pages(&filter).await;
                match fetched {
                    Ok(documents) => self.add(documents),
                    Err(Trouble::TooMany) => self.gaps.push(Gap::TooMany {
                        direction: Direction::Downstream,
                        depth: 0,
                    }),
                    Err(trouble) => return Err(trouble.into_error()),
                }
                let members: Vec<(NodeIndex, u32)> = (0..self.graph.node_count())
                    .filter(|&index| {
                        let node = self.graph.node(index);
                        is_within(node.service, node.fqn, service, within)
                    })
                    .map(|index| (index, 0))
                    .collect();
                let origin = Origin {
                    upstream: Vec::new(),
                    downstream: members,
                };
                Ok((None, origin))
            }
        }
    }

    /// Collects `depth` hops in one direction, and looks whether there is one more.
    async fn follow(&mut self, origin: &Origin, direction: Direction, depth: u32) {
        let last_start = origin.starts(direction).iter().map(|&(_, hops)| hops).max();
        for level in 0..=depth {
            let reached = walk(&self.graph, origin, direction, level);
            let rim: Vec<NodeIndex> = at(&reached, level);
            if rim.is_empty() && last_start.is_none_or(|last| last < level) {
                return;
            }
            let outcome = match direction {
                // Their documents tell what is above them.
                Direction::Upstream => self.complete(&rim).await,
                Direction::Downstream if level == depth => {
                    self.look_beyond(origin, depth, &rim).await;
                    return;
                }
                Direction::Downstream => {
                    self.fetch(
                        "upstreamLineage.fromEntity.fqnHash.keyword",
                        &self.hashes(&rim),
                    )
                    .await
                }
            };
            let trouble = match outcome {
                Ok(()) if reached.visits.len() > MOST_NODES => Some(Trouble::TooMany),
                Ok(()) => None,
                Err(trouble) => Some(trouble),
            };
            if let Some(trouble) = trouble {
                // The rim itself is known from the level before.
                if level == depth {
                    self.unknown_beyond.push(direction);
                } else {
                    self.gaps.push(trouble.into_gap(direction, level));
                }
                return;
            }
        }
    }

    /// Fetches the documents of nodes that only edges named.
    async fn complete(&mut self, nodes: &[NodeIndex]) -> Result<(), Trouble> {
        let bare: Vec<NodeIndex> = nodes
            .iter()
            .copied()
            .filter(|&node| self.graph.node(node).detail != Detail::Full)
            .collect();
        self.fetch("fqnHash.keyword", &self.hashes(&bare)).await
    }

    /// Looks whether anything lies one hop below these; the first that is new will do.
    async fn look_beyond(&mut self, origin: &Origin, depth: u32, rim: &[NodeIndex]) {
        for hashes in calls(&self.hashes(rim)) {
            let field = "upstreamLineage.fromEntity.fqnHash.keyword";
            let filter = json!({"terms": {field: hashes}});
            if let Ok(page) = self.page(&filter, 0).await {
                let is_whole = page.total <= page.documents.len() as u64 && page.failed == 0;
                self.add(page.documents);
                if walk(&self.graph, origin, Direction::Downstream, depth).goes_on {
                    return;
                }
                if is_whole {
                    continue;
                }
            }
            self.unknown_beyond.push(Direction::Downstream);
            return;
        }
    }

    fn hashes(&self, nodes: &[NodeIndex]) -> Vec<String> {
        let hashes: BTreeSet<String> = nodes
            .iter()
            .map(|&node| fqn::hash(self.graph.node(node).fqn))
            .collect();
        hashes.into_iter().collect()
    }

    /// Adds all documents in which this field has one of these values.
    async fn fetch(&mut self, field: &str, hashes: &[String]) -> Result<(), Trouble> {
        let filters: Vec<Value> = calls(hashes)
            .map(|hashes| json!({"terms": {field: hashes}}))
            .collect();
        let answers: Vec<Result<Fetched, Trouble>> = {
            let this = &*self;
            stream::iter(filters)
                .map(|filter| async move { this.fetch_pages(&filter).await })
                .buffered(AT_A_TIME)
                .collect()
                .await
        };
        let mut trouble = None;
        for answer in answers {
            match answer {
                Ok(fetched) => {
                    self.gaps.extend(fetched.gaps);
                    self.add(fetched.documents);
                    if fetched.is_cut {
                        trouble = Some(Trouble::TooMany);
                    }
                }
                Err(error) => trouble = Some(error),
            }
        }
        self.gaps.dedup();
        match trouble {
            Some(trouble) => Err(trouble),
            None => Ok(()),
        }
    }

    /// All documents that a clause fits, for the start.
    async fn pages(&mut self, filter: &Value) -> Result<Vec<Value>, Trouble> {
        let fetched = self.fetch_pages(filter).await?;
        self.gaps.extend(fetched.gaps);
        if fetched.is_cut {
            self.add(fetched.documents);
            return Err(Trouble::TooMany);
        }
        Ok(fetched.documents)
    }

    async fn fetch_pages(&self, filter: &Value) -> Result<Fetched, Trouble> {
        let mut fetched = Fetched::default();
        let mut from = 0;
        loop {
            let page = self.page(filter, from).await?;
            if page.failed > 0 {
                fetched.gaps.push(Gap::Shards {
                    failed: page.failed,
                });
            }
            let returned = page.documents.len() as u64;
            fetched.documents.extend(page.documents);
            from += returned;
            if from >= page.total {
                return Ok(fetched);
            }
            if returned == 0 {
                fetched.gaps.push(Gap::Missing {
                    documents: page.total - from,
                });
                return Ok(fetched);
            }
            if from + PAGE > WINDOW {
                fetched.is_cut = true;
                return Ok(fetched);
            }
        }
    }

    async fn page(&self, filter: &Value, from: u64) -> Result<Page, Trouble> {
        let filter = json!({"query": {"bool": {"must": [filter]}}}).to_string();
        let from = from.to_string();
        let size = PAGE.to_string();
        // Names and order as recorded (lineage-by-search/*).
        let mut query = vec![
            ("q", "*"),
            ("index", "all"),
            ("size", size.as_str()),
            ("include_aggregations", "false"),
            ("track_total_hits", "true"),
            ("query_filter", filter.as_str()),
        ];
        query.extend(FIELDS.map(|field| ("include_source_fields", field)));
        query.push(("from", from.as_str()));
        let answer = before(self.deadline, self.client.get("search/query", &query))
            .await
            .ok_or(Trouble::Late)?
            .map_err(Trouble::Failed)?;
        read_page(answer).map_err(Trouble::Failed)
    }

    fn add(&mut self, documents: Vec<Value>) {
        for document in documents {
            documents::add(&mut self.graph, &document);
        }
    }
}

/// The fields that a node and its edges need, as recorded.
const FIELDS: [&str; 10] = [
    "fullyQualifiedName",
    "entityType",
    "name",
    "displayName",
    "fqnHash",
    "owners",
    "tier",
    "domains",
    "service.name",
    "upstreamLineage",
];

#[derive(Default)]
struct Fetched {
    documents: Vec<Value>,
    gaps: Vec<Gap>,
    /// The search window ended before the documents did.
    is_cut: bool,
}

/// One page of search hits.
pub(super) struct Page {
    pub documents: Vec<Value>,
    pub total: u64,
    /// Parts of the index that did not answer.
    pub failed: u64,
}

/// Reads a page; an answer without hits or their number is none.
pub(super) fn read_page(mut answer: Value) -> Result<Page, CatalogError> {
    let count = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64);
    let failed = count("/_shards/failed").unwrap_or(0)
        + u64::from(answer.get("timed_out") == Some(&Value::Bool(true)));
    let total = count("/hits/total/value").or_else(|| count("/hits/total"));
    let hits = answer.pointer_mut("/hits/hits").map(Value::take);
    let (Some(total), Some(Value::Array(hits))) = (total, hits) else {
        return Err(CatalogError::BadUpstream {
            message: "OpenMetadata's search answered without hits or without their number".into(),
        });
    };
    let documents = hits
        .into_iter()
        .filter_map(|mut hit| {
            let id = hit.get_mut("_id").map(Value::take);
            let mut document = hit.get_mut("_source").map(Value::take)?;
            // The id is not among the recorded fields; it is the document's own id.
            if let (Some(fields), Some(id)) = (document.as_object_mut(), id) {
                fields.entry("id").or_insert(id);
            }
            Some(document)
        })
        .collect();
    Ok(Page {
        documents,
        total,
        failed,
    })
}

/// The nodes at this depth.
fn at(walk: &Walk, depth: u32) -> Vec<NodeIndex> {
    walk.visits
        .iter()
        .filter(|visit| visit.depth == depth)
        .map(|visit| visit.node)
        .collect()
}

/// As many hashes as an address takes, at a time.
fn calls(hashes: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = hashes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut characters = 0;
        let fitting = rest
            .iter()
            .take(HASHES_A_CALL)
            .take_while(|hash| {
                characters += hash.len() + 3;
                characters <= CHARACTERS_A_CALL
            })
            .count()
            .max(1);
        let (call, later) = rest.split_at(fitting);
        rest = later;
        Some(call)
    })
}

impl Trouble {
    fn into_error(self) -> CatalogError {
        match self {
            Self::Late => CatalogError::Timeout {
                message: "OpenMetadata's search did not answer in time".into(),
            },
            Self::TooMany => CatalogError::Timeout {
                message: format!("more than {WINDOW} entities begin this lineage"),
            },
            Self::Failed(error) => error,
        }
    }

    fn into_gap(self, direction: Direction, depth: u32) -> Gap {
        match self {
            Self::Late => Gap::Deadline { direction, depth },
            Self::TooMany => Gap::TooMany { direction, depth },
            Self::Failed(error) => Gap::Failed {
                direction,
                depth,
                message: error.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_never_grows_too_long() {
        let short: Vec<String> = (0..95).map(|n| format!("{n:0>32}")).collect();
        let sizes: Vec<usize> = calls(&short).map(<[String]>::len).collect();
        assert_eq!(sizes, [40, 40, 15]);
        let long = vec!["h".repeat(6_000), "i".repeat(3_000), "j".repeat(3_000)];
        assert_eq!(calls(&long).count(), 3);
        assert_eq!(calls(&[]).count(), 0);
    }
}
