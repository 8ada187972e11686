//! Near matches in a snapshot: of what was typed, and of the names in filters.

use rusqlite::Connection;

use crate::catalog::{
    CatalogError, Snapshot,
    search::text::{folded, nearest, words},
    search::{FilterName, Named, Question},
    snapshot::facts::Facts,
    snapshot::search::handle_kind,
    snapshot::storage,
    snapshot::vocabulary::Vocabulary,
};

/// Names that look like what was typed.
pub(super) fn near_names(
    connection: &Connection,
    facts: &Facts,
    vocabulary: &Vocabulary,
    question: &Question,
    typed: &str,
) -> Result<Vec<String>, CatalogError> {
    let sieve = facts.sieve(&Question {
        types: question.types.clone(),
        ..Question::default()
    });
    let alike = alike_words(vocabulary, typed);
    if alike.is_empty() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for word in &alike {
        let of_word = names_with(connection, word, "")?;
        // A stem is not always its own stem: as the beginning of a word it is found.
        names.extend(if of_word.is_empty() {
            names_with(connection, word, "*")?
        } else {
            of_word
        });
    }
    // A whole name is compared with whole names, a word with the last parts.
    let is_whole = crate::catalog::fqn::parts(typed).len() > 1;
    let pairs = names
        .iter()
        .filter(|(id, _, _)| sieve.lets_through(*id))
        .map(|(_, name, fqn)| {
            let compared = if is_whole { fqn } else { name };
            (compared.as_str(), fqn.as_str())
        });
    Ok(nearest(typed, pairs, 5))
}

/// Id, name and FQN of entities with this word in their name; some hundred are enough to find a
/// near one. `ending` is `*` for words that begin so.
fn names_with(
    connection: &Connection,
    word: &str,
    ending: &str,
) -> Result<Vec<(i64, String, String)>, CatalogError> {
    let word = word.replace('"', "");
    let expression = format!("{{name display_name}} : (\"{word}\"{ending})");
    connection
        .prepare_cached(
            "SELECT e.id, e.name, e.fqn FROM words JOIN entity e ON e.id = words.rowid
             WHERE words MATCH ?1 LIMIT 300",
        )
        .and_then(|mut statement| {
            statement
                .query_map([expression], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect()
        })
        .map_err(storage)
}

/// Words of the index that look like those of the last part of what was typed.
fn alike_words(vocabulary: &Vocabulary, typed: &str) -> Vec<String> {
    let last = crate::catalog::fqn::parts(typed).pop().unwrap_or_default();
    let mut alike = Vec::new();
    for word in words(&last).iter().take(3) {
        // Either of the first two letters is right: so only a part of the words is compared.
        let mut scored: Vec<(f64, &str)> = Vec::new();
        let letters: Vec<String> = word.chars().take(2).map(String::from).collect();
        for letter in &letters {
            // Terms are stems: shorter than the words.
            for term in vocabulary.beginning_with(letter) {
                let score = strsim::jaro_winkler(word, term);
                if score >= 0.8 && !scored.iter().any(|(_, known)| *known == term) {
                    scored.push((score, term));
                }
            }
        }
        scored.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
        alike.extend(scored.into_iter().take(5).map(|(_, term)| term.to_owned()));
    }
    alike
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
            "owner" => name.clone(),
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
