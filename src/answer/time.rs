//! Times as people and models write them, and times and ages as answers write them.
//!
//! All times are milliseconds since 1970, UTC, as OpenMetadata has them.

use jiff::{Timestamp, civil, tz::TimeZone};

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// `near`: what was probably meant.
    #[error("is neither a time nor a duration")]
    Unreadable { near: Option<String> },
    #[error("lies in the future")]
    Future,
    #[error("lies before 1970")]
    TooOld,
}

/// A moment in the past: RFC 3339, a date, milliseconds since 1970, or how long ago (`90m`,
/// `24h`, `7d`, `2w`, also `7 days ago`).
pub fn past(text: &str, now: i64) -> Result<i64, TimeError> {
    let text = text.trim();
    let moment = match moment(text) {
        Some(moment) => moment,
        None if text.eq_ignore_ascii_case("now") => now,
        None => {
            let length =
                duration(text).ok_or_else(|| TimeError::Unreadable { near: near(text) })?;
            now.checked_sub(length).ok_or(TimeError::TooOld)?
        }
    };
    if moment < 0 {
        Err(TimeError::TooOld)
    } else if moment > now + MINUTE {
        // A minute: clocks differ.
        Err(TimeError::Future)
    } else {
        Ok(moment)
    }
}

fn moment(text: &str) -> Option<i64> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let at = |datetime: civil::DateTime| {
        let zoned = datetime.to_zoned(TimeZone::UTC).ok()?;
        Some(zoned.timestamp().as_millisecond())
    };
    // Thirteen digits are milliseconds from 2001 on, as OpenMetadata writes them.
    if text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    if text.len() < 10 || !text.as_bytes()[4..5].eq(b"-") {
        return None;
    }
    // Without a zone: UTC, as everything here.
    if let Ok(datetime) = text.parse::<civil::DateTime>() {
        return at(datetime);
    }
    at(text.parse::<civil::Date>().ok()?.at(0, 0, 0, 0))
}

/// `90m`, `24 hours`, `1d12h`.
fn duration(text: &str) -> Option<i64> {
    let text = text.to_ascii_lowercase();
    let text = text.trim();
    let text = text.strip_suffix("ago").unwrap_or(text).trim();
    let text = text
        .strip_prefix("last ")
        .unwrap_or(text)
        .trim_start_matches('-');
    let mut rest = text;
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = match (digits, sum) {
            (0, _) => return None,
            (digits, _) => rest[..digits].parse().ok()?,
        };
        rest = rest[digits..].trim_start();
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
            "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
            "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
            "d" | "day" | "days" => DAY,
            "w" | "week" | "weeks" => 7 * DAY,
            _ => return None,
        };
        rest = rest[letters..].trim_start();
        sum = sum.checked_add(count.checked_mul(unit)?)?;
    }
    (sum > 0).then_some(sum)
}

/// The nearest text that would be right: `24` is `24h`, `7dd` is `7d`, `month` is `30d`.
fn near(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    match text.as_str() {
        "today" | "yesterday" | "day" => return Some("24h".into()),
        "week" => return Some("7d".into()),
        "month" => return Some("30d".into()),
        _ => {}
    }
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    // More digits are a year or a serial number; more than a word is not a slip of a unit.
    let rest = text[digits.len()..].trim();
    if digits.is_empty() || digits.len() > 3 || !rest.chars().all(char::is_alphabetic) {
        return None;
    }
    let unit = rest.chars().next();
    let unit = unit
        .filter(|unit| matches!(unit, 's' | 'm' | 'h' | 'd' | 'w'))
        .unwrap_or('h');
    // `3 months`, `3mo`: there is no unit of months.
    let near = if rest.starts_with("mo") {
        format!("{}d", digits.parse::<u32>().ok()? * 30)
    } else {
        format!("{digits}{unit}")
    };
    duration(&near).map(|_| near)
}

/// A time as answers write it: RFC 3339 in UTC, whole seconds. Empty for what is no time.
pub fn text(moment: i64) -> String {
    Timestamp::from_second(moment.div_euclid(1_000))
        .map(|timestamp| timestamp.to_string())
        .unwrap_or_default()
}

/// How long something takes or took, in its two largest units: `45s`, `3h 20m`, `2d 4h`.
pub fn length(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1_000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let Some(first) = units.iter().position(|(size, _)| seconds >= *size) else {
        return "0s".into();
    };
    let (size, name) = units[first];
    let mut words = format!("{}{name}", seconds / size);
    if let Some((next, name)) = units.get(first + 1)
        && first < 2
    {
        let rest = seconds % size / next;
        if rest > 0 {
            words.push_str(&format!(" {rest}{name}"));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T03:00:00Z.
    const NOW: i64 = 1_795_230_000_000;

    #[test]
    fn reads_times_and_durations() {
        assert_eq!(text(NOW), "2026-11-21T03:00:00Z");
        for (written, ago) in [
            ("24h", DAY),
            ("7d", 7 * DAY),
            ("90m", 90 * MINUTE),
            ("2 weeks", 14 * DAY),
            ("1d12h", 36 * HOUR),
            (" 3 Hours ago ", 3 * HOUR),
            ("-2h", 2 * HOUR),
            ("2026-11-20T03:00:00Z", DAY),
            ("2026-11-20T05:00:00+02:00", DAY),
            ("2026-11-20T03:00:00", DAY),
            ("2026-11-20", 27 * HOUR),
            ("1795143600000", DAY),
        ] {
            assert_eq!(past(written, NOW), Ok(NOW - ago), "{written}");
        }
    }

    #[test]
    fn says_what_was_probably_meant() {
        for (written, meant) in [
            ("24", Some("24h")),
            ("7dd", Some("7d")),
            ("3 months", Some("90d")),
            ("yesterday", Some("24h")),
            ("soon", None),
            ("é24h", None),
            ("", None),
        ] {
            let near = meant.map(str::to_owned);
            assert_eq!(
                past(written, NOW),
                Err(TimeError::Unreadable { near }),
                "{written}"
            );
        }
        assert_eq!(past("2027-01-01", NOW), Err(TimeError::Future));
        assert_eq!(past("99999w", NOW), Err(TimeError::TooOld));
    }

    #[test]
    fn writes_lengths_in_two_units() {
        assert_eq!(length(45_000), "45s");
        assert_eq!(length(3 * HOUR + 20 * MINUTE), "3h 20m");
        assert_eq!(length(2 * DAY + 4 * HOUR + MINUTE), "2d 4h");
        assert_eq!(length(-5), "0s");
    }
}
