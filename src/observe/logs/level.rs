//! The level of a log line, as the many formats write it.

use std::sync::LazyLock;

use regex::Regex;

/// From harmless to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    fn named(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "trace" | "debug" | "fine" | "finer" | "finest" => Some(Self::Debug),
            "info" | "notice" | "log" | "information" | "statement" | "detail" | "hint" => {
                Some(Self::Info)
            }
            "warn" | "warning" => Some(Self::Warn),
            "error" | "err" | "fatal" | "critical" | "crit" | "panic" | "severe" | "alert"
            | "emerg" => Some(Self::Error),
            _ => None,
        }
    }
}

/// Beginnings of a line are looked at no farther than this, in bytes: later words are its text.
const HEAD: usize = 120;

/// A time as services begin their lines with: RFC 3339 or with a blank, comma or point before the
/// fraction, a zone or `UTC`, brackets around it.
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^\s*[\[(]?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\s?(?:Z|UTC|[+-]\d\d:?\d\d)?[\])]?\s+",
    )
    .ok()
});

/// Fields that name the level: `level=error`, `"severity":"WARNING"`.
static FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?i)["']?\b(?:level|severity|lvl|log\.level|levelname)["']?\s*[=:]\s*["']?([a-z]+)"#,
    )
    .ok()
});

/// What stands at the beginning of the lines of an exception.
const OF_EXCEPTIONS: [&str; 4] = [
    "Traceback (most recent call last)",
    "panic:",
    "Exception in thread",
    "Unhandled",
];

/// The line without the time that it begins with.
pub fn without_time(text: &str) -> &str {
    let found = TIME.as_ref().and_then(|time| time.find(text));
    found.map_or(text, |found| &text[found.end()..])
}

/// What the line says of its level.
pub fn of(text: &str) -> Option<Level> {
    let mut end = HEAD.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = &text[..end];
    if let Some(found) = FIELD.as_ref().and_then(|field| field.captures(text))
        && let Some(level) = found.get(1).and_then(|word| Level::named(word.as_str()))
    {
        return Some(level);
    }
    if OF_EXCEPTIONS.iter().any(|start| text.starts_with(start)) {
        return Some(Level::Error);
    }
    if let Some(level) = of_klog(head) {
        return Some(level);
    }
    // A level is a word in capitals, or one in brackets or before a colon.
    let mut rest = head;
    while let Some(start) = rest.find(|character: char| character.is_ascii_alphabetic()) {
        let length = rest[start..]
            .find(|character: char| !character.is_ascii_alphabetic())
            .unwrap_or(rest.len() - start);
        let word = &rest[start..start + length];
        let before = rest[..start].chars().next_back();
        let after = rest[start + length..].chars().next();
        if let Some(level) = Level::named(word) {
            let is_loud = word.bytes().all(|letter| letter.is_ascii_uppercase());
            let is_framed =
                matches!(before, Some('[' | '<' | '|')) && matches!(after, Some(']' | '>' | '|'));
            let is_first = start == 0 && rest.len() == head.len() && after == Some(':');
            let is_part = matches!(before, Some('_' | '-' | '.' | '/'))
                || matches!(after, Some('_' | '-' | '.' | '/' | '='));
            if (is_loud && !is_part) || is_framed || is_first {
                return Some(level);
            }
        }
        rest = &rest[start + length..];
    }
    // `ValueError: …`, `java.lang.IllegalStateException: …`
    let first = head.split([' ', ':']).next().unwrap_or_default();
    let is_exception = first.len() > 5
        && (first.ends_with("Error") || first.ends_with("Exception"))
        && head[first.len()..].starts_with(':');
    is_exception.then_some(Level::Error)
}

/// `E0131 12:00:00.000000 …`, as Kubernetes components write.
fn of_klog(head: &str) -> Option<Level> {
    let letter = head.chars().next()?;
    let digits = head.get(1..5)?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) || head.as_bytes().get(5) != Some(&b' ')
    {
        return None;
    }
    match letter {
        'I' => Some(Level::Info),
        'W' => Some(Level::Warn),
        'E' | 'F' => Some(Level::Error),
        _ => None,
    }
}

/// Lines that go on from the one before: indented, `Caused by:`, frames.
pub fn is_continuation(text: &str) -> bool {
    text.starts_with("  ")
        || text.starts_with(" at ")
        || text.starts_with("at ")
        || text.starts_with("Caused by:")
        || text.starts_with("...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_many_formats_are_read() {
        use Level::{Debug, Error, Info, Warn};
        for (text, level) in [
            (
                "2026-01-31T12:00:00.123Z ERROR [api] query failed",
                Some(Error),
            ),
            (
                "2026-01-31 12:00:00,123 - app.db - WARNING - slow",
                Some(Warn),
            ),
            (
                "[2026-01-31 12:00:00 +0000] [7] [INFO] Booting worker",
                Some(Info),
            ),
            (
                "2026-01-31 12:00:00.123 UTC [42] FATAL:  password authentication failed",
                Some(Error),
            ),
            (
                "2026-01-31 12:00:00.123 UTC [42] LOG:  checkpoint starting",
                Some(Info),
            ),
            (r#"{"level":"error","msg":"x"}"#, Some(Error)),
            (
                r#"{"msg":"an ERROR was fixed","severity":"INFO"}"#,
                Some(Info),
            ),
            ("time=\"…\" level=warning msg=x", Some(Warn)),
            (
                "E0131 12:00:00.000000       1 reflector.go:138] failed",
                Some(Error),
            ),
            ("[error] 7#7: *1 connect() failed", Some(Error)),
            ("error: no such file", Some(Error)),
            ("ValueError: invalid literal", Some(Error)),
            ("java.lang.IllegalStateException: no", Some(Error)),
            ("Traceback (most recent call last):", Some(Error)),
            ("DEBUG x", Some(Debug)),
            ("GET /errors/error.html 200", None),
            ("no error was found", None),
            ("ERROR_RATE=5", None),
            ("<14>plain words", None),
            ("", None),
        ] {
            assert_eq!(of(without_time(text)), level, "{text}");
        }
    }

    #[test]
    fn its_own_time_is_taken_off() {
        for (text, rest) in [
            ("2026-01-31T12:00:00.123Z INFO x", "INFO x"),
            ("[2026-01-31 12:00:00 +0000] [7] x", "[7] x"),
            ("2026-01-31 12:00:00,123 - x", "- x"),
            ("2026-01-31 is a day", "2026-01-31 is a day"),
        ] {
            assert_eq!(without_time(text), rest);
        }
    }
}
