//! Finds documents by typed words, roughly as the search engine does.
//!
//! Totals agree with the recordings that the tests name; the order is exact names first, then names
//! that hold the words, then the rest. Scores are invented.

use serde_json::Value;

use super::documents::Document;
use super::recordings::Version;

/// What a typed text means.
pub enum Query {
    Everything,
    /// Quotes or parentheses without their other half, or an unescaped slash where that matters.
    Malformed,
    /// `field:word`.
    Field(String, String),
    Phrase(String),
    Words(Vec<String>),
}

pub fn parsed(version: Version, typed: &str) -> Query {
    let typed = typed.trim();
    if typed.is_empty() || typed == "*" {
        return Query::Everything;
    }
    let bare: String = {
        let mut is_escaped = false;
        let keep = |character: &char| {
            let kept = !is_escaped;
            is_escaped = kept && *character == '\\';
            kept && *character != '\\'
        };
        typed.chars().filter(keep).collect()
    };
    let count = |character: char| bare.matches(character).count();
    let is_unbalanced = count('"') % 2 == 1 || count('(') != count(')');
    if is_unbalanced || version == Version::V1_2_0 && count('/') % 2 == 1 {
        return Query::Malformed;
    }
    let plain = typed.replace('\\', "").to_lowercase();
    // The old server reads quoted words like bare ones.
    let plain = if version == Version::V1_2_0 {
        plain.replace('"', "")
    } else {
        plain
    };
    if let Some(phrase) = plain
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        return Query::Phrase(phrase.to_owned());
    }
    if let Some((field, word)) = bare.split_once(':') {
        return Query::Field(field.to_owned(), word.to_lowercase());
    }
    Query::Words(plain.split_whitespace().map(str::to_owned).collect())
}

/// How well a document answers; nothing where it does not.
pub fn score(version: Version, query: &Query, document: &Document) -> Option<f64> {
    match query {
        Query::Everything => Some(1.0),
        Query::Malformed => None,
        Query::Field(path, word) => {
            let values = texts_at(&document.source, path);
            let holds = |text: &String| {
                text.to_lowercase() == *word || words_of(text).contains(&stem(word))
            };
            values.iter().any(holds).then_some(1.0)
        }
        Query::Phrase(phrase) => {
            let texts = [
                document.text("name"),
                document.text("displayName"),
                document.text("description"),
            ];
            let holds = texts
                .iter()
                .any(|text| text.to_lowercase().contains(phrase.as_str()));
            holds.then_some(40.0)
        }
        Query::Words(words) => {
            let scores: Option<Vec<f64>> = words
                .iter()
                .map(|word| word_score(version, word, document))
                .collect();
            scores.map(|scores| scores.iter().sum())
        }
    }
}

fn word_score(version: Version, word: &str, document: &Document) -> Option<f64> {
    let names = [document.text("name"), document.text("displayName")];
    if names.iter().any(|name| name.to_lowercase() == word) {
        return Some(60.0);
    }
    let asked = words_of(word);
    let named: Vec<String> = names.iter().flat_map(|name| words_of(name)).collect();
    // A name with a dot is found by each of its halves, a description only by the whole.
    let found = asked.iter().filter(|part| named.contains(part)).count();
    if found == asked.len() {
        return Some(25.0);
    }
    if found > 0 && word.contains('.') && asked.iter().any(|part| named.contains(part)) {
        return Some(5.0);
    }
    let described = words_of(document.text("description"));
    if asked.iter().all(|part| described.contains(part)) {
        return Some(1.0);
    }
    let columns = texts_at(&document.source, "columns.name");
    if columns.iter().any(|column| column.to_lowercase() == word) {
        return Some(0.7);
    }
    let is_tolerant = version == Version::V1_12_6 && word.chars().count() > 5;
    let start: String = word.chars().take(3).collect();
    let is_near =
        |name: &String| name.starts_with(&start) && strsim::levenshtein(name, &stem(word)) <= 2;
    (is_tolerant && asked.len() == 1 && named.iter().any(is_near)).then_some(12.0)
}

/// Words in lower case and in the singular, cut at everything that is no letter or digit.
fn words_of(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let parts = lower.split(|character: char| !character.is_alphanumeric());
    parts.filter(|part| !part.is_empty()).map(stem).collect()
}

fn stem(word: &str) -> String {
    let is_plural = word.len() > 3 && word.ends_with('s') && !word.ends_with("ss");
    let singular = if is_plural {
        &word[..word.len() - 1]
    } else {
        word
    };
    singular.to_owned()
}

fn texts_at(source: &Value, path: &str) -> Vec<String> {
    let mut found = vec![source];
    for part in path.split('.') {
        found = found
            .into_iter()
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().collect(),
                other => vec![other],
            })
            .filter_map(|value| value.get(part))
            .collect();
    }
    found
        .iter()
        .filter_map(|value| value.as_str())
        .map(str::to_owned)
        .collect()
}
