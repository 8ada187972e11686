//! Reads what a caller writes for an entity: FQN, `type:fqn`, id, page or API address.

use percent_encoding::percent_decode_str;
use url::Url;

use super::{
    error::CatalogError,
    fqn,
    model::{EntityType, Name, Reference},
};

/// Longest FQN that OpenMetadata stores (`fullyQualifiedEntityName.maxLength`), in characters.
const LONGEST_FQN: usize = 3_072;

/// First segment of a page's path and the type that it shows, where the two differ (routes of the
/// OpenMetadata user interface).
const PAGES: &[(&str, &str)] = &[
    ("tags", "classification"),
    ("users", "user"),
    ("teams", "team"),
    ("test-case", "testCase"),
    ("incident-manager", "testCase"),
    ("test-suites", "testSuite"),
];

impl Reference {
    /// What this text names. Errors are about the text alone; nothing is looked up.
    pub fn parse(written: &str) -> Result<Self, CatalogError> {
        let text = written.trim().trim_matches('`').trim();
        if text.is_empty() {
            return Err(invalid(
                "an entity name is empty: give an FQN, type:fqn, an id or a page address",
            ));
        }
        if text.chars().count() > LONGEST_FQN + 200 {
            return Err(invalid(
                "an entity name is too long: OpenMetadata's have 3,072 characters at most",
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(invalid("an entity name holds control characters"));
        }
        let (entity_type, name) = if text.contains("://") {
            of_address(text)?
        } else if let Some((entity_type, rest)) = typed(text) {
            (Some(entity_type), rest.to_owned())
        } else {
            (None, text.to_owned())
        };
        Ok(Self {
            written: text.to_owned(),
            entity_type,
            name: if is_uuid(&name) {
                Name::Id(name.to_ascii_lowercase())
            } else {
                Name::Fqn(name)
            },
        })
    }

    /// A reference to what is known already.
    pub fn to(entity_type: EntityType, fqn: impl Into<String>) -> Self {
        let fqn = fqn.into();
        Self {
            written: fqn.clone(),
            entity_type: Some(entity_type),
            name: Name::Fqn(fqn),
        }
    }

    /// Types that names with so many parts can have, the likeliest first.
    pub fn likely_types(fqn: &str) -> &'static [&'static str] {
        match fqn::parts(fqn).len() {
            1 => &[
                "databaseService",
                "dashboardService",
                "pipelineService",
                "messagingService",
                "storageService",
                "mlmodelService",
                "searchService",
                "apiService",
                "domain",
                "glossary",
                "classification",
                "dataProduct",
                "metric",
                "team",
                "user",
            ],
            2 => &[
                "database",
                "dashboard",
                "pipeline",
                "topic",
                "container",
                "chart",
                "mlmodel",
                "searchIndex",
                "apiCollection",
                "glossaryTerm",
                "tag",
                "ingestionPipeline",
                "domain",
            ],
            3 => &[
                "databaseSchema",
                "dashboardDataModel",
                "apiEndpoint",
                "container",
                "glossaryTerm",
            ],
            4 => &["table", "storedProcedure", "container", "glossaryTerm"],
            _ => &["testCase", "container", "glossaryTerm", "testSuite"],
        }
    }
}

/// `table:a.b.c.d`, any case; a colon after anything that is no type belongs to the name.
fn typed(text: &str) -> Option<(EntityType, &str)> {
    let (before, rest) = text.split_once(':')?;
    let known = known_type(before.trim())?;
    let rest = rest.trim();
    (!rest.is_empty()).then_some((known, rest))
}

/// A type by its own name or by the name of its collection.
fn known_type(written: &str) -> Option<EntityType> {
    EntityType::known()
        .find(|known| known.eq_ignore_ascii_case(written))
        .map(EntityType::new)
        .or_else(|| EntityType::of_collection(written))
}

fn of_address(text: &str) -> Result<(Option<EntityType>, String), CatalogError> {
    let unknown = || {
        invalid(
            "this address is no page of an entity: give one such as \
             http://openmetadata:8585/table/service.database.schema.table",
        )
    };
    let address = Url::parse(text).map_err(|_| unknown())?;
    let decoded = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
    if address.scheme() == "openmetadata" {
        let entity_type = address
            .host_str()
            .and_then(|_| known_type(&host_as_written(text)))
            .ok_or_else(unknown)?;
        let name = decoded(address.path().trim_start_matches('/'));
        return if name.is_empty() {
            Err(unknown())
        } else {
            Ok((Some(entity_type), name))
        };
    }
    if !matches!(address.scheme(), "http" | "https") {
        return Err(unknown());
    }
    let segments: Vec<String> = address
        .path_segments()
        .into_iter()
        .flatten()
        .map(decoded)
        .filter(|segment| !segment.is_empty())
        .collect();
    of_api(&segments)
        .or_else(|| of_page(&segments))
        .ok_or_else(unknown)
}

/// The part after `openmetadata://` up to the slash; `Url` writes a host in lower case.
fn host_as_written(text: &str) -> String {
    text.split_once("://")
        .map(|(_, rest)| rest.split('/').next().unwrap_or_default().to_owned())
        .unwrap_or_default()
}

/// `…/api/v1/tables/name/FQN` or `…/api/v1/tables/ID`.
fn of_api(segments: &[String]) -> Option<(Option<EntityType>, String)> {
    let start = segments.windows(2).position(|pair| pair == ["api", "v1"])? + 2;
    let rest = &segments[start..];
    for length in [2, 1] {
        if rest.len() <= length {
            continue;
        }
        let Some(entity_type) = EntityType::of_collection(&rest[..length].join("/")) else {
            continue;
        };
        return match (rest[length].as_str(), rest.get(length + 1)) {
            ("name", Some(fqn)) => Some((Some(entity_type), fqn.clone())),
            (id, _) if is_uuid(id) => Some((Some(entity_type), id.to_owned())),
            _ => None,
        };
    }
    None
}

/// `…/table/FQN/tab`: what stands behind the name is a tab or a version.
fn of_page(segments: &[String]) -> Option<(Option<EntityType>, String)> {
    for (position, segment) in segments.iter().enumerate() {
        let next = segments.get(position + 1);
        match (segment.as_str(), next) {
            // /service/databaseServices/openpolicy_pg
            ("service", Some(collection)) => {
                let name = segments.get(position + 2)?;
                let entity_type = EntityType::of_collection(&format!("services/{collection}"));
                return Some((entity_type, name.clone()));
            }
            // A page of glossaries shows terms too: the dots in the name tell which.
            ("glossary", Some(name)) => {
                let is_term = fqn::parts(name).len() > 1;
                let entity_type = if is_term { "glossaryTerm" } else { "glossary" };
                return Some((Some(EntityType::new(entity_type)), name.clone()));
            }
            (page, Some(name)) => {
                let entity_type = PAGES
                    .iter()
                    .find(|(written, _)| *written == page)
                    .map(|(_, name)| EntityType::new(*name))
                    .or_else(|| known_type(page).filter(|known| known.as_str() == page));
                if entity_type.is_some() {
                    return Some((entity_type, name.clone()));
                }
            }
            (_, None) => {}
        }
    }
    None
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(position, byte)| {
            if matches!(position, 8 | 13 | 18 | 23) {
                byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        })
}

fn invalid(message: &str) -> CatalogError {
    CatalogError::Invalid {
        argument: Some("entity".into()),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, Name) {
        let reference = Reference::parse(text).unwrap();
        (
            reference.entity_type.map(|t| t.as_str().to_owned()),
            reference.name,
        )
    }

    fn named(entity_type: Option<&str>, fqn: &str) -> (Option<String>, Name) {
        (entity_type.map(str::to_owned), Name::Fqn(fqn.to_owned()))
    }

    #[test]
    fn reads_every_way_to_name_an_entity() {
        let id = "a9b75237-2178-4ca1-b320-3f015ec8e877";
        let bills = "openpolicy_pg.openpolicy.core.bills";
        assert_eq!(read(bills), named(None, bills));
        assert_eq!(read(" `a.b` "), named(None, "a.b"));
        assert_eq!(read("Table:a.b.c.d"), named(Some("table"), "a.b.c.d"));
        assert_eq!(read("tables:a.b.c.d"), named(Some("table"), "a.b.c.d"));
        assert_eq!(read("odd:name"), named(None, "odd:name"));
        assert_eq!(read("table:"), named(None, "table:"));
        assert_eq!(read(id), (None, Name::Id(id.into())));
        assert_eq!(
            read(&format!("topic:{}", id.to_uppercase())),
            (Some("topic".into()), Name::Id(id.into()))
        );
        assert_eq!(
            read("openmetadata://databaseSchema/a.%22b.c%22.d"),
            named(Some("databaseSchema"), "a.\"b.c\".d")
        );
    }

    #[test]
    fn reads_page_and_api_addresses() {
        for (address, entity_type, fqn) in [
            (
                "http://om:8585/table/a.b.c.motions%2Famendments",
                "table",
                "a.b.c.motions/amendments",
            ),
            ("http://om:8585/table/a.b.c.d/schema", "table", "a.b.c.d"),
            (
                "https://x.example/om/table/a.b.c.%22v.1%22/versions/0.2?x=1#y",
                "table",
                "a.b.c.\"v.1\"",
            ),
            (
                "http://om/service/databaseServices/pg/databases",
                "databaseService",
                "pg",
            ),
            ("http://om/glossary/Parliament", "glossary", "Parliament"),
            (
                "http://om/glossary/Parliament.Bill",
                "glossaryTerm",
                "Parliament.Bill",
            ),
            ("http://om/users/maria.santos", "user", "maria.santos"),
            (
                "http://om/settings/members/teams/data-platform",
                "team",
                "data-platform",
            ),
            (
                "http://om/api/v1/services/databaseServices/name/pg",
                "databaseService",
                "pg",
            ),
            (
                "http://om/api/v1/tables/name/a.b.c.d%25?fields=owners",
                "table",
                "a.b.c.d%",
            ),
        ] {
            assert_eq!(read(address), named(Some(entity_type), fqn), "{address}");
        }
        assert_eq!(
            read("http://om/api/v1/charts/a9b75237-2178-4ca1-b320-3f015ec8e877"),
            (
                Some("chart".into()),
                Name::Id("a9b75237-2178-4ca1-b320-3f015ec8e877".into())
            )
        );
    }

    #[test]
    fn refuses_what_names_nothing() {
        for text in [
            "",
            "  ",
            "http://om/",
            "http://om/settings/x",
            "ftp://a/table/b",
            "a\u{7}b",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
        assert!(Reference::parse(&"x".repeat(4_000)).is_err());
    }
}
