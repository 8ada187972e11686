//! `search_entities`: words, exact FQN or filters in; hits with why they matched out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments,
    arguments::near, schema,
};
use crate::{
    answer::{Answer, Budget, Page, Table, Total},
    catalog::{
        Catalog, EntitySummary, EntityType, fqn, model,
        search::text::Typed,
        search::{self, Counts, FilterName, Filters, Found, Hit, Named, Question},
    },
};

const NAME: &str = "search_entities";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Search entities",
    description: "Find tables, dashboards, topics, pipelines, models, terms, tags, users, teams… by \
                  words, exact FQN or filters. Hits say why they matched; counts are complete.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = schema::paged("hits");
        fields.extend([
            ("facets", schema::object()),
            ("did_you_mean", schema::list(schema::string())),
        ]);
        schema::result(&["hits", "total", "returned", "complete"], &fields)
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Words or an exact FQN; leave out to list by filters.
    query: Option<String>,
    /// Entity types: table, dashboard, user, …
    types: Option<Vec<String>>,
    /// Service name.
    service: Option<String>,
    /// User or team, by name or display name.
    owner: Option<String>,
    /// All of these classification tags.
    tags: Option<Vec<String>>,
    /// Tier1 to Tier5.
    tier: Option<String>,
    /// Domain.
    domain: Option<String>,
    /// Glossary term.
    term: Option<String>,
    /// Has a column of this name.
    column: Option<String>,
    /// Lacks all of these.
    missing: Option<Vec<Missing>>,
    /// Deleted entities instead.
    deleted: Option<bool>,
    /// Counts over all hits.
    facets: Option<Vec<Facet>>,
    /// Hits, 10 by default.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u64>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Missing {
    Owner,
    Description,
    Tier,
    Tags,
    Domain,
    Term,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Facet {
    All,
    Type,
    Service,
    Owner,
    Tier,
    Tag,
    Domain,
}

/// Hits of a page where the caller does not say.
const USUAL_LIMIT: u64 = 10;

/// Characters of a query; longer ones are documents, not searches.
const LONGEST_QUERY: usize = 400;

/// Values of one facet that are shown.
const MOST_VALUES: usize = 15;

async fn call(context: &Context, sent: Value) -> Outcome {
    let (arguments, scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let start = scope.position(arguments.cursor.as_deref())?;
    let question = question(arguments, start)?;
    let catalog = context.catalog()?;
    let mut found = catalog.search(&question, context.deadline()).await?;
    // An exact name is looked up and not searched for: nobody counted.
    if found.counts.is_empty() && found.total == Total::Exact(found.hits.len() as u64) {
        found.counts = counted(&found.hits, &question.facets);
    }
    let is_nothing = found.total == Total::Exact(0);
    let mut answer = Answer::new(Budget::DEFAULT);
    if let Some(as_of) = catalog.as_of() {
        answer.put("source", catalog.source()).put("as_of", as_of);
    }
    if is_nothing {
        for warning in who_is_unknown(&catalog, &question.filters).await? {
            answer.warn(warning);
        }
    }
    for note in &found.notes {
        answer.warn(note.clone());
    }
    answer.put("facets", facets(&found.counts));
    answer.put("did_you_mean", found.did_you_mean.clone());
    answer.page(
        "hits",
        Page {
            total: found.total,
            start,
            scope: &scope,
            table: table(found),
        },
    );
    Ok(answer)
}

/// The arguments as a question, every name in them known or named as a fault.
fn question(arguments: Arguments, start: u64) -> Result<Question, ToolError> {
    contradictions(&arguments)?;
    let mut types: Vec<EntityType> = Vec::new();
    for name in arguments.types.iter().flatten() {
        let known = known_type(name)?;
        if !types.contains(&known) {
            types.push(known);
        }
    }
    let mut query = arguments.query.map(|query| query.trim().to_owned());
    // `table:a.b.c`, as other tools name entities.
    if let Some((prefix, rest)) = query.as_deref().and_then(|query| query.split_once(':'))
        && EntityType::known().any(|name| name == prefix)
        && types.is_empty()
        && !rest.trim().is_empty()
    {
        types.push(EntityType::new(prefix));
        query = Some(rest.trim().to_owned());
    }
    let typed = match query.as_deref() {
        None | Some("*" | "**") => None,
        Some(query) if query.chars().count() > LONGEST_QUERY => {
            return Err(ToolError::invalid(
                "query",
                format!("`query` is longer than {LONGEST_QUERY} characters"),
                "give the few words that matter, or an exact FQN",
            ));
        }
        Some(query) => Some(Typed::parse(query).ok_or_else(|| {
            ToolError::invalid(
                "query",
                "`query` holds no letter and no digit to look for",
                "give words or an FQN, or leave `query` out to list by filters",
            )
        })?),
    };
    let mut facets = Vec::new();
    for facet in arguments.facets.iter().flatten() {
        let named: &[search::Facet] = match facet {
            Facet::All => &search::Facet::ALL,
            Facet::Type => &[search::Facet::Type],
            Facet::Service => &[search::Facet::Service],
            Facet::Owner => &[search::Facet::Owner],
            Facet::Tier => &[search::Facet::Tier],
            Facet::Tag => &[search::Facet::Tag],
            Facet::Domain => &[search::Facet::Domain],
        };
        for facet in named {
            if !facets.contains(facet) {
                facets.push(*facet);
            }
        }
    }
    Ok(Question {
        typed,
        types,
        filters: Filters {
            service: arguments.service,
            owner: arguments.owner,
            tags: arguments.tags.unwrap_or_default(),
            tier: arguments.tier.as_deref().map(tier),
            domain: arguments.domain,
            term: arguments.term,
            column: arguments.column,
            missing: arguments
                .missing
                .into_iter()
                .flatten()
                .map(|missing| match missing {
                    Missing::Owner => search::Missing::Owner,
                    Missing::Description => search::Missing::Description,
                    Missing::Tier => search::Missing::Tier,
                    Missing::Tags => search::Missing::Tags,
                    Missing::Domain => search::Missing::Domain,
                    Missing::Term => search::Missing::Term,
                })
                .collect(),
        },
        deleted: arguments.deleted.unwrap_or(false),
        start,
        limit: arguments.limit.unwrap_or(USUAL_LIMIT),
        facets,
    })
}

/// Filters that no entity can pass together.
fn contradictions(arguments: &Arguments) -> Result<(), ToolError> {
    for missing in arguments.missing.iter().flatten() {
        let (argument, is_given) = match missing {
            Missing::Owner => ("owner", arguments.owner.is_some()),
            Missing::Tier => ("tier", arguments.tier.is_some()),
            Missing::Tags => ("tags", arguments.tags.is_some()),
            Missing::Domain => ("domain", arguments.domain.is_some()),
            Missing::Term => ("term", arguments.term.is_some()),
            Missing::Description => ("description", false),
        };
        if is_given {
            return Err(ToolError::invalid(
                "missing",
                format!("`{argument}` and `missing` {argument} exclude each other"),
                format!("give `{argument}` or list it in `missing`, not both"),
            ));
        }
    }
    Ok(())
}

/// A type by its name in any case, singular or plural.
fn known_type(written: &str) -> Result<EntityType, ToolError> {
    let plain = |name: &str| {
        let letters = name.chars().filter(|character| character.is_alphanumeric());
        letters.collect::<String>().to_lowercase()
    };
    let wanted = plain(written);
    let found = EntityType::known().find(|name| {
        let name = plain(name);
        let plural = match name.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None => format!("{name}s"),
        };
        wanted == name || wanted == plural || wanted == format!("{name}es")
    });
    found.map(EntityType::new).ok_or_else(|| {
        let mut near_ones = near(written, EntityType::known());
        if near_ones.is_empty() {
            near_ones = ["table", "dashboard", "pipeline"]
                .map(str::to_owned)
                .to_vec();
        }
        ToolError::invalid(
            "types",
            format!("there is no entity type `{written}`"),
            "give entity types as OpenMetadata spells them, or leave `types` out",
        )
        .did_you_mean(near_ones)
    })
}

/// `1`, `tier1`, `Tier.Tier1` are one tier; other names are taken below the classification `Tier`.
fn tier(written: &str) -> String {
    let name = written.trim();
    let lower = name.to_lowercase();
    let last = lower.strip_prefix("tier.").unwrap_or(&lower);
    let number = last.strip_prefix("tier").unwrap_or(last).trim();
    if !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit()) {
        return format!("Tier.Tier{number}");
    }
    if lower.starts_with("tier.") {
        name.to_owned()
    } else {
        format!("Tier.{name}")
    }
}

/// Where nothing was found: the filter that names nothing is the fault; what could not be looked
/// up is said.
async fn who_is_unknown(catalog: &Catalog, filters: &Filters) -> Result<Vec<String>, ToolError> {
    let mut warnings = Vec::new();
    for FilterName { argument, name } in filters.names() {
        let filter = FilterName {
            argument,
            name: name.clone(),
        };
        match catalog.named(&filter).await? {
            Named::Known => {}
            Named::Unknown(near_ones) => {
                let what = match argument {
                    "owner" => "user or team",
                    "tags" => "tag",
                    "term" => "glossary term",
                    other => other,
                };
                return Err(ToolError::new(
                    ErrorCode::InvalidArgument,
                    format!("no {what} is called `{name}`"),
                )
                .about(argument)
                .did_you_mean(near_ones)
                .then("use a name that exists, or leave the filter out"));
            }
            Named::Unclear => warnings.push(format!(
                "whether `{name}` ({argument}) exists was not looked up"
            )),
        }
    }
    Ok(warnings)
}

fn table(found: Found) -> Table {
    let mut table = Table::new(&["fqn", "type", "name", "service", "owners", "tier", "why"]);
    for Hit { entity, why } in found.hits {
        // The last part of the FQN is the name; what people see is said where it differs.
        let last = fqn::parts(&entity.fqn).pop().unwrap_or_default();
        let shown = entity.display_name.as_deref().unwrap_or(&entity.name);
        let owners: Vec<&str> = entity
            .owners
            .iter()
            .map(|owner| owner.name.as_str())
            .collect();
        table.push(vec![
            entity.fqn.clone().into(),
            entity.entity_type.as_str().into(),
            (shown != last).then_some(shown).into(),
            entity.service.clone().into(),
            if owners.is_empty() {
                Value::Null
            } else {
                json!(owners)
            },
            entity.tier.as_deref().map(model::tier_name).into(),
            why.into(),
        ]);
    }
    table
}

/// Counts over hits that are all there are.
fn counted(hits: &[Hit], facets: &[search::Facet]) -> Vec<Counts> {
    let values_of = |entity: &EntitySummary, facet| -> Vec<String> {
        match facet {
            search::Facet::Type => vec![entity.entity_type.to_string()],
            search::Facet::Service => entity.service.iter().cloned().collect(),
            search::Facet::Owner => entity.owners.iter().map(|it| it.name.clone()).collect(),
            search::Facet::Tier => entity.tier.iter().cloned().collect(),
            search::Facet::Tag => entity.tags.iter().chain(&entity.terms).cloned().collect(),
            search::Facet::Domain => entity.domains.clone(),
        }
    };
    let count = |&facet| {
        let mut values: BTreeMap<String, u64> = BTreeMap::new();
        for value in hits.iter().flat_map(|hit| values_of(&hit.entity, facet)) {
            *values.entry(value).or_default() += 1;
        }
        Counts {
            facet,
            values: values.into_iter().collect(),
            others: 0,
        }
    };
    facets.iter().map(count).collect()
}

/// `{"type": {"table": 262, …}, …}`; what is not shown is counted under `(others)`.
fn facets(counts: &[Counts]) -> Map<String, Value> {
    let mut facets = Map::new();
    for count in counts {
        let mut values = Map::new();
        let mut others = count.others;
        for (position, (value, number)) in count.values.iter().enumerate() {
            if position < MOST_VALUES {
                let value = match count.facet {
                    search::Facet::Tier => model::tier_name(value),
                    _ => value,
                };
                values.insert(value.to_owned(), (*number).into());
            } else {
                others += number;
            }
        }
        if others > 0 {
            values.insert("(others)".into(), others.into());
        }
        if !values.is_empty() {
            facets.insert(count.facet.name().into(), values.into());
        }
    }
    facets
}
