//! How a node of YAML becomes a value: every fault is told with its place, and reading goes on.
//!
//! `record!` declares a mapping once; how it is read, which keys it knows and its JSON Schema come
//! from that one declaration.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{
    near::nearest,
    problem::{Place, Problem, quoted},
    quantity::{self, Bytes, MilliCpu, NotAQuantity, Percent},
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
    /// Where a variable would stand if the file were trusted.
    pub withheld: Vec<Place>,
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
            withheld: Vec::new(),
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
                    Err(NoValue::Withheld(_)) => self.withheld.push(node.place),
                    _ => {}
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

/// A text that is shown as it is written: names and titles, in which variables are not replaced.
impl Read for String {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.written(node, "a text").map(str::to_owned)
    }

    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

impl Read for Expanded {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.expanded(node, "a text")
    }

    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

impl Read for bool {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.quantity(node, "true or false", |text| {
            match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Ok(true),
                "false" | "no" | "off" => Ok(false),
                _ => Err(not(text, "true or false")),
            }
        })
    }

    fn schema() -> Json {
        json!({ "type": ["boolean", "string"] })
    }
}

macro_rules! numbers {
    ($($type:ty, $least:literal, $expected:literal, $is_right:expr;)*) => {$(
        impl Read for $type {
            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                reader.quantity(node, $expected, |text| {
                    let is_right: fn(&Self) -> bool = $is_right;
                    let number: Option<Self> = text.trim().parse().ok();
                    number.filter(is_right).ok_or_else(|| not(text, $expected))
                })
            }

            fn schema() -> Json {
                json!({ "type": ["integer", "string"], "minimum": $least })
            }
        }
    )*};
}
numbers! {
    u16, 1, "a port from 1 to 65535", |port| *port > 0;
    u32, 0, "a whole number", |_| true;
    u64, 0, "a whole number", |_| true;
}

macro_rules! quantities {
    ($($type:ty, $expected:expr, $parse:expr, $example:literal;)*) => {$(
        impl Read for $type {
            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                reader.quantity(node, $expected, $parse)
            }

            fn schema() -> Json {
                json!({ "type": ["string", "number"], "examples": [$example] })
            }
        }
    )*};
}
quantities! {
    Bytes, Bytes::EXPECTED, Bytes::parse, "512Mi";
    MilliCpu, MilliCpu::EXPECTED, MilliCpu::parse, "500m";
    Percent, Percent::EXPECTED, share, "85%";
    Duration, quantity::DURATION_EXPECTED, quantity::duration, "30s";
}

/// A percentage of something that cannot be more than all of it.
fn share(written: &str) -> Result<Percent, NotAQuantity> {
    Percent::parse(written)
        .ok()
        .filter(|share| share.0 <= 100.0)
        .ok_or_else(|| not(written, Percent::EXPECTED))
}

fn not(written: &str, expected: &'static str) -> NotAQuantity {
    NotAQuantity {
        written: written.to_owned(),
        expected,
    }
}

/// A list; one value alone is a list of one.
impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            Value::List(items) => Some(
                items
                    .iter()
                    .filter_map(|item| T::read(item, reader))
                    .collect(),
            ),
            _ => T::read(node, reader).map(|value| vec![value]),
        }
    }

    fn schema() -> Json {
        let item = T::schema();
        json!({ "oneOf": [{ "type": "array", "items": item }, item] })
    }
}

impl<T: Read> Read for Placed<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(|value| Self {
            place: node.place,
            value,
        })
    }

    fn schema() -> Json {
        T::schema()
    }
}

/// A mapping from names to values, in the order of the file.
#[derive(Debug, Clone)]
pub struct Named<T>(pub Vec<(Placed<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Read> Read for Named<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = reader.mapping(node, "a mapping of names")?;
        let mut named = Vec::new();
        for entry in entries {
            if entry.key.starts_with("x-") {
                continue;
            }
            if let Some(value) = T::read(&entry.value, reader) {
                let name = Placed {
                    place: entry.place,
                    value: entry.key.clone(),
                };
                named.push((name, value));
            }
        }
        Some(Self(named))
    }

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

/// `3-10`; one value alone is both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<T> {
    pub from: T,
    pub to: T,
    /// Written as one value.
    pub is_single: bool,
}

/// What has a form in which two of it can be written with `-` between.
pub trait RangeEnd: Copy + PartialOrd {
    const EXPECTED: &'static str;
    fn parse(written: &str) -> Option<Self>;
}

macro_rules! range_ends {
    ($($type:ty, $expected:literal, $parse:expr;)*) => {$(
        impl RangeEnd for $type {
            const EXPECTED: &'static str = $expected;
            fn parse(written: &str) -> Option<Self> {
                let parse: fn(&str) -> Option<Self> = $parse;
                parse(written.trim())
            }
        }
    )*};
}
range_ends! {
    u16, "a number from 1 to 65535 or a range like 9000-9099",
        |text| text.parse().ok().filter(|port| *port > 0);
    u32, "a number, or a range like 3-10", |text| text.parse().ok();
    Bytes, "a size like 512Mi or a range like 256Mi-512Mi", |text| Bytes::parse(text).ok();
    MilliCpu, "an amount of CPU like 500m or a range like 250m-500m",
        |text| MilliCpu::parse(text).ok();
    Duration, "a duration like 15m or a range like 15m-20m",
        |text| quantity::duration(text).ok();
}

impl<T: RangeEnd> Read for Range<T> {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.resolved(node, T::EXPECTED)?;
        let range = match text.split_once('-') {
            None => T::parse(&text).map(|value| Self {
                from: value,
                to: value,
                is_single: true,
            }),
            Some((from, to)) => T::parse(from).zip(T::parse(to)).map(|(from, to)| Self {
                from,
                to,
                is_single: false,
            }),
        };
        match range {
            None => {
                reader.problem(
                    node.place,
                    format!("{} is not {}", quoted(&text), T::EXPECTED),
                    "",
                );
                None
            }
            Some(range) if range.from > range.to => {
                reader.problem(
                    node.place,
                    format!("the range {} ends before it begins", quoted(&text)),
                    "write the smaller end first",
                );
                None
            }
            range => range,
        }
    }

    fn schema() -> Json {
        json!({ "type": ["string", "number"], "description": T::EXPECTED })
    }
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
