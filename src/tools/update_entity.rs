//! `update_entity`: shows the difference first, then makes it and reads it back.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Call, Context, Effect, Outcome, Tool, ToolError, Toolset, arguments, schema, subject};
use crate::{
    answer::{Answer, Budget, Table, clean},
    catalog::{
        Catalog, CatalogError, Reference,
        difference::Mode as Way,
        model::tier_name,
        writes::{Update, UpdateError, Wish},
    },
};

pub const TOOL: Tool = Tool {
    name: "update_entity",
    title: "Update entity",
    description: "Change description, owners, tags, tier, domain, terms or column descriptions. \
                  Shows the difference first; dry_run false applies it.",
    toolset: Toolset::CatalogWrite,
    effect: Effect::Write {
        destructive: true,
        idempotent: true,
    },
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["applied", "fqn", "type", "total", "returned", "complete"],
            &[
                ("fqn", schema::string()),
                ("type", schema::string()),
                ("changes", schema::table()),
                ("total", schema::integer()),
                ("returned", schema::integer()),
                ("complete", schema::boolean()),
                ("applied", schema::boolean()),
                ("version", schema::number()),
                ("next_step", schema::string()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// FQN, type:fqn, id or page URL.
    entity: String,
    /// The fields to change.
    set: Fields,
    /// set replaces; add fills what is empty and extends lists; remove takes the named value away, `*` any.
    mode: Option<Mode>,
    /// Default true: nothing is changed.
    dry_run: Option<bool>,
    /// `version` of the answer before: refuse if it changed since.
    expected_version: Option<f64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Fields {
    /// Markdown.
    description: Option<String>,
    /// Plain text.
    display_name: Option<String>,
    /// Users or teams, by name or display name.
    owners: Option<Vec<String>>,
    /// Such as PII.Sensitive.
    tags: Option<Vec<String>>,
    /// Tier1 to Tier5.
    tier: Option<String>,
    /// By name or display name.
    domain: Option<String>,
    /// Glossary terms, such as Parliament.Bill.
    terms: Option<Vec<String>>,
    /// Description by column name.
    columns: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Set,
    Add,
    Remove,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let arguments: Arguments = arguments::read(sent)?;
    let is_dry = arguments.dry_run.unwrap_or(true);
    let mode = match arguments.mode {
        None | Some(Mode::Set) => Way::Set,
        Some(Mode::Add) => Way::Add,
        Some(Mode::Remove) => Way::Remove,
    };
    let wish = wish(arguments.set)?;
    let reference =
        Reference::parse(&arguments.entity).map_err(|error| ToolError::of_name("entity", error))?;
    let catalog = context.catalog()?.fresh();
    if let (Catalog::Snapshot(_), false) = (&catalog, is_dry) {
        return Err(ToolError::of_local_copy());
    }
    let update = catalog
        .update(&reference, &wish, mode, is_dry, arguments.expected_version)
        .await
        .map_err(|error| match error {
            UpdateError::Catalog(error) => of_catalog(error, arguments.expected_version),
            UpdateError::Impossible(error) => ToolError::invalid(
                format!("set.{}", error.field),
                error.message,
                error.next_step,
            )
            .did_you_mean(error.did_you_mean),
        })?;
    let mut answer = answer(&update, is_dry);
    if matches!(mode, Way::Remove) {
        for field in fields(&wish) {
            if !update.changes.iter().any(|change| change.field == field) {
                answer.warn(format!(
                    "`{field}` holds nothing of what is named: nothing is removed from it (`*` \
                     stands for whatever is there)"
                ));
            }
        }
    }
    if let Some(as_of) = catalog.as_of() {
        if !update.changes.is_empty() {
            answer.put("next_step", subject::after_dry_run(&catalog));
        }
        answer.put("source", catalog.source());
        answer.put("as_of", as_of);
    }
    Ok(answer)
}

/// What the catalog said, with the argument that it is about.
fn of_catalog(error: CatalogError, expected_version: Option<f64>) -> ToolError {
    match error {
        CatalogError::NotFound { .. }
        | CatalogError::Deleted { .. }
        | CatalogError::Ambiguous { .. } => ToolError::of_name("entity", error),
        CatalogError::Conflict { .. } if expected_version.is_some() => {
            ToolError::from(error).about("expected_version")
        }
        error => error.into(),
    }
}

/// The fields that are named, as changes name them.
fn fields(wish: &Wish) -> Vec<String> {
    let named = [
        ("description", wish.description.is_some()),
        ("display_name", wish.display_name.is_some()),
        ("owners", wish.owners.is_some()),
        ("tags", wish.tags.is_some()),
        ("tier", wish.tier.is_some()),
        ("domain", wish.domain.is_some()),
        ("terms", wish.terms.is_some()),
    ];
    let columns = wish
        .columns
        .iter()
        .map(|(name, _)| format!("columns.{name}"));
    named
        .iter()
        .filter(|(_, is_named)| *is_named)
        .map(|(name, _)| (*name).to_owned())
        .chain(columns)
        .collect()
}

fn wish(fields: Fields) -> Result<Wish, ToolError> {
    let wish = Wish {
        description: fields.description,
        display_name: fields.display_name,
        owners: fields.owners,
        tags: fields.tags,
        tier: fields.tier,
        domain: fields.domain,
        terms: fields.terms,
        columns: fields.columns.into_iter().flatten().collect(),
    };
    let is_empty = wish.description.is_none()
        && wish.display_name.is_none()
        && wish.owners.is_none()
        && wish.tags.is_none()
        && wish.tier.is_none()
        && wish.domain.is_none()
        && wish.terms.is_none()
        && wish.columns.is_empty();
    if is_empty {
        return Err(ToolError::invalid(
            "set",
            "`set` names no field; an empty text counts as absent",
            "give at least one field; to clear one use mode remove with `*`",
        ));
    }
    let texts = [
        ("description", wish.description.as_ref()),
        ("display_name", wish.display_name.as_ref()),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            arguments::check_text(&format!("set.{field}"), text)?;
        }
    }
    for (name, text) in &wish.columns {
        arguments::check_text(&format!("set.columns.{name}"), text)?;
    }
    Ok(wish)
}

/// Long texts are cut for showing; what is sent is whole.
fn shown(field: &str, value: &Value) -> Value {
    const LONGEST: usize = 600;
    match value {
        Value::String(name) if field == "tier" => tier_name(name).into(),
        Value::String(text) => clean::text(text, LONGEST).into(),
        other => other.clone(),
    }
}

fn answer(update: &Update, is_dry: bool) -> Answer {
    let mut answer = Answer::new(Budget::DEFAULT);
    answer.put("fqn", update.fqn.clone());
    answer.put("type", update.entity_type.as_str());
    let mut changes = Table::new(&["field", "before", "after"]);
    for change in &update.changes {
        changes.push(vec![
            change.field.clone().into(),
            shown(&change.field, &change.before),
            shown(&change.field, &change.after),
        ]);
    }
    let total = changes.len();
    changes.cut_to(Budget::DEFAULT.tokens() - 200);
    answer.put("total", total);
    answer.put("returned", changes.len());
    answer.put("complete", changes.len() == total);
    if changes.len() < total {
        answer.warn(format!(
            "{} of {total} changes are shown; all of them are meant: change fewer columns in one \
             call to see each",
            changes.len()
        ));
    }
    if total > 0 {
        answer.put("changes", changes.into_value());
    }
    answer.put("applied", update.is_applied);
    answer.put("version", update.version);
    if update.changes.is_empty() {
        answer.put("next_step", "nothing to change: it is so already");
    } else if is_dry {
        answer.put(
            "next_step",
            "nothing was sent; the same call with dry_run false and expected_version as above applies it",
        );
    }
    for warning in &update.warnings {
        answer.warn(warning);
    }
    answer
}
