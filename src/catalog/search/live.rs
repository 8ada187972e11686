//! Searches a running OpenMetadata, around what its versions do wrong.

mod names;

use std::time::Instant;

use futures::future::join_all;
use serde_json::Value;

use crate::answer::Total;

use crate::catalog::{
    CatalogError, Client, EntityType,
    model::{Name, Reference},
    search::filter::{ASSETS, Dialect, OLD_ASSETS, index_of},
    search::text::{Typed, nearest},
    search::{
        Counts, FURTHEST, Facet, Found, Hit, Question, exact_and_twins, found_by_other_case,
        found_exactly, why,
    },
    version::Version,
    wire,
};

pub use names::named;
use names::{alike, called_exactly};

/// Hits of one call to the search index.
#[derive(Default)]
struct Page {
    hits: Vec<(f64, Hit)>,
    total: u64,
    is_exact: bool,
    failed_shards: u64,
    aggregations: Value,
}

/// What one call asks.
struct Ask<'a> {
    index: &'a str,
    words: &'a str,
    filter: Option<&'a str>,
    sort: Option<&'a str>,
    from: u64,
    size: u64,
}

pub async fn search(
    client: &Client,
    question: &Question,
    deadline: Instant,
) -> Result<Found, CatalogError> {
    if question.start + question.limit > FURTHEST {
        return Err(CatalogError::Unsupported {
            message: format!(
                "the search of OpenMetadata pages through the first {FURTHEST} hits only: narrow \
                 the search with a filter or another word"
            ),
        });
    }
    let version = client.version().await?;
    if let Some(fqn) = question.exact_fqn().filter(|_| question.start == 0) {
        let (called, failed_shards) = called_exactly(client, question, fqn).await?;
        let (exact, twins) = exact_and_twins(fqn, called);
        if !exact.is_empty() {
            return Ok(found_exactly(exact, &twins));
        }
        if let Some(mut found) = found_by_other_case(fqn, twins) {
            // It may be called so in what failed.
            if failed_shards > 0 {
                found.total = Total::AtLeast(found.hits.len() as u64);
                found.notes.push(failed_parts(failed_shards));
            }
            return Ok(found);
        }
    }
    let mut found = by_words_and_filters(client, question, version).await?;
    // `core:bills`, `core.bills`: how a path is meant is not known to the server.
    if found.total == Total::Exact(0)
        && let Some(last) = question.typed.as_ref().and_then(Typed::last_of_path)
        && Instant::now() < deadline
    {
        let narrowed = Question {
            typed: Some(last.clone()),
            ..question.clone()
        };
        let by_last = by_words_and_filters(client, &narrowed, version).await?;
        if by_last.total != Total::Exact(0) {
            found = by_last;
            found.notes.push(format!(
                "nothing was found for the whole of it; these are for `{}`",
                last.written
            ));
        }
    }
    if found.total == Total::Exact(0)
        && let Some(typed) = &question.typed
        && Instant::now() < deadline
    {
        let last = crate::catalog::fqn::parts(&typed.written)
            .pop()
            .unwrap_or_default();
        let types: Vec<&str> = question.types.iter().map(EntityType::as_str).collect();
        // A suggestion is a courtesy: without it the answer is as true.
        let (alike, _) = alike(client, &types, &last).await.unwrap_or_default();
        let pairs = alike
            .iter()
            .map(|entity| (entity.name.as_str(), entity.fqn.as_str()));
        found.did_you_mean = nearest(&last, pairs, 5);
    }
    Ok(found)
}

/// Where the search engine is down, an exact name is looked up in the database.
pub async fn without_search_engine(
    catalog: &crate::catalog::Catalog,
    question: &Question,
    error: CatalogError,
) -> Result<Found, CatalogError> {
    let (CatalogError::Unavailable { .. }, Some(fqn)) = (&error, question.exact_fqn()) else {
        return Err(error);
    };
    let reference = Reference {
        written: fqn.to_owned(),
        entity_type: match question.types.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        },
        name: Name::Fqn(fqn.to_owned()),
    };
    let Ok(entity) = catalog.resolve(&reference).await else {
        return Err(error);
    };
    if !question.types.is_empty() && !question.types.contains(&entity.entity_type) {
        return Err(error);
    }
    let mut found = found_exactly(vec![entity], &[]);
    found.notes.push(
        "the search engine behind OpenMetadata is down: only the exact name was looked up".into(),
    );
    Ok(found)
}

async fn by_words_and_filters(
    client: &Client,
    question: &Question,
    version: Version,
) -> Result<Found, CatalogError> {
    let dialect = Dialect::of(version);
    let words = question
        .typed
        .as_ref()
        .map_or_else(|| "*".to_owned(), |typed| typed.for_server());
    let is_old = !version.has_data_asset_index();
    let mut indexes = indexes_of(question, is_old);
    let mut answers = ask_all(client, question, &dialect, &words, &indexes).await?;
    // `dataAsset` came somewhere between the recorded versions.
    if answers.pages.is_empty() && !is_old {
        indexes = indexes_of(question, true);
        answers = ask_all(client, question, &dialect, &words, &indexes).await?;
    }
    let Answers { pages, absent } = answers;
    let is_one = indexes.len() == 1;
    if pages.is_empty() {
        return Err(CatalogError::Unsupported {
            message: format!(
                "this OpenMetadata ({version}) has no search index {}",
                absent.join(", ")
            ),
        });
    }
    let mut found = merged(pages, question, &dialect, is_one);
    if !question.types.is_empty() && !absent.is_empty() {
        found.notes.push(format!(
            "this OpenMetadata ({version}) has no search index {}",
            absent.join(", ")
        ));
    }
    Ok(found)
}

/// What some indexes answered, and which of them are not there.
struct Answers {
    pages: Vec<Page>,
    absent: Vec<String>,
}

async fn ask_all(
    client: &Client,
    question: &Question,
    dialect: &Dialect,
    words: &str,
    indexes: &[(String, Vec<EntityType>)],
) -> Result<Answers, CatalogError> {
    let is_one = indexes.len() == 1;
    let version = client.version().await?;
    let asks = indexes.iter().map(|(index, types)| {
        let filter = dialect.filter(&question.filters, types);
        async move {
            // Several lists are merged by us: each has to reach as far as the page.
            let (from, size) = if is_one {
                (question.start, question.limit)
            } else {
                (0, question.start + question.limit)
            };
            let ask = Ask {
                index,
                words,
                filter: filter.as_deref(),
                // Without words every hit is as good as the next: names make the order firm.
                sort: question
                    .typed
                    .is_none()
                    .then_some(if version.has_search_after() {
                        "fullyQualifiedName"
                    } else {
                        "name.keyword"
                    }),
                from,
                size,
            };
            page(client, question, dialect, &ask).await
        }
    });
    let mut answers = Answers {
        pages: Vec::new(),
        absent: Vec::new(),
    };
    for ((index, _), answer) in indexes.iter().zip(join_all(asks).await) {
        match answer {
            Ok(page) => answers.pages.push(page),
            // An index that this version does not have holds nothing.
            Err(CatalogError::Unsupported { .. }) => answers.absent.push(index.clone()),
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

/// The indexes to ask, with the types to filter by in each.
///
/// 1.2.0 answers words on an alias or a list with another query than on one index, and finds 56
/// entities for a word that stands nowhere (recorded: `search/no-hit-old`): for words it is asked
/// index by index.
fn indexes_of(question: &Question, is_old: bool) -> Vec<(String, Vec<EntityType>)> {
    let types = &question.types;
    if is_old {
        let types: Vec<EntityType> = if types.is_empty() {
            OLD_ASSETS
                .iter()
                .map(|name| EntityType::new(*name))
                .collect()
        } else {
            types.clone()
        };
        // Without words one list is as good as its parts, and pages as one.
        if question.typed.is_none() && types.len() > 1 {
            return vec![("all".to_owned(), types)];
        }
        return types
            .iter()
            .map(|entity_type| (index_of(entity_type), Vec::new()))
            .collect();
    }
    match types.as_slice() {
        [] => vec![("dataAsset".to_owned(), Vec::new())],
        [one] => vec![(index_of(one), Vec::new())],
        several => {
            let are_assets = several.iter().all(|it| ASSETS.contains(&it.as_str()));
            let index = if are_assets { "dataAsset" } else { "all" };
            vec![(index.to_owned(), several.to_vec())]
        }
    }
}

/// One call.
async fn page(
    client: &Client,
    question: &Question,
    dialect: &Dialect,
    ask: &Ask<'_>,
) -> Result<Page, CatalogError> {
    let (from, size) = (ask.from.to_string(), ask.size.to_string());
    let wants_counts = if question.facets.is_empty() {
        "false"
    } else {
        "true"
    };
    let mut query = vec![
        ("q", ask.words),
        ("index", ask.index),
        ("from", from.as_str()),
        ("size", size.as_str()),
        // New servers show deleted entities unless they are told not to.
        ("deleted", if question.deleted { "true" } else { "false" }),
        ("include_aggregations", wants_counts),
        ("track_total_hits", "true"),
    ];
    if let Some(sort) = ask.sort {
        query.extend([("sort_field", sort), ("sort_order", "asc")]);
    }
    if let Some(filter) = ask.filter {
        query.push(("query_filter", filter));
    }
    query.extend(
        dialect
            .source_fields()
            .map(|field| ("include_source_fields", field)),
    );
    let answer = client.get("search/query", &query).await?;
    read(&answer, question).ok_or_else(|| CatalogError::BadUpstream {
        message: "OpenMetadata answered a search with something else than hits".into(),
    })
}

/// Parses an answer of `search/query`; `None` where it is none.
fn read(answer: &Value, question: &Question) -> Option<Page> {
    let list = answer.pointer("/hits/hits")?.as_array()?;
    // A number in early versions, an object since; `gte` where counting stopped.
    let total = answer.pointer("/hits/total")?;
    let count = total.as_u64().or_else(|| total["value"].as_u64())?;
    let hits = list.iter().filter_map(|hit| {
        let document = hit.get("_source")?;
        let entity = wire::summary(document, None)?;
        let columns: Vec<&str> = document
            .get("columns")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|column| column.get("name")?.as_str())
            .collect();
        let why = why(question, &entity, &columns);
        let score = hit.get("_score").and_then(Value::as_f64).unwrap_or(0.0);
        Some((score, Hit { entity, why }))
    });
    Some(Page {
        hits: hits.collect(),
        total: count,
        is_exact: total["relation"].as_str().is_none_or(|it| it == "eq")
            && answer["timed_out"].as_bool() != Some(true),
        failed_shards: answer
            .pointer("/_shards/failed")
            .and_then(Value::as_u64)
            .unwrap_or(0),
        aggregations: answer.get("aggregations").cloned().unwrap_or(Value::Null),
    })
}

/// One list out of those of several indexes, best first.
fn merged(pages: Vec<Page>, question: &Question, dialect: &Dialect, is_one: bool) -> Found {
    let total: u64 = pages.iter().map(|page| page.total).sum();
    let failed: u64 = pages.iter().map(|page| page.failed_shards).sum();
    let is_exact = failed == 0 && pages.iter().all(|page| page.is_exact);
    let aggregations: Vec<&Value> = pages.iter().map(|page| &page.aggregations).collect();
    let mut counts = Vec::new();
    let mut notes = Vec::new();
    for facet in &question.facets {
        match count(&aggregations, *facet, dialect, &pages) {
            Some(count) => counts.push(count),
            None => notes.push(format!(
                "this OpenMetadata does not count by {}",
                facet.name()
            )),
        }
    }
    let mut hits: Vec<(f64, Hit)> = pages.into_iter().flat_map(|page| page.hits).collect();
    if !is_one {
        // Stable: hits of equal score stay in the order of the indexes.
        hits.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let start = usize::try_from(question.start).unwrap_or(usize::MAX);
        hits.drain(..start.min(hits.len()));
    }
    hits.truncate(usize::try_from(question.limit).unwrap_or(usize::MAX));
    if failed > 0 {
        notes.push(failed_parts(failed));
    }
    Found {
        hits: hits.into_iter().map(|(_, hit)| hit).collect(),
        total: if is_exact {
            Total::Exact(total)
        } else {
            Total::AtLeast(total)
        },
        counts,
        notes,
        did_you_mean: Vec::new(),
    }
}

fn failed_parts(count: u64) -> String {
    format!("{count} parts of OpenMetadata's search index failed: hits may be missing")
}

/// Adds up one facet over the answers; `None` where no answer counts it. Keys come in lower case for some fields: names that the
/// hits show give them back.
fn count(answers: &[&Value], facet: Facet, dialect: &Dialect, pages: &[Page]) -> Option<Counts> {
    let mut values: Vec<(String, u64)> = Vec::new();
    let (mut others, mut is_counted) = (0, false);
    for answer in answers {
        let names = dialect.aggregations(facet);
        let Some(found) = names.iter().find_map(|name| answer.get(name)) else {
            continue;
        };
        is_counted = true;
        others += found["sum_other_doc_count"].as_u64().unwrap_or(0);
        for bucket in found["buckets"].as_array().into_iter().flatten() {
            let (Some(key), Some(number)) = (bucket["key"].as_str(), bucket["doc_count"].as_u64())
            else {
                continue;
            };
            let key = shown(key, facet, pages);
            match values.iter_mut().find(|(known, _)| *known == key) {
                Some((_, sum)) => *sum += number,
                None => values.push((key, number)),
            }
        }
    }
    values.sort_by(|(a, one), (b, other)| other.cmp(one).then_with(|| a.cmp(b)));
    is_counted.then_some(Counts {
        facet,
        values,
        others,
    })
}

fn shown(key: &str, facet: Facet, pages: &[Page]) -> String {
    if facet == Facet::Type {
        let known = EntityType::known().find(|name| name.eq_ignore_ascii_case(key));
        return known.unwrap_or(key).to_owned();
    }
    if let Some(number) = key.strip_prefix("tier.tier") {
        return format!("Tier.Tier{number}");
    }
    let entities = pages.iter().flat_map(|page| &page.hits);
    if facet == Facet::Owner {
        // Counted by display name; a hit tells the name that filters and changes take.
        let mut owners = entities.flat_map(|(_, hit)| &hit.entity.owners);
        let named = owners.find(|owner| {
            let shown = owner.display_name.as_ref();
            shown.is_some_and(|shown| shown.to_lowercase() == key)
        });
        return named.map_or_else(|| key.to_owned(), |owner| owner.name.clone());
    }
    let mut names = entities.flat_map(|(_, hit)| -> Vec<&String> {
        let entity = &hit.entity;
        match facet {
            Facet::Service => entity.service.iter().collect(),
            Facet::Tag => entity.tags.iter().chain(&entity.terms).collect(),
            Facet::Owner | Facet::Tier | Facet::Domain | Facet::Type => Vec::new(),
        }
    });
    names
        .find(|name| name.to_lowercase() == key)
        .map_or_else(|| key.to_owned(), Clone::clone)
}
