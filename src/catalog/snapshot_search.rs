//! Searches a snapshot: words through FTS5, filters through side tables, everything counted.

use rusqlite::{Connection, ToSql, params_from_iter, types::Value as Sql};
use serde_json::Value;

use crate::answer::Total;

use super::{
    CatalogError, EntitySummary, EntityType, Snapshot,
    search::{
        Counts, Facet, FilterName, Found, Hit, Missing, Named, Question, exact_and_twins,
        found_by_other_case, found_exactly, why,
    },
    search_text::{Typed, folded, nearest},
    snapshot::{damaged, storage},
    wire,
};

/// Above this many matches hits come in the order of their names: ranking reads every match.
const MOST_RANKED: u64 = 5_000;

/// Weights of the columns of `words`: name, display name, columns, description, path.
const WEIGHTS: &str = "10.0, 8.0, 3.0, 2.0, 1.0";

/// An edge of the lineage as its search document tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEdge {
    pub from: (EntityType, String),
    pub to: (EntityType, String),
    /// FQN of the pipeline that carries it.
    pub pipeline: Option<String>,
    /// The entry of `upstreamLineage`: `columns` with `fromColumns` and `toColumn`, `sqlQuery`.
    pub body: Value,
}

pub fn search(snapshot: &Snapshot, question: &Question) -> Result<Found, CatalogError> {
    let connection = snapshot.connection()?;
    let mut notes = Vec::new();
    if let Some(fqn) = question.exact_fqn().filter(|_| question.start == 0) {
        let (exact, twins) = exact_and_twins(fqn, entities_named(&connection, question, fqn)?);
        if !exact.is_empty() {
            return Ok(found_exactly(exact, &twins));
        }
        if let Some(found) = found_by_other_case(fqn, twins) {
            return Ok(found);
        }
    }
    let (matching, total) = matching(&connection, question, &mut notes)?;
    let mut found = Found {
        hits: hits(&connection, question, &matching, total)?,
        total: Total::Exact(total),
        counts: counts(&connection, question, &matching)?,
        notes,
        did_you_mean: Vec::new(),
    };
    if total > MOST_RANKED && question.typed.is_some() {
        found.notes.push(format!(
            "{total} entities match: listed by name, not by how well they match; add a filter or a word"
        ));
    }
    if total == 0
        && let Some(typed) = &question.typed
    {
        found.did_you_mean = near_names(&connection, question, &typed.written)?;
    }
    Ok(found)
}

/// A condition on `entity e`, with what it binds.
struct Matching {
    /// The FTS expression, where words are asked for.
    words: Option<String>,
    condition: String,
    bound: Vec<Sql>,
}

impl Matching {
    fn source(&self) -> &'static str {
        if self.words.is_some() {
            "words JOIN entity e ON e.id = words.rowid WHERE words MATCH ? AND"
        } else {
            "entity e WHERE"
        }
    }

    fn bind(&self) -> Vec<&dyn ToSql> {
        self.words
            .iter()
            .map(|words| words as &dyn ToSql)
            .chain(self.bound.iter().map(|value| value as &dyn ToSql))
            .collect()
    }

    fn count(&self, connection: &Connection) -> Result<u64, CatalogError> {
        let sql = format!("SELECT count(*) FROM {} {}", self.source(), self.condition);
        connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement.query_row(params_from_iter(self.bind()), |row| row.get::<_, i64>(0))
            })
            .map(|count| count.unsigned_abs())
            .map_err(storage)
    }
}

/// The strictest reading of the words that finds something, and how much it finds.
fn matching(
    connection: &Connection,
    question: &Question,
    notes: &mut Vec<String>,
) -> Result<(Matching, u64), CatalogError> {
    let (condition, bound) = condition(question);
    let mut matching = Matching {
        words: None,
        condition,
        bound,
    };
    let Some(typed) = &question.typed else {
        let total = matching.count(connection)?;
        return Ok((matching, total));
    };
    for reading in readings(typed) {
        matching.words = Some(reading.expression);
        let total = matching.count(connection)?;
        if total > 0 {
            notes.extend(reading.note.map(str::to_owned));
            return Ok((matching, total));
        }
    }
    Ok((matching, 0))
}

struct Reading {
    expression: String,
    note: Option<&'static str>,
}

/// All words; all as beginnings of words; any word.
fn readings(typed: &Typed) -> Vec<Reading> {
    // Words are letters and digits only, so that they need no escape inside the quotes.
    let quoted: Vec<String> = typed
        .words
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect();
    let beginnings: Vec<String> = quoted.iter().map(|word| format!("{word}*")).collect();
    let mut readings = Vec::new();
    let mut add = |expression: String, note| readings.push(Reading { expression, note });
    if typed.is_phrase {
        add(format!("\"{}\"", typed.words.join(" ")), None);
        return readings;
    }
    if !typed.is_prefix {
        add(quoted.join(" AND "), None);
    }
    add(beginnings.join(" AND "), None);
    if quoted.len() > 1 {
        add(
            quoted.join(" OR "),
            Some("nothing holds all of the words; these hold some of them"),
        );
    }
    readings
}

/// The filters as a condition.
fn condition(question: &Question) -> (String, Vec<Sql>) {
    let mut condition = format!("e.deleted = {}", i32::from(question.deleted));
    let mut bound: Vec<Sql> = Vec::new();
    if question.types.is_empty() {
        condition.push_str(" AND e.is_asset");
    } else {
        let marks = vec!["?"; question.types.len()].join(", ");
        condition.push_str(&format!(" AND e.type IN ({marks})"));
        let types = question.types.iter();
        bound.extend(types.map(|it| Sql::Text(it.as_str().to_owned())));
    }
    let filters = question.filters.names();
    for FilterName { argument, name } in &filters {
        condition.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM handle h WHERE h.kind = '{}' AND h.key = ? AND h.entity = e.id)",
            handle_kind(argument)
        ));
        bound.push(Sql::Text(folded(name)));
    }
    for missing in &question.filters.missing {
        let absent = match missing {
            Missing::Description => "e.summary ->> '$.description' IS NULL".to_owned(),
            Missing::Owner => absent_label("owner"),
            Missing::Tier => absent_label("tier"),
            Missing::Tags => absent_label("tag"),
            Missing::Domain => absent_label("domain"),
            Missing::Term => absent_label("term"),
        };
        condition.push_str(&format!(" AND {absent}"));
    }
    (condition, bound)
}

fn absent_label(kind: &str) -> String {
    format!("NOT EXISTS (SELECT 1 FROM label l WHERE l.entity = e.id AND l.kind = '{kind}')")
}

fn handle_kind(argument: &str) -> &str {
    if argument == "tags" { "tag" } else { argument }
}

fn hits(
    connection: &Connection,
    question: &Question,
    matching: &Matching,
    total: u64,
) -> Result<Vec<Hit>, CatalogError> {
    let is_ranked = matching.words.is_some() && total <= MOST_RANKED;
    let typed = question.typed.as_ref();
    let wanted: &[String] = typed.map_or(&[], |typed| &typed.words);
    let order = if is_ranked {
        order(wanted)
    } else {
        "e.id".to_owned()
    };
    let sql = format!(
        "SELECT e.summary, e.columns FROM {} {} ORDER BY {order} LIMIT ? OFFSET ?",
        matching.source(),
        matching.condition,
    );
    let written = typed.map(|typed| typed.written.clone());
    let written_folded = written.as_deref().map(folded);
    let (limit, offset) = (
        i64::try_from(question.limit).unwrap_or(i64::MAX),
        i64::try_from(question.start).unwrap_or(i64::MAX),
    );
    let mut bound = matching.bind();
    if is_ranked {
        bound.push(&written);
        bound.push(&written_folded);
        bound.push(&written_folded);
        for word in wanted.iter().chain(wanted).chain(wanted).chain(wanted) {
            bound.push(word);
        }
    }
    bound.push(&limit);
    bound.push(&offset);
    let mut statement = connection.prepare_cached(&sql).map_err(storage)?;
    let rows = statement
        .query_map(params_from_iter(bound), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })
        .map_err(storage)?;
    let mut hits = Vec::new();
    for row in rows {
        let (summary, columns) = row.map_err(storage)?;
        let Some(entity) = summary_of(&summary)? else {
            continue;
        };
        let columns: Vec<&str> = columns.lines().collect();
        hits.push(Hit {
            why: why(question, &entity, &columns),
            entity,
        });
    }
    Ok(hits)
}

/// Exact names first, then names in another case, names that are one of the words, names that hold
/// most of the words as they were typed (those that begin with them before others), and the rest
/// by weight.
fn order(words: &[String]) -> String {
    let marks = vec!["?"; words.len()].join(", ");
    let held = vec!["(instr(e.name_folded, ?) > 0)"; words.len()].join(" + ");
    let begun = vec!["(instr(e.name_folded, ?) = 1)"; words.len()].join(" + ");
    format!(
        "e.name = ? DESC, e.fqn_folded = ? DESC, e.name_folded = ? DESC,
         (e.name IN ({marks})) + (e.name_folded IN ({marks})) DESC, {held} DESC,
         {begun} DESC, bm25(words, {WEIGHTS}), e.id"
    )
}

fn summary_of(text: &str) -> Result<Option<EntitySummary>, CatalogError> {
    let document: Value = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    Ok(wire::summary(&document, None))
}

fn counts(
    connection: &Connection,
    question: &Question,
    matching: &Matching,
) -> Result<Vec<Counts>, CatalogError> {
    let sql = format!(
        "SELECT l.value, count(*) FROM label l WHERE l.entity IN (SELECT e.id FROM {} {})
           AND l.kind IN (?, ?) GROUP BY l.value ORDER BY count(*) DESC, l.value",
        matching.source(),
        matching.condition,
    );
    let mut counts = Vec::new();
    for facet in &question.facets {
        // Glossary terms are tags, as they are in the server's counts.
        let kinds = match facet {
            Facet::Tag => ["tag", "term"],
            facet => [facet.name(); 2],
        };
        let mut bound = matching.bind();
        bound.extend(kinds.iter().map(|kind| kind as &dyn ToSql));
        let mut statement = connection.prepare_cached(&sql).map_err(storage)?;
        let rows = statement
            .query_map(params_from_iter(bound), |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
            })
            .map_err(storage)?;
        counts.push(Counts {
            facet: *facet,
            values: rows.collect::<Result<_, _>>().map_err(storage)?,
            others: 0,
        });
    }
    Ok(counts)
}

/// Every entity of this name, whatever its case, of the types and state that are asked for.
fn entities_named(
    connection: &Connection,
    question: &Question,
    fqn: &str,
) -> Result<Vec<EntitySummary>, CatalogError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT summary FROM entity WHERE fqn_folded = ?1 AND deleted = ?2 ORDER BY id",
        )
        .map_err(storage)?;
    let rows = statement
        .query_map((folded(fqn), question.deleted), |row| {
            row.get::<_, String>(0)
        })
        .map_err(storage)?;
    let mut entities = Vec::new();
    for row in rows {
        let Some(entity) = summary_of(&row.map_err(storage)?)? else {
            continue;
        };
        if question.types.is_empty() || question.types.contains(&entity.entity_type) {
            entities.push(entity);
        }
    }
    Ok(entities)
}

/// Names that look like what was typed.
fn near_names(
    connection: &Connection,
    question: &Question,
    typed: &str,
) -> Result<Vec<String>, CatalogError> {
    let (condition, bound) = condition(&Question {
        types: question.types.clone(),
        ..Question::default()
    });
    let sql = format!("SELECT e.name, e.fqn FROM entity e WHERE {condition}");
    let names: Vec<(String, String)> = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement
                .query_map(params_from_iter(bound), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect()
        })
        .map_err(storage)?;
    // A whole name is compared with whole names, a word with the last parts.
    let is_whole = super::fqn::parts(typed).len() > 1;
    let pairs = names.iter().map(|(name, fqn)| {
        let compared = if is_whole { fqn } else { name };
        (compared.as_str(), fqn.as_str())
    });
    Ok(nearest(typed, pairs, 5))
}

/// Whether the thing that a filter names is in the snapshot, as an entity or on one.
pub fn named(snapshot: &Snapshot, filter: &FilterName) -> Result<Named, CatalogError> {
    let connection = snapshot.connection()?;
    let kind = handle_kind(filter.argument);
    let wanted = folded(&filter.name);
    let is_on_something: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM handle WHERE kind = ?1 AND key = ?2)")
        .and_then(|mut statement| statement.query_row([kind, &wanted], |row| row.get(0)))
        .map_err(storage)?;
    if is_on_something {
        return Ok(Named::Known);
    }
    // Users, domains and the like stand there even where nothing is theirs.
    let types = match filter.argument {
        "owner" => "type IN ('user', 'team')",
        "domain" => "type = 'domain'",
        "term" => "type = 'glossaryTerm'",
        "tags" | "tier" => "type = 'tag'",
        "service" => "type LIKE '%Service'",
        _ => "0",
    };
    // Name as it is shown, and what else it goes by.
    let entities: Vec<(String, String, Option<String>)> = connection
        .prepare_cached(&format!(
            "SELECT fqn, name, summary ->> '$.displayName' FROM entity WHERE {types}"
        ))
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect()
        })
        .map_err(storage)?;
    let mut names: Vec<(String, String)> = Vec::new();
    for (fqn, name, display_name) in entities {
        let shown = match filter.argument {
            "owner" => display_name.clone().unwrap_or_else(|| name.clone()),
            _ => fqn.clone(),
        };
        for name in [fqn, name].into_iter().chain(display_name) {
            names.push((name, shown.clone()));
        }
    }
    if names.iter().any(|(name, _)| folded(name) == wanted) {
        return Ok(Named::Known);
    }
    let labels: Vec<String> = connection
        .prepare_cached("SELECT DISTINCT value FROM label WHERE kind = ?1")
        .and_then(|mut statement| statement.query_map([kind], |row| row.get(0))?.collect())
        .map_err(storage)?;
    names.extend(labels.into_iter().map(|name| (name.clone(), name)));
    if filter.argument == "column" {
        let columns: Vec<String> = connection
            .prepare_cached("SELECT DISTINCT key FROM handle WHERE kind = 'column'")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .map_err(storage)?;
        names.extend(columns.into_iter().map(|name| (name.clone(), name)));
    }
    let pairs = names
        .iter()
        .map(|(name, shown)| (name.as_str(), shown.as_str()));
    Ok(Named::Unknown(nearest(&filter.name, pairs, 3)))
}

impl Snapshot {
    /// Every lineage edge, in the order of the entities that they come into.
    pub fn edges(&self) -> Result<Vec<StoredEdge>, CatalogError> {
        let connection = self.connection()?;
        let mut statement = connection
            .prepare_cached(
                "SELECT from_type, from_fqn, to_type, to_fqn, pipeline, body FROM edge ORDER BY rowid",
            )
            .map_err(storage)?;
        let rows = statement
            .query_map([], |row| {
                Ok((
                    (EntityType::new(row.get::<_, String>(0)?), row.get(1)?),
                    (EntityType::new(row.get::<_, String>(2)?), row.get(3)?),
                    row.get(4)?,
                    row.get::<_, String>(5)?,
                ))
            })
            .map_err(storage)?;
        rows.map(|row| {
            let (from, to, pipeline, body) = row.map_err(storage)?;
            Ok(StoredEdge {
                from,
                to,
                pipeline,
                body: serde_json::from_str(&body).map_err(|error| damaged(&error))?,
            })
        })
        .collect()
    }

    /// The summaries of all entities of this FQN, one for each type; none where there is none.
    pub fn summaries_named(&self, fqn: &str) -> Result<Vec<EntitySummary>, CatalogError> {
        let connection = self.connection()?;
        let mut statement = connection
            .prepare_cached(
                "SELECT summary FROM entity WHERE fqn_folded = ?1 AND fqn = ?2 ORDER BY type",
            )
            .map_err(storage)?;
        let rows = statement
            .query_map((folded(fqn), fqn), |row| row.get::<_, String>(0))
            .map_err(storage)?;
        let mut summaries = Vec::new();
        for row in rows {
            summaries.extend(summary_of(&row.map_err(storage)?)?);
        }
        Ok(summaries)
    }
}
