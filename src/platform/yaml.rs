//! YAML as a tree in which every key and value knows its place.
//!
//! The tree is bounded whatever the text says: size, depth, and how much aliases may multiply it.
//! It keeps scalars as they were written, since `1.10` is a version and `0x1F` may be a name.

use std::{borrow::Cow, collections::HashMap, iter::Peekable};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::problem::{FileId, Place, Problem, quoted};

/// Bytes of one file. The platform of 500 services that is tested has 150 kB.
pub const LONGEST_FILE: usize = 2 * 1024 * 1024;
/// Nodes of one file, those that aliases repeat included.
const MOST_NODES: usize = 200_000;
/// Collections inside each other.
const DEEPEST: usize = 48;

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub place: Place,
    pub value: Value,
    /// `reset` of Compose's `!reset`; tags of YAML itself are left away.
    pub tag: Option<String>,
}

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Scalar {
        text: String,
        /// Quoted or a block: a text, whatever it looks like.
        is_quoted: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Node,
}

impl Node {
    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The value at the end of these keys.
    pub fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The entries of a mapping; none where this is something else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none where this is something else.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The documents of a file. Faults of the syntax end the reading; doubled keys are told beside the
/// tree, in which the first one stands.
pub fn documents(text: &str, file: FileId) -> Result<(Vec<Node>, Vec<Problem>), Problem> {
    if text.len() > LONGEST_FILE {
        return Err(Problem::new(
            Place {
                file,
                ..Place::default()
            },
            format!(
                "the file has {} kB, more than the {} kB that are read",
                text.len() / 1024,
                LONGEST_FILE / 1024
            ),
            "part it, or leave away what does not belong to the platform",
        ));
    }
    let options = granit_parser::options! {
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
        emit_comments: false,
    };
    let mut builder = Builder {
        events: Parser::new_from_str_with_options(text, options).peekable(),
        file,
        anchors: HashMap::new(),
        nodes: 0,
        problems: Vec::new(),
    };
    let documents = builder.documents()?;
    Ok((documents, builder.problems))
}

type EventResult<'text> = Result<(Event<'text>, Span), ScanError>;

struct Builder<Events: Iterator> {
    events: Peekable<Events>,
    file: FileId,
    /// Finished nodes by anchor, with their number of nodes.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    problems: Vec<Problem>,
}

impl<'text, Events: Iterator<Item = EventResult<'text>>> Builder<Events> {
    fn documents(&mut self) -> Result<Vec<Node>, Problem> {
        let mut documents = Vec::new();
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    let node = self.node(event, span, 0)?;
                    documents.push(node);
                }
            }
        }
        Ok(documents)
    }

    fn next(&mut self) -> Result<Option<(Event<'text>, Span)>, Problem> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                let marker = error.marker();
                let place = self.place_at(marker.line(), marker.col());
                Err(Problem::new(
                    place,
                    format!("this is no YAML: {}", one_line(&error.info())),
                    "",
                ))
            }
        }
    }

    fn place(&self, span: Span) -> Place {
        self.place_at(span.start.line(), span.start.col())
    }

    fn place_at(&self, line: usize, column: usize) -> Place {
        Place {
            file: self.file,
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        }
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MOST_NODES {
            return Err(Problem::new(
                place,
                format!("the file has more than {MOST_NODES} values, repeated ones included"),
                "use fewer aliases (`*name`) or part the file",
            ));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Node, Problem> {
        let place = self.place(span);
        let before = self.nodes;
        self.count(1, place)?;
        if depth > DEEPEST {
            return Err(Problem::new(
                place,
                format!("more than {DEEPEST} lists and mappings stand inside each other here"),
                "",
            ));
        }
        let (node, anchor) = match event {
            Event::Alias(id) => {
                let Some((target, size)) = self.anchors.get(&id) else {
                    return Err(Problem::new(
                        place,
                        "this alias stands inside what it refers to",
                        "",
                    ));
                };
                let (node, size) = (target.clone(), *size);
                self.count(size, place)?;
                (node, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_quoted = style != ScalarStyle::Plain;
                let is_null =
                    !is_quoted && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null {
                    Value::Null
                } else {
                    Value::Scalar {
                        text: text.into_owned(),
                        is_quoted,
                    }
                };
                let tag = own_tag(tag);
                (Node { place, value, tag }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        None | Some((Event::SequenceEnd, _)) => break,
                        Some((event, span)) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                let value = Value::List(items);
                let tag = own_tag(tag);
                (Node { place, value, tag }, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                let value = Value::Map(self.entries(depth)?);
                let tag = own_tag(tag);
                (Node { place, value, tag }, anchor)
            }
            // Nothing else stands where a node is expected.
            _ => {
                let value = Value::Null;
                let tag = None;
                (Node { place, value, tag }, 0)
            }
        };
        if anchor != 0 {
            let size = self.nodes - before;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                None | Some((Event::MappingEnd, _)) => break,
                Some(next) => next,
            };
            let place = self.place(span);
            let key = self.node(event, span, depth + 1)?;
            let value = match self.next()? {
                None => break,
                Some((event, span)) => self.node(event, span, depth + 1)?,
            };
            let key = match key.value {
                Value::Scalar { text, is_quoted } => {
                    if text == "<<" && !is_quoted {
                        merged.push(value);
                        continue;
                    }
                    text
                }
                Value::Null => "null".to_owned(),
                Value::List(_) | Value::Map(_) => {
                    self.problems.push(Problem::new(
                        place,
                        format!("a key is a word, and this is {}", key.kind()),
                        "quote it if `{` or `[` belongs to the text",
                    ));
                    continue;
                }
            };
            if let Some(first) = positions.get(&key).and_then(|at| entries.get(*at)) {
                self.problems.push(Problem::new(
                    place,
                    format!(
                        "{} stands here a second time (first in line {})",
                        quoted(&key),
                        first.place.line
                    ),
                    "keep one of them",
                ));
                continue;
            }
            positions.insert(key.clone(), entries.len());
            entries.push(Entry { key, place, value });
        }
        for node in merged {
            self.merge(&mut entries, &mut positions, node);
        }
        Ok(entries)
    }

    /// `<<: *defaults`: keys that stand in the mapping itself win, and earlier merges over later.
    fn merge(
        &mut self,
        entries: &mut Vec<Entry>,
        positions: &mut HashMap<String, usize>,
        node: Node,
    ) {
        match node.value {
            Value::Map(others) => {
                for entry in others {
                    if !positions.contains_key(&entry.key) {
                        positions.insert(entry.key.clone(), entries.len());
                        entries.push(entry);
                    }
                }
            }
            Value::List(nodes) => {
                for node in nodes {
                    // A list inside a list is no merge.
                    if matches!(node.value, Value::Map(_)) {
                        self.merge(entries, positions, node);
                    }
                }
            }
            Value::Null => {}
            Value::Scalar { .. } => self.problems.push(Problem::new(
                node.place,
                "`<<` takes a mapping, and this is a text",
                "write `<<: *name`",
            )),
        }
    }
}

/// `!reset` is `reset`; `!!str` and its kin say nothing that is needed.
fn own_tag(tag: Option<Cow<'_, Tag>>) -> Option<String> {
    let tag = tag?;
    tag.is_custom().then(|| tag.suffix().to_owned())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        let (mut documents, problems) = documents(text, FileId::PLATFORM).expect("it is YAML");
        assert_eq!(problems, [], "{text}");
        documents.remove(0)
    }

    #[test]
    fn every_key_and_value_knows_its_place_and_its_text() {
        let node = tree("a: 1.10\nb:\n  - \"x\"\n  - null\n");
        let a = node.get("a").expect("a");
        assert_eq!(a.text(), Some("1.10"));
        assert_eq!((a.place.line, a.place.column), (1, 4));
        let b = node.get("b").expect("b").items();
        assert_eq!((b[0].place.line, b[0].place.column), (3, 5));
        assert!(b[1].is_null());
        assert_eq!(node.entries()[1].place.line, 2);
    }

    #[test]
    fn merges_are_read_as_compose_reads_them() {
        let node = tree("x: &base {a: 1, b: 2}\ny: {<<: *base, b: 3}\nz: {<<: [*base, {c: 4}]}\n");
        let y = node.get("y").expect("y");
        assert_eq!(y.get("a").and_then(Node::text), Some("1"));
        assert_eq!(y.get("b").and_then(Node::text), Some("3"));
        assert_eq!(node.at(&["z", "c"]).and_then(Node::text), Some("4"));
    }

    #[test]
    fn a_doubled_key_is_told_with_both_lines() {
        let (documents, problems) =
            documents("a: 1\nb: 2\na: 3\n", FileId::PLATFORM).expect("it is YAML");
        assert_eq!(documents[0].get("a").and_then(Node::text), Some("1"));
        assert_eq!(
            problems[0].to_string(),
            "`a` stands here a second time (first in line 1); keep one of them"
        );
        assert_eq!(problems[0].place.line, 3);
    }

    #[test]
    fn a_bomb_of_aliases_is_refused_and_so_is_depth() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = level - 1;
            let items = vec![format!("*a{below}"); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        let problem = documents(&bomb, FileId::PLATFORM).expect_err("it is a bomb");
        assert!(problem.wrong.contains("200000 values"), "{problem}");
        for deep in [
            "[".repeat(10_000),
            "a: ".repeat(10_000),
            "- ".repeat(10_000),
        ] {
            assert!(documents(&deep, FileId::PLATFORM).is_err());
        }
        assert!(documents("a: &a [*a]", FileId::PLATFORM).is_err());
        let long = format!("a: {}", "x".repeat(LONGEST_FILE));
        assert!(documents(&long, FileId::PLATFORM).is_err());
    }
}
