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
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => of_text(&number.to_string()),
        Value::String(text) => of_text(text) + 2,
        Value::Array(items) => 1 + items.iter().map(|item| of_value(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            1 + fields
                .iter()
                .map(|(name, value)| of_text(name) + of_value(value) + 2)
                .sum::<usize>()
        }
    }
}

/// Estimated o200k tokens of a text: a run of ASCII letters costs one token for each 4 (short
/// words are one token each), digits one for each 3, other characters one each.
pub fn of_text(text: &str) -> usize {
    let mut tokens = 0;
    let mut letters = 0;
    let mut digits = 0;
    for character in text.chars() {
        if character.is_ascii_alphabetic() {
            letters += 1;
        } else {
            tokens += tokens_of_letters(letters);
            letters = 0;
        }
        if character.is_ascii_digit() {
            digits += 1;
        } else {
            tokens += usize::div_ceil(digits, 3);
            digits = 0;
        }
        // A single space joins the word after it.
        if !character.is_ascii_alphanumeric() && character != ' ' {
            tokens += 1;
        }
    }
    tokens + tokens_of_letters(letters) + digits.div_ceil(3)
}

fn tokens_of_letters(letters: usize) -> usize {
    match letters {
        0 => 0,
        1..=6 => 1,
        more => more.div_ceil(5),
    }
}
