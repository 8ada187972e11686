//! Search: questions and hits as types, and the way to either side.

pub(super) mod filter;
mod live;
pub mod text;

use std::time::Instant;

use text::{Fields, Typed};

use super::{Catalog, CatalogError, EntitySummary, EntityType};
use crate::answer::Total;

/// The furthest that a search engine pages: `from + size` above it is refused (recorded:
/// `search/from-9990`).
pub const FURTHEST: u64 = 10_000;

/// What to look for. Everything has to hold at once.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// None lists everything that the filters let through.
    pub typed: Option<Typed>,
    /// Any of these; none for the kinds that a catalog is about.
    pub types: Vec<EntityType>,
    pub filters: Filters,
    /// Deleted entities instead of those that are there.
    pub deleted: bool,
    pub start: u64,
    pub limit: u64,
    pub facets: Vec<Facet>,
}

/// Names as the caller wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    pub service: Option<String>,
    pub owner: Option<String>,
    /// All of these.
    pub tags: Vec<String>,
    /// `Tier.Tier1` to `Tier.Tier5`, or another name of the classification `Tier`.
    pub tier: Option<String>,
    pub domain: Option<String>,
    pub term: Option<String>,
    pub column: Option<String>,
    /// What has to be absent.
    pub missing: Vec<Missing>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Owner,
    Description,
    Tier,
    Tags,
    Domain,
    Term,
}

/// What hits are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    Type,
    Service,
    Owner,
    Tier,
    Tag,
    Domain,
}

impl Facet {
    pub const ALL: [Facet; 6] = [
        Self::Type,
        Self::Service,
        Self::Owner,
        Self::Tier,
        Self::Tag,
        Self::Domain,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Service => "service",
            Self::Owner => "owner",
            Self::Tier => "tier",
            Self::Tag => "tag",
            Self::Domain => "domain",
        }
    }
}

/// Counts of one facet over everything that was found, largest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    pub facet: Facet,
    pub values: Vec<(String, u64)>,
    /// Hits under values that the other side did not list.
    pub others: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub entity: EntitySummary,
    /// None where only filters were asked.
    pub why: Option<String>,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// From `start` on, at most `limit`.
    pub hits: Vec<Hit>,
    pub total: Total,
    pub counts: Vec<Counts>,
    /// What the reader has to know.
    pub notes: Vec<String>,
    /// Near names where nothing was found.
    pub did_you_mean: Vec<String>,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            hits: Vec::new(),
            total: Total::Exact(0),
            counts: Vec::new(),
            notes: Vec::new(),
            did_you_mean: Vec::new(),
        }
    }
}

/// Why a filter lets nothing through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// There is such a thing; nothing has it.
    Known,
    /// There is none; these look like it.
    Unknown(Vec<String>),
    /// It could not be looked up.
    Unclear,
}

impl Question {
    /// Whether only one exact name is asked for: a name of several parts.
    pub fn exact_fqn(&self) -> Option<&str> {
        let typed = self.typed.as_ref()?;
        (super::fqn::parts(&typed.written).len() > 1 && !typed.is_prefix)
            .then_some(typed.written.as_str())
    }
}

impl Catalog {
    /// Looks for entities. An exact FQN is answered by that entity alone; where there is none,
    /// its words are looked for, and a name that differs only by case is named in the notes.
    pub async fn search(
        &self,
        question: &Question,
        deadline: Instant,
    ) -> Result<Found, CatalogError> {
        match self {
            Self::Live(client) => match live::search(client, question, deadline).await {
                Ok(found) => Ok(found),
                Err(error) => live::without_search_engine(self, question, error).await,
            },
            Self::Snapshot(snapshot) => super::snapshot::search::search(snapshot, question),
        }
    }

    /// Whether the thing that a filter names exists at all.
    pub async fn named(&self, filter: &FilterName) -> Result<Named, CatalogError> {
        match self {
            Self::Live(client) => Ok(live::named(client, filter).await),
            Self::Snapshot(snapshot) => super::snapshot::near::named(snapshot, filter),
        }
    }
}

/// One name out of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterName {
    /// The argument that holds it: `owner`, `service`, `tags`, `tier`, `domain`, `term`, `column`.
    pub argument: &'static str,
    pub name: String,
}

impl Filters {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every name in it, with its argument.
    pub fn names(&self) -> Vec<FilterName> {
        let single = [
            ("service", &self.service),
            ("owner", &self.owner),
            ("tier", &self.tier),
            ("domain", &self.domain),
            ("term", &self.term),
            ("column", &self.column),
        ];
        single
            .into_iter()
            .filter_map(|(argument, name)| {
                Some(FilterName {
                    argument,
                    name: name.clone()?,
                })
            })
            .chain(self.tags.iter().map(|name| FilterName {
                argument: "tags",
                name: name.clone(),
            }))
            .collect()
    }
}

/// Parts hits on an exact name from those that differ by case alone: the server does not.
pub fn exact_and_twins(
    fqn: &str,
    entities: Vec<EntitySummary>,
) -> (Vec<EntitySummary>, Vec<EntitySummary>) {
    let wanted = fqn.to_lowercase();
    entities
        .into_iter()
        .filter(|entity| entity.fqn.to_lowercase() == wanted)
        .partition(|entity| entity.fqn == fqn)
}

/// The answer to an exact name.
pub fn found_exactly(exact: Vec<EntitySummary>, twins: &[EntitySummary]) -> Found {
    let mut found = Found {
        total: Total::Exact(exact.len() as u64),
        hits: exact
            .into_iter()
            .map(|entity| Hit {
                entity,
                why: Some("exact name".into()),
            })
            .collect(),
        ..Found::default()
    };
    let mut names: Vec<&str> = twins.iter().map(|twin| twin.fqn.as_str()).collect();
    names.dedup();
    if !names.is_empty() {
        found.notes.push(format!(
            "another entity differs only by case: {}",
            names.join(", ")
        ));
    }
    found
}

/// The answer to a name that differs from those of these entities by its case alone. `None` where
/// there is no such entity: then its words are looked for.
pub fn found_by_other_case(fqn: &str, entities: Vec<EntitySummary>) -> Option<Found> {
    if entities.is_empty() {
        return None;
    }
    let mut found = found_exactly(entities, &[]);
    for hit in &mut found.hits {
        hit.why = Some("name, other case".into());
    }
    found.notes.push(format!(
        "nothing is called exactly {fqn}: names differ by case"
    ));
    Some(found)
}

/// Why this entity answers the question.
pub fn why(question: &Question, entity: &EntitySummary, columns: &[&str]) -> Option<String> {
    let typed = question.typed.as_ref()?;
    Some(text::why(
        typed,
        &Fields {
            name: &entity.name,
            display_name: entity.display_name.as_deref(),
            fqn: &entity.fqn,
            description: entity.description.as_deref(),
            columns: columns.to_vec(),
        },
    ))
}
