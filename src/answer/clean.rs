//! Untrusted text becomes data: no control or bidirectional characters, never without end.

use serde_json::Value;

/// Characters that one string of an answer may have.
pub const LONGEST_TEXT: usize = 4_000;

/// A string without characters that a terminal or a reader could be tricked with, cut at
/// `longest` characters, the cut said.
pub fn text(text: &str, longest: usize) -> String {
    let mut visible = text.chars().filter(|character| !is_hostile(*character));
    let mut cleaned: String = visible.by_ref().take(longest).collect();
    let left = visible.count();
    if left > 0 {
        cleaned.push_str(&format!("… (+{left} characters)"));
    }
    cleaned
}

/// Every string inside, keys too, cleaned.
pub fn value(value: Value) -> Value {
    match value {
        Value::String(string) => {
            if string.len() <= LONGEST_TEXT && !string.chars().any(is_hostile) {
                Value::String(string)
            } else {
                Value::String(text(&string, LONGEST_TEXT))
            }
        }
        Value::Array(items) => items.into_iter().map(self::value).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, field)| (text(&name, LONGEST_TEXT), self::value(field)))
            .collect(),
        other => other,
    }
}

/// Every string inside, keys too, of at most `longest` characters and what is said of the cut.
pub fn shorter(value: Value, longest: usize) -> Value {
    match value {
        Value::String(string) => self::text(&string, longest).into(),
        Value::Array(items) => items
            .into_iter()
            .map(|item| shorter(item, longest))
            .collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, field)| (self::text(&name, longest), shorter(field, longest)))
            .collect(),
        other => other,
    }
}

/// Control characters other than line feed and tab, and the format characters that hide or
/// reorder text: Unicode bidirectional controls (UAX #9), zero-width characters, soft hyphen,
/// the byte order mark, tag characters and interlinear annotation.
pub fn is_hostile(character: char) -> bool {
    if character == '\n' || character == '\t' {
        return false;
    }
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{061C}' | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_nothing_and_reorders_nothing() {
        assert_eq!(text("a\u{202E}b\u{0007}c\u{200B}d\u{E0041}", 10), "abcd");
        assert_eq!(text("two\nlines\t", 20), "two\nlines\t");
    }

    #[test]
    fn says_what_was_cut() {
        assert_eq!(text("abcdef", 4), "abcd… (+2 characters)");
    }
}
