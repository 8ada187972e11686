//! Sums of what is affected: counts, dashboards by name, owners to tell.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::lineage;
use crate::{
    answer::Table,
    catalog::{
        graph::{Detail, Graph, NodeIndex, NodeView},
        lineage::Lineage,
    },
};

/// Keys that one kind of count shows; the rest is one sum.
const MOST_KEYS: usize = 12;
/// Owners that are named.
const MOST_OWNERS: usize = 10;
/// Dashboards that are named.
const MOST_DASHBOARDS: usize = 15;
/// Of what one owner has, so many are named.
const MOST_OF_ONE: usize = 2;

/// One affected entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub node: NodeIndex,
    /// Hops; 0 for what is lost itself.
    pub depth: u32,
    /// Names of the columns that are reached.
    pub columns: Vec<String>,
}

/// The most important first: by tier, then hops, then name.
pub fn sort(graph: &Graph, items: &mut [Item]) {
    items.sort_by(|a, b| {
        let (left, right) = (graph.node(a.node), graph.node(b.node));
        tier_key(left)
            .cmp(&tier_key(right))
            .then(a.depth.cmp(&b.depth))
            .then_with(|| graph.by_name(a.node, b.node))
    });
}

/// `Tier1` sorts before `Tier2`, and everything before no tier.
fn tier_key(node: NodeView<'_>) -> (bool, &str) {
    (node.tier.is_none(), lineage::tier(node).unwrap_or_default())
}

pub struct Affected<'a> {
    total: u64,
    by_type: BTreeMap<&'a str, u64>,
    by_tier: BTreeMap<&'a str, u64>,
    by_owner: BTreeMap<&'a str, u64>,
    by_domain: BTreeMap<&'a str, u64>,
    dashboards: Vec<String>,
}

/// Owners to tell.
pub struct Notify {
    pub table: Value,
    /// Owners that are not in it.
    pub left: usize,
}

impl<'a> Affected<'a> {
    pub fn of(graph: &'a Graph, items: &[Item]) -> Self {
        let mut affected = Self {
            total: items.len() as u64,
            by_type: BTreeMap::new(),
            by_tier: BTreeMap::new(),
            by_owner: BTreeMap::new(),
            by_domain: BTreeMap::new(),
            dashboards: Vec::new(),
        };
        for item in items {
            let node = graph.node(item.node);
            // What was not read is not 'none'.
            let absent = if node.detail == Detail::Full {
                "none"
            } else {
                "not read"
            };
            count(&mut affected.by_type, &[node.entity_type.as_str()], absent);
            let tier: Vec<&str> = lineage::tier(node).into_iter().collect();
            count(&mut affected.by_tier, &tier, absent);
            let owners = node.owners.iter().map(|owner| owner.name.as_str());
            let owners: Vec<&str> = owners.collect();
            count(&mut affected.by_owner, &owners, absent);
            let domains: Vec<&str> = node.domains.iter().map(String::as_str).collect();
            count(&mut affected.by_domain, &domains, absent);
            if node.entity_type.as_str() == "dashboard" {
                affected.dashboards.push(node.fqn.to_owned());
            }
        }
        affected
    }

    /// `{total, by_type, by_tier, by_owner, by_domain}`.
    pub fn counts(&self, lineage: &Lineage) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("total".into(), self.total.into());
        if !lineage.gaps.is_empty() {
            fields.insert("total_is_lower_bound".into(), true.into());
        }
        for (name, by) in [
            ("by_type", &self.by_type),
            ("by_tier", &self.by_tier),
            ("by_owner", &self.by_owner),
            ("by_domain", &self.by_domain),
        ] {
            if !by.is_empty() {
                fields.insert(name.into(), lineage::counts(by.clone(), MOST_KEYS).into());
            }
        }
        fields
    }

    /// Dashboards by name.
    pub fn dashboards(&self) -> Value {
        lineage::some(&self.dashboards, MOST_DASHBOARDS)
    }

    /// Who to tell: the owners of the most important first. `items` are sorted.
    pub fn notify(&self, graph: &Graph, items: &[Item]) -> Notify {
        struct Owned<'a> {
            kind: &'a str,
            first: usize,
            count: usize,
            most_important: Vec<&'a str>,
        }
        let mut owners: BTreeMap<&str, Owned<'_>> = BTreeMap::new();
        for (position, item) in items.iter().enumerate() {
            let node = graph.node(item.node);
            for owner in node.owners {
                let owned = owners.entry(owner.name.as_str()).or_insert_with(|| Owned {
                    kind: &owner.kind,
                    first: position,
                    count: 0,
                    most_important: Vec::new(),
                });
                owned.count += 1;
                if owned.most_important.len() < MOST_OF_ONE {
                    owned.most_important.push(node.fqn);
                }
            }
        }
        let mut owners: Vec<(&str, Owned<'_>)> = owners.into_iter().collect();
        owners.sort_by_key(|(_, owned)| owned.first);
        let left = owners.len().saturating_sub(MOST_OWNERS);
        let mut table = Table::new(&["owner", "kind", "affected", "most_important"]);
        for (name, owned) in owners.into_iter().take(MOST_OWNERS) {
            table.push(vec![
                name.into(),
                owned.kind.into(),
                owned.count.into(),
                json!(owned.most_important),
            ]);
        }
        Notify {
            table: if table.is_empty() {
                Value::Null
            } else {
                table.into_value()
            },
            left,
        }
    }
}

/// Counts each key once, or that there is none.
fn count<'a>(counts: &mut BTreeMap<&'a str, u64>, keys: &[&'a str], absent: &'a str) {
    if keys.is_empty() {
        *counts.entry(absent).or_default() += 1;
    }
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
}
