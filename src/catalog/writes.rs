//! Changes entities: looks names up, takes the difference, guards the version, reads back.

mod names;

use serde_json::{Value, json};

use super::{
    Catalog, CatalogError, Client, EntityType, Reference,
    client::{Method, Version, Write},
    difference::{self, Change, Dialect, Difference, Impossible, Mode},
    facts::time,
    fqn,
    lookup::{Depth, Found},
    model::Name,
    reading, wire,
};

/// What a caller wants of an entity, in the caller's words.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    pub description: Option<String>,
    pub display_name: Option<String>,
    /// Names or display names of users and teams.
    pub owners: Option<Vec<String>>,
    pub tags: Option<Vec<String>>,
    pub tier: Option<String>,
    pub domain: Option<String>,
    pub terms: Option<Vec<String>>,
    /// Descriptions by column name.
    pub columns: Vec<(String, String)>,
}

/// What an update did, or would do.
#[derive(Debug, Clone)]
pub struct Update {
    pub fqn: String,
    pub entity_type: EntityType,
    pub changes: Vec<Change>,
    pub is_applied: bool,
    /// After the change where it was applied, else the version that it was compared with.
    pub version: Option<f64>,
    pub warnings: Vec<String>,
}

/// Why an update was not made.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Impossible(#[from] Impossible),
}

/// Servers before this one ignore `If-Match`: there a patch tests the version itself. Recorded
/// are 1.2.0 (ignores) and 1.12.6 (412); in between the test is sent as well.
const IF_MATCH: Version = Version::new(1, 12, 0);

impl Catalog {
    /// Changes one entity, or says what would be changed.
    ///
    /// `expected_version`: refuse (`Conflict`) unless the entity has this version still.
    pub async fn update(
        &self,
        reference: &Reference,
        wish: &Wish,
        mode: Mode,
        is_dry: bool,
        expected_version: Option<f64>,
    ) -> Result<Update, UpdateError> {
        if let (Self::Snapshot(snapshot), false) = (self, is_dry) {
            return Err(CatalogError::Unsupported {
                message: format!(
                    "this catalog is a snapshot of {} and cannot be changed: connect a running \
                     OpenMetadata (OPENMETADATA_URL), or leave dry_run on to see the difference",
                    snapshot.as_of()
                ),
            }
            .into());
        }
        let found = self.find(reference, Depth::Whole).await?;
        if let Some(expected) = expected_version {
            expect(&found.document, expected)?;
        }
        let dialect = self.dialect().await?;
        let wanted = self.looked_up(wish, mode).await?;
        let difference = difference::difference(&found.document, &wanted, mode, dialect)?;
        let mut update = Update {
            fqn: wire::text(&found.document, "fullyQualifiedName").unwrap_or_default(),
            entity_type: found.entity_type.clone(),
            version: version_of(&found.document),
            changes: difference.changes.clone(),
            is_applied: false,
            warnings: Vec::new(),
        };
        let Self::Live(client) = self else {
            return Ok(update);
        };
        if is_dry || difference.is_empty() {
            return Ok(update);
        }
        let sent = send(client, &found, &difference).await;
        if let Err(error) = &sent
            && !matches!(
                error,
                CatalogError::Conflict { .. } | CatalogError::UnknownOutcome { .. }
            )
        {
            return Err(error.clone().into());
        }
        let after = read_back(client, &found).await;
        match (sent, after) {
            (Ok(()), Ok(after)) => {
                update.is_applied = true;
                update.version = version_of(&after);
                match difference::difference(&after, &wanted, mode, dialect) {
                    Ok(left) if left.is_empty() => {}
                    Ok(left) => update.warnings.push(format!(
                        "OpenMetadata answered that it took the change, but reads back without: {}",
                        fields(&left)
                    )),
                    Err(error) => update.warnings.push(format!(
                        "the change was taken, but what was read back does not fit it: {error}"
                    )),
                }
                Ok(update)
            }
            (Ok(()), Err(error)) => {
                update.is_applied = true;
                update.version = None;
                update.warnings.push(format!(
                    "OpenMetadata took the change; it could not be read back: {error}"
                ));
                Ok(update)
            }
            (Err(CatalogError::Conflict { .. }), Ok(after)) => Err(CatalogError::Conflict {
                message: format!(
                    "nothing was changed: {} was changed by someone else since it was read ({})",
                    update.fqn,
                    last_change(&after)
                ),
            }
            .into()),
            // The answer is lost, but the entity shows that the change is there.
            (Err(CatalogError::UnknownOutcome { .. }), Ok(after))
                if difference::difference(&after, &wanted, mode, dialect)
                    .is_ok_and(|left| left.is_empty()) =>
            {
                update.is_applied = true;
                update.version = version_of(&after);
                update.warnings.push(
                    "the answer of OpenMetadata never came; reading it back shows the change"
                        .into(),
                );
                Ok(update)
            }
            (Err(CatalogError::UnknownOutcome { message, .. }), _) => {
                Err(CatalogError::UnknownOutcome {
                    message,
                    how_to_check: format!(
                        "read {}:{} with get_entity, section summary: a version above {} and the \
                         new values mean that it took effect; it may still take effect later",
                        update.entity_type,
                        update.fqn,
                        update
                            .version
                            .map_or_else(|| "?".into(), |version| version.to_string())
                    ),
                }
                .into())
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    async fn dialect(&self) -> Result<Dialect, CatalogError> {
        Ok(match self {
            Self::Live(client) => {
                let version = client.version().await?;
                Dialect {
                    many_owners: reading::owner_field(version) == "owners",
                    many_domains: reading::domain_field(version) == "domains",
                }
            }
            Self::Snapshot(_) => Dialect {
                many_owners: true,
                many_domains: true,
            },
        })
    }
}

async fn read_back(client: &Client, found: &Found) -> Result<Value, CatalogError> {
    let name = Name::Id(wire::text(&found.document, "id").unwrap_or_default());
    let found = reading::read(client, &found.entity_type, &name, Depth::Whole).await?;
    Ok(found.document)
}

/// Sends the patch, guarded by the version that the difference was taken from.
async fn send(client: &Client, found: &Found, difference: &Difference) -> Result<(), CatalogError> {
    let collection = found.entity_type.collection().unwrap_or_default();
    let id = wire::text(&found.document, "id").unwrap_or_default();
    let version = found.document.get("version");
    let mut operations = Vec::new();
    if client.version().await? < IF_MATCH
        && let Some(version) = version
    {
        operations.push(json!({"op": "test", "path": "/version", "value": version}));
    }
    operations.extend(difference.operations.iter().cloned());
    client
        .write(Write {
            method: Method::Patch,
            path: &format!("{collection}/{}", fqn::path_segment(&id)),
            query: &[],
            body: Some(&operations.into()),
            content_type: Some("application/json-patch+json"),
            if_match: version.and_then(Value::as_f64),
        })
        .await
        .map(drop)
}

fn expect(document: &Value, expected: f64) -> Result<(), CatalogError> {
    match version_of(document) {
        // Versions are tenths written as floats.
        Some(version) if (version - expected).abs() < 0.001 => Ok(()),
        version => Err(CatalogError::Conflict {
            message: format!(
                "it is not at version {expected} any more but at {} ({})",
                version.map_or_else(|| "?".into(), |version| version.to_string()),
                last_change(document)
            ),
        }),
    }
}

/// `description by admin at 2026-11-21T01:17:25Z, version 0.2`.
fn last_change(document: &Value) -> String {
    let mut words = Vec::new();
    for list in ["fieldsAdded", "fieldsUpdated", "fieldsDeleted"] {
        let names = document
            .pointer(&format!("/changeDescription/{list}"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|field| wire::text(field, "name"));
        words.extend(names.take(10));
    }
    let mut said = words.join(", ");
    if said.is_empty() {
        said.push_str("changed");
    }
    if let Some(by) = wire::text(document, "updatedBy") {
        said.push_str(&format!(" by {by}"));
    }
    if let Some(at) = time(document.get("updatedAt")) {
        said.push_str(&format!(" at {at}"));
    }
    if let Some(version) = version_of(document) {
        said.push_str(&format!(", version {version}"));
    }
    said
}

fn version_of(document: &Value) -> Option<f64> {
    document.get("version").and_then(Value::as_f64)
}

fn fields(difference: &Difference) -> String {
    let names: Vec<&str> = difference
        .changes
        .iter()
        .map(|change| change.field.as_str())
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_version_says_who_changed_what() {
        let document = json!({
            "version": 0.3, "updatedBy": "li.wei", "updatedAt": 1_795_223_845_366_u64,
            "changeDescription": {"fieldsUpdated": [{"name": "owners"}]}
        });
        assert!(expect(&document, 0.3).is_ok());
        let error = expect(&document, 0.2).unwrap_err();
        assert!(matches!(error, CatalogError::Conflict { .. }));
        assert!(
            error
                .to_string()
                .contains("owners by li.wei at 2026-11-21T01:17:25Z"),
            "{error}"
        );
    }
}
