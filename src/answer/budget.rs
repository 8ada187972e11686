//! How many tokens an answer may take, and an estimate of what it takes.
//!
//! The estimate needs no token table: the real tables are 4 MB and 100 ms to load. The tests hold
//! it against the o200k counts of real answers.

use serde_json::Value;

/// Tokens that one answer may take, in either form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(usize);

impl Budget {
    /// What an answer takes where the caller does not ask for more.
    pub const DEFAULT: Budget = Budget(1_800);
    /// What no answer exceeds, whatever the caller asks for.
    pub const HARD: Budget = Budget(7_600);

    pub const fn of(tokens: usize) -> Self {
        Self(if tokens > Self::HARD.0 {
            Self::HARD.0
        } else {
            tokens
        })
    }

    pub const fn tokens(self) -> usize {
        self.0
    }
}

/// Estimated tokens of a value serialised without spaces.
pub fn of_value(value: &Value) -> usize {
    of_text(&value.to_string())
}

/// Estimated o200k tokens of a text.
///
/// The tokenizer first cuts a text into words (with one sign before them), numbers of up to three
/// digits and runs of signs, then each into tokens. The cuts are repeated here; how many tokens a
/// cut takes is guessed from its length.
pub fn of_text(text: &str) -> usize {
    let mut tokens = 0;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if is_latin(character) {
            let mut word = Word::default();
            word.add(character);
            let mut last = character;
            // `dataType` is cut before the capital, `SQL` is not.
            while let Some(next) = characters.next_if(|next| {
                is_latin(*next) && !(last.is_ascii_lowercase() && next.is_ascii_uppercase())
            }) {
                word.add(next);
                last = next;
            }
            tokens += word.tokens();
        } else if character.is_ascii_digit() {
            let mut digits = 1;
            while characters.next_if(char::is_ascii_digit).is_some() {
                digits += 1;
            }
            tokens += usize::div_ceil(digits, 3);
        } else if character.is_ascii() {
            let mut signs = 1;
            while characters
                .next_if(|next| next.is_ascii() && !next.is_ascii_alphanumeric())
                .is_some()
            {
                signs += 1;
            }
            // The last sign before a word is part of the word.
            let is_before_word = characters.peek().is_some_and(|next| is_latin(*next));
            tokens += usize::div_ceil(signs - usize::from(is_before_word && signs < 3), 3);
        } else {
            tokens += if is_common(character) { 1 } else { 3 };
        }
    }
    tokens
}

/// A run of Latin letters.
#[derive(Default)]
struct Word {
    letters: usize,
    vowels: usize,
    accents: usize,
    capitals: usize,
}

impl Word {
    fn add(&mut self, letter: char) {
        self.letters += 1;
        self.capitals += usize::from(letter.is_uppercase());
        self.accents += usize::from(!letter.is_ascii());
        self.vowels += usize::from("aeiouyAEIOUY".contains(letter) || !letter.is_ascii());
    }

    /// A word of a language takes about a token for five letters; a hash, a key or noise, which
    /// has fewer vowels or no end, five for eight.
    fn tokens(&self) -> usize {
        let is_word = self.letters <= 20
            && self.vowels * 4 >= self.letters
            && self.vowels * 3 <= self.letters * 2;
        let plain = match self.letters {
            0..=3 => 1,
            4..=6 if is_word => 1,
            letters if is_word => usize::div_ceil(letters, 5),
            letters if self.capitals * 2 > letters => usize::div_ceil(letters * 3, 4),
            letters => usize::div_ceil(letters * 5, 8),
        };
        let accents = match self.letters {
            0..=3 => 0,
            letters if self.accents * 2 <= letters => self.accents / 3,
            _ => self.accents * 2,
        };
        plain + accents
    }
}

/// Of a script, or a sign, that is written much: about a token each. Others take one a byte.
fn is_common(character: char) -> bool {
    matches!(character,
        '\u{0370}'..='\u{06FF}'
        | '\u{0900}'..='\u{0E7F}'
        | '\u{2010}'..='\u{2044}'
        | '\u{3000}'..='\u{30FF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7A3}')
}

/// A letter of the Latin script, accents included; other scripts take about a token a letter.
fn is_latin(character: char) -> bool {
    character.is_alphabetic() && character < '\u{0250}'
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The estimate may be high by a half, never low by more than a twentieth: an answer that is
    /// over its budget breaks a promise, one that is under it costs a second page.
    #[test]
    fn is_near_to_the_real_count_and_seldom_below() {
        let tokenizer = tiktoken_rs::o200k_base().unwrap();
        let samples = [
            json!({"columns": ["fqn", "type", "depth"], "prefix": "warehouse.DW.MESH.",
                "rows": (1..60).map(|n| json!([format!("m{n:03}"), "table", n / 12])).collect::<Vec<_>>()}),
            json!({"hits": {"columns": ["fqn", "type", "service", "owners", "tier", "why"], "rows": [
                ["openpolicy_pg.openpolicy.core.bills", "table", "openpolicy_pg", ["Data Platform"], "Tier1", "exact name"],
                ["openpolicy_pg.openpolicy.scrapers.raw_bills", "table", "openpolicy_pg", ["Scraping"], "Tier2", "name"],
                ["superset.parliament_overview", "dashboard", "superset", ["Maria Santos"], "Tier1", "description"]]},
                "total": 52, "returned": 3, "complete": false, "next": "f00d.3"}),
            json!({"description": "One row a bill. Built from `scrapers.raw_bills`. Refreshed hourly.",
                "columns": {"columns": ["name", "type", "description"], "rows": [
                ["id", "bigint", "Surrogate key"], ["created_at", "timestamp"], ["introduced_on", "date"],
                ["meta.chamber.name", "string"], ["sponsor_id", "bigint"], ["q017_answer_text", "varchar(255)"]]}}),
            json!({"text": "Les députés élus, l'été dernier — 議員 список"}),
        ];
        for sample in samples {
            let real = tokenizer.encode_ordinary(&sample.to_string()).len();
            let estimate = of_value(&sample);
            assert!(
                estimate * 20 >= real * 19 && estimate * 2 <= real * 3,
                "{estimate} estimated, {real} counted: {sample}"
            );
        }
    }
}
