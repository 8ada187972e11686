//! Lists the columns that an entity has, of whatever kind its columns are.

use serde_json::Value;

use crate::catalog::{Catalog, CatalogError, EntitySummary, Reference, fqn, lookup::Depth, wire};

impl Catalog {
    /// FQNs of the columns of an entity, nested ones too; `None` for a type that has none: lineage
    /// can name columns of tables, models and containers, fields of topics and search indexes,
    /// features of ML models and charts of dashboards.
    pub async fn columns_of(
        &self,
        entity: &EntitySummary,
    ) -> Result<Option<Vec<String>>, CatalogError> {
        let reference = Reference::to(entity.entity_type.clone(), entity.fqn.clone());
        let found = self.find(&reference, Depth::Whole).await?;
        Ok(columns_in(
            entity.entity_type.as_str(),
            &entity.fqn,
            &found.document,
        ))
    }
}

/// FQNs of the columns in an entity's document; `None` for a type without columns.
pub fn columns_in(entity_type: &str, parent: &str, document: &Value) -> Option<Vec<String>> {
    let places: &[&str] = match entity_type {
        "table" | "dashboardDataModel" => &["/columns"],
        "container" => &["/dataModel/columns"],
        "topic" => &["/messageSchema/schemaFields"],
        "apiEndpoint" => &[
            "/requestSchema/schemaFields",
            "/responseSchema/schemaFields",
        ],
        "searchIndex" => &["/fields"],
        "mlmodel" => &["/mlFeatures"],
        "dashboard" => &["/charts"],
        _ => return None,
    };
    let mut columns = Vec::new();
    for place in places {
        add(document.pointer(place), parent, &mut columns);
    }
    Some(columns)
}

fn add(fields: Option<&Value>, parent: &str, columns: &mut Vec<String>) {
    for field in fields.and_then(Value::as_array).into_iter().flatten() {
        let Some(column) = wire::text(field, "fullyQualifiedName").or_else(|| {
            wire::text(field, "name").map(|name| format!("{parent}.{}", fqn::quoted(&name)))
        }) else {
            continue;
        };
        add(field.get("children"), &column, columns);
        columns.push(column);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_columns_are_columns() {
        let document =
            json!({"columns": [{"name": "id"}, {"name": "meta", "children": [{"name": "a.b"}]}]});
        assert_eq!(
            columns_in("table", "pg.t", &document).unwrap(),
            ["pg.t.id", "pg.t.meta.\"a.b\"", "pg.t.meta"]
        );
        assert_eq!(columns_in("pipeline", "p", &document), None);
    }
}
