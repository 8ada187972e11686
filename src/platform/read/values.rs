//! How texts, numbers, quantities, lists, names and ranges of a platform file are read.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Placed, Read, Reader};
use crate::platform::{
    problem::quoted,
    quantity::{self, Bytes, MilliCpu, NotAQuantity, Percent},
    variables::Expanded,
    yaml::{Node, Value},
};

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
