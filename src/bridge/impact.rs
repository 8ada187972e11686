//! What a failing service does to the data: the datasets that it carries and everything below.

mod questions;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    catalog::{
        graph::{Detail, Direction, walk::walk},
        lineage::{Lineage, Reach},
    },
    platform::Platform,
};

pub use questions::{hurt_by, lineages_of};

/// A dataset of the catalog, and the service of the platform that carries it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carried {
    /// FQN, as the platform file names it.
    pub dataset: String,
    pub service: String,
}

/// What is hurt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hurt {
    pub carried: Vec<Carried>,
    /// Entities in these datasets and downstream of them.
    pub total: u64,
    /// More may be hurt: something could not be looked at.
    pub is_at_least: bool,
    pub by_type: BTreeMap<String, u64>,
    /// FQNs, sorted.
    pub dashboards: Vec<String>,
    /// With how many entities each has, most first.
    pub owners: Vec<(String, u64)>,
    /// Entities whose owners were not read.
    pub owners_unread: u64,
    /// Why something could not be looked at.
    pub missed: Vec<String>,
}

/// What these services carry, with all services that need them: those stop too.
pub fn carried_by<'a>(
    platform: &'a Platform,
    services: impl IntoIterator<Item = &'a str>,
) -> Vec<Carried> {
    let reached = reached_from(platform, services);
    let mut carried: Vec<Carried> = platform
        .services
        .iter()
        .filter(|service| reached.contains(service.name.0.as_str()))
        .flat_map(|service| {
            service.datasets.iter().map(|dataset| Carried {
                dataset: dataset.clone(),
                service: service.name.0.clone(),
            })
        })
        .collect();
    carried.sort();
    carried
}

/// The other services that stop with this one, as they need it; in the order of the file.
pub fn stopped_with(platform: &Platform, service: &str) -> Vec<String> {
    let reached = reached_from(platform, [service]);
    platform
        .services
        .iter()
        .map(|other| other.name.0.as_str())
        .filter(|name| *name != service && reached.contains(name))
        .map(str::to_owned)
        .collect()
}

/// These services and everything that needs one of them, directly or not.
fn reached_from<'a>(
    platform: &'a Platform,
    services: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<&'a str> {
    let mut reached: BTreeSet<&str> = services.into_iter().collect();
    loop {
        let before = reached.len();
        for service in &platform.services {
            let mut needs = service.needs.iter();
            if needs.any(|need| reached.contains(need.0.as_str())) {
                reached.insert(&service.name.0);
            }
        }
        if reached.len() == before {
            return reached;
        }
    }
}

/// The services of the platform that carry an entity of this FQN, the closest dataset first.
pub fn carriers_of<'a>(platform: &'a Platform, fqn: &str) -> Vec<(&'a str, &'a str)> {
    let is_within = |dataset: &str| {
        fqn.strip_prefix(dataset)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut carriers: Vec<(&str, &str)> = platform
        .services
        .iter()
        .flat_map(|service| {
            let datasets = service.datasets.iter().filter(|dataset| is_within(dataset));
            datasets.map(|dataset| (service.name.0.as_str(), dataset.as_str()))
        })
        .collect();
    carriers.sort_by_key(|(_, dataset)| std::cmp::Reverse(dataset.len()));
    carriers
}

impl Hurt {
    /// Everything at and below the origins of these lineages, each entity once.
    fn of(carried: Vec<Carried>, lineages: &[Lineage], missed: Vec<String>) -> Self {
        let mut hurt = Self {
            carried,
            is_at_least: !missed.is_empty(),
            missed,
            ..Self::default()
        };
        let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
        let mut owners: BTreeMap<String, u64> = BTreeMap::new();
        for lineage in lineages {
            hurt.is_at_least |= !lineage.gaps.is_empty();
            hurt.missed
                .extend(lineage.gaps.iter().map(ToString::to_string));
            let walked = walk(
                &lineage.graph,
                &lineage.origin,
                Direction::Downstream,
                Reach::EVERYTHING,
            );
            for visit in walked.visits {
                let node = lineage.graph.node(visit.node);
                let kind = node.entity_type.as_str();
                if !seen.insert((kind.to_owned(), node.fqn.to_owned())) {
                    continue;
                }
                hurt.total += 1;
                *hurt.by_type.entry(kind.to_owned()).or_default() += 1;
                if kind == "dashboard" {
                    hurt.dashboards.push(node.fqn.to_owned());
                }
                if node.detail != Detail::Full {
                    hurt.owners_unread += 1;
                }
                for owner in node.owners {
                    *owners.entry(owner.name.clone()).or_default() += 1;
                }
            }
        }
        hurt.dashboards.sort();
        hurt.owners = owners.into_iter().collect();
        hurt.owners
            .sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        hurt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Service, ServiceName};

    fn platform() -> Platform {
        let mut platform = Platform::default();
        for (name, needs, datasets) in [
            ("db", "", &["pg.openpolicy"][..]),
            ("etl", "db", &["warehouse", "pg.openpolicy.scrapers"][..]),
            ("web", "etl", &[][..]),
            ("redis", "", &["cache"][..]),
        ] {
            let mut service = Service::named(name);
            if !needs.is_empty() {
                service.needs.push(ServiceName(needs.into()));
            }
            service.datasets = datasets.iter().map(|dataset| (*dataset).into()).collect();
            platform.services.push(service);
        }
        platform
    }

    #[test]
    fn what_needs_a_service_loses_its_data_too() {
        let platform = platform();
        let of = |service| -> Vec<String> {
            let carried = carried_by(&platform, [service]);
            carried
                .into_iter()
                .map(|carried| format!("{} by {}", carried.dataset, carried.service))
                .collect()
        };
        assert_eq!(
            of("db"),
            [
                "pg.openpolicy by db",
                "pg.openpolicy.scrapers by etl",
                "warehouse by etl"
            ]
        );
        assert_eq!(of("web"), [] as [String; 0]);
    }

    #[test]
    fn the_closest_dataset_names_the_carrier_first() {
        let platform = platform();
        assert_eq!(
            carriers_of(&platform, "pg.openpolicy.scrapers.raw"),
            [("etl", "pg.openpolicy.scrapers"), ("db", "pg.openpolicy")]
        );
        assert_eq!(carriers_of(&platform, "pg.openpolicy2.t"), []);
    }
}
