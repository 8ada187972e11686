//! `read_openmetadata`: any read below `/api/v1` that no other tool has a form for.

mod body;
mod fit;
mod path;
mod select;
mod traps;

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, schema,
};
use crate::{
    answer::{Answer, Budget, budget},
    catalog::{Catalog, CatalogError, EntityType, Reference, Snapshot, snapshot::Kind},
};

pub const TOOL: Tool = Tool {
    name: "read_openmetadata",
    title: "Read OpenMetadata",
    description: "Any GET below /api/v1 of OpenMetadata, for what no other tool answers. \
                  Credentials, connections and settings are never shown.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["status", "body", "complete"],
            &[
                ("status", schema::integer()),
                ("body", json!({})),
                ("total", schema::integer()),
                ("total_is_lower_bound", schema::boolean()),
                ("returned", schema::integer()),
                ("complete", schema::boolean()),
                ("next", schema::object()),
                ("cut", schema::list(schema::object())),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Below /api/v1, such as tables/name/service.db.schema.table; names with / or " encoded.
    path: String,
    /// Query parameters of the route, such as {"fields": "owners,tags"}.
    query: Option<BTreeMap<String, String>>,
    /// Keep only these fields of each item; dots lead inside (columns.name).
    fields: Option<Vec<String>>,
    /// Items of a list.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

/// Tokens for everything beside the body.
const BESIDE_BODY: usize = 150;

async fn call(context: &Context, sent: Value) -> Outcome {
    let arguments: Arguments = arguments::read(sent)?;
    let request = path::Request::parse(&arguments.path, arguments.query.unwrap_or_default())?;
    let mut version = None;
    let (status, found) = match context.catalog()? {
        Catalog::Live(client) => {
            let query = request.query_with(arguments.limit);
            let query: Vec<(&str, &str)> = query
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let held = client.get_held(&request.path, &query).await?;
            version = client.version().await.ok();
            (held.status, held.answer.clone())
        }
        Catalog::Snapshot(snapshot) => (200, of_snapshot(&snapshot, &request).await?),
    };
    let budget = match (arguments.limit, &arguments.fields) {
        (None, None) => Budget::DEFAULT,
        _ => Budget::HARD,
    };
    let mut answer = Answer::new(budget);
    let catalog = context.catalog()?;
    if let Some(as_of) = catalog.as_of() {
        answer.put("source", catalog.source()).put("as_of", as_of);
    }
    if matches!(catalog, Catalog::Snapshot(_)) && !request.query.is_empty() {
        let names: Vec<&str> = request.query.keys().map(String::as_str).collect();
        answer.warn(format!(
            "a snapshot gives all that it has of an entity: `query` ({}) was not applied",
            names.join(", ")
        ));
    }
    answer.put("status", status);
    let trap = traps::of(&request, version, &found);
    let page = body::Page::of(
        found,
        &request,
        arguments.limit,
        arguments.fields.as_deref().unwrap_or_default(),
        budget.tokens().saturating_sub(BESIDE_BODY),
    );
    for field in &page.absent {
        answer.warn(format!(
            "no item has `{field}`; many fields come only when query.fields asks for them"
        ));
    }
    if let Some(total) = page.total {
        answer.put("total", total.count);
        if total.is_lower_bound {
            answer.put("total_is_lower_bound", true);
        }
    }
    if let Some(returned) = page.returned {
        answer.put("returned", returned);
    }
    answer.put("complete", page.complete && !trap.is_cut_silently);
    answer.put("next", page.next);
    answer.put("cut", page.cut);
    for warning in trap.warnings.into_iter().chain(page.warnings) {
        answer.warn(warning);
    }
    let is_empty = matches!(&page.body, Value::Null) || budget::of_value(&page.body) <= 1;
    answer.put("body", page.body);
    if is_empty {
        answer.put("body", "(empty)");
    }
    Ok(answer)
}

/// The path with the collection that was probably meant.
fn near_paths(request: &path::Request) -> Vec<String> {
    let Some((collection, fqn)) = request.entity() else {
        return Vec::new();
    };
    let known = EntityType::known()
        .filter_map(|name| EntityType::new(name).collection())
        .filter(|known| *known != collection);
    arguments::near(&collection, known)
        .into_iter()
        .map(|near| format!("{near}/name/{fqn}"))
        .collect()
}

/// What a snapshot has of a path: entities by name, as OpenMetadata reads them.
async fn of_snapshot(
    snapshot: &Arc<Snapshot>,
    request: &path::Request,
) -> Result<Value, ToolError> {
    let unsupported = || {
        ToolError::new(
            ErrorCode::UnsupportedVersion,
            "the catalog is a snapshot: of paths it has only {collection}/name/{fqn}",
        )
        .about("path")
        .did_you_mean(near_paths(request))
        .then("use search_entities, get_entity and the other tools, or connect an OpenMetadata")
    };
    let (collection, fqn) = request.entity().ok_or_else(unsupported)?;
    let entity_type = EntityType::of_collection(&collection).ok_or_else(unsupported)?;
    let kind = match entity_type.as_str() {
        "testCase" => Kind::TestCase,
        "ingestionPipeline" => Kind::IngestionPipeline,
        _ => Kind::Entity,
    };
    // Names are shared between types now and then: the documents say which they are.
    if let Some(document) = snapshot.document(kind, &fqn)? {
        return Ok(document);
    }
    let reference = Reference::parse(&format!("{entity_type}:{fqn}"))
        .map_err(|error| ToolError::of_name("path", error))?;
    let near = match Catalog::Snapshot(Arc::clone(snapshot))
        .resolve(&reference)
        .await
    {
        Err(CatalogError::NotFound { did_you_mean, .. }) => did_you_mean,
        _ => Vec::new(),
    };
    Err(ToolError::new(
        ErrorCode::NotFound,
        format!("this snapshot has no {entity_type} {fqn}"),
    )
    .about("path")
    .did_you_mean(near)
    .then("look it up with search_entities; names are exact, upper and lower case differ"))
}
