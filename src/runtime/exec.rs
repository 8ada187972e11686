//! What running a command where a service runs has in common: its program, its time, what is kept of its
//! output, and how it ended.

use std::time::Duration;

use jiff::Timestamp;

use super::{Exit, Problem};
use crate::platform::ServiceName;

/// Bytes of output that are kept.
pub(super) const LONGEST_OUTPUT: usize = 64 * 1024;

/// The first word of a command.
pub(super) fn program<'a>(name: &ServiceName, command: &'a [String]) -> Result<&'a str, Problem> {
    let first = command.first().map(String::as_str);
    first.ok_or_else(|| Problem::NotDescribed {
        service: name.0.clone(),
        reason: "the command is empty".into(),
    })
}

/// Waits for what nobody can end: where its time is over it may go on.
pub(super) async fn within<T>(
    longest: Duration,
    what: &str,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    tokio::time::timeout(longest, work)
        .await
        .unwrap_or_else(|_| {
            Err(Problem::TimedOut {
                what: what.to_owned(),
                waited: longest,
            })
        })
}

/// Output, as much of it as is kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    pub is_cut: bool,
}

impl Kept {
    pub fn add(&mut self, piece: &[u8]) {
        let room = LONGEST_OUTPUT.saturating_sub(self.bytes.len());
        self.is_cut |= piece.len() > room;
        self.bytes.extend(piece.iter().take(room));
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// How a command ended whose code is that of a shell: 128 and more is a signal.
pub(super) fn ended(code: Option<i32>, reason: Option<String>) -> Exit {
    Exit {
        code,
        signal: code
            .filter(|code| (129..=192).contains(code))
            .map(|code| code - 128),
        at: Timestamp::now(),
        reason,
    }
}
