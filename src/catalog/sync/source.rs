//! Asks the server, patiently: what fails for a moment is asked again, what is too large in
//! smaller pieces.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::Value;

use super::{Options, plan};
use crate::catalog::{CatalogError, Client, reading, version::Version, wire};

/// Times that a read is asked in all, beside what the client repeats by itself.
const TRIES: u32 = 5;

pub struct Source<'a> {
    client: &'a Client,
    pub version: Version,
    pause: Duration,
    requests: AtomicU64,
}

/// One page of the scan of the search index.
pub struct ScanPage {
    /// `_source` of each hit.
    pub documents: Vec<Value>,
    pub hits: u64,
    pub total: Option<u64>,
    /// The sort value of the last hit; none on an empty page.
    pub last: Option<String>,
}

/// One page of a list.
pub struct ListPage {
    pub entries: Vec<Value>,
    pub total: Option<u64>,
    pub after: Option<String>,
}

/// A page that came, and the size that worked.
pub struct Sized<T> {
    pub page: T,
    pub size: usize,
}

impl<'a> Source<'a> {
    pub fn new(client: &'a Client, version: Version, options: &Options) -> Self {
        Self {
            client,
            version,
            pause: options.pause,
            requests: AtomicU64::new(0),
        }
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// A read past the cache.
    pub async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CatalogError> {
        let mut pause = self.pause;
        for _ in 1..TRIES {
            match self.ask_once(path, query).await {
                Err(error) if may_pass(&error) => {
                    let wait = match &error {
                        CatalogError::RateLimited {
                            retry_after: Some(after),
                        } => (*after).min(LONGEST_WAIT).max(pause),
                        _ => pause,
                    };
                    tracing::debug!(path, reason = %error, "Asking again");
                    tokio::time::sleep(wait).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
        self.ask_once(path, query).await
    }

    async fn ask_once(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CatalogError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        // Boxed: the future of a request is large, and several stand side by side.
        Box::pin(self.client.get_fresh(path, query)).await
    }

    /// The page of the scan behind this sort value.
    pub async fn scan(
        &self,
        after: Option<&str>,
        size: usize,
    ) -> Result<Sized<ScanPage>, CatalogError> {
        let fields = plan::scan_fields(self.version);
        self.in_pieces(size, async |size| {
            let size = size.to_string();
            let mut query = vec![
                ("q", "*"),
                ("index", "dataAsset"),
                ("size", size.as_str()),
                ("from", "0"),
                // Sort values of names are lower-cased: a case twin could fall between two pages.
                ("sort_field", "id.keyword"),
                ("sort_order", "asc"),
                ("include_aggregations", "false"),
                ("track_total_hits", "true"),
            ];
            query.extend(fields.iter().map(|field| ("include_source_fields", *field)));
            query.extend(after.map(|after| ("search_after", after)));
            scan_page(&self.ask("search/query", &query).await?)
        })
        .await
    }

    /// The page of a list behind this cursor. A field that the server does not know is left away.
    pub async fn list(
        &self,
        collection: &str,
        fields: &mut Vec<&'static str>,
        after: Option<&str>,
        size: usize,
    ) -> Result<Sized<ListPage>, CatalogError> {
        loop {
            let joined = fields.join(",");
            let answer = self
                .in_pieces(size, async |size| {
                    let size = size.to_string();
                    let mut query = vec![("limit", size.as_str())];
                    if !joined.is_empty() {
                        query.push(("fields", &joined));
                    }
                    query.extend(after.map(|after| ("after", after)));
                    list_page(self.ask(collection, &query).await?, collection)
                })
                .await;
            match answer {
                Err(CatalogError::Invalid { argument, message }) => {
                    if !reading::without_refused(fields, &message) {
                        return Err(CatalogError::Invalid { argument, message });
                    }
                }
                answer => return answer,
            }
        }
    }

    /// One entity by its path, with these fields.
    pub async fn one(
        &self,
        path: &str,
        fields: &mut Vec<&'static str>,
    ) -> Result<Value, CatalogError> {
        loop {
            let joined = fields.join(",");
            let query: &[(&str, &str)] = &[("fields", &joined)];
            match self
                .ask(path, if joined.is_empty() { &[] } else { query })
                .await
            {
                Err(CatalogError::Invalid { argument, message }) => {
                    if !reading::without_refused(fields, &message) {
                        return Err(CatalogError::Invalid { argument, message });
                    }
                }
                answer => return answer,
            }
        }
    }

    /// How many there are, without any of them.
    pub async fn total(&self, collection: &str) -> Result<Option<u64>, CatalogError> {
        let answer = self.ask(collection, &[("limit", "0")]).await?;
        Ok(answer.pointer("/paging/total").and_then(Value::as_u64))
    }

    /// Asks for half as much where an answer is too slow or too large.
    async fn in_pieces<T>(
        &self,
        mut size: usize,
        ask: impl AsyncFn(usize) -> Result<T, CatalogError>,
    ) -> Result<Sized<T>, CatalogError> {
        loop {
            match ask(size).await {
                Ok(page) => return Ok(Sized { page, size }),
                Err(CatalogError::Timeout { .. } | CatalogError::BadUpstream { .. })
                    if size > SMALLEST_PAGE =>
                {
                    size = (size / 4).max(SMALLEST_PAGE);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// A page that is smaller would not come either.
const SMALLEST_PAGE: usize = 5;

/// The longest `Retry-After` that is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Whether the same question may be answered in a moment.
fn may_pass(error: &CatalogError) -> bool {
    matches!(
        error,
        CatalogError::Unavailable { .. } | CatalogError::RateLimited { .. }
    )
}

fn scan_page(answer: &Value) -> Result<ScanPage, CatalogError> {
    let hits = answer
        .pointer("/hits/hits")
        .and_then(Value::as_array)
        .ok_or_else(|| CatalogError::BadUpstream {
            message: "OpenMetadata answered a search with something else than hits".into(),
        })?;
    let failed = answer.pointer("/_shards/failed").and_then(Value::as_u64);
    if failed.unwrap_or(0) > 0 || answer["timed_out"].as_bool() == Some(true) {
        // A copy with holes that look like deletions is worse than none.
        return Err(CatalogError::Unavailable {
            message: "parts of OpenMetadata's search index failed".into(),
        });
    }
    let total = &answer["hits"]["total"];
    let is_exact = total["relation"].as_str().is_none_or(|it| it == "eq");
    Ok(ScanPage {
        documents: hits
            .iter()
            .filter_map(|hit| hit.get("_source").cloned())
            .collect(),
        hits: hits.len() as u64,
        total: total
            .as_u64()
            .or_else(|| total["value"].as_u64())
            .filter(|_| is_exact),
        last: hits
            .last()
            .and_then(|hit| hit.pointer("/sort/0")?.as_str().map(str::to_owned)),
    })
}

fn list_page(answer: Value, collection: &str) -> Result<ListPage, CatalogError> {
    let total = answer.pointer("/paging/total").and_then(Value::as_u64);
    let after = answer
        .get("paging")
        .and_then(|paging| wire::text(paging, "after"));
    Ok(ListPage {
        entries: crate::catalog::listing::read(answer, collection)?,
        total,
        after,
    })
}
