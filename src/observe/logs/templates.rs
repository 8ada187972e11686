//! Folds lines that say the same into templates with counts, so that ten thousand lines can be
//! read.
//!
//! First each line is masked: what differs from line to line by its nature (numbers, ids, times,
//! addresses, quoted texts) becomes a placeholder. Lines that are equal then are one template.
//! Where many are left, those that differ in few words are merged, as Drain does (He et al. 2017).
//! Every line is counted in exactly one template.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Level, Line};
use crate::platform::ServiceName;

/// Lines that say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub service: ServiceName,
    pub level: Option<Level>,
    /// The line itself where there is one alone, else with placeholders: `<n>` number, `<id>`,
    /// `<ip>`, `<t>` time, `"…"` quoted text, `<*>` any word.
    pub text: String,
    /// Lines, those that go on from them not counted.
    pub count: u64,
    /// Lines that go on from them: of stack traces, say.
    pub continued: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// Up to so many templates nothing is merged: each says something of its own.
const FEW: usize = 40;

/// Share of equal words from which two templates are one.
const ALIKE: f64 = 0.6;

/// The lines as templates: the worst level first, then the most frequent, then the newest.
pub fn folded(lines: &[Line]) -> Vec<Template> {
    let mut places: HashMap<(&ServiceName, Option<Level>, String), usize> = HashMap::new();
    let mut all: Vec<(Template, String)> = Vec::new();
    // The template that lines go on from, by service.
    let mut heads: HashMap<&ServiceName, usize> = HashMap::new();
    for line in lines {
        if line.is_continuation
            && let Some(head) = heads.get(&line.service)
        {
            let (template, _) = &mut all[*head];
            template.continued += 1;
            template.last = template.last.max(line.at);
            continue;
        }
        let mask = mask(&line.text);
        let key = (&line.service, line.level, mask);
        let place = match places.get(&key) {
            Some(place) => {
                let (template, mask) = &mut all[*place];
                template.count += 1;
                template.first = template.first.min(line.at);
                template.last = template.last.max(line.at);
                if template.text != line.text {
                    template.text.clone_from(mask);
                }
                *place
            }
            None => {
                let template = Template {
                    service: line.service.clone(),
                    level: line.level,
                    text: line.text.clone(),
                    count: 1,
                    continued: 0,
                    first: line.at,
                    last: line.at,
                };
                all.push((template, key.2.clone()));
                places.insert(key, all.len() - 1);
                all.len() - 1
            }
        };
        heads.insert(&line.service, place);
    }
    let mut templates = if all.len() > FEW {
        merged(all)
    } else {
        all.into_iter().map(|(template, _)| template).collect()
    };
    templates.sort_by(|one, other| {
        (other.level, other.count, other.last, &one.text).cmp(&(
            one.level,
            one.count,
            one.last,
            &other.text,
        ))
    });
    templates
}

/// Merges templates of one service and level with as many words, the first alike, most others too.
fn merged(all: Vec<(Template, String)>) -> Vec<Template> {
    /// Groups that a template is compared with; more would take long for what merges with nothing.
    const MOST_COMPARED: usize = 200;
    type Key = (ServiceName, Option<Level>, usize, String);
    let mut groups: HashMap<Key, Vec<usize>> = HashMap::new();
    let mut kept: Vec<(Template, Vec<String>)> = Vec::new();
    for (template, mask) in all {
        let words: Vec<String> = mask.split(' ').map(str::to_owned).collect();
        let first = words.first().cloned().unwrap_or_default();
        let key = (template.service.clone(), template.level, words.len(), first);
        let group = groups.entry(key).or_default();
        let alike = group.iter().take(MOST_COMPARED).copied().find(|place| {
            let equal = kept[*place]
                .1
                .iter()
                .zip(&words)
                .filter(|(one, other)| one == other)
                .count();
            words.len() > 1 && equal as f64 >= ALIKE * words.len() as f64
        });
        match alike {
            None => {
                group.push(kept.len());
                kept.push((template, words));
            }
            Some(place) => {
                let (into, known) = &mut kept[place];
                for (one, other) in known.iter_mut().zip(&words) {
                    if one != other {
                        *one = "<*>".into();
                    }
                }
                into.text = known.join(" ");
                into.count += template.count;
                into.continued += template.continued;
                into.first = into.first.min(template.first);
                into.last = into.last.max(template.last);
            }
        }
    }
    kept.into_iter().map(|(template, _)| template).collect()
}

/// The line with placeholders.
pub fn mask(text: &str) -> String {
    let mut mask = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = quoted(rest, mask.chars().next_back()) {
            mask.push(first);
            mask.push('…');
            mask.push(first);
            rest = &rest[quoted..];
            continue;
        }
        if first.is_alphanumeric() {
            let end = rest
                .find(|character: char| !is_of_word(character))
                .unwrap_or(rest.len());
            // A sign at the end belongs to the sentence.
            let word = rest[..end].trim_end_matches(['.', ':', '-']);
            mask_word(word, &mut mask);
            rest = &rest[word.len()..];
            continue;
        }
        if first == ' ' {
            if !mask.ends_with(' ') {
                mask.push(' ');
            }
        } else {
            mask.push(first);
        }
        rest = &rest[first.len_utf8()..];
    }
    mask
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | ':')
}

/// Length of a quoted text at the beginning, quotes included. An apostrophe inside a word is none.
fn quoted(text: &str, before: Option<char>) -> Option<usize> {
    let quote = text
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\'' | '`'))?;
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let mut escaped = false;
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            // The name of a field of JSON is no value.
            let after = text[at + 1..].trim_start();
            return (!after.starts_with(':') && at > 1).then_some(at + 1);
        }
    }
    None
}

fn mask_word(word: &str, mask: &mut String) {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        mask.push_str(word);
        return;
    }
    let hex = word.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = word.matches('-').count();
    if hex + dashes == word.len() && (word.len() >= 8 && (hex > digits || dashes == 4)) {
        // UUIDs, digests, trace ids.
        mask.push_str("<id>");
    } else if is_address(word) {
        mask.push_str("<ip>");
    } else if is_time(word) {
        mask.push_str("<t>");
    } else if word.len() >= 16 && digits >= 3 && word.chars().all(|one| one.is_alphanumeric()) {
        mask.push_str("<id>");
    } else {
        // Each number inside: `worker-3`, `12ms`, `v1.2.3`.
        let mut rest = word;
        while let Some(start) = rest.find(|one: char| one.is_ascii_digit()) {
            mask.push_str(&rest[..start]);
            let length = rest[start..]
                .find(|one: char| !one.is_ascii_digit() && one != '.')
                .unwrap_or(rest.len() - start);
            mask.push_str("<n>");
            rest = &rest[start + length..];
        }
        mask.push_str(rest);
    }
}

/// `10.0.0.5`, `10.0.0.5:5432`.
fn is_address(word: &str) -> bool {
    let host = word.split(':').next().unwrap_or_default();
    host.parse::<std::net::Ipv4Addr>().is_ok() || word.parse::<std::net::Ipv6Addr>().is_ok()
}

/// `2026-01-31T12:00:00.123Z`, `2026-01-31`, `12:00:00`.
fn is_time(word: &str) -> bool {
    let shape: String = word
        .chars()
        .map(|one| if one.is_ascii_digit() { '0' } else { one })
        .collect();
    shape.starts_with("0000-00-00") || shape.starts_with("00:00:00")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Stream;

    fn line(second: i64, text: &str) -> Line {
        Line {
            at: Timestamp::from_second(second).expect("a time"),
            service: ServiceName("api".into()),
            stream: Stream::Out,
            level: super::super::level::of(text),
            is_continuation: super::super::level::is_continuation(text),
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_differs_by_its_nature_becomes_a_placeholder() {
        for (text, expected) in [
            ("GET /bills/42 200 12ms", "GET /bills/<n> <n> <n>ms"),
            (
                "job 3f2a0001-91c0-4d1e-8a7b-000000000001 done",
                "job <id> done",
            ),
            (
                "connect to 10.0.0.5:5432: refused",
                "connect to <ip>: refused",
            ),
            ("at 2026-01-31T12:00:00.5Z and 12:00:01", "at <t> and <t>"),
            ("user 'bob' said \"it's\" fine", "user '…' said \"…\" fine"),
            ("digest deadbeefcafe", "digest deadbeefcafe"),
            ("digest deadbeef00cafe", "digest <id>"),
            (
                r#"{"level":"info","took":5}"#,
                r#"{"level":"…","took":<n>}"#,
            ),
            ("don't stop", "don't stop"),
            ("release v1.2.3 of worker-7", "release v<n> of worker-<n>"),
            ("größe 5", "größe <n>"),
        ] {
            assert_eq!(mask(text), expected, "{text}");
        }
    }

    #[test]
    fn equal_lines_are_one_template_and_a_lone_line_stays_itself() {
        let lines = [
            line(1, "INFO took 5 ms"),
            line(2, "ERROR out of memory at 7"),
            line(3, "INFO took 9 ms"),
            line(4, "INFO took 9 ms"),
        ];
        let templates = folded(&lines);
        assert_eq!(templates.len(), 2);
        assert_eq!(templates[0].text, "ERROR out of memory at 7");
        assert_eq!(
            (templates[1].text.as_str(), templates[1].count),
            ("INFO took <n> ms", 3)
        );
        assert_eq!(templates[1].first.as_second(), 1);
        assert_eq!(templates[1].last.as_second(), 4);
    }

    #[test]
    fn a_stack_trace_is_one_thing() {
        let lines = [
            line(1, "ERROR failed"),
            line(1, "  at one.rs:1"),
            line(1, "  at two.rs:2"),
        ];
        let templates = folded(&lines);
        assert_eq!((templates.len(), templates[0].continued), (1, 2));
    }

    #[test]
    fn many_that_differ_in_a_word_are_merged_and_none_is_lost() {
        let lines: Vec<Line> = (0..300_u32)
            .map(|number| {
                let word: String = format!("{number:03}")
                    .bytes()
                    .map(|digit| char::from(digit + b'a' - b'0'))
                    .collect();
                line(1, &format!("INFO the table {word} was read in full"))
            })
            .collect();
        let templates = folded(&lines);
        assert_eq!(templates.len(), 1);
        assert_eq!(templates[0].count, 300);
        assert_eq!(templates[0].text, "INFO the table <*> was read in full");
    }

    proptest::proptest! {
        #[test]
        fn every_line_is_counted_once(texts in proptest::collection::vec(".{0,40}", 0..200)) {
            let lines: Vec<Line> = texts.iter().map(|text| line(1, text)).collect();
            let templates = folded(&lines);
            let counted: u64 = templates.iter().map(|one| one.count + one.continued).sum();
            proptest::prop_assert_eq!(counted, lines.len() as u64);
        }
    }
}
