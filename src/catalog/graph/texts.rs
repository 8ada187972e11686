//! Many short texts in one long one.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Where a text stands; 8 bytes, where a `String` has 24 and a place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    start: u32,
    length: u32,
}

impl Text {
    pub const NONE: Self = Self {
        start: u32::MAX,
        length: 0,
    };
}

#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    all: String,
    /// By hash, those that are kept once.
    known: HashMap<u64, Text>,
}

impl Texts {
    /// Adds a text that hardly comes twice. Beyond 4 GiB of names, which no catalog has, it is
    /// none.
    pub fn add(&mut self, text: &str) -> Text {
        let place = (
            u32::try_from(self.all.len()),
            u32::try_from(self.all.len() + text.len()),
        );
        let (Ok(start), Ok(end)) = place else {
            return Text::NONE;
        };
        self.all.push_str(text);
        Text {
            start,
            length: end - start,
        }
    }

    /// The same for a text that comes often.
    pub fn add_once(&mut self, text: &str) -> Text {
        let hash = hash_of(text);
        match self.known.get(&hash) {
            Some(&known) if self.get(known) == Some(text) => known,
            // Two texts of one hash: the second is kept as often as it comes.
            Some(_) => self.add(text),
            None => {
                let added = self.add(text);
                self.known.insert(hash, added);
                added
            }
        }
    }

    /// The end of a text as a text of its own, where it ends so.
    pub fn end_of(&self, whole: Text, end: &str) -> Option<Text> {
        let text = self.get(whole)?;
        let length = u32::try_from(end.len()).ok()?;
        text.ends_with(end).then(|| Text {
            start: whole.start + (whole.length - length),
            length,
        })
    }

    pub fn get(&self, text: Text) -> Option<&str> {
        if text == Text::NONE {
            return None;
        }
        let start = text.start as usize;
        self.all.get(start..start + text.length as usize)
    }

    /// The text, empty where there is none.
    pub fn text(&self, text: Text) -> &str {
        self.get(text).unwrap_or_default()
    }
}

pub(super) fn hash_of(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Lists of which many are equal, each kept once.
#[derive(Debug, Clone)]
pub(super) struct Lists<T> {
    all: Vec<Vec<T>>,
    known: HashMap<u64, u32>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self {
            all: vec![Vec::new()],
            known: HashMap::new(),
        }
    }
}

impl<T: Hash + PartialEq> Lists<T> {
    /// Position of this list; 0 is the empty one.
    pub fn add(&mut self, list: Vec<T>) -> u32 {
        if list.is_empty() {
            return 0;
        }
        let hash = hash_of(&list);
        if let Some(&known) = self.known.get(&hash)
            && self.get(known) == list
        {
            return known;
        }
        let position = u32::try_from(self.all.len()).unwrap_or(0);
        self.all.push(list);
        self.known.insert(hash, position);
        position
    }

    pub fn get(&self, position: u32) -> &[T] {
        self.all.get(position as usize).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_equal_ones_stand_once() {
        let mut texts = Texts::default();
        let whole = texts.add("pg.db.core.bills");
        assert_eq!(texts.text(whole), "pg.db.core.bills");
        let name = texts.end_of(whole, "bills").unwrap();
        assert_eq!(texts.text(name), "bills");
        assert_eq!(texts.end_of(whole, "votes"), None);
        let one = texts.add_once("Tier.Tier1");
        assert_eq!(one, texts.add_once("Tier.Tier1"));
        assert_eq!(texts.get(Text::NONE), None);
        assert_eq!(texts.get(texts.all_empty()), Some(""));
    }

    impl Texts {
        fn all_empty(&self) -> Text {
            Text {
                start: 0,
                length: 0,
            }
        }
    }
}
