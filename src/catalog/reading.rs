//! Reads one entity of a known type from the REST API, in the words of the server's version.

use super::{
    Client,
    client::Version,
    error::CatalogError,
    fqn,
    lookup::{Depth, Found},
    model::{EntityType, Name},
    responses, wire,
};

/// Before 1.5 an entity had one `owner` (release notes).
const MANY_OWNERS: Version = Version::new(1, 5, 0);
/// Before about 1.9 an entity had one `domain` (release notes; 1.2.0 and 1.12.6 are recorded).
const MANY_DOMAINS: Version = Version::new(1, 9, 0);
/// `viewDefinition` became `schemaDefinition` somewhere between the two recorded versions.
const SCHEMA_DEFINITION: Version = Version::new(1, 3, 0);

/// How servers of this version call the owners.
pub(super) fn owner_field(version: Version) -> &'static str {
    if version >= MANY_OWNERS {
        "owners"
    } else {
        "owner"
    }
}

/// How servers of this version call the domains.
pub(super) fn domain_field(version: Version) -> &'static str {
    if version >= MANY_DOMAINS {
        "domains"
    } else {
        "domain"
    }
}

/// The entity, `NotFound` where it is not there or deleted.
pub(super) async fn read(
    client: &Client,
    entity_type: &EntityType,
    name: &Name,
    depth: Depth,
) -> Result<Found, CatalogError> {
    let version = client.version().await?;
    let fields = match depth {
        Depth::Summary => {
            let whole = fields_of(entity_type, version);
            whole
                .into_iter()
                .filter(|field| {
                    matches!(*field, "owners" | "owner" | "tags" | "domains" | "domain")
                })
                .collect()
        }
        Depth::Whole => fields_of(entity_type, version),
    };
    read_with(client, entity_type, name, fields, &[]).await
}

/// The entity though it may be deleted; without optional fields.
pub(super) async fn read_deleted(
    client: &Client,
    entity_type: &EntityType,
    name: &Name,
) -> Result<Found, CatalogError> {
    read_with(client, entity_type, name, Vec::new(), &[("include", "all")]).await
}

/// Reads with these fields; one that this server does not know is asked for by its other name,
/// then no more.
pub(super) async fn read_with(
    client: &Client,
    entity_type: &EntityType,
    name: &Name,
    mut fields: Vec<&'static str>,
    query: &[(&str, &str)],
) -> Result<Found, CatalogError> {
    let path = path_of(entity_type, name)?;
    loop {
        let joined = fields.join(",");
        let mut query = query.to_vec();
        if !fields.is_empty() {
            query.push(("fields", &joined));
        }
        match client.get(&path, &query).await {
            Ok(document) => {
                // Every entity has one: without it this is no entity, whatever the status said.
                if wire::text(&document, "fullyQualifiedName").is_none() {
                    return Err(CatalogError::BadUpstream {
                        message: format!(
                            "{} was answered with something else than the {entity_type}",
                            responses::asked("GET", &path)
                        ),
                    });
                }
                return Ok(Found {
                    entity_type: entity_type.clone(),
                    document,
                });
            }
            Err(CatalogError::Invalid { argument, message }) => {
                if !without_refused(&mut fields, &message) {
                    return Err(CatalogError::Invalid { argument, message });
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Below `/api/v1`: by name or by id.
pub(super) fn path_of(entity_type: &EntityType, name: &Name) -> Result<String, CatalogError> {
    let collection = entity_type
        .collection()
        .ok_or_else(|| CatalogError::Invalid {
            argument: Some("entity".into()),
            message: format!("{entity_type} is no type of entity that OpenMetadata reads by name"),
        })?;
    Ok(match name {
        // The FQN of a user is quoted where the name holds a dot, and read is the plain name
        // (recorded: entities/users-one).
        Name::Fqn(name) if entity_type.as_str() == "user" => {
            let plain = fqn::parts(name).join(".");
            format!("{collection}/name/{}", fqn::path_segment(&plain))
        }
        Name::Fqn(name) => format!("{collection}/name/{}", fqn::path_segment(name)),
        Name::Id(id) => format!("{collection}/{}", fqn::path_segment(id)),
    })
}

/// Takes away the field that this answer refuses, or calls it by its other name. False where it
/// refuses none of them.
pub(super) fn without_refused(fields: &mut Vec<&'static str>, message: &str) -> bool {
    let Some(position) = refused(fields, message) else {
        return false;
    };
    match other_name(fields[position]) {
        Some(other) if !fields.contains(&other) => fields[position] = other,
        _ => {
            fields.remove(position);
        }
    }
    true
}

/// The field that the server names in `Invalid field name nonsense`.
fn refused(fields: &[&str], message: &str) -> Option<usize> {
    let named = message.split("Invalid field name").nth(1)?.trim();
    fields.iter().position(|field| *field == named)
}

/// The name that older servers have for it.
fn other_name(field: &str) -> Option<&'static str> {
    match field {
        "owners" => Some("owner"),
        "domains" => Some("domain"),
        "schemaDefinition" => Some("viewDefinition"),
        _ => None,
    }
}

/// What to ask for of each type (`fields` of the OpenAPI document, 1.12.6), in this version's
/// words. `columns` of a table always comes; it is named so that the columns' tags come too.
pub(super) fn fields_of(entity_type: &EntityType, version: Version) -> Vec<&'static str> {
    let fields: &[&'static str] = match entity_type.as_str() {
        "table" => &[
            "columns",
            "owners",
            "tags",
            "domains",
            "dataProducts",
            "usageSummary",
            "followers",
            "joins",
            "extension",
            "testSuite",
            "tableConstraints",
            "schemaDefinition",
            "tablePartition",
        ],
        "database" => &[
            "owners",
            "tags",
            "domains",
            "usageSummary",
            "databaseSchemas",
            "extension",
        ],
        "databaseSchema" => &[
            "owners",
            "tags",
            "domains",
            "usageSummary",
            "tables",
            "extension",
        ],
        "dashboard" => &[
            "owners",
            "tags",
            "domains",
            "dataProducts",
            "usageSummary",
            "followers",
            "charts",
            "dataModels",
            "extension",
        ],
        "dashboardDataModel" => &["owners", "tags", "domains", "followers", "extension"],
        "chart" => &[
            "owners",
            "tags",
            "domains",
            "followers",
            "dashboards",
            "extension",
        ],
        "pipeline" => &[
            "owners",
            "tags",
            "domains",
            "followers",
            "tasks",
            "pipelineStatus",
            "extension",
        ],
        "topic" | "searchIndex" | "apiEndpoint" => &[
            "owners",
            "tags",
            "domains",
            "dataProducts",
            "followers",
            "extension",
        ],
        "mlmodel" => &[
            "owners",
            "tags",
            "domains",
            "usageSummary",
            "followers",
            "dashboard",
            "extension",
        ],
        "container" => &[
            "owners",
            "tags",
            "domains",
            "followers",
            "parent",
            "children",
            "dataModel",
            "extension",
        ],
        "storedProcedure" => &["owners", "tags", "domains", "followers", "extension"],
        "apiCollection" => &["owners", "tags", "domains", "apiEndpoints", "extension"],
        "metric" => &[
            "owners",
            "tags",
            "domains",
            "followers",
            "reviewers",
            "relatedMetrics",
            "extension",
        ],
        "query" => &["owners", "tags", "queryUsedIn"],
        "glossary" => &[
            "owners",
            "tags",
            "domains",
            "reviewers",
            "termCount",
            "usageCount",
        ],
        "glossaryTerm" => &[
            "owners",
            "tags",
            "domains",
            "reviewers",
            "children",
            "relatedTerms",
            "usageCount",
            "extension",
        ],
        "classification" => &["termCount", "usageCount"],
        "tag" => &["usageCount"],
        "domain" => &["owners", "tags", "children", "experts", "extension"],
        "dataProduct" => &[
            "owners",
            "tags",
            "domains",
            "experts",
            "reviewers",
            "extension",
        ],
        "dataContract" => &["owners"],
        "user" => &["teams", "roles", "owns", "domains"],
        "team" => &[
            "owners",
            "users",
            "owns",
            "parents",
            "children",
            "domains",
            "userCount",
        ],
        "testCase" => &["owners", "testDefinition", "testSuite", "incidentId"],
        "testSuite" => &["owners", "tests", "summary"],
        "ingestionPipeline" => &["owners"],
        kind if kind.ends_with("Service") => &["owners", "tags", "domains", "pipelines"],
        _ => &["owners", "tags"],
    };
    fields
        .iter()
        .map(|field| match *field {
            "owners" => owner_field(version),
            "domains" => domain_field(version),
            "schemaDefinition" if version < SCHEMA_DEFINITION => "viewDefinition",
            field => field,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_in_the_words_of_the_version() {
        let table = EntityType::new("table");
        let new = fields_of(&table, Version::new(1, 12, 6));
        let old = fields_of(&table, Version::new(1, 2, 0));
        assert!(new.contains(&"owners") && new.contains(&"schemaDefinition"));
        assert!(
            old.contains(&"owner") && old.contains(&"domain") && old.contains(&"viewDefinition")
        );
        assert!(!old.contains(&"owners") && !old.contains(&"domains"));
    }

    #[test]
    fn reads_which_field_was_refused() {
        let fields = ["owners", "nonsense"];
        // Recorded: entities/table-bills-bad-field.
        assert_eq!(refused(&fields, "Invalid field name nonsense"), Some(1));
        assert_eq!(refused(&fields, "Invalid field name other"), None);
        assert_eq!(refused(&fields, "something else"), None);
    }

    #[test]
    fn encodes_names_for_the_path() {
        let table = EntityType::new("table");
        assert_eq!(
            path_of(&table, &Name::Fqn("a.b/c%.\"d.e\"".into())).unwrap(),
            "tables/name/a.b%2Fc%25.%22d.e%22"
        );
        for name in ["maria.santos", "\"maria.santos\""] {
            assert_eq!(
                path_of(&EntityType::new("user"), &Name::Fqn(name.into())).unwrap(),
                "users/name/maria.santos"
            );
        }
        assert!(path_of(&EntityType::new("column"), &Name::Fqn("a".into())).is_err());
    }
}
