//! Pages of the logs of a service's pods, those of containers before their last restart included.
//!
//! Lines of all pods come together by their time; a cursor is the time of the last line, and how
//! many lines of that very time have been read.

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde_json::Value;

use super::{KubernetesRuntime, MOST_AT_ONCE, workloads::Pod};
use crate::runtime::{LogLine, LogPage, LogQuery, Problem, Stream};

/// Pods whose lines are read.
const MOST_PODS: usize = 10;

/// Bytes of one container's log that one call reads at most.
const MOST_BYTES: usize = 4 << 20;

/// Characters of one line; the rest of a longer one is dropped.
const LONGEST_LINE: usize = 64 * 1024;

impl KubernetesRuntime {
    pub(super) async fn log_page(&self, query: &LogQuery) -> Result<LogPage, Problem> {
        let own = self.workload_name(&query.service)?;
        let found = self.found().await?;
        let mut pods = found.pods_of(own);
        let mut page = LogPage::default();
        // Those that are in trouble first, then the newest.
        pods.sort_by_key(|pod| {
            (
                Pod(pod).is_ready(),
                std::cmp::Reverse(Pod(pod).started_at()),
            )
        });
        if pods.len() > MOST_PODS {
            page.missing.push(format!(
                "lines of {} more pods of this service",
                pods.len() - MOST_PODS
            ));
            pods.truncate(MOST_PODS);
        }
        let after = query.cursor.as_deref().map(Cursor::read).transpose()?;
        let since = after.as_ref().map(|cursor| cursor.at).max(query.since);
        let mut reading = Vec::new();
        for pod in pods {
            for container in Pod(pod).containers() {
                reading.push(self.lines_of(Pod(pod), container, since).boxed());
            }
        }
        let read = stream::iter(reading).buffered(MOST_AT_ONCE);
        let read: Vec<Vec<LogLine>> = read.try_collect().await?;
        let mut lines: Vec<LogLine> = read.into_iter().flatten().collect();
        lines.retain(|line| since.is_none_or(|since| line.at >= since));
        lines.sort_by_key(|line| line.at);
        fill(&mut page, lines, after, query.limit);
        Ok(page)
    }

    /// Of one container and, where it was started again, of the one before.
    async fn lines_of(
        &self,
        pod: Pod<'_>,
        container: &Value,
        since: Option<Timestamp>,
    ) -> Result<Vec<LogLine>, Problem> {
        let name = container.get("name").and_then(Value::as_str);
        let name = name.unwrap_or_default();
        let restarts = container.get("restartCount").and_then(Value::as_u64);
        let mut lines = Vec::new();
        if restarts.unwrap_or_default() > 0 {
            lines.extend(self.lines(pod, name, since, true).await?);
            if let Some(exit) = pod.last_exit() {
                lines.push(LogLine {
                    at: exit.at,
                    stream: Stream::Runtime,
                    text: format!("{name} of {} ended with {exit}", pod.name()),
                });
            }
        }
        lines.extend(self.lines(pod, name, since, false).await?);
        Ok(lines)
    }

    async fn lines(
        &self,
        pod: Pod<'_>,
        container: &str,
        since: Option<Timestamp>,
        is_previous: bool,
    ) -> Result<Vec<LogLine>, Problem> {
        let namespace = &self.namespace;
        let mut path = format!(
            "/api/v1/namespaces/{namespace}/pods/{}/log?container={container}&timestamps=true\
             &limitBytes={MOST_BYTES}&previous={is_previous}",
            pod.name()
        );
        if let Some(since) = since {
            // Whole seconds: what is earlier is left away by the caller.
            let whole = Timestamp::from_second(since.as_second()).unwrap_or(since);
            path.push_str(&format!("&sinceTime={whole}"));
        } else {
            path.push_str("&tailLines=5000");
        }
        let text = self.cluster.text(&path).await?.unwrap_or_default();
        Ok(text.lines().filter_map(line).collect())
    }
}

/// `TIME text`.
fn line(written: &str) -> Option<LogLine> {
    let (at, text) = written.split_once(' ').unwrap_or((written, ""));
    Some(LogLine {
        at: at.parse().ok()?,
        stream: Stream::Out,
        text: text.chars().take(LONGEST_LINE).collect(),
    })
}

fn fill(page: &mut LogPage, lines: Vec<LogLine>, after: Option<Cursor>, limit: usize) {
    let lines: Vec<LogLine> = match &after {
        Some(cursor) => {
            let mut again = cursor.count;
            let is_new = |line: &LogLine| {
                if line.at == cursor.at && again > 0 {
                    again -= 1;
                    return false;
                }
                line.at >= cursor.at
            };
            let mut is_new = is_new;
            lines.into_iter().filter(|line| is_new(line)).collect()
        }
        None => lines,
    };
    let total = lines.len();
    if after.is_some() {
        page.has_newer = total > limit;
        page.lines = lines.into_iter().take(limit).collect();
    } else {
        let skipped = total.saturating_sub(limit);
        page.older = skipped as u64;
        page.lines = lines.into_iter().skip(skipped).collect();
    }
    let end = page.lines.last().map(|last| {
        let same = page.lines.iter().filter(|line| line.at == last.at).count();
        let before = after
            .as_ref()
            .filter(|cursor| cursor.at == last.at)
            .map_or(0, |cursor| cursor.count);
        Cursor {
            at: last.at,
            count: same + before,
        }
    });
    page.cursor = end.or(after).map(|cursor| cursor.written());
}

struct Cursor {
    at: Timestamp,
    count: usize,
}

impl Cursor {
    fn written(&self) -> String {
        format!("{}/{}", self.at, self.count)
    }

    fn read(text: &str) -> Result<Self, Problem> {
        let read = text.split_once('/').and_then(|(at, count)| {
            Some(Self {
                at: at.parse().ok()?,
                count: count.parse().ok()?,
            })
        });
        read.ok_or_else(|| Problem::failed("reading logs", "the cursor is none of these logs"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_loss() {
        let lines: Vec<LogLine> = ["01Z a", "02Z b", "02Z c", "02Z d", "03Z e"]
            .iter()
            .filter_map(|text| line(&format!("2026-01-01T00:00:{text}")))
            .collect();
        let texts = |page: &LogPage| {
            let texts = page.lines.iter().map(|line| line.text.as_str());
            texts.collect::<Vec<_>>().join("")
        };
        let mut first = LogPage::default();
        fill(&mut first, lines[..2].to_vec(), None, 10);
        assert_eq!((texts(&first).as_str(), first.older), ("ab", 0));
        let mut second = LogPage::default();
        let cursor = Cursor::read(first.cursor.as_deref().expect("a cursor")).expect("read");
        fill(&mut second, lines.clone(), Some(cursor), 1);
        assert_eq!((texts(&second).as_str(), second.has_newer), ("c", true));
        let mut third = LogPage::default();
        let cursor = Cursor::read(second.cursor.as_deref().expect("a cursor")).expect("read");
        fill(&mut third, lines.clone(), Some(cursor), 10);
        assert_eq!(texts(&third), "de");
        let mut newest = LogPage::default();
        fill(&mut newest, lines, None, 2);
        assert_eq!((texts(&newest).as_str(), newest.older), ("de", 3));
        assert!(Cursor::read("x").is_err());
    }
}
