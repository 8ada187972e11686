//! Column mappings of edges, packed: a column is its entity and the number of its name.

use std::{collections::HashMap, fmt};

use super::{ColumnMapping, texts};

/// A mark on the number of a name that is a whole FQN, as the column is not below the entity that
/// the edge names.
const IS_WHOLE: u32 = 1 << 31;

/// Mappings of all edges.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    /// Of one edge: how many mappings; of each how many sources, the sources, the target.
    numbers: Vec<u32>,
    names: Vec<Box<str>>,
    known: HashMap<u64, u32>,
}

impl Stored {
    /// Where the mappings of an edge stand; 0 is where none do.
    pub fn add(&mut self, from: &str, to: &str, mappings: &[ColumnMapping]) -> u32 {
        if mappings.is_empty() {
            return 0;
        }
        if self.numbers.is_empty() {
            self.numbers.push(0);
        }
        let start = number(self.numbers.len());
        self.numbers.push(number(mappings.len()));
        for mapping in mappings {
            self.numbers.push(number(mapping.from.len()));
            for column in &mapping.from {
                let column = self.column(from, column);
                self.numbers.push(column);
            }
            let column = self.column(to, &mapping.to);
            self.numbers.push(column);
        }
        start
    }

    fn column(&mut self, entity: &str, column: &str) -> u32 {
        let below = column
            .strip_prefix(entity)
            .and_then(|rest| rest.strip_prefix('.'));
        match below {
            Some(name) => self.name(name),
            None => self.name(column) | IS_WHOLE,
        }
    }

    fn name(&mut self, name: &str) -> u32 {
        let hash = texts::hash_of(name);
        if let Some(&known) = self.known.get(&hash)
            && &*self.names[known as usize] == name
        {
            return known;
        }
        let position = number(self.names.len());
        self.names.push(name.into());
        self.known.insert(hash, position);
        position
    }

    pub fn of<'a>(&'a self, start: u32, from: &'a str, to: &'a str) -> Mappings<'a> {
        let numbers = match start {
            0 => &[],
            start => self.numbers.get(start as usize..).unwrap_or_default(),
        };
        let (left, numbers) = match numbers.split_first() {
            Some((count, numbers)) => (*count, numbers),
            None => (0, numbers),
        };
        Mappings {
            stored: self,
            numbers,
            left,
            from,
            to,
        }
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The mappings of one edge.
#[derive(Clone, Copy)]
pub struct Mappings<'a> {
    stored: &'a Stored,
    numbers: &'a [u32],
    left: u32,
    from: &'a str,
    to: &'a str,
}

impl Mappings<'_> {
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// All of them with their names written out.
    pub fn to_vec(self) -> Vec<ColumnMapping> {
        self.map(|mapping| ColumnMapping {
            from: mapping.from().map(|column| column.to_string()).collect(),
            to: mapping.to.to_string(),
        })
        .collect()
    }
}

impl<'a> Iterator for Mappings<'a> {
    type Item = Mapping<'a>;

    fn next(&mut self) -> Option<Mapping<'a>> {
        if self.left == 0 {
            return None;
        }
        let (sources, rest) = self.numbers.split_first()?;
        let (sources, rest) = rest.split_at_checked(*sources as usize)?;
        let (to, rest) = rest.split_first()?;
        self.numbers = rest;
        self.left -= 1;
        Some(Mapping {
            stored: self.stored,
            sources,
            above: self.from,
            to: Column::of(self.stored, self.to, *to),
        })
    }
}

/// Columns that make one column.
#[derive(Clone, Copy)]
pub struct Mapping<'a> {
    stored: &'a Stored,
    sources: &'a [u32],
    above: &'a str,
    pub to: Column<'a>,
}

impl<'a> Mapping<'a> {
    pub fn from(self) -> impl Iterator<Item = Column<'a>> {
        self.sources
            .iter()
            .map(move |&number| Column::of(self.stored, self.above, number))
    }
}

/// A column; its text is its FQN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// FQN of the entity; none where `name` is the whole FQN.
    above: Option<&'a str>,
    name: &'a str,
}

impl<'a> Column<'a> {
    fn of(stored: &'a Stored, above: &'a str, number: u32) -> Self {
        let name = stored.names.get((number & !IS_WHOLE) as usize);
        Self {
            above: (number & IS_WHOLE == 0).then_some(above),
            name: name.map_or("", |name| name),
        }
    }

    /// Whether this is its FQN.
    pub fn is(self, fqn: &str) -> bool {
        match self.above {
            None => fqn == self.name,
            Some(above) => fqn
                .strip_prefix(above)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|name| name == self.name),
        }
    }
}

impl fmt::Display for Column<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.above {
            Some(above) => write!(formatter, "{above}.{}", self.name),
            None => formatter.write_str(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(from: &[&str], to: &str) -> ColumnMapping {
        ColumnMapping {
            from: from.iter().map(|&column| column.to_owned()).collect(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn mappings_come_back_as_they_were() {
        let mut stored = Stored::default();
        // Below the entities, nested, of another entity, and with a name that begins alike.
        let first = vec![
            mapping(&["s.t.a", "s.t.b.c"], "s.u.a"),
            mapping(&["s.other.a"], "s.u"),
            mapping(&["s.tt.a"], "s.u.b"),
        ];
        let second = vec![mapping(&["s.u.a"], "s.v.a")];
        let at_first = stored.add("s.t", "s.u", &first);
        let at_second = stored.add("s.u", "s.v", &second);
        assert_eq!(stored.of(at_first, "s.t", "s.u").to_vec(), first);
        assert_eq!(stored.of(at_second, "s.u", "s.v").to_vec(), second);
        assert!(stored.of(stored.add_none(), "s.u", "s.v").is_empty());
        let mapped = stored.of(at_first, "s.t", "s.u").next().unwrap();
        let column = mapped.from().next().unwrap();
        assert!(column.is("s.t.a"));
        assert!(!column.is("s.tXa") && !column.is("s.t.aa") && !column.is("a"));
    }

    impl Stored {
        fn add_none(&self) -> u32 {
            self.clone().add("a", "b", &[])
        }
    }
}
