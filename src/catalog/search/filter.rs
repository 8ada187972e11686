//! Writes a search request as each version of the server understands it; pure, no I/O.
//!
//! A filter that a server cannot read is dropped without a word and everything comes back
//! (recorded: `search/filter-malformed`), and a field that it does not have matches nothing, or
//! everything when negated (`search/new-*-filter-on-old`): filters are built from types here, with
//! the field names of the version, and never passed through.

use serde_json::{Value, json};

use crate::catalog::{
    model::EntityType,
    search::{Facet, Filters, Missing},
    version::Version,
};

/// The types that a plain search is about, as the alias `dataAsset` has them
/// (1.12.6, `search-engine/aliases`). Old servers are asked index by index.
pub const ASSETS: &[&str] = &[
    "table",
    "dashboard",
    "pipeline",
    "topic",
    "mlmodel",
    "container",
    "searchIndex",
    "chart",
    "databaseSchema",
    "database",
    "storedProcedure",
    "glossaryTerm",
    "tag",
    "dashboardDataModel",
    "apiCollection",
    "apiEndpoint",
    "metric",
    "dataProduct",
];

/// Those of them that old servers may have an index for; one that is missing is passed over.
pub const OLD_ASSETS: &[&str] = &[
    "table",
    "dashboard",
    "pipeline",
    "topic",
    "mlmodel",
    "container",
    "searchIndex",
    "chart",
    "databaseSchema",
    "database",
    "storedProcedure",
    "glossaryTerm",
    "tag",
    "dashboardDataModel",
];

/// The index of one type alone. Aliases by the type's name hold the types below it too.
pub fn index_of(entity_type: &EntityType) -> String {
    // `searchIndex` is the one name that does not follow the rule.
    let name = match entity_type.as_str() {
        "searchIndex" => "searchEntity",
        name => name,
    };
    let mut index = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            index.push('_');
        }
        index.push(character.to_ascii_lowercase());
    }
    index.push_str("_search_index");
    index
}

/// Field names, which differ between versions.
pub struct Dialect {
    pub owners: &'static str,
    pub domains: &'static str,
    has_description_status: bool,
}

impl Dialect {
    pub fn of(version: Version) -> Self {
        Self {
            owners: if version.has_many_owners() {
                "owners"
            } else {
                "owner"
            },
            domains: if version.has_many_domains() {
                "domains"
            } else {
                "domain"
            },
            has_description_status: version.has_data_asset_index(),
        }
    }

    /// What a hit needs, so that ten hits are 12 KB and not 44.
    pub fn source_fields(&self) -> [&'static str; 13] {
        [
            "id",
            "fullyQualifiedName",
            "name",
            "displayName",
            "entityType",
            "description",
            "service",
            self.owners,
            "tags",
            "tier",
            self.domains,
            "columns.name",
            "deleted",
        ]
    }

    /// The filter of a question as a query filter; none where nothing is filtered.
    pub fn filter(&self, filters: &Filters, types: &[EntityType]) -> Option<String> {
        let mut must = Vec::new();
        let mut must_not = Vec::new();
        if !types.is_empty() {
            let types: Vec<&str> = types.iter().map(EntityType::as_str).collect();
            must.push(json!({"terms": {"entityType": types}}));
        }
        if let Some(service) = &filters.service {
            must.push(any_of(
                &["service.name.keyword", "service.displayName.keyword"],
                service,
            ));
        }
        if let Some(owner) = &filters.owner {
            let owners = self.owners;
            must.push(any_of(
                &[
                    &format!("{owners}.name"),
                    &format!("{owners}.displayName.keyword"),
                ],
                owner,
            ));
        }
        for tag in filters.tags.iter().chain(&filters.term) {
            must.push(any_of(
                &["tags.tagFQN", "tags.name.keyword", "tier.tagFQN"],
                tag,
            ));
        }
        if let Some(tier) = &filters.tier {
            must.push(json!({"term": {"tier.tagFQN": tier}}));
        }
        if let Some(domain) = &filters.domain {
            let domains = self.domains;
            must.push(any_of(
                &[
                    &format!("{domains}.fullyQualifiedName"),
                    &format!("{domains}.name.keyword"),
                    &format!("{domains}.displayName.keyword"),
                ],
                domain,
            ));
        }
        if let Some(column) = &filters.column {
            must.push(any_of(
                &[
                    "columns.name.keyword",
                    "dataModel.columns.name.keyword",
                    "messageSchema.schemaFields.name.keyword",
                    "fields.name.keyword",
                ],
                column,
            ));
        }
        for missing in &filters.missing {
            match missing {
                Missing::Owner => must_not.push(json!({"exists": {"field": self.owners}})),
                Missing::Domain => must_not.push(json!({"exists": {"field": self.domains}})),
                Missing::Tier => must_not.push(json!({"exists": {"field": "tier.tagFQN"}})),
                Missing::Tags => {
                    must_not.push(json!({"term": {"tags.source": "Classification"}}));
                }
                Missing::Term => must_not.push(json!({"term": {"tags.source": "Glossary"}})),
                // An empty description is a field too, and the status says that it is empty.
                Missing::Description if self.has_description_status => must.push(json!({
                    "bool": {"minimum_should_match": 1, "should": [
                        {"bool": {"must_not": [{"exists": {"field": "description"}}]}},
                        {"term": {"descriptionStatus": "INCOMPLETE"}}
                    ]}
                })),
                Missing::Description => {
                    must_not.push(json!({"exists": {"field": "description"}}));
                }
            }
        }
        if must.is_empty() && must_not.is_empty() {
            return None;
        }
        let mut clauses = serde_json::Map::new();
        for (name, list) in [("must", must), ("must_not", must_not)] {
            if !list.is_empty() {
                clauses.insert(name.into(), list.into());
            }
        }
        Some(json!({"query": {"bool": clauses}}).to_string())
    }

    /// The aggregations that count this facet, best first: what versions call them.
    pub fn aggregations(&self, facet: Facet) -> Vec<String> {
        let named = |names: &[&str]| names.iter().map(|name| format!("sterms#{name}")).collect();
        match facet {
            Facet::Type => named(&["entityType", "entityType.keyword"]),
            Facet::Service => named(&["service.displayName.keyword", "service.name.keyword"]),
            Facet::Owner => named(&[&format!("{}.displayName.keyword", self.owners)]),
            Facet::Tier => named(&["tier.tagFQN"]),
            Facet::Tag => named(&["tags.tagFQN"]),
            Facet::Domain => named(&[&format!("{}.displayName.keyword", self.domains)]),
        }
    }
}

/// Entities of these types called so, or beginning alike: for telling a name that nobody has from
/// one that nothing hangs on, and for near matches.
pub fn called_or_alike(types: &[&str], name: &str) -> String {
    let lower = name.to_lowercase();
    let mut should = Vec::new();
    for field in ["name.keyword", "displayName.keyword"] {
        should.push(json!({"term": {field: name}}));
        should.push(json!({"prefix": {field: name.chars().take(3).collect::<String>()}}));
        // The engine keeps names in lower case in newer versions and as written in older ones.
        should.push(json!({"prefix": {field: lower.chars().take(3).collect::<String>()}}));
        if let Some(pattern) = skeleton(&lower) {
            should.push(json!({"wildcard": {field: pattern}}));
        }
    }
    should.push(json!({"term": {"fullyQualifiedName": name}}));
    let mut must = vec![json!({"bool": {"minimum_should_match": 1, "should": should}})];
    if !types.is_empty() {
        must.push(json!({"terms": {"entityType": types}}));
    }
    json!({"query": {"bool": {"must": must}}}).to_string()
}

/// `*d*p*t*s*` for `deputes`: letters that carry accents or are often mistaken stand for anything,
/// as the engine does not fold accents (recorded: `search/no-accents`).
fn skeleton(lower: &str) -> Option<String> {
    let mut pattern = String::from("*");
    let mut kept = 0;
    for letter in lower.chars().take(24) {
        let is_firm = letter.is_ascii_alphanumeric() && !"aeiouycnl".contains(letter);
        if is_firm {
            pattern.push(letter);
            kept += 1;
        } else if !pattern.ends_with('*') {
            pattern.push('*');
        }
    }
    if !pattern.ends_with('*') {
        pattern.push('*');
    }
    (kept >= 3).then_some(pattern)
}

/// The value as it was written, under any of these fields. Case: fields differ in whether the
/// engine minds it, so the lower-case form counts too.
fn any_of(fields: &[&str], value: &str) -> Value {
    let mut values = vec![value.to_owned()];
    let lower = value.to_lowercase();
    if lower != value {
        values.push(lower);
    }
    let should: Vec<Value> = fields
        .iter()
        .map(|field| json!({"terms": {*field: values}}))
        .collect();
    json!({"bool": {"minimum_should_match": 1, "should": should}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_own_index() {
        let index = |name: &str| index_of(&EntityType::new(name));
        assert_eq!(index("table"), "table_search_index");
        assert_eq!(index("databaseSchema"), "database_schema_search_index");
        assert_eq!(index("searchIndex"), "search_entity_search_index");
    }

    /// Recorded: the new names match nothing on 1.2.0, and everything when negated.
    #[test]
    fn old_servers_are_asked_by_their_own_field_names() {
        let filters = Filters {
            owner: Some("maria.santos".into()),
            missing: vec![Missing::Domain],
            ..Filters::default()
        };
        let old = Dialect::of(Version::new(1, 2, 0))
            .filter(&filters, &[])
            .unwrap();
        assert!(old.contains("\"owner.name\"") && old.contains("{\"field\":\"domain\"}"));
        let new = Dialect::of(Version::new(1, 12, 6))
            .filter(&filters, &[])
            .unwrap();
        assert!(new.contains("\"owners.name\"") && new.contains("{\"field\":\"domains\"}"));
    }
}
