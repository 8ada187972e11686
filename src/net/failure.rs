//! Why no answer came, told apart by whether the other side can have seen the request.

use std::{error::Error, io};

/// A request without an answer. Texts hold neither address nor header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The HTTP client could not be made (a CA file that cannot be read).
    #[error("{why}")]
    Setup { why: String },
    /// No connection: nothing was sent.
    #[error("{why}")]
    Connect { why: String },
    /// The request may have arrived.
    #[error("no answer in time")]
    Timeout,
    /// The answer was longer than what is read.
    #[error("the answer is larger than {} MiB", longest / (1024 * 1024))]
    TooLarge { longest: usize },
    /// The connection ended or spoke something else than HTTP; the request may have arrived.
    #[error("{why}")]
    Broken { why: String },
}

impl NetError {
    /// Whether the other side can have acted on the request.
    pub fn may_have_arrived(&self) -> bool {
        !matches!(self, Self::Setup { .. } | Self::Connect { .. })
    }

    pub(super) fn of_reqwest(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() {
            Self::Connect {
                why: connecting(&error),
            }
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Broken { why: chain(&error) }
        }
    }
}

/// What went wrong while connecting, in the words of the one who has to mend it.
fn connecting(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no connection in time (a firewall, or nobody there)".into();
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && let Some(why) = of_kind(io.kind())
        {
            return why.into();
        }
        source = cause.source();
    }
    let all = chain(error);
    if all.contains("dns error") {
        return "no address is known for its name (DNS)".into();
    }
    all
}

fn of_kind(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => "the connection was refused: nothing listens there",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "there is no network route to it"
        }
        _ => return None,
    })
}

/// The message of an error with those of its causes, each once.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}
