//! `get_entity`: up to ten entities with their columns and whatever else is asked for.

mod wanted;

use futures::future::join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use wanted::{DEFAULT_COLUMNS, Position, Wanted};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments,
    entity_view::{self, ColumnPage, View},
    schema,
};
use crate::{
    answer::{Answer, Budget, CURSOR_PAST_END, CursorScope, Table, budget, clean},
    catalog::{Catalog, CatalogError, Reference, columns::Column, entities::Entity},
};

pub const TOOL: Tool = Tool {
    name: "get_entity",
    title: "Get entities",
    description: "What entities are: description, owners, tags, tier, domain, columns (paged), \
                  charts, tasks; on request tests, usage, contract, queries, versions, profile.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["total", "returned", "complete"],
            &[
                ("entities", schema::list(schema::object())),
                ("missing", schema::table()),
                ("total", schema::integer()),
                ("returned", schema::integer()),
                ("complete", schema::boolean()),
                ("next", schema::string()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// 1 to 10: FQN, type:fqn, id or page URL.
    #[schemars(length(min = 1, max = 10))]
    entities: Vec<String>,
    /// Default: summary with columns. `all` is all but sample rows.
    sections: Option<Vec<Section>>,
    /// Only columns whose name contains one of these.
    columns: Option<Vec<String>>,
    /// Columns (and members of lists) of each entity; default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Section {
    Summary,
    Columns,
    Tags,
    Owners,
    Members,
    Quality,
    Usage,
    Contract,
    Queries,
    Versions,
    CustomProperties,
    Profile,
    Joins,
    Definition,
    Sample,
    All,
}

const MOST_ENTITIES: usize = 10;

async fn call(context: &Context, sent: Value) -> Outcome {
    let (arguments, scope): (Arguments, _) = arguments::read_paged("get_entity", sent)?;
    if arguments.entities.is_empty() || arguments.entities.len() > MOST_ENTITIES {
        return Err(ToolError::invalid(
            "entities",
            format!("`entities` has {} names", arguments.entities.len()),
            "give 1 to 10 names; more in further calls",
        ));
    }
    let catalog = context.catalog()?;
    let from = match &arguments.cursor {
        None => None,
        Some(cursor) => Some(Position::of(scope.position(Some(cursor))?, &arguments)?),
    };
    let wanted = Wanted::of(&arguments, from.is_some());
    let asked: Vec<(usize, &String)> = arguments
        .entities
        .iter()
        .enumerate()
        .filter(|(index, _)| from.is_none_or(|from| from.entity == *index))
        .collect();
    let reads = join_all(asked.iter().map(|(index, written)| {
        let wanted = &wanted;
        let catalog = &catalog;
        async move {
            let read = read(catalog, written, wanted, from);
            let read = tokio::time::timeout(context.time_left(), read)
                .await
                .unwrap_or_else(|_| {
                    Err(CatalogError::Timeout {
                        message: "no answer in time".into(),
                    })
                });
            (*index, *written, read)
        }
    }))
    .await;
    let is_all_failed = reads.iter().all(|(_, _, read)| read.is_err());
    if is_all_failed
        && let Some((_, _, Err(error))) = reads
            .iter()
            .find(|(_, _, read)| matches!(read, Err(error) if !is_about_one_entity(error)))
    {
        return Err(error.clone().into());
    }
    Ok(answer(&catalog, &wanted, &scope, from, reads))
}

/// One entity as it was read.
struct Read {
    entity: Entity,
    parts: Vec<(&'static str, Result<Option<Value>, CatalogError>)>,
    /// The columns of this page came alone: how many there are in all.
    page_of: Option<usize>,
}

async fn read(
    catalog: &Catalog,
    written: &str,
    wanted: &Wanted,
    from: Option<Position>,
) -> Result<Read, CatalogError> {
    let reference = Reference::parse(written)?;
    if let Some(from) = from
        && from.is_flat
        && wanted.filter.is_empty()
        && let Some((entity, total)) = catalog
            .column_page(&reference, from.column, wanted.most_columns)
            .await?
    {
        return Ok(Read {
            entity,
            parts: Vec::new(),
            page_of: Some(total),
        });
    }
    let entity = catalog.entity(&reference).await?;
    // All that there is means all that this type can have; what is named is looked for anyhow.
    let asked = wanted
        .parts
        .iter()
        .filter(|(_, part)| !wanted.is_all || part.is_of(&entity.summary.entity_type));
    let parts = join_all(asked.map(|(name, part)| {
        let entity = &entity;
        async move { (*name, catalog.part(entity, *part).await) }
    }))
    .await;
    Ok(Read {
        entity,
        parts,
        page_of: None,
    })
}

fn answer(
    catalog: &Catalog,
    wanted: &Wanted,
    scope: &CursorScope,
    from: Option<Position>,
    reads: Vec<(usize, &String, Result<Read, CatalogError>)>,
) -> Answer {
    // Who names a limit above the default asks for more than the default answer holds.
    let is_generous = wanted.most_columns > DEFAULT_COLUMNS;
    let allowed = if is_generous {
        Budget::HARD
    } else {
        Budget::DEFAULT
    };
    let mut answer = Answer::new(allowed);
    let total = reads.len();
    // total, returned, complete, next, source, as_of
    let share = allowed.tokens().saturating_sub(80) / total.max(1);
    let mut is_cut = false;
    let mut missing = Table::new(&["entity", "reason", "message", "did_you_mean"]);
    let mut shown: Vec<(usize, Map<String, Value>, Read)> = Vec::new();
    for (index, written, read) in reads {
        match read {
            Err(error) => missing.push(missing_row(catalog, written, &error)),
            Ok(read) => {
                let view = View {
                    tokens: share,
                    ..wanted.view
                };
                let mut fields = entity_view::fields(&read.entity, view);
                for (name, part) in &read.parts {
                    let value = match part {
                        Ok(Some(value)) => counted(value.clone()),
                        Ok(None) => "none".into(),
                        Err(error) => {
                            answer.warn(format!(
                                "{name} of {}: could not look: {error}",
                                read.entity.summary.fqn
                            ));
                            continue;
                        }
                    };
                    fields.insert((*name).to_owned(), value);
                }
                if !read.entity.is_whole {
                    answer.warn(format!(
                        "{}: only what the search index holds is in this snapshot",
                        read.entity.summary.fqn
                    ));
                }
                let left_out = entity_view::fit(&mut fields, share);
                if !left_out.is_empty() {
                    is_cut = true;
                    answer.warn(format!(
                        "{} of {} left out for size: ask for them alone (sections, one entity)",
                        left_out.join(", "),
                        read.entity.summary.fqn
                    ));
                }
                shown.push((index, fields, read));
            }
        }
    }
    let used: usize = shown
        .iter()
        .map(|(_, fields, _)| entity_view::tokens_of(fields))
        .sum::<usize>()
        + budget::of_value(&missing.clone().into_value())
        + 80;
    let mut left = allowed.tokens().saturating_sub(used);
    let mut with_columns = shown
        .iter()
        .filter(|(_, _, read)| wanted.view.columns && !read.entity.columns.is_empty())
        .count();
    let mut next: Option<String> = None;
    let mut is_complete = missing.is_empty() && !is_cut;
    let mut entities = Vec::new();
    for (index, mut fields, read) in shown {
        if wanted.view.columns && !read.entity.columns.is_empty() {
            let share = left / with_columns.max(1);
            with_columns = with_columns.saturating_sub(1);
            let start = from.map_or(0, |from| from.column);
            let is_flat = read
                .entity
                .columns
                .iter()
                .all(|column| column.pointer.matches('/').count() == 2);
            let cursor = |column: usize| {
                scope.cursor(
                    Position {
                        entity: index,
                        is_flat,
                        column,
                    }
                    .number(),
                )
            };
            if let Some(table) = columns(&read, wanted, start, share, &mut answer, cursor) {
                left = left.saturating_sub(entity_view::tokens_of(&table));
                if let Some(Value::String(cursor)) = table.get("next") {
                    next.get_or_insert(cursor.clone());
                    is_complete = false;
                }
                fields.insert("columns".into(), table.into());
            }
        }
        let cut: Vec<&str> = fields
            .iter()
            .filter(|(name, value)| {
                name.as_str() != "columns" && value.get("complete") == Some(&false.into())
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if !cut.is_empty() {
            answer.warn(format!(
                "not all {} of {} are listed: raise `limit`, ask for it alone, or search_entities",
                cut.join(", "),
                read.entity.summary.fqn
            ));
        }
        is_complete &= fields
            .values()
            .all(|value| value.get("complete") != Some(&false.into()));
        entities.push(Value::Object(fields));
    }
    answer.put(
        "source",
        if catalog.as_of().is_some() {
            catalog.source()
        } else {
            ""
        },
    );
    answer.put("as_of", catalog.as_of());
    let returned = entities.len();
    answer.put("entities", entities);
    if !missing.is_empty() {
        answer.put("missing", missing.into_value());
    }
    answer.put("total", total);
    answer.put("returned", returned);
    answer.put("complete", is_complete);
    answer.put("next", next);
    answer
}

fn columns(
    read: &Read,
    wanted: &Wanted,
    start: usize,
    tokens: usize,
    answer: &mut Answer,
    cursor: impl Fn(usize) -> String,
) -> Option<Map<String, Value>> {
    let all = &read.entity.columns;
    let matching: Vec<Column> = all
        .iter()
        .filter(|column| {
            let name = column.name.to_lowercase();
            wanted.filter.is_empty() || wanted.filter.iter().any(|part| name.contains(part))
        })
        .cloned()
        .collect();
    let total = read.page_of.unwrap_or(matching.len());
    let unfiltered = (!wanted.filter.is_empty()).then_some(all.len());
    if matching.is_empty() && unfiltered.is_some() {
        let near = wanted
            .filter
            .iter()
            .flat_map(|part| arguments::near(part, all.iter().map(|column| column.name.as_str())))
            .collect::<Vec<_>>();
        let mut warning = format!(
            "no column of {} has this in its name",
            read.entity.summary.fqn
        );
        if !near.is_empty() {
            warning.push_str(&format!("; there are {}", near.join(", ")));
        }
        answer.warn(warning);
    }
    if start > 0 && start >= total {
        answer.warn(CURSOR_PAST_END);
    }
    // The columns of a page that came alone begin where the cursor says.
    let rest = if read.page_of.is_some() {
        &matching[..]
    } else {
        matching.get(start..).unwrap_or_default()
    };
    let is_wide = total > wanted.most_columns && !wanted.has_columns_named;
    let has_descriptions = rest.iter().any(|column| column.description.is_some());
    let descriptions = !(is_wide && wanted.is_default);
    if !descriptions && has_descriptions {
        answer.warn("descriptions of the columns are left out: name `columns` or section columns");
    }
    entity_view::column_table(
        ColumnPage {
            columns: rest,
            start,
            total,
            unfiltered,
            most: wanted.most_columns,
            tokens,
            descriptions,
        },
        cursor,
    )
}

/// Says something of this entity, not of the connection.
fn is_about_one_entity(error: &CatalogError) -> bool {
    matches!(
        error,
        CatalogError::NotFound { .. }
            | CatalogError::Deleted { .. }
            | CatalogError::Ambiguous { .. }
            | CatalogError::Invalid { .. }
            | CatalogError::Forbidden { .. }
            | CatalogError::Unsupported { .. }
    )
}

/// What is not in a copy of a server may be on the server.
fn is_copy(catalog: &Catalog) -> bool {
    matches!(catalog, Catalog::Snapshot(snapshot) if snapshot.is_of_a_server())
}

/// A list that says how much it is of says whether that is all, too.
fn counted(mut part: Value) -> Value {
    if let Value::Object(fields) = &mut part
        && let (Some(total), Some(returned)) = (fields.get("total"), fields.get("returned"))
    {
        let is_whole = total == returned && !fields.contains_key("columns_in_all");
        fields.entry("complete").or_insert(is_whole.into());
    }
    part
}

/// Not found, deleted, not allowed and could not look are different answers.
fn missing_row(catalog: &Catalog, written: &str, error: &CatalogError) -> Vec<Value> {
    let reason = match error {
        CatalogError::NotFound { .. } if is_copy(catalog) => "not_in_snapshot",
        CatalogError::NotFound { .. } => "not_found",
        CatalogError::Deleted { .. } => "deleted",
        other => ToolError::from(other.clone()).code.as_str(),
    };
    let error = ToolError::from(error.clone());
    vec![
        clean::text(written, 300).into(),
        reason.into(),
        if error.code == ErrorCode::NotFound {
            Value::Null
        } else {
            clean::text(&error.message, 300).into()
        },
        error.did_you_mean.into(),
    ]
}
