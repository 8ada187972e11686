//! Every word that stands in the full-text index, in order, in one text.
//!
//! SQLite reads all places of a word to list the word itself: once is enough.

use rusqlite::Connection;

use crate::catalog::{CatalogError, snapshot::storage};

#[derive(Debug, Default)]
pub struct Vocabulary {
    all: String,
    /// Where each word ends, in bytes.
    ends: Vec<u32>,
}

impl Vocabulary {
    pub fn read(connection: &Connection) -> Result<Self, CatalogError> {
        let mut statement = connection
            .prepare("SELECT term FROM temp.vocabulary ORDER BY term")
            .map_err(storage)?;
        let mut rows = statement.query([]).map_err(storage)?;
        let mut read = Self::default();
        while let Some(row) = rows.next().map_err(storage)? {
            let word = row.get_ref(0).map_err(storage)?;
            if let Ok(word) = word.as_str() {
                read.add(word);
            }
        }
        Ok(read)
    }

    fn add(&mut self, word: &str) {
        // Words beyond 4 GiB, which no catalog has, are left out.
        if let Ok(end) = u32::try_from(self.all.len() + word.len()) {
            self.all.push_str(word);
            self.ends.push(end);
        }
    }

    fn word(&self, position: usize) -> &str {
        let start = match position {
            0 => 0,
            position => self.ends[position - 1] as usize,
        };
        &self.all[start..self.ends[position] as usize]
    }

    /// The words that begin so.
    pub fn beginning_with<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = &'a str> {
        let (mut first, mut end) = (0, self.ends.len());
        while first < end {
            let middle = first + (end - first) / 2;
            if self.word(middle) < beginning {
                first = middle + 1;
            } else {
                end = middle;
            }
        }
        (first..self.ends.len())
            .map(|position| self.word(position))
            .take_while(move |word| word.starts_with(beginning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_words_that_begin_alike() {
        let mut words = Vocabulary::default();
        for word in ["bill", "bills", "order", "orders", "été", "őr"] {
            words.add(word);
        }
        let found = |beginning: &'static str| words.beginning_with(beginning).collect::<Vec<_>>();
        assert_eq!(found("b"), ["bill", "bills"]);
        assert_eq!(found("orders"), ["orders"]);
        assert_eq!(found("é"), ["été"]);
        assert_eq!(found("z"), [""; 0]);
        assert_eq!(found("").len(), 6);
        assert_eq!(Vocabulary::default().beginning_with("a").count(), 0);
    }
}
