//! How a node of YAML becomes a value: every fault is told with its place, and reading goes on.
//!
//! `record!` declares a mapping once; how it is read, which keys it knows and its JSON Schema come
//! from that one declaration.

mod values;

use serde_json::{Value as Json, json};

pub use values::{Named, Range, RangeEnd};

use super::{
    near::nearest,
    problem::{Place, Problem, quoted},
    quantity::NotAQuantity,
    variables::{Expanded, NoValue, Own, Syntax, Variables, expand},
    yaml::{Entry, Node, Value},
};

/// A value that knows where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed<T> {
    pub place: Place,
    pub value: T,
}

/// What reading found out beside the values.
pub struct Reader<'a> {
    pub variables: &'a Variables,
    pub problems: Vec<Problem>,
    /// Texts in which variables stand, with the names of these.
    pub sends: Vec<(Place, String, Vec<String>)>,
    /// Whether secrets may be read and commands kept.
    pub is_trusted: bool,
    own: Own,
}

impl<'a> Reader<'a> {
    pub fn new(variables: &'a Variables, is_trusted: bool) -> Self {
        Self {
            variables,
            is_trusted,
            problems: Vec::new(),
            sends: Vec::new(),
            own: Own::Forbidden,
        }
    }

    pub fn problem(&mut self, place: Place, wrong: impl Into<String>, right: impl Into<String>) {
        self.problems.push(Problem::new(place, wrong, right));
    }

    /// A value with its place; nothing where YAML says `null`.
    pub fn placed<T: Read>(&mut self, node: &Node) -> Option<Placed<T>> {
        if node.is_null() {
            return None;
        }
        T::read(node, self).map(|value| Placed {
            place: node.place,
            value,
        })
    }

    /// The text of a scalar as it is written.
    pub fn written<'node>(&mut self, node: &'node Node, expected: &str) -> Option<&'node str> {
        let text = node.text();
        if text.is_none() {
            self.problem(
                node.place,
                format!("{} stands here", node.kind()),
                format!("write {expected}"),
            );
        }
        text
    }

    /// The text of a scalar with its variables replaced.
    pub fn expanded(&mut self, node: &Node, expected: &str) -> Option<Expanded> {
        let written = self.written(node, expected)?;
        match expand(written, self.variables, self.own, Syntax::Platform) {
            Err(fault) => {
                self.problem(node.place, fault.0, "`$$` is a dollar sign");
                None
            }
            Ok(expanded) => {
                match &expanded.value {
                    Err(NoValue::Own(name)) => {
                        self.problem(
                            node.place,
                            format!("`${{{name}}}` is a credential of this server"),
                            "name a variable of your own; only `catalog.openmetadata` may use it",
                        );
                        return None;
                    }
                    _ if expanded.variables.is_empty() => {}
                    _ => self.sends.push((
                        node.place,
                        expanded.written.clone(),
                        expanded.variables.clone(),
                    )),
                }
                Some(expanded)
            }
        }
    }

    /// A text that has to have its value now; a missing variable is a problem.
    pub fn resolved(&mut self, node: &Node, expected: &str) -> Option<String> {
        let expanded = self.expanded(node, expected)?;
        match expanded.value {
            Ok(value) => Some(value),
            Err(reason) => {
                self.missing(node.place, &reason);
                None
            }
        }
    }

    /// The value of a text that was read before; a missing variable is a problem.
    pub fn value_of(&mut self, text: &Placed<Expanded>) -> Option<String> {
        match &text.value.value {
            Ok(value) => Some(value.clone()),
            Err(reason) => {
                self.missing(text.place, reason);
                None
            }
        }
    }

    /// Tells that a variable is missing; what waits for trust is not missing.
    pub fn missing(&mut self, place: Place, reason: &NoValue) {
        if let NoValue::Missing { name, message } = reason {
            let why = message
                .as_deref()
                .map(|message| format!(": {}", quoted(message)));
            self.problem(
                place,
                format!("the variable {name} is not set{}", why.unwrap_or_default()),
                format!("set it, or write `${{{name}:-default}}`"),
            );
        }
    }

    /// Reads what may name the OpenMetadata credentials.
    pub fn with_own<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.own = Own::Allowed;
        let value = read(self);
        self.own = Own::Forbidden;
        value
    }

    /// A quantity, or a problem that says what one looks like.
    pub fn quantity<T>(
        &mut self,
        node: &Node,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, NotAQuantity>,
    ) -> Option<T> {
        let text = self.resolved(node, expected)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(_) => {
                self.problem(
                    node.place,
                    format!("{} is not {expected}", quoted(&text)),
                    "",
                );
                None
            }
        }
    }

    /// The entries of a mapping.
    pub fn mapping<'node>(&mut self, node: &'node Node, what: &str) -> Option<&'node [Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            Value::Null => Some(&[]),
            _ => {
                self.problem(
                    node.place,
                    format!("{} stands here", node.kind()),
                    format!("write {what}"),
                );
                None
            }
        }
    }

    /// A key that nobody knows, with the one that was meant.
    pub fn unknown_key(&mut self, entry: &Entry, known: &[&'static str]) {
        let right = match nearest(&entry.key, known.iter().copied()) {
            Some(key) => format!("did you mean `{key}`?"),
            None if known.is_empty() => "nothing is known here".to_owned(),
            None => format!("known here: {}", known.join(", ")),
        };
        self.problem(
            entry.place,
            format!("{} is no key of this place", quoted(&entry.key)),
            right,
        );
    }
}

/// What can be read from a node.
pub trait Read: Sized {
    /// The value, or nothing after a problem was told.
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
    /// JSON Schema of what is read.
    fn schema() -> Json;
}

/// Declares a mapping: its fields are `Option<Placed<…>>`, its keys the names of its fields, or
/// what stands after `as`.
macro_rules! record {
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident $(as $key:literal)?: $type:ty,
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $name {
            /// Where the mapping stands.
            pub place: $crate::platform::problem::Place,
            $(
                $(#[doc = $field_doc])*
                pub $field: Option<$crate::platform::read::Placed<$type>>,
            )*
        }

        impl $name {
            /// The keys of this mapping.
            pub const KEYS: &'static [&'static str] = &[
                $(record!(@key $field $($key)?),)*
            ];
        }

        impl $crate::platform::read::Read for $name {
            fn read(
                node: &$crate::platform::yaml::Node,
                reader: &mut $crate::platform::read::Reader<'_>,
            ) -> Option<Self> {
                let entries = reader.mapping(
                    node,
                    &format!("a mapping of {}", Self::KEYS.join(", ")),
                )?;
                let mut value = Self { place: node.place, ..Self::default() };
                for entry in entries {
                    match entry.key.as_str() {
                        $(
                            key if key == record!(@key $field $($key)?) => {
                                value.$field = reader.placed(&entry.value);
                            }
                        )*
                        key if key.starts_with("x-") => {}
                        _ => reader.unknown_key(entry, Self::KEYS),
                    }
                }
                Some(value)
            }

            fn schema() -> serde_json::Value {
                $crate::platform::read::object_schema(
                    &[$($doc),*],
                    [
                        $((
                            record!(@key $field $($key)?),
                            <$type as $crate::platform::read::Read>::schema(),
                            &[$($field_doc),*] as &[&str],
                        ),)*
                    ],
                )
            }
        }
    };
}
pub(super) use record;

/// The schema of a mapping with known keys.
pub fn object_schema<const KEYS: usize>(
    lines: &[&str],
    fields: [(&str, Json, &[&str]); KEYS],
) -> Json {
    let properties: serde_json::Map<String, Json> = fields
        .into_iter()
        .map(|(key, mut schema, lines)| {
            if let (Some(object), false) = (schema.as_object_mut(), lines.is_empty()) {
                object.insert("description".to_owned(), json!(sentence(lines)));
            }
            (key.to_owned(), schema)
        })
        .collect();
    json!({
        "description": sentence(lines),
        "type": "object",
        "properties": properties,
        "patternProperties": { "^x-": true },
        "additionalProperties": false,
    })
}

fn sentence(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Declares a choice of words.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        $type:ty { $($word:literal => $value:expr,)* }
    ) => {
        impl $crate::platform::read::Read for $type {
            fn read(
                node: &$crate::platform::yaml::Node,
                reader: &mut $crate::platform::read::Reader<'_>,
            ) -> Option<Self> {
                let words: &[&'static str] = &[$($word),*];
                let text = reader.resolved(node, &words.join(" or "))?;
                match text.trim().to_ascii_lowercase().as_str() {
                    $($word => return Some($value),)*
                    _ => {}
                }
                let right = match $crate::platform::near::nearest(&text, words.iter().copied()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("write one of: {}", words.join(", ")),
                };
                reader.problem(
                    node.place,
                    format!("{} is not known here", $crate::platform::problem::quoted(&text)),
                    right,
                );
                None
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "type": "string", "enum": [$($word),*] })
            }
        }
    };
}
pub(super) use choice;
