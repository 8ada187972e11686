//! Parts of an entity that take a read of their own: tests, contract, queries, versions, profile,
//! sample rows.

mod shapes;

use serde_json::Value;
use shapes::{contract_of, list, profile_of, quality_of, queries_of, sample_of, versions_of};

use super::{
    Catalog, CatalogError, EntityType, client::Version, entities::Entity, fqn, listing,
    snapshot::Kind, wire::text,
};

/// A part that takes a read of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Quality,
    Contract,
    Queries,
    Versions,
    Profile,
    Sample,
}

impl Part {
    /// Entities of this type can have it.
    pub fn is_of(self, entity_type: &EntityType) -> bool {
        let name = entity_type.as_str();
        match self {
            Self::Quality | Self::Queries | Self::Profile => name == "table",
            Self::Sample => matches!(name, "table" | "topic" | "container" | "searchIndex"),
            // The assets that the contracts of 1.12.6 are about.
            Self::Contract => matches!(
                name,
                "table"
                    | "database"
                    | "databaseSchema"
                    | "dashboard"
                    | "dashboardDataModel"
                    | "chart"
                    | "pipeline"
                    | "topic"
                    | "mlmodel"
                    | "container"
                    | "searchIndex"
                    | "storedProcedure"
                    | "apiCollection"
                    | "apiEndpoint"
                    | "dataProduct"
            ),
            Self::Versions => entity_type.collection().is_some(),
        }
    }
}

/// How many records of a part are read.
const MOST_RECORDS: &str = "100";

impl Catalog {
    /// The document of a part: `None` where the entity has none. `Unsupported` where this server
    /// or snapshot cannot tell.
    pub async fn part(&self, entity: &Entity, part: Part) -> Result<Option<Value>, CatalogError> {
        if !part.is_of(&entity.summary.entity_type) {
            return Ok(None);
        }
        match part {
            Part::Quality => self.quality_part(entity).await,
            Part::Contract => self.contract_part(entity).await,
            Part::Queries => self.queries_part(entity).await,
            Part::Versions => self.versions_part(entity).await,
            Part::Profile => self.profile_part(entity).await,
            Part::Sample => self.sample_part(entity).await,
        }
    }

    async fn quality_part(&self, entity: &Entity) -> Result<Option<Value>, CatalogError> {
        let name = &entity.summary.fqn;
        let (tests, total) = match self {
            Self::Live(client) => {
                // Old servers tell a state only with the last result (1.2.0; 1.12.6 needs none).
                let fields =
                    (client.version().await? < Version::new(1, 5, 0)).then_some("testCaseResult");
                let link = format!("<#E::{}::{name}>", entity.summary.entity_type);
                let mut query = vec![
                    ("entityLink", link.as_str()),
                    ("includeAllTests", "true"),
                    ("limit", MOST_RECORDS),
                ];
                query.extend(fields.map(|fields| ("fields", fields)));
                let answer = client.get("dataQuality/testCases", &query).await?;
                let answer = holding(answer, "data", "its tests")?;
                let tests = list(&answer, "data");
                let total = answer.pointer("/paging/total").and_then(Value::as_u64);
                let total = total.unwrap_or(tests.len() as u64);
                (tests, total)
            }
            Self::Snapshot(snapshot) => {
                let below = format!("{name}.");
                let tests: Vec<Value> = snapshot
                    .documents(Kind::TestCase)?
                    .into_iter()
                    .map(|(_, test)| test)
                    .filter(|test| {
                        let of = text(test, "entityFQN").unwrap_or_default();
                        of == *name || of.starts_with(&below)
                    })
                    .collect();
                let total = tests.len() as u64;
                (tests, total)
            }
        };
        Ok((total > 0).then(|| quality_of(&tests, total)))
    }

    async fn contract_part(&self, entity: &Entity) -> Result<Option<Value>, CatalogError> {
        let document = match self {
            Self::Live(client) => {
                let query = [
                    ("entityId", entity.summary.id.as_str()),
                    ("entityType", entity.summary.entity_type.as_str()),
                ];
                match client.get("dataContracts/entity", &query).await {
                    Ok(document) => Some(document),
                    Err(CatalogError::NotFound { .. }) => None,
                    Err(error) => return Err(error),
                }
            }
            Self::Snapshot(snapshot) => snapshot.document(Kind::Contract, &entity.summary.fqn)?,
        };
        Ok(document
            .filter(Value::is_object)
            .map(|document| contract_of(&document)))
    }

    async fn queries_part(&self, entity: &Entity) -> Result<Option<Value>, CatalogError> {
        let document = match self {
            Self::Live(client) => {
                let query = [("entityId", entity.summary.id.as_str()), ("limit", "5")];
                let answer = client.get("queries", &query).await?;
                Some(holding(answer, "data", "its queries")?)
            }
            Self::Snapshot(snapshot) => kept(
                snapshot.document(Kind::Queries, &entity.summary.fqn)?,
                "queries",
            )?,
        };
        let Some(document) = document else {
            return Ok(None);
        };
        let queries = records(&document, "data");
        let total = document
            .pointer("/paging/total")
            .and_then(Value::as_u64)
            .unwrap_or(queries.len() as u64);
        Ok((total > 0).then(|| queries_of(&queries, total)))
    }

    async fn versions_part(&self, entity: &Entity) -> Result<Option<Value>, CatalogError> {
        let document = match self {
            Self::Live(client) => {
                let collection = entity.summary.entity_type.collection().unwrap_or_default();
                let path = format!(
                    "{collection}/{}/versions",
                    fqn::path_segment(&entity.summary.id)
                );
                let answer = client.get(&path, &[]).await?;
                Some(holding(answer, "versions", "its versions")?)
            }
            Self::Snapshot(snapshot) => kept(
                snapshot.document(Kind::Versions, &entity.summary.fqn)?,
                "versions",
            )?,
        };
        Ok(document.map(|document| versions_of(&records(&document, "versions"))))
    }

    async fn profile_part(&self, entity: &Entity) -> Result<Option<Value>, CatalogError> {
        let document = match self {
            Self::Live(client) => {
                // By id it is 404; the path takes a name here.
                let path = format!(
                    "tables/{}/tableProfile/latest",
                    fqn::path_segment(&entity.summary.fqn)
                );
                match client.get(&path, &[]).await {
                    Ok(document) => Some(document),
                    Err(CatalogError::NotFound { .. }) => None,
                    Err(error) => return Err(error),
                }
            }
            Self::Snapshot(snapshot) => kept(
                snapshot.document(Kind::Profile, &entity.summary.fqn)?,
                "profile",
            )?,
        };
        Ok(document.and_then(|document| profile_of(&document)))
    }

    async fn sample_part(&self, entity: &Entity) -> Result<Option<Value>, CatalogError> {
        let document = match self {
            Self::Live(client) => {
                let collection = entity.summary.entity_type.collection().unwrap_or_default();
                let path = format!(
                    "{collection}/{}/sampleData",
                    fqn::path_segment(&entity.summary.id)
                );
                Some(client.get(&path, &[]).await?)
            }
            Self::Snapshot(snapshot) => kept(
                snapshot.document(Kind::SampleData, &entity.summary.fqn)?,
                "sample rows",
            )?,
        };
        Ok(document.and_then(|document| sample_of(&document)))
    }
}

/// What a snapshot holds of a part; not holding it is no statement about the entity.
fn kept(document: Option<Value>, what: &str) -> Result<Option<Value>, CatalogError> {
    match document {
        Some(document) => Ok(Some(document)),
        None => Err(CatalogError::Unsupported {
            message: format!("this snapshot holds no {what} of it"),
        }),
    }
}

/// The records of a list, whichever way it is written; JSON in strings is read.
fn records(document: &Value, field: &str) -> Vec<Value> {
    let items = match document {
        Value::Array(items) => items.clone(),
        document => list(document, field),
    };
    items
        .into_iter()
        .filter_map(|item| match item {
            // `/versions` holds JSON in strings.
            Value::String(text) => serde_json::from_str(&text).ok(),
            item => Some(item),
        })
        .collect()
}

/// An answer that has this list; without it, it is no answer.
fn holding(answer: Value, field: &str, asked: &str) -> Result<Value, CatalogError> {
    if answer.get(field).is_some_and(Value::is_array) {
        Ok(answer)
    } else {
        Err(listing::no_list(asked))
    }
}
