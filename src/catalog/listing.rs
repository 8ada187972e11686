//! Reads a list of OpenMetadata to its end, or says where it stopped.

use std::{future::Future, time::Instant};

use serde_json::Value;

use super::{client::Client, error::CatalogError, wire};

/// A list as far as it could be read.
#[derive(Debug, Default)]
pub struct Listing {
    pub items: Vec<Value>,
    /// Why not all of it was read; none if it was.
    pub cut: Option<String>,
}

impl Listing {
    /// The entries in our words, and why not all of the list is among them: those that cannot be
    /// read are counted, not passed over.
    pub fn parsed<T>(self, parse: impl Fn(&Value) -> Option<T>) -> (Vec<T>, Option<String>) {
        let all = self.items.len();
        let parsed: Vec<T> = self.items.iter().filter_map(parse).collect();
        let unread = all - parsed.len();
        let unread = (unread > 0)
            .then(|| format!("{unread} of {all} entries of OpenMetadata could not be understood"));
        let cut = match (self.cut, unread) {
            (Some(cut), Some(unread)) => Some(format!("{cut}; {unread}")),
            (cut, unread) => cut.or(unread),
        };
        (parsed, cut)
    }
}

/// Entries that are asked for at once; an entry has 0.5 to 4 KB.
const PAGE: usize = 500;
/// Entries that are read of one list.
const MOST: usize = 20_000;

/// Which parameter takes the cursor of the next page.
#[derive(Debug, Clone, Copy)]
pub enum Paging {
    /// Entities: `after`.
    After,
    /// Time series (incidents): `offset`, which takes the same opaque cursor (OpenAPI of 1.12.6).
    Offset,
}

/// All entries of a list. An error only if not even the first page came.
pub async fn all(
    client: &Client,
    path: &str,
    query: &[(&str, &str)],
    paging: Paging,
    deadline: Instant,
) -> Result<Listing, CatalogError> {
    let mut listing = Listing::default();
    let mut cursor: Option<String> = None;
    let page_size = PAGE.to_string();
    loop {
        let mut query = query.to_vec();
        query.push(("limit", &page_size));
        if let Some(cursor) = &cursor {
            query.push(match paging {
                Paging::After => ("after", cursor),
                Paging::Offset => ("offset", cursor),
            });
        }
        let page = match within(deadline, path, client.get(path, &query)).await {
            Ok(page) => page,
            Err(error) if listing.items.is_empty() => return Err(error),
            Err(error) => {
                listing.cut = Some(format!(
                    "only the first {} could be read: {error}",
                    listing.items.len()
                ));
                return Ok(listing);
            }
        };
        let total = page.pointer("/paging/total").and_then(Value::as_u64);
        let next = page
            .get("paging")
            .and_then(|paging| wire::text(paging, "after"));
        let entries = match read(page, path) {
            Ok(entries) => entries,
            Err(error) if listing.items.is_empty() => return Err(error),
            Err(error) => {
                listing.cut = Some(format!(
                    "only the first {} could be read: {error}",
                    listing.items.len()
                ));
                return Ok(listing);
            }
        };
        let is_empty = entries.is_empty();
        listing.items.extend(entries);
        let read = listing.items.len();
        let is_whole = is_empty || total.is_some_and(|total| read as u64 >= total);
        // A server that ignores the cursor hands out the same page for ever.
        if is_whole || next.is_none() || next == cursor {
            if let Some(total) = total.filter(|total| *total > read as u64) {
                listing.cut = Some(format!("OpenMetadata handed out {read} of {total}"));
            }
            return Ok(listing);
        }
        if read >= MOST {
            listing.cut = Some(format!(
                "only the first {read} of {} were read",
                total.map_or_else(|| "many".into(), |total| total.to_string())
            ));
            return Ok(listing);
        }
        cursor = next;
    }
}

/// The entries of an answer of a server. What is no list is no empty list either.
pub fn read(answer: Value, asked: &str) -> Result<Vec<Value>, CatalogError> {
    if answer.is_array() || answer.get("data").is_some_and(Value::is_array) {
        return Ok(entries(answer));
    }
    Err(no_list(asked))
}

/// An answer that holds no list where one was asked for.
pub fn no_list(asked: &str) -> CatalogError {
    CatalogError::BadUpstream {
        message: format!("{asked} was answered with something else than a list"),
    }
}

/// The entries of a stored answer: `{"data": […]}` or a bare list.
pub fn entries(answer: Value) -> Vec<Value> {
    match answer {
        Value::Array(entries) => entries,
        Value::Object(mut fields) => match fields.remove("data") {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The answer, or an error when the deadline comes first. Boxed: the future of a request is large,
/// and several stand side by side.
pub async fn within<T>(
    deadline: Instant,
    what: &str,
    answer: impl Future<Output = Result<T, CatalogError>>,
) -> Result<T, CatalogError> {
    tokio::time::timeout_at(deadline.into(), Box::pin(answer))
        .await
        .unwrap_or_else(|_| {
            Err(CatalogError::Timeout {
                message: format!("no time was left to read {what}"),
            })
        })
}
