//! What the rest of the house knows of an entity: names, owners, tags; no wire format.

use std::fmt;

/// The kind of an entity as OpenMetadata spells it: `table`, `databaseSchema`, `dashboard`, …
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityType(String);

impl EntityType {
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The collection of this type below `/api/v1`: `tables`, `services/databaseServices`.
    /// None for a type that has no collection of its own (a column, a test result).
    pub fn collection(&self) -> Option<&'static str> {
        COLLECTIONS
            .iter()
            .find(|(name, _)| *name == self.0)
            .map(|(_, collection)| *collection)
    }

    /// The type whose collection stands at the beginning of this path below `/api/v1`.
    pub fn of_collection(collection: &str) -> Option<Self> {
        COLLECTIONS
            .iter()
            .find(|(_, path)| *path == collection)
            .map(|(name, _)| Self::new(*name))
    }

    /// Every type that has a collection, for near matches and completions.
    pub fn known() -> impl Iterator<Item = &'static str> {
        COLLECTIONS.iter().map(|(name, _)| *name)
    }
}

impl fmt::Display for EntityType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Entity types and their collections, from the server's OpenAPI document (1.12.6).
const COLLECTIONS: &[(&str, &str)] = &[
    ("table", "tables"),
    ("databaseSchema", "databaseSchemas"),
    ("database", "databases"),
    ("dashboard", "dashboards"),
    ("dashboardDataModel", "dashboard/datamodels"),
    ("chart", "charts"),
    ("pipeline", "pipelines"),
    ("topic", "topics"),
    ("mlmodel", "mlmodels"),
    ("container", "containers"),
    ("searchIndex", "searchIndexes"),
    ("storedProcedure", "storedProcedures"),
    ("apiCollection", "apiCollections"),
    ("apiEndpoint", "apiEndpoints"),
    ("metric", "metrics"),
    ("query", "queries"),
    ("glossary", "glossaries"),
    ("glossaryTerm", "glossaryTerms"),
    ("classification", "classifications"),
    ("tag", "tags"),
    ("domain", "domains"),
    ("dataProduct", "dataProducts"),
    ("dataContract", "dataContracts"),
    ("user", "users"),
    ("team", "teams"),
    ("testCase", "dataQuality/testCases"),
    ("testSuite", "dataQuality/testSuites"),
    ("ingestionPipeline", "services/ingestionPipelines"),
    ("databaseService", "services/databaseServices"),
    ("dashboardService", "services/dashboardServices"),
    ("messagingService", "services/messagingServices"),
    ("pipelineService", "services/pipelineServices"),
    ("mlmodelService", "services/mlmodelServices"),
    ("storageService", "services/storageServices"),
    ("searchService", "services/searchServices"),
    ("apiService", "services/apiServices"),
    ("metadataService", "services/metadataServices"),
];

/// A user or a team.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    pub id: String,
    /// `user` or `team`.
    pub kind: String,
    pub name: String,
    pub display_name: Option<String>,
}

/// What search, lineage and reads tell of every entity alike.
#[derive(Debug, Clone, PartialEq)]
pub struct EntitySummary {
    pub id: String,
    pub entity_type: EntityType,
    pub fqn: String,
    pub name: String,
    pub display_name: Option<String>,
    pub description: Option<String>,
    /// FQN of the service that it lives in.
    pub service: Option<String>,
    pub owners: Vec<Owner>,
    /// `Tier.Tier1` to `Tier.Tier5`.
    pub tier: Option<String>,
    /// FQNs of classification tags, tier apart.
    pub tags: Vec<String>,
    /// FQNs of glossary terms.
    pub terms: Vec<String>,
    /// FQNs of domains.
    pub domains: Vec<String>,
    pub is_deleted: bool,
    /// Milliseconds since 1970, UTC.
    pub updated_at: Option<i64>,
    pub version: Option<f64>,
}

/// A tier as answers name it, `Tier1` for `Tier.Tier1`; filters and changes take both.
pub fn tier_name(fqn: &str) -> &str {
    fqn.strip_prefix("Tier.").unwrap_or(fqn)
}

/// How a caller names an entity: FQN, `type:fqn`, id, or the address of its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What the caller wrote, for messages.
    pub written: String,
    /// Where the caller said it (or the page address does).
    pub entity_type: Option<EntityType>,
    pub name: Name,
}

/// The part of a reference that picks one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    Fqn(String),
    /// A UUID.
    Id(String),
}
