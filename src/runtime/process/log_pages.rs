//! Reads pages of the log files of one service.

use std::{fs, io, path::Path};

use jiff::Timestamp;

use super::log_files;
use crate::runtime::{LogLine, LogPage, LogQuery, Problem, Stream};

/// The page that a query asks for.
pub(super) fn page(folder: &Path, query: &LogQuery) -> Result<LogPage, Problem> {
    let failed =
        |error: io::Error| Problem::failed(format!("reading the logs of {}", query.service), error);
    match &query.cursor {
        Some(cursor) => {
            let position = position(cursor).ok_or_else(|| Problem::Failed {
                what: format!("reading the logs of {}", query.service),
                reason: "the cursor is none of ours".into(),
            })?;
            after(folder, position, query).map_err(failed)
        }
        None => newest(folder, query).map_err(failed),
    }
}

/// The newest lines of the window, and how many older ones it holds.
fn newest(folder: &Path, query: &LogQuery) -> io::Result<LogPage> {
    let numbers = log_files::numbers(folder)?;
    let mut page = LogPage::default();
    let mut all = Vec::new();
    let mut end = (numbers.last().copied().unwrap_or(1), 0);
    for number in &numbers {
        let Some(text) = read(folder, *number, 0)? else {
            continue;
        };
        if Some(number) == numbers.last() {
            end.1 = text.len() as u64;
        }
        all.extend(text.lines().filter_map(parsed));
    }
    let first = all.first().map(|line| line.at);
    if let Some(since) = query.since {
        all.retain(|line| line.at >= since);
    }
    let older = all.len().saturating_sub(query.limit);
    page.older = older as u64;
    page.lines = all.split_off(older);
    let is_rotated = numbers.first().is_some_and(|first| *first > 1);
    let reaches_back = match (query.since, first) {
        (Some(since), Some(first)) => since < first,
        (None, _) => true,
        (Some(_), None) => false,
    };
    if let Some(first) = first.filter(|_| is_rotated && reaches_back) {
        page.missing.push(format!(
            "lines before {first:.0} were dropped (log files are bounded)"
        ));
    }
    page.cursor = Some(format!("{}:{}", end.0, end.1));
    Ok(page)
}

/// The lines behind a position, oldest first.
fn after(folder: &Path, (number, offset): (u64, u64), query: &LogQuery) -> io::Result<LogPage> {
    let numbers = log_files::numbers(folder)?;
    let mut page = LogPage::default();
    let mut end = (number, offset);
    let is_gone = numbers.first().is_some_and(|first| *first > number);
    if is_gone {
        page.missing.push(
            "lines after the cursor were dropped before they were read (log files are bounded)"
                .into(),
        );
    }
    'files: for next in numbers.into_iter().filter(|next| *next >= number) {
        let start = if next == number { offset } else { 0 };
        let Some(text) = read(folder, next, start)? else {
            continue;
        };
        end = (next, start);
        for line in text.split_inclusive('\n') {
            if page.lines.len() >= query.limit {
                page.has_newer = true;
                break 'files;
            }
            end.1 += line.len() as u64;
            page.lines.extend(
                parsed(line.trim_end_matches('\n'))
                    .filter(|line| query.since.is_none_or(|since| line.at >= since)),
            );
        }
    }
    page.cursor = Some(format!("{}:{}", end.0, end.1));
    Ok(page)
}

/// A file from an offset up to its last whole line; nothing where it was removed meanwhile.
fn read(folder: &Path, number: u64, offset: u64) -> io::Result<Option<String>> {
    let bytes = match fs::read(log_files::path(folder, number)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = bytes.get(offset as usize..).unwrap_or_default();
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    Ok(Some(String::from_utf8_lossy(&bytes[..end]).into_owned()))
}

fn position(cursor: &str) -> Option<(u64, u64)> {
    let (number, offset) = cursor.split_once(':')?;
    Some((number.parse().ok()?, offset.parse().ok()?))
}

fn parsed(line: &str) -> Option<LogLine> {
    let (at, rest) = line.split_once(' ')?;
    let at: Timestamp = at.parse().ok()?;
    let (letter, text) = rest.split_once(' ')?;
    let stream = match letter {
        "o" => Stream::Out,
        "e" => Stream::Error,
        "r" => Stream::Runtime,
        _ => return None,
    };
    Some(LogLine {
        at,
        stream,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{platform::ServiceName, runtime::process::log_files::LogWriter};

    fn query(limit: usize, since: Option<i64>, cursor: Option<String>) -> LogQuery {
        LogQuery {
            service: ServiceName("api".into()),
            since: since.map(|second| Timestamp::from_second(second).expect("a time")),
            cursor,
            limit,
        }
    }

    fn texts(page: &LogPage) -> Vec<&str> {
        page.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn pages_count_what_they_leave_and_go_on_where_they_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        // Some 35 bytes a line: five to a file, ten or so kept.
        let mut writer = LogWriter::open(folder.path(), 180, 2).expect("a folder");
        let mut write = |second: i64| {
            let at = Timestamp::from_second(second).expect("a time");
            writer.take(Stream::Out, format!("line {second}\n").as_bytes(), at);
        };
        (1..=3).for_each(&mut write);
        let page = super::page(folder.path(), &query(2, None, None)).expect("a page");
        assert_eq!((texts(&page), page.older), (vec!["line 2", "line 3"], 1));
        assert!(page.missing.is_empty());

        (4..=7).for_each(&mut write);
        let next = super::page(folder.path(), &query(3, None, page.cursor.clone()));
        let next = next.expect("a page");
        assert_eq!(texts(&next), ["line 4", "line 5", "line 6"]);
        assert!(next.has_newer);
        let last = super::page(folder.path(), &query(3, None, next.cursor)).expect("a page");
        assert_eq!((texts(&last), last.has_newer), (vec!["line 7"], false));
        let none = super::page(folder.path(), &query(3, None, last.cursor)).expect("a page");
        assert_eq!((none.lines.len(), none.missing.len()), (0, 0));

        (8..=30).for_each(&mut write);
        let dropped = super::page(folder.path(), &query(3, None, page.cursor)).expect("a page");
        assert_eq!(dropped.missing.len(), 1, "{dropped:?}");
        let since = super::page(folder.path(), &query(9, Some(29), None)).expect("a page");
        assert_eq!(
            (texts(&since), since.missing.len()),
            (vec!["line 29", "line 30"], 0)
        );
        let all = super::page(folder.path(), &query(99, Some(1), None)).expect("a page");
        assert_eq!(all.missing.len(), 1, "{all:?}");
    }

    #[test]
    fn nothing_was_ever_written_and_foreign_cursors_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let none = folder.path().join("none");
        let page = super::page(&none, &query(5, None, None)).expect("a page");
        assert!(page.lines.is_empty() && page.missing.is_empty());
        let refused = super::page(&none, &query(5, None, Some("x".into())));
        assert!(refused.is_err());
    }
}
