//! `edit_lineage`: adds or removes an edge or its columns, after checks that OpenMetadata omits.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, lineage,
    schema::{self, boolean, list, object, string},
};
use crate::{
    answer::{Answer, Budget},
    catalog::{
        Catalog, EntitySummary,
        graph::ColumnMapping,
        lineage::{EdgeDetails, EdgeWrite},
    },
};

pub const TOOL: Tool = Tool {
    name: "edit_lineage",
    title: "Edit lineage",
    description: "Adds or removes a lineage edge, or columns of one. Shows what would change unless \
                  dry_run is false.",
    toolset: Toolset::CatalogWrite,
    effect: Effect::Write {
        destructive: true,
        idempotent: true,
    },
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["applied", "edge", "change"],
            &[
                ("applied", boolean()),
                ("edge", object()),
                ("change", string()),
                ("added", list(string())),
                ("removed", list(string())),
                ("before", object()),
                ("next_step", string()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    action: Action,
    /// The entity that data comes from.
    from: String,
    /// The entity that data goes to.
    to: String,
    /// Column mappings; with remove only these, without them the whole edge.
    columns: Option<Vec<Mapping>>,
    /// Of the edge.
    description: Option<String>,
    /// Default true: nothing is changed.
    dry_run: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Add,
    Remove,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Mapping {
    /// Columns of `from`.
    from: Vec<String>,
    /// One column of `to`.
    to: String,
}

/// Types between which people draw lineage; that of databases, services and domains OpenMetadata
/// sums up itself, and users, tags or tests move no data.
const ASSETS: [&str; 13] = [
    "table",
    "topic",
    "dashboard",
    "dashboardDataModel",
    "chart",
    "pipeline",
    "mlmodel",
    "container",
    "searchIndex",
    "storedProcedure",
    "apiEndpoint",
    "metric",
    "file",
];

/// What is to be done, after all checks.
struct Plan {
    /// What the edge will be; none where it will be gone.
    after: Option<EdgeDetails>,
    added: Vec<ColumnMapping>,
    removed: Vec<ColumnMapping>,
    /// In words.
    change: String,
    changes_nothing: bool,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let asked: Arguments = arguments::read(sent)?;
    let is_dry = asked.dry_run.unwrap_or(true);
    if asked.action == Action::Remove && asked.description.is_some() {
        return Err(ToolError::invalid(
            "description",
            "`description` does not belong to action remove",
            "leave it away; action add changes the description of an edge",
        ));
    }
    if let Some(description) = &asked.description {
        arguments::check_text("description", description)?;
    }
    let catalog = context.catalog()?.fresh();
    if !is_dry && matches!(catalog, Catalog::Snapshot(_)) {
        return Err(ToolError::of_local_copy());
    }
    let from = lineage::entity(&catalog, "from", &asked.from).await?;
    let to = lineage::entity(&catalog, "to", &asked.to).await?;
    check_ends(&from, &to)?;
    let mappings = mappings(&catalog, &from, &to, asked.columns.as_deref()).await?;
    let before = catalog.edge(&from, &to).await?;
    let plan = match asked.action {
        Action::Add => plan_add(before.as_ref(), &mappings, asked.description.as_deref()),
        Action::Remove => plan_remove(before.as_ref(), &mappings, &from, &to)?,
    };

    let mut answer = Answer::new(Budget::DEFAULT);
    lineage::put_source(&mut answer, &catalog);
    if let Some(before) = &before
        && !plan.changes_nothing
    {
        answer.put("before", shown(before, &from, &to));
    }
    answer.put("added", texts(&plan.added, &from, &to));
    answer.put("removed", texts(&plan.removed, &from, &to));
    if is_dry || plan.changes_nothing {
        answer.put("applied", false);
        answer.put(
            "change",
            if plan.changes_nothing {
                plan.change.clone()
            } else {
                format!("would {}", plan.change)
            },
        );
        let edge = plan.after.clone().unwrap_or_default();
        answer.put("edge", ends(shown(&edge, &from, &to), &from, &to));
        if !plan.changes_nothing {
            answer.put("next_step", super::subject::after_dry_run(&catalog));
        }
        return Ok(answer);
    }
    let write = match &plan.after {
        Some(details) => EdgeWrite::Put(details),
        None => EdgeWrite::Remove,
    };
    catalog.write_edge(&from, &to, write).await?;
    read_back(&catalog, &from, &to, &plan, answer).await
}

/// What the catalog has now, against what it was to have.
async fn read_back(
    catalog: &Catalog,
    from: &EntitySummary,
    to: &EntitySummary,
    plan: &Plan,
    mut answer: Answer,
) -> Outcome {
    let now = match catalog.edge(from, to).await {
        Ok(now) => now,
        Err(error) => {
            answer.put("applied", true);
            answer.put("change", plan.change.clone());
            answer.put("edge", ends(Map::new(), from, to));
            answer.warn(format!(
                "OpenMetadata took the change, but it could not be read back: {error}"
            ));
            return Ok(answer);
        }
    };
    match (&plan.after, &now) {
        (Some(_), None) | (None, Some(_)) => {
            return Err(ToolError::new(
                ErrorCode::BadUpstream,
                "OpenMetadata took the change without an error, but the edge is as it was",
            )
            .then("look with get_lineage, then try again"));
        }
        (Some(wanted), Some(now)) => {
            let lost: Vec<ColumnMapping> = wanted
                .columns
                .iter()
                .filter(|mapping| !contains(&now.columns, mapping))
                .cloned()
                .collect();
            if !lost.is_empty() {
                answer.warn(format!(
                    "OpenMetadata dropped these columns: {}",
                    texts(&lost, from, to).join("; ")
                ));
            }
        }
        (None, None) => {}
    }
    answer.put("applied", true);
    answer.put("change", plan.change.clone());
    let now = now.unwrap_or_default();
    answer.put("edge", ends(shown(&now, from, to), from, to));
    Ok(answer)
}

fn check_ends(from: &EntitySummary, to: &EntitySummary) -> Result<(), ToolError> {
    if from.fqn == to.fqn && from.entity_type == to.entity_type {
        return Err(ToolError::invalid(
            "to",
            format!("{} would feed itself", to.fqn),
            "name two entities that differ",
        ));
    }
    for (argument, end) in [("from", from), ("to", to)] {
        if !ASSETS.contains(&end.entity_type.as_str()) {
            return Err(ToolError::invalid(
                argument,
                format!(
                    "{} is a {}, which has no lineage of its own",
                    end.fqn, end.entity_type
                ),
                format!("lineage goes between assets: {}", ASSETS.join(", ")),
            ));
        }
    }
    Ok(())
}

/// The column mappings with FQNs, each column checked on its side.
async fn mappings(
    catalog: &Catalog,
    from: &EntitySummary,
    to: &EntitySummary,
    asked: Option<&[Mapping]>,
) -> Result<Vec<ColumnMapping>, ToolError> {
    let asked = asked.unwrap_or_default();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let sources = columns(catalog, from).await?;
    let targets = columns(catalog, to).await?;
    let mut mappings = Vec::with_capacity(asked.len());
    for (position, mapping) in asked.iter().enumerate() {
        let mut columns = Vec::with_capacity(mapping.from.len());
        for written in &mapping.from {
            let argument = format!("columns[{position}].from");
            columns.push(find(from, &sources, &argument, written)?);
        }
        let argument = format!("columns[{position}].to");
        mappings.push(ColumnMapping {
            from: columns,
            to: find(to, &targets, &argument, &mapping.to)?,
        });
    }
    Ok(mappings)
}

async fn columns(catalog: &Catalog, entity: &EntitySummary) -> Result<Vec<String>, ToolError> {
    catalog.columns_of(entity).await?.ok_or_else(|| {
        ToolError::invalid(
            "columns",
            format!(
                "{} is a {}, which has no columns",
                entity.fqn, entity.entity_type
            ),
            "leave `columns` away",
        )
    })
}

fn find(
    entity: &EntitySummary,
    columns: &[String],
    argument: &str,
    written: &str,
) -> Result<String, ToolError> {
    lineage::find_column(entity, columns, written).map_err(|near| {
        ToolError::invalid(
            argument,
            format!("{} has no column {written}", entity.fqn),
            "name one of its columns; get_entity lists them",
        )
        .did_you_mean(near)
    })
}

fn plan_add(
    before: Option<&EdgeDetails>,
    mappings: &[ColumnMapping],
    description: Option<&str>,
) -> Plan {
    let mut after = before.cloned().unwrap_or_default();
    let added: Vec<ColumnMapping> = mappings
        .iter()
        .filter(|mapping| !contains(&after.columns, mapping))
        .cloned()
        .collect();
    for mapping in &added {
        // One list of sources for each target, as OpenMetadata keeps it.
        match after
            .columns
            .iter_mut()
            .find(|present| present.to == mapping.to)
        {
            Some(present) => {
                let new = mapping.from.iter().filter(|c| !present.from.contains(c));
                let new: Vec<String> = new.cloned().collect();
                present.from.extend(new);
            }
            None => after.columns.push(mapping.clone()),
        }
    }
    let describes = description.is_some_and(|text| after.description.as_deref() != Some(text));
    if describes {
        after.description = description.map(str::to_owned);
    }
    let change = match (before, added.len(), describes) {
        (None, 0, _) => "add the edge".to_owned(),
        (None, count, _) => format!("add the edge with {count} column mappings"),
        (Some(_), 0, false) => "nothing: the edge is there already".to_owned(),
        (Some(_), 0, true) => "change the description of the edge".to_owned(),
        (Some(_), count, false) => format!("add {count} column mappings to the edge"),
        (Some(_), count, true) => {
            format!("add {count} column mappings to the edge and change its description")
        }
    };
    Plan {
        changes_nothing: before.is_some() && added.is_empty() && !describes,
        after: Some(after),
        added,
        removed: Vec::new(),
        change,
    }
}

fn plan_remove(
    before: Option<&EdgeDetails>,
    mappings: &[ColumnMapping],
    from: &EntitySummary,
    to: &EntitySummary,
) -> Result<Plan, ToolError> {
    let Some(before) = before else {
        return Err(ToolError::new(
            ErrorCode::NotFound,
            format!("there is no edge from {} to {}", from.fqn, to.fqn),
        )
        .then("look with get_lineage which edges there are, and which way they run"));
    };
    if mappings.is_empty() {
        return Ok(Plan {
            after: None,
            added: Vec::new(),
            removed: before.columns.clone(),
            change: "remove the edge".to_owned(),
            changes_nothing: false,
        });
    }
    let mut after = before.clone();
    for mapping in mappings {
        if !contains(&before.columns, mapping) {
            return Err(ToolError::invalid(
                "columns",
                format!(
                    "the edge has no mapping {}",
                    texts(std::slice::from_ref(mapping), from, to).join("")
                ),
                "name mappings that it has",
            )
            .did_you_mean(texts(&before.columns, from, to)));
        }
        for present in &mut after.columns {
            if present.to == mapping.to {
                present.from.retain(|column| !mapping.from.contains(column));
            }
        }
    }
    after.columns.retain(|mapping| !mapping.from.is_empty());
    Ok(Plan {
        after: Some(after),
        added: Vec::new(),
        removed: mappings.to_vec(),
        change: format!("remove {} column mappings of the edge", mappings.len()),
        changes_nothing: false,
    })
}

/// Each source of the mapping already makes its target.
fn contains(mappings: &[ColumnMapping], wanted: &ColumnMapping) -> bool {
    wanted.from.iter().all(|column| {
        mappings
            .iter()
            .any(|mapping| mapping.to == wanted.to && mapping.from.contains(column))
    })
}

fn texts(mappings: &[ColumnMapping], from: &EntitySummary, to: &EntitySummary) -> Vec<String> {
    let below = |entity: &EntitySummary, column: &str| {
        column
            .strip_prefix(entity.fqn.as_str())
            .and_then(|rest| rest.strip_prefix('.'))
            .unwrap_or(column)
            .to_owned()
    };
    mappings
        .iter()
        .map(|mapping| {
            let sources: Vec<String> = mapping.from.iter().map(|c| below(from, c)).collect();
            format!("{} > {}", sources.join(" + "), below(to, &mapping.to))
        })
        .collect()
}

fn shown(details: &EdgeDetails, from: &EntitySummary, to: &EntitySummary) -> Map<String, Value> {
    let fields = [
        ("columns", json!(texts(&details.columns, from, to))),
        ("description", json!(details.description)),
        ("pipeline", json!(details.pipeline)),
        ("source", json!(details.source)),
    ];
    fields
        .into_iter()
        .filter(|(_, value)| {
            !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
        })
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The edge with the names of its ends in front.
fn ends(
    details: Map<String, Value>,
    from: &EntitySummary,
    to: &EntitySummary,
) -> Map<String, Value> {
    let mut edge = Map::new();
    for (name, end) in [("from", from), ("to", to)] {
        edge.insert(
            name.into(),
            format!("{}:{}", end.entity_type, end.fqn).into(),
        );
    }
    edge.extend(details);
    edge
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(from: &[&str], to: &str) -> ColumnMapping {
        ColumnMapping {
            from: from.iter().map(|&column| column.to_owned()).collect(),
            to: to.to_owned(),
        }
    }

    /// `PUT /lineage` replaces the whole edge: what was there has to go along.
    #[test]
    fn adding_keeps_what_was_there() {
        let mut before = EdgeDetails::default();
        before.columns = vec![mapping(&["a.x"], "b.x")];
        before.sql = Some("SELECT".into());
        let plan = plan_add(
            Some(&before),
            &[mapping(&["a.y"], "b.x"), mapping(&["a.z"], "b.z")],
            None,
        );
        let after = plan.after.unwrap();
        assert_eq!(
            after.columns,
            [mapping(&["a.x", "a.y"], "b.x"), mapping(&["a.z"], "b.z")]
        );
        assert_eq!(after.sql.as_deref(), Some("SELECT"));
        assert_eq!(plan.added.len(), 2);
        let again = plan_add(Some(&before), &[mapping(&["a.x"], "b.x")], None);
        assert!(again.changes_nothing);
    }
}
