//! Pages of a container's log.
//!
//! The engine finds lines by their time only, so a cursor is a container, the time of the last
//! line, and how many lines of that very time have been read.

use std::collections::VecDeque;

use bollard::{container::LogOutput, query_parameters::LogsOptions};
use futures::StreamExt as _;
use jiff::Timestamp;

use super::{ComposeRuntime, containers::Container, engine::words};
use crate::runtime::{LogLine, LogPage, LogQuery, Problem, Stream};

/// Lines that one call goes through at most: the engine hands them out one by one.
const MOST_LINES: usize = 200_000;

/// Bytes of one line; the rest of a longer one is dropped.
const LONGEST_LINE: usize = 64 * 1024;

impl ComposeRuntime {
    pub(super) async fn log_page(&self, query: &LogQuery) -> Result<LogPage, Problem> {
        let containers = self.containers_of(&query.service).await?;
        let mut page = LogPage::default();
        let Some(newest) = containers.first() else {
            return Ok(page);
        };
        if containers.len() > 1 {
            page.missing.push(format!(
                "lines of {} more containers of this service: these are of {}",
                containers.len() - 1,
                newest.name()
            ));
        }
        match &query.cursor {
            None => self.newest_lines(newest, query, page).await,
            Some(cursor) => {
                let cursor = Cursor::read(cursor).ok_or_else(|| {
                    Problem::failed(
                        format!("reading the logs of {}", query.service),
                        "the cursor is none of ours",
                    )
                })?;
                self.lines_after(newest, cursor, query, page).await
            }
        }
    }

    /// The newest lines of the window, and how many older ones it holds.
    async fn newest_lines(
        &self,
        container: &Container,
        query: &LogQuery,
        mut page: LogPage,
    ) -> Result<LogPage, Problem> {
        let mut kept: VecDeque<LogLine> = VecDeque::new();
        let mut count = 0_usize;
        let mut end = Cursor::of(container);
        let is_whole = self
            .read(container, query.since, MOST_LINES, |line| {
                end.pass(line.at);
                if query.since.is_some_and(|since| line.at < since) {
                    return true;
                }
                count += 1;
                kept.push_back(line);
                if kept.len() > query.limit {
                    kept.pop_front();
                }
                true
            })
            .await?;
        if !is_whole {
            page.missing.push(format!(
                "more than {MOST_LINES} lines: older ones are not counted"
            ));
        }
        page.older = (count - kept.len()) as u64;
        page.lines = kept.into();
        page.cursor = Some(end.written());
        Ok(page)
    }

    /// The lines behind a cursor, oldest first.
    async fn lines_after(
        &self,
        container: &Container,
        cursor: Cursor,
        query: &LogQuery,
        mut page: LogPage,
    ) -> Result<LogPage, Problem> {
        let mut end = Cursor::of(container);
        let mut since = query.since;
        if cursor.container == end.container {
            end = cursor.clone();
            since = Some(cursor.at);
        } else {
            page.missing.push(
                "the container was replaced: what the earlier one wrote after the cursor is gone"
                    .into(),
            );
        }
        // Lines of the cursor's own time that were read already.
        let mut again = cursor.count;
        let is_same = cursor.container == end.container;
        self.read(container, since, usize::MAX, |line| {
            if is_same && line.at < cursor.at {
                return true;
            }
            if is_same && line.at == cursor.at && again > 0 {
                again -= 1;
                return true;
            }
            if page.lines.len() >= query.limit {
                page.has_newer = true;
                return false;
            }
            end.pass(line.at);
            if query.since.is_none_or(|since| line.at >= since) {
                page.lines.push(line);
            }
            true
        })
        .await?;
        page.cursor = Some(end.written());
        Ok(page)
    }

    /// Reads lines, oldest first, until `take` has enough. Whether all were read.
    async fn read(
        &self,
        container: &Container,
        since: Option<Timestamp>,
        most: usize,
        mut take: impl FnMut(LogLine) -> bool,
    ) -> Result<bool, Problem> {
        let client = self.engine.client().await?;
        let options = LogsOptions {
            follow: false,
            stdout: true,
            stderr: true,
            timestamps: true,
            // Whole seconds: what is earlier is left away by the caller.
            since: since.map_or(0, |since| i32::try_from(since.as_second()).unwrap_or(0)),
            until: 0,
            tail: if most == usize::MAX {
                "all".into()
            } else {
                most.to_string()
            },
        };
        let mut stream = client.logs(container.id(), Some(options));
        let mut count = 0;
        while let Some(output) = stream.next().await {
            let output = output.map_err(|error| {
                let said = words(&error);
                if said.contains("does not support reading") {
                    return Problem::failed(
                        format!("reading the log of {}", container.name()),
                        format!("its log driver keeps nothing here ({said})"),
                    );
                }
                self.engine
                    .failed(format!("reading the log of {}", container.name()), &error)
            })?;
            let Some(line) = parsed(&output) else {
                continue;
            };
            count += 1;
            if !take(line) {
                return Ok(false);
            }
        }
        Ok(count < most)
    }
}

/// `2026-01-02T03:04:05.123456789Z text`.
fn parsed(output: &LogOutput) -> Option<LogLine> {
    let stream = match output {
        LogOutput::StdErr { .. } => Stream::Error,
        LogOutput::StdOut { .. } | LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
            Stream::Out
        }
    };
    let bytes = output.as_ref();
    let bytes = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let (at, text) = text.split_once(' ').unwrap_or((&text, ""));
    Some(LogLine {
        at: at.trim().parse().ok()?,
        stream,
        text: text.trim_end_matches(['\n', '\r']).to_owned(),
    })
}

/// Where a reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    /// The first characters of its id.
    container: String,
    at: Timestamp,
    /// Lines of this time that have been read.
    count: usize,
}

impl Cursor {
    fn of(container: &Container) -> Self {
        Self {
            container: container.short_id().to_owned(),
            at: Timestamp::UNIX_EPOCH,
            count: 0,
        }
    }

    fn pass(&mut self, at: Timestamp) {
        if at == self.at {
            self.count += 1;
        } else {
            (self.at, self.count) = (at, 1);
        }
    }

    fn written(&self) -> String {
        format!(
            "{}:{}:{}",
            self.container,
            self.at.as_nanosecond(),
            self.count
        )
    }

    fn read(written: &str) -> Option<Self> {
        let mut parts = written.split(':');
        let read = Self {
            container: parts.next()?.to_owned(),
            at: Timestamp::from_nanosecond(parts.next()?.parse().ok()?).ok()?,
            count: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_counts_lines_of_one_time() {
        let container = Container(bollard::models::ContainerInspectResponse {
            id: Some("0123456789abcdef".into()),
            ..Default::default()
        });
        let mut cursor = Cursor::of(&container);
        let at = |second| Timestamp::from_second(second).expect("a time");
        cursor.pass(at(1));
        cursor.pass(at(2));
        cursor.pass(at(2));
        assert_eq!(cursor.written(), "0123456789ab:2000000000:2");
        assert_eq!(Cursor::read(&cursor.written()), Some(cursor));
        assert_eq!(Cursor::read("2:5"), None);
    }

    #[test]
    fn a_line_has_its_time_and_stream() {
        let output = LogOutput::StdErr {
            message: "2026-01-02T03:04:05.5Z a  b\n".into(),
        };
        let line = parsed(&output).expect("a line");
        assert_eq!((line.text.as_str(), line.stream), ("a  b", Stream::Error));
        assert_eq!(line.at.to_string(), "2026-01-02T03:04:05.5Z");
        let empty = LogOutput::StdOut {
            message: "2026-01-02T03:04:05Z \n".into(),
        };
        assert_eq!(parsed(&empty).expect("a line").text, "");
    }
}
