//! How anything becomes an answer: one structured value, from which the text is rendered.
//!
//! Invariants: strings are cleaned here and nowhere else; items are cut at item borders only; a
//! list never leaves without saying how much there is, how much is returned and how to go on.

pub mod budget;
pub mod clean;
pub mod cursor;
pub mod table;
pub mod text;
pub mod time;

pub use budget::Budget;
pub use cursor::{CURSOR_PAST_END, CursorScope};
pub use table::Table;

use serde_json::{Map, Value};

/// What a tool answers: facts in named fields. The text form is rendered from it, so that both
/// forms carry the same items and the same warnings.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    fields: Map<String, Value>,
    warnings: Vec<String>,
    budget: Budget,
}

/// How many items there are in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// Counted.
    Exact(u64),
    /// At least so many: counting stopped (deadline, a bound of the other side).
    AtLeast(u64),
}

/// One page of a list, before it is cut to the budget.
pub struct Page<'a> {
    /// Items from `start` on, in deterministic order, at most `limit` of them.
    pub table: Table,
    pub total: Total,
    /// Position of the first item of `table` in the whole list.
    pub start: u64,
    /// Makes and reads the cursors of this call.
    pub scope: &'a CursorScope,
}

impl Answer {
    pub fn new(budget: Budget) -> Self {
        Self {
            fields: Map::new(),
            warnings: Vec::new(),
            budget,
        }
    }

    /// Adds a field. Null, empty text, empty lists and empty objects are left away: absent means
    /// nothing to say.
    pub fn put(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        if !is_empty(&value) {
            self.fields.insert(name.to_owned(), value);
        }
        self
    }

    /// Adds a list that is there also when it is empty: that there is nothing is the answer.
    pub fn put_list(&mut self, name: &str, items: Vec<Value>) -> &mut Self {
        self.fields.insert(name.to_owned(), items.into());
        self
    }

    /// Adds something that the reader has to know to read the rest rightly.
    pub fn warn(&mut self, warning: impl Into<String>) -> &mut Self {
        let warning = warning.into();
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
        self
    }

    /// The same, before everything else that is to be known.
    pub fn warn_first(&mut self, warning: impl Into<String>) -> &mut Self {
        self.warnings.insert(0, warning.into());
        self
    }

    /// Rewrites the cursors of this answer: `next` of it and of the lists in it.
    pub fn change_cursors(&mut self, change: impl Fn(&str) -> String) -> &mut Self {
        for (name, field) in &mut self.fields {
            match field {
                Value::String(cursor) if name == "next" => *cursor = change(cursor),
                // What others wrote: no cursor of ours stands in it.
                _ if name == "body" => {}
                field => change_cursors(field, &change),
            }
        }
        self
    }

    /// Takes a field away that turned out to be wrong.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.fields.shift_remove(name);
        self
    }

    /// A field that was put.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// Estimated tokens that are left for a list.
    pub fn room(&self) -> usize {
        let used = budget::of_value(&Value::Object(self.fields.clone()))
            + self.warnings.iter().map(|w| budget::of_text(w)).sum::<usize>()
            // total, returned, complete, next
            + 40;
        self.budget.tokens().saturating_sub(used)
    }

    /// Adds the paged list of this answer with `total`, `returned`, `complete` and `next`.
    ///
    /// Call it last: rows are cut until everything fits the budget (at least one row stays).
    pub fn page(&mut self, name: &str, page: Page<'_>) -> &mut Self {
        let Page {
            mut table,
            total,
            start,
            scope,
        } = page;
        table.cut_to(self.room());
        let returned = table.len() as u64;
        let end = start + returned;
        let (count, is_exact) = match total {
            Total::Exact(count) => (count, true),
            Total::AtLeast(count) => (count.max(end), false),
        };
        self.fields.insert("total".into(), count.into());
        if !is_exact {
            self.fields
                .insert("total_is_lower_bound".into(), true.into());
        }
        self.fields.insert("returned".into(), returned.into());
        if returned == 0 && start > 0 && is_exact {
            self.warn(CURSOR_PAST_END);
        }
        let is_complete = is_exact && end >= count;
        self.fields.insert("complete".into(), is_complete.into());
        if returned > 0 && end < count {
            self.fields.insert("next".into(), scope.cursor(end).into());
        }
        self.fields.insert(name.to_owned(), table.into_value());
        self
    }

    /// The structured form: cleaned; where it comes from is the first, the warnings the last field.
    pub fn structured(&self) -> Map<String, Value> {
        let mut rest = self.fields.clone();
        let mut fields: Map<String, Value> = ["source", "as_of"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), rest.shift_remove(name)?)))
            .collect();
        fields.extend(rest);
        if !self.warnings.is_empty() {
            fields.insert("warnings".into(), self.warnings.clone().into());
        }
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name, clean::value(value)))
            .collect();
        below_the_cap(fields)
    }

    /// The text form: the same facts in fewer tokens.
    pub fn text(&self) -> String {
        text::render(&self.structured())
    }
}

/// A list within an answer says whether it is complete beside how it goes on.
fn change_cursors(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::Object(fields) => {
            let is_list = fields.contains_key("complete");
            for (name, field) in fields {
                match field {
                    Value::String(cursor) if is_list && name == "next" => *cursor = change(cursor),
                    field => change_cursors(field, change),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                change_cursors(item, change);
            }
        }
        _ => {}
    }
}

/// Cuts the longest texts where all together exceed the hard cap: names and texts of a catalog may
/// be of any length, and no list of them can be so short that it always fits.
fn below_the_cap(mut fields: Map<String, Value>) -> Map<String, Value> {
    for longest in [1_000, 300, 100, 40] {
        let value = Value::Object(fields);
        let is_below = budget::of_value(&value) <= Budget::HARD.tokens();
        let Value::Object(whole) = value else {
            return Map::new();
        };
        fields = whole;
        if is_below {
            return fields;
        }
        fields = fields
            .into_iter()
            .map(|(name, value)| (name, clean::shorter(value, longest)))
            .collect();
    }
    fields
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
