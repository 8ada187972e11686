//! Lists of records as tables: column names once, a shared beginning of names once.

use serde_json::{Map, Value, json};

use super::budget;

/// Rows under named columns. The column `fqn`, where there is one, is written without the
/// beginning that all its names share; that beginning stands under `prefix`.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

/// A shared beginning shorter than this is not worth a field of its own.
const SHORTEST_PREFIX: usize = 8;

impl Table {
    pub fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it has one cell for each column, null where there is nothing to say.
    pub fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Drops rows from the end until the rest takes at most `tokens`; one row always stays.
    pub fn cut_to(&mut self, tokens: usize) {
        let kept = self
            .costs()
            .take_while(|used| *used <= tokens)
            .count()
            .max(1);
        self.rows.truncate(kept);
    }

    /// Estimated tokens of the whole table.
    pub fn estimate(&self) -> usize {
        self.costs().last().unwrap_or(0)
    }

    /// Estimated tokens of the table up to and with each row.
    fn costs(&self) -> impl Iterator<Item = usize> + '_ {
        let prefix = self.prefix();
        let position = self.fqn_position();
        let mut used = 12 + prefix.as_deref().map_or(0, budget::of_text);
        self.rows.iter().map(move |row| {
            let shared = match (position.map(|p| &row[p]), &prefix) {
                (Some(Value::String(_)), Some(prefix)) => budget::of_text(prefix),
                _ => 0,
            };
            let cost = row
                .iter()
                .map(|cell| budget::of_value(cell) + 1)
                .sum::<usize>()
                + 1;
            used += cost.saturating_sub(shared);
            used
        })
    }

    /// `{"columns": […], "prefix"?: "…", "rows": [[…], …]}`. Columns without any value are left
    /// away.
    pub fn into_value(self) -> Value {
        let prefix = self.prefix();
        let fqn = self.fqn_position();
        let used: Vec<usize> = (0..self.columns.len())
            .filter(|&column| {
                column == 0 || self.rows.iter().any(|row| !super::is_empty(&row[column]))
            })
            .collect();
        let columns: Vec<_> = used.iter().map(|&column| self.columns[column]).collect();
        let rows: Vec<Value> = self
            .rows
            .into_iter()
            .map(|mut row| {
                used.iter()
                    .map(|&column| {
                        let cell = row[column].take();
                        match (&prefix, cell) {
                            (Some(prefix), Value::String(name)) if Some(column) == fqn => {
                                name[prefix.len()..].into()
                            }
                            (_, cell) => cell,
                        }
                    })
                    .collect()
            })
            .collect();
        let mut table = Map::new();
        table.insert("columns".into(), json!(columns));
        if let Some(prefix) = prefix {
            table.insert("prefix".into(), prefix.into());
        }
        table.insert("rows".into(), rows.into());
        Value::Object(table)
    }

    fn fqn_position(&self) -> Option<usize> {
        self.columns.iter().position(|column| *column == "fqn")
    }

    /// The beginning that all names of the column `fqn` share, up to and with a dot.
    fn prefix(&self) -> Option<String> {
        let position = self.fqn_position()?;
        if self.rows.len() < 2 {
            return None;
        }
        let mut names = self.rows.iter().map(|row| row[position].as_str());
        let first = names.next()??;
        let mut shared = first.len();
        for name in names {
            let name = name?;
            shared = first[..shared]
                .bytes()
                .zip(name.bytes())
                .take_while(|(a, b)| a == b)
                .count();
        }
        // A dot is one byte in UTF-8, so the cut never falls inside a character.
        let end = first.as_bytes()[..shared]
            .iter()
            .rposition(|byte| *byte == b'.')?
            + 1;
        let prefix = &first[..end];
        // Inside quotes a dot is part of a name: do not cut a quoted name in two.
        let is_whole = prefix.bytes().filter(|byte| *byte == b'"').count() % 2 == 0;
        (prefix.len() >= SHORTEST_PREFIX && is_whole).then(|| prefix.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_the_beginning_of_names_once_and_leaves_empty_columns_away() {
        let mut table = Table::new(&["fqn", "tier", "depth"]);
        table.push(vec!["warehouse.DW.a".into(), Value::Null, 1.into()]);
        table.push(vec!["warehouse.DW.b".into(), Value::Null, 2.into()]);
        assert_eq!(
            table.into_value(),
            json!({"columns": ["fqn", "depth"], "prefix": "warehouse.DW.", "rows": [["a", 1], ["b", 2]]})
        );
    }

    #[test]
    fn never_cuts_a_quoted_name() {
        let mut table = Table::new(&["fqn"]);
        table.push(vec!["\"warehouse.one\".a".into()]);
        table.push(vec!["\"warehouse.two\".b".into()]);
        assert_eq!(table.into_value()["rows"][0][0], "\"warehouse.one\".a");
    }
}
