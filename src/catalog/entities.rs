//! One entity in full, and the parts of it that OpenMetadata keeps elsewhere.

use serde_json::{Map, Value, json};

use super::{
    Catalog, CatalogError, EntitySummary, EntityType, Reference,
    columns::{self, Column},
    facts::{self, Members},
    fqn,
    lookup::{Depth, Found},
    model::Name,
    wire,
};

/// An entity as answers show it, whichever server or snapshot it came from.
#[derive(Debug, Clone)]
pub struct Entity {
    pub summary: EntitySummary,
    /// Address of its page; none in a snapshot.
    pub page: Option<String>,
    /// Name of the user who changed it last.
    pub updated_by: Option<String>,
    pub followers: Option<usize>,
    pub data_products: Vec<String>,
    /// `{day, week, month, percentile, date}`.
    pub usage: Option<Value>,
    pub columns: Vec<Column>,
    /// Short facts that only this type has.
    pub facts: Map<String, Value>,
    pub members: Vec<Members>,
    /// SQL or code.
    pub definition: Option<String>,
    /// Column, column of another table, how often.
    pub joins: Vec<(String, String, u64)>,
    pub custom_properties: Map<String, Value>,
    /// Every field could be read: false where a snapshot has the search document alone.
    pub is_whole: bool,
}

impl Catalog {
    /// The entity that this names, with all that one read tells. Errors as of `resolve`.
    pub async fn entity(&self, reference: &Reference) -> Result<Entity, CatalogError> {
        let found = self.find(reference, Depth::Whole).await?;
        let page = self.page_of(&found);
        entity_of(&found, page).ok_or_else(|| CatalogError::BadUpstream {
            message: format!("what OpenMetadata has as {} has no name", reference.written),
        })
    }

    /// One page of the columns of a table, and how many there are, where the server has such pages
    /// (1.12.6 has, 1.2.0 has not). `None`: read the entity instead. `offset` and the total count
    /// columns of the first level.
    pub async fn column_page(
        &self,
        reference: &Reference,
        offset: usize,
        limit: usize,
    ) -> Result<Option<(Entity, usize)>, CatalogError> {
        let (Self::Live(client), Name::Fqn(name)) = (self, &reference.name) else {
            return Ok(None);
        };
        let is_table = reference.entity_type.as_ref().map_or_else(
            || fqn::parts(name).len() == 4,
            |kind| kind.as_str() == "table",
        );
        if !is_table {
            return Ok(None);
        }
        let path = format!("tables/name/{}/columns", fqn::path_segment(name));
        let (limit, offset) = (limit.to_string(), offset.to_string());
        let query = [
            ("limit", limit.as_str()),
            ("offset", offset.as_str()),
            ("fields", "tags"),
        ];
        let answer = match client.get(&path, &query).await {
            Ok(answer) => answer,
            Err(CatalogError::Unsupported { .. } | CatalogError::NotFound { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let total = answer.pointer("/paging/total").and_then(Value::as_u64);
        let (Some(columns), Some(total)) = (answer.get("data"), total) else {
            return Ok(None);
        };
        let found = Found {
            entity_type: EntityType::new("table"),
            document: json!({"fullyQualifiedName": name, "columns": columns}),
        };
        Ok(entity_of(&found, None)
            .map(|entity| (entity, usize::try_from(total).unwrap_or(usize::MAX))))
    }

    /// The address of its page in the user interface.
    fn page_of(&self, found: &Found) -> Option<String> {
        let Self::Live(client) = self else {
            return None;
        };
        let name = wire::text(&found.document, "fullyQualifiedName")?;
        Some(format!(
            "{}/{}/{}",
            client.address().as_str(),
            page_segment(&found.entity_type),
            fqn::path_segment(&name)
        ))
    }
}

fn entity_of(found: &Found, page: Option<String>) -> Option<Entity> {
    let Found {
        entity_type,
        document,
    } = found;
    Some(Entity {
        summary: wire::summary(document, Some(entity_type))?,
        page,
        updated_by: wire::text(document, "updatedBy"),
        followers: document
            .get("followers")
            .and_then(Value::as_array)
            .map(Vec::len),
        data_products: facts::data_products_of(document),
        usage: facts::usage_of(document),
        columns: columns::columns_of(document),
        facts: facts::facts_of(entity_type, document),
        members: facts::members_of(entity_type, document),
        definition: facts::definition_of(document),
        joins: facts::joins_of(document),
        custom_properties: facts::custom_properties_of(document),
        // Search documents say their type, entities of the REST API do not.
        is_whole: document.get("entityType").is_none(),
    })
}

/// First segment of the page's path (routes of the user interface).
fn page_segment(entity_type: &EntityType) -> String {
    match entity_type.as_str() {
        "glossaryTerm" => "glossary".to_owned(),
        "classification" => "tags".to_owned(),
        "user" => "users".to_owned(),
        "team" => "settings/members/teams".to_owned(),
        "testCase" => "test-case".to_owned(),
        "testSuite" => "test-suites".to_owned(),
        kind if kind.ends_with("Service") => match entity_type.collection() {
            Some(collection) => collection.replacen("services/", "service/", 1),
            None => kind.to_owned(),
        },
        kind => kind.to_owned(),
    }
}
