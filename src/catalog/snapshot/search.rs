//! Searches a snapshot: words through FTS5, filters through side tables, everything counted.

use std::{cmp::Reverse, collections::HashMap};

use rusqlite::{CachedStatement, Connection, Row, ToSql};
use serde_json::Value;

use crate::answer::Total;

use crate::catalog::{
    CatalogError, EntitySummary, EntityType, Snapshot,
    search::text::{Typed, folded},
    search::{
        Counts, FilterName, Found, Hit, Question, exact_and_twins, found_by_other_case,
        found_exactly, why,
    },
    snapshot::facts::Facts,
    snapshot::near::near_names,
    snapshot::vocabulary::Vocabulary,
    snapshot::{damaged, storage},
    wire,
};

/// Above this many matches hits come in the order of their names: ranking reads every match.
const MOST_RANKED: usize = 5_000;

/// Up to here the name of each match is read to rank it.
const MOST_NAMES_READ: usize = 1_000;

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
    let facts = match snapshot.facts.get() {
        Some(facts) => facts,
        None => {
            let read = Facts::read(&connection)?;
            snapshot.facts.get_or_init(|| read)
        }
    };
    if let Some(fqn) = question.exact_fqn().filter(|_| question.start == 0) {
        let (exact, twins) = exact_and_twins(fqn, entities_named(&connection, question, fqn)?);
        if !exact.is_empty() {
            return Ok(found_exactly(exact, &twins));
        }
        if let Some(found) = found_by_other_case(fqn, twins) {
            return Ok(found);
        }
    }
    let mut found = Found::default();
    let mut matching = matching(&connection, facts, question, &mut found.notes)?;
    found.total = Total::Exact(matching.ids.len() as u64);
    found.counts = counts(&connection, question, &matching.ids)?;
    if matching.ids.len() > MOST_RANKED && question.typed.is_some() {
        found.notes.push(format!(
            "{} entities match: listed by name, not by how well they match; add a filter or a word",
            matching.ids.len()
        ));
    } else if let Some(typed) = &question.typed {
        rank(&connection, typed, &mut matching)?;
    }
    found.hits = hits(&connection, question, &matching.ids)?;
    if matching.ids.is_empty()
        && let Some(typed) = &question.typed
    {
        let vocabulary = match snapshot.vocabulary.get() {
            Some(vocabulary) => vocabulary,
            None => {
                let read = Vocabulary::read(&connection)?;
                snapshot.vocabulary.get_or_init(|| read)
            }
        };
        found.did_you_mean = near_names(&connection, facts, vocabulary, question, &typed.written)?;
    }
    Ok(found)
}

/// Everything that was found, in the order of the names until it is ranked.
struct Matching {
    ids: Vec<i64>,
    /// The FTS expression that found it, and how many entities that finds without the filters.
    words: Option<(String, usize)>,
}

/// What the strictest reading of the words finds that finds something.
fn matching(
    connection: &Connection,
    facts: &Facts,
    question: &Question,
    notes: &mut Vec<String>,
) -> Result<Matching, CatalogError> {
    let sieve = facts.sieve(question);
    let mut filters = Vec::new();
    for filter in question.filters.names() {
        filters.push(entities_with(connection, &filter)?);
    }
    // The rarest first: most is ruled out by it.
    filters.sort_by_key(Vec::len);
    let named = in_all(&filters, facts.bound());
    let is_named = |id: &i64| {
        let place = usize::try_from(*id).unwrap_or(usize::MAX);
        named
            .as_ref()
            .is_none_or(|named| named.get(place).copied().unwrap_or(false))
    };
    let passes = |id: &i64| is_named(id) && sieve.lets_through(*id);
    let Some(typed) = &question.typed else {
        let ids = match filters.first() {
            Some(rarest) => rarest.iter().copied().filter(passes).collect(),
            None => facts.ids().filter(passes).collect(),
        };
        return Ok(Matching { ids, words: None });
    };
    for reading in readings(typed) {
        let all: Vec<i64> = connection
            .prepare_cached("SELECT rowid FROM words WHERE words MATCH ?1 ORDER BY rowid")
            .and_then(|mut statement| {
                let rows = statement.query_map([&reading.expression], |row| row.get(0))?;
                rows.collect()
            })
            .map_err(storage)?;
        let count = all.len();
        let ids: Vec<i64> = all.into_iter().filter(passes).collect();
        if !ids.is_empty() {
            notes.extend(reading.note.map(str::to_owned));
            return Ok(Matching {
                ids,
                words: Some((reading.expression, count)),
            });
        }
    }
    Ok(Matching {
        ids: Vec::new(),
        words: None,
    })
}

/// By id, whether it is in all of these lists: a word may match many times more than a filter,
/// and each match is looked up. None where there is no list. The first list is the shortest.
fn in_all(lists: &[Vec<i64>], bound: usize) -> Option<Vec<bool>> {
    let (first, rest) = lists.split_first()?;
    let mut is_in = vec![false; bound];
    for id in first {
        let place = usize::try_from(*id).unwrap_or(usize::MAX);
        if let Some(is_in) = is_in.get_mut(place) {
            *is_in = rest.iter().all(|ids| ids.binary_search(id).is_ok());
        }
    }
    Some(is_in)
}

/// Ids of the entities that have what a filter names, in order.
fn entities_with(connection: &Connection, filter: &FilterName) -> Result<Vec<i64>, CatalogError> {
    connection
        .prepare_cached("SELECT entity FROM handle WHERE kind = ?1 AND key = ?2 ORDER BY entity")
        .and_then(|mut statement| {
            let bound = (handle_kind(filter.argument), folded(&filter.name));
            let rows = statement.query_map(bound, |row| row.get(0))?;
            rows.collect()
        })
        .map_err(storage)
}

/// Puts the best first: exact names, then names in another case, names that are one of the words,
/// names that hold most of the words as they were typed (those that begin with them before
/// others), and the rest by weight.
fn rank(
    connection: &Connection,
    typed: &Typed,
    matching: &mut Matching,
) -> Result<(), CatalogError> {
    let mut weights: HashMap<i64, f64> = HashMap::new();
    if let Some((expression, count)) = &matching.words
        && *count <= MOST_RANKED
    {
        let sql = format!("SELECT rowid, bm25(words, {WEIGHTS}) FROM words WHERE words MATCH ?1");
        let mut statement = connection.prepare_cached(&sql).map_err(storage)?;
        let rows = statement
            .query_map([expression], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(storage)?;
        for row in rows {
            let (id, weight) = row.map_err(storage)?;
            weights.insert(id, weight);
        }
    }
    let wanted = folded(&typed.written);
    // What the name says costs a read of each entity; where many match only the exact names are
    // looked for.
    let mut classes: HashMap<i64, [usize; 4]> = HashMap::new();
    let is_few = matching.ids.len() <= MOST_NAMES_READ;
    let columns = "SELECT id, name, name_folded, fqn_folded FROM entity WHERE";
    if is_few {
        let mut statement = connection
            .prepare_cached(&format!("{columns} id = ?1"))
            .map_err(storage)?;
        for id in &matching.ids {
            classify(&mut statement, [id], typed, &wanted, &mut classes)?;
        }
    } else {
        let mut statement = connection
            .prepare_cached(&format!("{columns} name_folded = ?1"))
            .map_err(storage)?;
        for name in typed.words.iter().chain([&wanted]) {
            classify(&mut statement, [name], typed, &wanted, &mut classes)?;
        }
    }
    let key = |id: &i64| {
        let class = classes.get(id).copied().unwrap_or_default();
        (Reverse(class), weights.get(id).copied().unwrap_or(0.0))
    };
    // Stable: what is equally good stays in the order of the names.
    matching.ids.sort_by(|one, other| {
        let ((one_class, one_weight), (other_class, other_weight)) = (key(one), key(other));
        one_class
            .cmp(&other_class)
            .then_with(|| one_weight.total_cmp(&other_weight))
    });
    Ok(())
}

/// How well names answer: exactness, one of the words, words held, words begun with.
fn classify<T: ToSql>(
    statement: &mut CachedStatement<'_>,
    bound: [T; 1],
    typed: &Typed,
    wanted: &str,
    classes: &mut HashMap<i64, [usize; 4]>,
) -> Result<(), CatalogError> {
    let mut rows = statement.query(bound).map_err(storage)?;
    while let Some(row) = rows.next().map_err(storage)? {
        let text = |column| row.get::<_, String>(column).map_err(storage);
        let (name, name_folded, fqn_folded) = (text(1)?, text(2)?, text(3)?);
        let exactness = if name == typed.written {
            3
        } else if fqn_folded == wanted {
            2
        } else {
            usize::from(name_folded == wanted)
        };
        let is_word = usize::from(typed.words.contains(&name))
            + usize::from(typed.words.contains(&name_folded));
        let count =
            |holds: &dyn Fn(&String) -> bool| typed.words.iter().filter(|it| holds(it)).count();
        classes.insert(
            row.get(0).map_err(storage)?,
            [
                exactness,
                is_word,
                count(&|word| name_folded.contains(word.as_str())),
                count(&|word| name_folded.starts_with(word.as_str())),
            ],
        );
    }
    Ok(())
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

pub(super) fn handle_kind(argument: &str) -> &str {
    if argument == "tags" { "tag" } else { argument }
}

fn hits(
    connection: &Connection,
    question: &Question,
    ids: &[i64],
) -> Result<Vec<Hit>, CatalogError> {
    let position = |number| usize::try_from(number).unwrap_or(usize::MAX);
    let page = ids
        .iter()
        .skip(position(question.start))
        .take(position(question.limit));
    let mut statement = connection
        .prepare_cached("SELECT summary, columns FROM entity WHERE id = ?1")
        .map_err(storage)?;
    let mut hits = Vec::new();
    for id in page {
        let (summary, columns) = statement
            .query_row([id], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .map_err(storage)?;
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

fn summary_of(text: &str) -> Result<Option<EntitySummary>, CatalogError> {
    let document: Value = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    Ok(wire::summary(&document, None))
}

fn counts(
    connection: &Connection,
    question: &Question,
    ids: &[i64],
) -> Result<Vec<Counts>, CatalogError> {
    if question.facets.is_empty() {
        return Ok(Vec::new());
    }
    let mut counts: Vec<HashMap<String, u64>> = vec![HashMap::new(); question.facets.len()];
    let mut add = |row: &Row<'_>| -> rusqlite::Result<()> {
        let kind = row.get_ref(0)?.as_str()?;
        // Glossary terms are tags, as they are in the server's counts.
        let name = if kind == "term" { "tag" } else { kind };
        let value = row.get_ref(1)?.as_str()?;
        for (facet, counts) in question.facets.iter().zip(&mut counts) {
            if facet.name() == name {
                match counts.get_mut(value) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(value.to_owned(), 1);
                    }
                }
            }
        }
        Ok(())
    };
    let mut statement = connection
        .prepare_cached("SELECT kind, value FROM label WHERE entity = ?1")
        .map_err(storage)?;
    for id in ids {
        let mut rows = statement.query([id]).map_err(storage)?;
        while let Some(row) = rows.next().map_err(storage)? {
            add(row).map_err(storage)?;
        }
    }
    Ok(question
        .facets
        .iter()
        .zip(counts)
        .map(|(facet, counts)| {
            let mut values: Vec<(String, u64)> = counts.into_iter().collect();
            values.sort_by(|(a, one), (b, other)| other.cmp(one).then_with(|| a.cmp(b)));
            Counts {
                facet: *facet,
                values,
                others: 0,
            }
        })
        .collect())
}

/// Every entity of this name, whatever its case, of the types and state that are asked for.
fn entities_named(
    connection: &Connection,
    question: &Question,
    fqn: &str,
) -> Result<Vec<EntitySummary>, CatalogError> {
    let mut statement = connection
        .prepare_cached("SELECT summary FROM entity WHERE fqn_folded = ?1 ORDER BY id")
        .map_err(storage)?;
    let rows = statement
        .query_map([folded(fqn)], |row| row.get::<_, String>(0))
        .map_err(storage)?;
    let mut entities = Vec::new();
    for row in rows {
        let Some(entity) = summary_of(&row.map_err(storage)?)? else {
            continue;
        };
        let is_wanted = question.types.is_empty() || question.types.contains(&entity.entity_type);
        if is_wanted && entity.is_deleted == question.deleted {
            entities.push(entity);
        }
    }
    Ok(entities)
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
