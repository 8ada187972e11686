//! Finds what stands upstream of something, and how far away.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use super::Investigation;
use crate::{
    answer::Total,
    catalog::{
        Catalog, CatalogError, EntitySummary, EntityType, Reference, fqn,
        graph::walk::{Direction, walk},
        lineage::{Lineage, Reach},
        model::Name,
        quality::{TestCase, TestStatus},
        scope::Target,
        search::{Filters, Question},
    },
};

/// Hops that are walked upstream.
const MOST_HOPS: u32 = 10;
/// Entities of a service that are walked upstream from on a live server, each by some requests.
const MOST_STARTS: usize = 8;
/// Entities of a service that are listed.
const MOST_MEMBERS: u64 = 500;
/// Types that stand in lineages, those aside that only group others.
const WITH_LINEAGE: &[&str] = &[
    "table",
    "dashboard",
    "dashboardDataModel",
    "topic",
    "mlmodel",
    "container",
    "searchIndex",
    "pipeline",
    "storedProcedure",
    "apiEndpoint",
];

/// What stands upstream: names with their distance.
#[derive(Default)]
pub(super) struct Around {
    pub entities: HashMap<String, Placed>,
    /// FQN of a pipeline -> hops.
    pub pipelines: BTreeMap<String, u32>,
    /// FQN of a service -> hops to the nearest entity in it.
    pub services: BTreeMap<String, u32>,
}

pub(super) struct Placed {
    pub distance: u32,
    pub entity_type: EntityType,
    pub id: String,
    pub is_deleted: bool,
}

impl Catalog {
    /// The entities that the walk begins at.
    pub(super) async fn starts(
        &self,
        target: &Target,
        cases: &[TestCase],
        found: &mut Investigation,
        deadline: Instant,
    ) -> Result<Vec<EntitySummary>, CatalogError> {
        let named = |name: &str| Reference {
            written: name.to_owned(),
            entity_type: None,
            name: Name::Fqn(name.to_owned()),
        };
        if target.entity_type.as_str() == "testCase" {
            let entity = match cases.iter().find(|case| case.fqn == target.fqn) {
                Some(case) => case.entity.clone(),
                // The list did not come, or is cut: the test is below what it tests.
                None => fqn::parent(&target.fqn).unwrap_or_default(),
            };
            return Ok(vec![self.resolve(&named(&entity)).await?]);
        }
        if target.is_service() {
            return Ok(Box::pin(self.members(target, cases, found, deadline)).await);
        }
        let reference = Reference {
            entity_type: Some(target.entity_type.clone()),
            ..named(&target.fqn)
        };
        Ok(vec![self.resolve(&reference).await?])
    }

    /// What lives in a service and can have something upstream, failing entities first.
    pub(super) async fn members(
        &self,
        target: &Target,
        cases: &[TestCase],
        found: &mut Investigation,
        deadline: Instant,
    ) -> Vec<EntitySummary> {
        let question = Question {
            filters: Filters {
                service: Some(target.fqn.clone()),
                ..Filters::default()
            },
            types: WITH_LINEAGE
                .iter()
                .map(|name| EntityType::new(*name))
                .collect(),
            limit: MOST_MEMBERS,
            ..Question::default()
        };
        let mut members: Vec<EntitySummary> = match self.search(&question, deadline).await {
            Ok(listed) => {
                let (Total::Exact(total) | Total::AtLeast(total)) = listed.total;
                if total > listed.hits.len() as u64 {
                    found.missed.push(format!(
                        "{} of {total} entities of the service",
                        total - listed.hits.len() as u64
                    ));
                }
                listed.hits.into_iter().map(|hit| hit.entity).collect()
            }
            Err(error) => {
                found
                    .missed
                    .push(format!("the entities of the service: {error}"));
                Vec::new()
            }
        };
        let fails = |fqn: &str| {
            cases
                .iter()
                .any(|case| case.entity == fqn && case.status == Some(TestStatus::Failed))
        };
        members.sort_by_key(|member| (!fails(&member.fqn), member.fqn.clone()));
        let most = match self {
            Self::Live(_) => MOST_STARTS,
            // In memory: a walk costs next to nothing.
            Self::Snapshot(_) => members.len(),
        };
        if members.len() > most {
            found.missed.push(format!(
                "what is upstream of {} of {} entities of the service, those without failing \
                 tests last: name one of them",
                members.len() - most,
                members.len()
            ));
            members.truncate(most);
        }
        members
    }

    /// Everything upstream of the starts, with them.
    pub(super) async fn around(
        &self,
        target: &Target,
        starts: &[EntitySummary],
        found: &mut Investigation,
        deadline: Instant,
    ) -> Around {
        let mut around = Around::default();
        if target.is_service() {
            around.services.insert(target.fqn.clone(), 0);
        }
        // Half of the time is for what stands upstream, half for what is wrong with it.
        let now = Instant::now();
        let half = deadline.saturating_duration_since(now) / 2;
        let until = now + half.max(Duration::from_millis(1));
        for start in starts {
            around.place(
                &start.fqn,
                &start.entity_type,
                &start.id,
                0,
                start.is_deleted,
            );
            around.place_service(start.service.as_deref(), &start.fqn, 0);
            let reach = Reach::only(Direction::Upstream, MOST_HOPS);
            match Box::pin(self.lineage(start, reach, until)).await {
                Ok(lineage) => {
                    for gap in &lineage.gaps {
                        found.missed.push(format!("all of the lineage: {gap}"));
                    }
                    found.notes.extend(lineage.notes.iter().cloned());
                    let hops = around.add(&lineage);
                    found.looked_at.hops = found.looked_at.hops.max(hops);
                    if lineage.unknown_beyond.contains(&Direction::Upstream) {
                        found
                            .notes
                            .push("more may lie upstream than was looked at".into());
                    }
                }
                Err(error) => found
                    .missed
                    .push(format!("what is upstream of {}: {error}", start.fqn)),
            }
        }
        around
    }
}

impl Around {
    /// Adds what a lineage has upstream; the hops to the farthest.
    fn add(&mut self, lineage: &Lineage) -> u32 {
        let graph = &lineage.graph;
        let walked = walk(graph, &lineage.origin, Direction::Upstream, MOST_HOPS);
        let depths: HashMap<usize, u32> = walked
            .visits
            .iter()
            .map(|visit| (visit.node, visit.depth))
            .collect();
        for (&index, &depth) in &depths {
            let node = graph.node(index);
            self.place(node.fqn, node.entity_type, node.id, depth, node.is_deleted);
            self.place_service(node.service, node.fqn, depth);
            if node.entity_type.as_str() == "pipeline" {
                self.place_pipeline(node.fqn, depth);
            }
            for edge in graph.edges_of(index, Direction::Upstream) {
                if let Some(pipeline) = graph.edge(edge).pipeline {
                    self.place_pipeline(pipeline, depth + 1);
                }
            }
        }
        depths.values().copied().max().unwrap_or(0)
    }

    fn place(
        &mut self,
        name: &str,
        entity_type: &EntityType,
        id: &str,
        distance: u32,
        is_deleted: bool,
    ) {
        let placed = self.entities.entry(name.to_owned()).or_insert(Placed {
            distance,
            entity_type: entity_type.clone(),
            id: id.to_owned(),
            is_deleted,
        });
        placed.distance = placed.distance.min(distance);
    }

    fn place_service(&mut self, service: Option<&str>, entity: &str, distance: u32) {
        let service = match service {
            Some(service) => service.to_owned(),
            None => match fqn::parts(entity).into_iter().next() {
                Some(first) => fqn::joined(&[first]),
                None => return,
            },
        };
        let nearest = self.services.entry(service).or_insert(distance);
        *nearest = (*nearest).min(distance);
    }

    fn place_pipeline(&mut self, name: &str, distance: u32) {
        let nearest = self.pipelines.entry(name.to_owned()).or_insert(distance);
        *nearest = (*nearest).min(distance);
    }
}
