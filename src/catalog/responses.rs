//! What an answer of OpenMetadata means: its JSON, or the error that its status and text tell.
//!
//! Never waits, never sends. Servers before 1.3 or so answer 500 with `responseMessage` where
//! newer ones answer 404, 405 or 415 with `code` and `message`: the text is what tells them apart.

use std::time::Duration;

use serde_json::Value;

use crate::net::Reply;

use super::{error::CatalogError, redact, sent::Sent};

/// The longest piece of a server's error text that is passed on, in characters. A failed patch
/// quotes the whole entity.
const LONGEST_MESSAGE: usize = 300;

/// A request, for messages: `GET /api/v1/tables/name/a.b`.
pub fn asked(method: &str, path: &str) -> String {
    format!("{method} /api/v1/{}", short(path, 160))
}

/// The JSON of an answer, free of credentials and of what was sent as a secret; `Null` for an empty
/// one. Anything but JSON is an error whatever the status says.
pub fn read(reply: &Reply, asked: &str, sent: &Sent) -> Result<Value, CatalogError> {
    read_as_sent(reply, asked, sent).map(|answer| sent.masked_in(redact::value(answer)))
}

/// `read`, credentials and all. For logins alone.
pub(super) fn read_as_sent(reply: &Reply, asked: &str, sent: &Sent) -> Result<Value, CatalogError> {
    if !(200..300).contains(&reply.status) {
        return Err(error(reply, asked, sent));
    }
    let body = reply.body.trim_ascii();
    let Some(first) = body.first() else {
        return Ok(Value::Null);
    };
    if is_html(reply) {
        return Err(CatalogError::BadUpstream {
            message: format!(
                "{asked} was answered with a web page: a login page or a proxy stands between, or \
                 the address is not OpenMetadata's"
            ),
        });
    }
    match serde_json::from_slice(body) {
        Ok(value) => Ok(value),
        // `/system/health` says OK and control calls answer in words, not all of them as text.
        Err(_) if !matches!(first, b'{' | b'[' | b'"') => std::str::from_utf8(body)
            .map(|text| Value::String(redact::message(text)))
            .map_err(|_| CatalogError::BadUpstream {
                message: format!(
                    "{asked} was answered with {} bytes that are no text",
                    body.len()
                ),
            }),
        Err(error) => Err(CatalogError::BadUpstream {
            message: format!(
                "{asked} was answered with broken JSON ({}, {} bytes)",
                if error.is_eof() {
                    "cut short"
                } else {
                    "not JSON"
                },
                body.len()
            ),
        }),
    }
}

/// The error that an answer tells.
fn error(reply: &Reply, asked: &str, sent: &Sent) -> CatalogError {
    let said = said(reply, sent);
    let with_text = |text: &str| match &said {
        Some(said) => format!("OpenMetadata {text} {asked}: {said}"),
        None => format!("OpenMetadata {text} {asked} (HTTP {})", reply.status),
    };
    let inner = said.as_deref().unwrap_or_default();
    match reply.status {
        300..400 => CatalogError::BadUpstream {
            message: format!(
                "{asked} was redirected{}: set the address to where OpenMetadata itself answers",
                reply
                    .header("location")
                    .map(|to| format!(" to {}", place(to, sent)))
                    .unwrap_or_default()
            ),
        },
        401 => CatalogError::Unauthorized {
            message: with_text("does not accept the credential for"),
            advice: String::new(),
        },
        403 => CatalogError::Forbidden {
            message: with_text("refuses"),
        },
        404 if is_html(reply) => CatalogError::BadUpstream {
            message: format!(
                "{asked} was answered with a web page (HTTP 404): the address is not OpenMetadata's"
            ),
        },
        404 if inner.contains("HTTP 404 Not Found") => no_such_route(asked),
        404 => CatalogError::NotFound {
            what: said.as_deref().map_or_else(|| asked.to_owned(), missing),
            did_you_mean: Vec::new(),
        },
        408 | 504 => CatalogError::Timeout {
            message: with_text("was too slow with"),
        },
        409 | 412 => CatalogError::Conflict {
            message: with_text("did not take"),
        },
        414 => CatalogError::Invalid {
            argument: None,
            message: format!("the address of {asked} is too long for the server (HTTP 414)"),
        },
        429 => CatalogError::RateLimited {
            retry_after: retry_after(reply),
        },
        407 => CatalogError::Unavailable {
            message: "the proxy between wants a sign-in of its own (HTTP 407)".into(),
        },
        405 => no_such_route(asked),
        400..500 => CatalogError::Invalid {
            argument: None,
            message: with_text("did not take"),
        },
        // Recorded: search/vector. Switched off is not down.
        503 if inner.contains("not enabled") => CatalogError::Unsupported {
            message: with_text("does not offer"),
        },
        502 | 503 => CatalogError::Unavailable {
            message: with_text("is not there to answer"),
        },
        500 => server_error(inner, asked, with_text("failed on")),
        _ => CatalogError::BadUpstream {
            message: with_text("failed on"),
        },
    }
}

/// Status 500 is what OpenMetadata answers to much that is not its fault.
fn server_error(inner: &str, asked: &str, message: String) -> CatalogError {
    let holds = |pieces: &[&str]| pieces.iter().any(|piece| inner.contains(piece));
    if holds(&["HTTP 404 Not Found", "HTTP 405 Method Not Allowed"]) {
        no_such_route(asked)
    } else if holds(&["Issue in Search Entity By Key"]) {
        CatalogError::NotFound {
            what: inner
                .split("Value Fqn:")
                .nth(1)
                .and_then(|rest| rest.split(" , Number").next())
                .map_or_else(|| asked.to_owned(), |fqn| fqn.trim().to_owned()),
            did_you_mean: Vec::new(),
        }
    } else if holds(&["Connection refused", "Connection is closed", "Connect to "]) {
        CatalogError::Unavailable {
            message: format!("the search engine behind OpenMetadata is down ({message})"),
        }
    } else if holds(&["index_not_found_exception", "Failed to find index"]) {
        CatalogError::Unsupported {
            message: format!("this OpenMetadata has no such search index ({message})"),
        }
    } else if holds(&["Operation.TEST fails"]) {
        CatalogError::Conflict {
            message: "the entity has been changed in the meantime".into(),
        }
    } else if holds(&[
        "Search failed due to",
        "search_phase_execution_exception",
        "parsing_exception",
        // A patch of a field that is not there (recorded: writes/patch-bad-path of both versions).
        "contains no mapping for the name",
        "contains no value for name",
        "HTTP 4",
    ]) {
        CatalogError::Invalid {
            argument: None,
            message,
        }
    } else {
        CatalogError::BadUpstream { message }
    }
}

fn no_such_route(asked: &str) -> CatalogError {
    CatalogError::Unsupported {
        message: format!("this OpenMetadata has no {asked} (or an id or number in it is not one)"),
    }
}

/// `table instance for a.b not found` without its last words, which the error says itself.
fn missing(said: &str) -> String {
    said.strip_suffix(" not found").unwrap_or(said).to_owned()
}

/// Where a redirect points to, without what it carries there.
fn place(location: &str, sent: &Sent) -> String {
    let place = location.split(['?', '#']).next().unwrap_or(location);
    // Who signs in there is nobody's business, and a password may hold what ends one elsewhere.
    let place = match (place.find("://"), place.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}{}", &place[..scheme + 3], &place[at + 1..])
        }
        _ => place.to_owned(),
    };
    short(&redact::message(&sent.masked(place)), 120)
}

/// The server's own words, cleaned and cut.
pub fn said(reply: &Reply, sent: &Sent) -> Option<String> {
    if is_html(reply) {
        return None;
    }
    let text = match serde_json::from_slice::<Value>(&reply.body) {
        Ok(body) => ["message", "responseMessage", "error", "reason"]
            .iter()
            .find_map(|name| body.get(name)?.as_str().map(str::to_owned))?,
        Err(_) => String::from_utf8_lossy(&reply.body).into_owned(),
    };
    let text = text
        .strip_prefix("An exception with message [")
        .and_then(|rest| rest.strip_suffix("] was thrown while processing request."))
        .unwrap_or(&text);
    let text = without_document(text);
    let text = redact::message(&if reply.status == 401 {
        sent.masked_in_refusal(text)
    } else {
        sent.masked(text)
    });
    let text = short(&text, LONGEST_MESSAGE);
    (!text.is_empty()).then_some(text)
}

/// A failed patch quotes the whole entity before it says what is wrong: `… '{…}' contains no …`.
fn without_document(text: &str) -> String {
    match (text.find("'{"), text.rfind("}'")) {
        (Some(start), Some(end)) if start < end => {
            format!("{}{{…}}{}", &text[..start], &text[end + 2..])
        }
        _ => text.to_owned(),
    }
}

/// Seconds or a date; dates are not read, as clocks differ.
pub fn retry_after(reply: &Reply) -> Option<Duration> {
    let seconds = reply.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn is_html(reply: &Reply) -> bool {
    let body = reply.body.trim_ascii_start();
    body.first() == Some(&b'<')
        || (reply
            .header("content-type")
            .is_some_and(|kind| kind.contains("text/html"))
            && !matches!(body.first(), Some(b'{' | b'[')))
}

/// One line, cut.
fn short(text: &str, longest: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    crate::answer::clean::text(&line, longest)
}
