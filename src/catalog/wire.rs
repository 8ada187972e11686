//! OpenMetadata's answers as every version writes them, parsed into the words of `model`.
//!
//! Nothing here fails on a missing optional field: versions differ in what they send.

use serde_json::Value;

use super::model::{EntitySummary, EntityType, Owner};

/// A summary out of a search document, an entity of the REST API or a bare reference. `None`
/// where not even a name is in it. `entity_type` is used where the document does not say
/// (entities of the REST API do not).
pub fn summary(document: &Value, entity_type: Option<&EntityType>) -> Option<EntitySummary> {
    let fqn = text(document, "fullyQualifiedName")?;
    let entity_type = text(document, "entityType")
        .or_else(|| {
            entity_type
                .is_none()
                .then(|| text(document, "type"))
                .flatten()
        })
        .map(EntityType::new)
        .or_else(|| entity_type.cloned())?;
    let (tags, terms, tier) = labels(document);
    Some(EntitySummary {
        id: text(document, "id").unwrap_or_default(),
        name: text(document, "name").unwrap_or_else(|| fqn.clone()),
        display_name: text(document, "displayName"),
        description: text(document, "description"),
        service: document.get("service").and_then(|service| {
            text(service, "fullyQualifiedName").or_else(|| text(service, "name"))
        }),
        owners: owners(document),
        tier,
        tags,
        terms,
        domains: one_or_many(document, "domain", "domains")
            .filter_map(|domain| {
                text(domain, "fullyQualifiedName").or_else(|| text(domain, "name"))
            })
            .collect(),
        is_deleted: is_deleted(document),
        updated_at: document.get("updatedAt").and_then(Value::as_i64),
        version: document.get("version").and_then(Value::as_f64),
        entity_type,
        fqn,
    })
}

/// Whether an entity is deleted. The search index writes the text `"true"` for what was deleted
/// after it was indexed (recorded: `search/deleted`), the REST API a boolean.
pub fn is_deleted(document: &Value) -> bool {
    match document.get("deleted") {
        Some(Value::Bool(is_deleted)) => *is_deleted,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// Owners, single (before 1.5) or many.
pub fn owners(document: &Value) -> Vec<Owner> {
    one_or_many(document, "owner", "owners")
        .filter_map(|owner| {
            Some(Owner {
                id: text(owner, "id").unwrap_or_default(),
                kind: text(owner, "type").unwrap_or_default(),
                name: text(owner, "name").or_else(|| text(owner, "fullyQualifiedName"))?,
                display_name: text(owner, "displayName"),
            })
        })
        .collect()
}

/// Tags, glossary terms and tier of an entity or a column. The tier stands among the tags in the
/// REST API and apart in search documents.
pub fn labels(document: &Value) -> (Vec<String>, Vec<String>, Option<String>) {
    let mut tags = Vec::new();
    let mut terms = Vec::new();
    let mut tier = document.get("tier").and_then(|tier| text(tier, "tagFQN"));
    for label in document
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let Some(name) = text(label, "tagFQN") else {
            continue;
        };
        if text(label, "source").as_deref() == Some("Glossary") {
            terms.push(name);
        } else if name.starts_with("Tier.") {
            tier.get_or_insert(name);
        } else {
            tags.push(name);
        }
    }
    (tags, terms, tier)
}

/// The objects under the singular or the plural name, whichever this version sends.
pub fn one_or_many<'a>(
    document: &'a Value,
    one: &str,
    many: &str,
) -> impl Iterator<Item = &'a Value> {
    let single = document.get(one).filter(|value| value.is_object());
    let several = document.get(many).and_then(|value| match value {
        Value::Array(items) => Some(items.as_slice()),
        Value::Object(_) => Some(std::slice::from_ref(value)),
        _ => None,
    });
    several.into_iter().flatten().chain(single)
}

/// A text field that says something.
pub fn text(document: &Value, field: &str) -> Option<String> {
    document
        .get(field)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
