//! When a cron schedule fires next, to tell whether a pipeline is late.
//!
//! Five fields as cron has them, names and the usual aliases included. Never reads the clock.

use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};

use crate::answer::time;

/// A schedule of five fields: minute, hour, day of month, month, day of week; UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Bit n: fires at minute n.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    /// Bit 0: Sunday.
    weekdays: u64,
    /// Both day fields are given: either is enough, as cron has it.
    is_either_day: bool,
}

impl Schedule {
    /// None for what is no cron expression of five fields (or an alias).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let text = match text.as_str() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return None;
        };
        let weekdays = field(weekday, 0, 7, WEEKDAYS)?;
        let is_any = |text: &str| text.starts_with('*') || text == "?";
        Some(Self {
            minutes: field(minute, 0, 59, &[])?,
            hours: field(hour, 0, 23, &[])?,
            days: field(day, 1, 31, &[])?,
            months: field(month, 1, 12, MONTHS)?,
            // 7 is Sunday too.
            weekdays: (weekdays | (weekdays >> 7)) & 0x7f,
            is_either_day: !is_any(day) && !is_any(weekday),
        })
    }

    /// The first firing after this moment (milliseconds since 1970). None where it never fires
    /// (30 February).
    pub fn next_after(&self, moment: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(moment).ok()?;
        let from = TimeZone::UTC.to_datetime(after);
        let mut date = from.date();
        let mut earliest = from.time();
        let mut is_first_day = true;
        // Four years and a day: 29 February comes round (1900 and 2100 aside).
        for _ in 0..1_462 {
            if self.fires_on(date) {
                for hour in bits(self.hours, 23) {
                    for minute in bits(self.minutes, 59) {
                        let time = civil::time(hour, minute, 0, 0);
                        if !is_first_day || time > earliest {
                            let at = date.to_datetime(time).to_zoned(TimeZone::UTC).ok()?;
                            return Some(at.timestamp().as_millisecond());
                        }
                    }
                }
            }
            date = date.checked_add(1.day()).ok()?;
            earliest = civil::Time::midnight();
            is_first_day = false;
        }
        None
    }

    /// The shortest and the longest time between two of the next firings, in milliseconds.
    pub fn gaps(&self, from: i64) -> Option<(i64, i64)> {
        let mut at = self.next_after(from)?;
        let (mut shortest, mut longest) = (i64::MAX, 0);
        // A week of an hourly schedule; a daily one has its weekends in it.
        for _ in 0..168 {
            let next = self.next_after(at)?;
            shortest = shortest.min(next - at);
            longest = longest.max(next - at);
            if next - from > 400 * time::DAY {
                break;
            }
            at = next;
        }
        Some((shortest, longest))
    }

    fn fires_on(&self, date: civil::Date) -> bool {
        let has = |set: u64, position: i8| set & (1 << position) != 0;
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month())
            && if self.is_either_day {
                day || weekday
            } else {
                day && weekday
            }
    }
}

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The set of values that a field names. `names`: words for values from `least` on.
fn field(text: &str, least: u32, most: u32, names: &[&str]) -> Option<u64> {
    let value = |text: &str| -> Option<u32> {
        let named = names.iter().position(|name| *name == text);
        let value = match named {
            Some(position) => u32::try_from(position).ok()? + least,
            None => text.parse().ok()?,
        };
        (least..=most).contains(&value).then_some(value)
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (value(first)?, value(last)?),
            None if range == "*" || range == "?" => (least, most),
            None => {
                let first = value(range)?;
                // `5/15`: from 5 on.
                (first, if part.contains('/') { most } else { first })
            }
        };
        if first > last {
            return None;
        }
        for value in (first..=last).step_by(step as usize) {
            set |= 1 << value;
        }
    }
    Some(set)
}

fn bits(set: u64, most: i8) -> impl Iterator<Item = i8> {
    (0..=most).filter(move |position| set & (1 << position) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn fires_when_cron_does() {
        // 2026-11-20 is a Friday.
        for (schedule, after, next) in [
            ("0 * * * *", "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"),
            ("0 * * * *", "2026-11-20T09:59:59Z", "2026-11-20T10:00:00Z"),
            ("30 2 * * *", "2026-11-20T02:30:00Z", "2026-11-21T02:30:00Z"),
            (
                "*/15 8-9 * * *",
                "2026-11-20T09:45:00Z",
                "2026-11-21T08:00:00Z",
            ),
            (
                "0 */4 * * *",
                "2026-11-20T21:00:00Z",
                "2026-11-21T00:00:00Z",
            ),
            (
                "0 6 * * mon-fri",
                "2026-11-20T06:00:00Z",
                "2026-11-23T06:00:00Z",
            ),
            ("0 6 * * 7", "2026-11-20T06:00:00Z", "2026-11-22T06:00:00Z"),
            ("0 0 1 * *", "2026-11-20T00:00:00Z", "2026-12-01T00:00:00Z"),
            (
                "0 0 13 * fri",
                "2026-11-21T00:00:00Z",
                "2026-11-27T00:00:00Z",
            ),
            (
                "0 0 29 feb *",
                "2026-11-20T00:00:00Z",
                "2028-02-29T00:00:00Z",
            ),
            (
                "5/20 * * * *",
                "2026-11-20T00:05:00Z",
                "2026-11-20T00:25:00Z",
            ),
            ("@daily", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
        ] {
            let parsed = Schedule::parse(schedule).unwrap();
            assert_eq!(
                parsed.next_after(at(after)),
                Some(at(next)),
                "{schedule} after {after}"
            );
        }
        assert_eq!(
            Schedule::parse("0 0 30 2 *")
                .unwrap()
                .next_after(at("2026-11-20T00:00:00Z")),
            None
        );
    }

    #[test]
    fn the_longest_gap_of_working_days_is_the_weekend() {
        let gap = |text: &str| {
            let schedule = Schedule::parse(text).unwrap();
            schedule.gaps(at("2026-11-20T00:00:00Z")).unwrap()
        };
        assert_eq!(gap("0 6 * * 1-5"), (time::DAY, 3 * time::DAY));
        assert_eq!(gap("0 * * * *"), (time::HOUR, time::HOUR));
        assert_eq!(gap("0 0 1 * *"), (28 * time::DAY, 31 * time::DAY));
    }

    #[test]
    fn what_is_no_cron_is_not_read_as_one() {
        for text in [
            "",
            "hourly",
            "* * * *",
            "60 * * * *",
            "0 0 * * * *",
            "*/0 * * * *",
            "9-3 * * * *",
            "a * * * *",
        ] {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
    }
}
