//! What was read a moment ago, for each credential apart.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use super::error::CatalogError;

/// How long an answer is good for. Long enough for the calls of one tool and the next question.
const HOLDS: Duration = Duration::from_secs(30);

/// Bytes of answers (as they were sent) that are kept, of all credentials together.
const HELD_BYTES: u64 = 8 * 1024 * 1024;

/// What an answer beside its bytes takes up, so that many small ones are bounded too.
const ENTRY_BYTES: u32 = 512;

/// Whose answer it is, between which writes it was read, and what was asked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    reader: Reader,
    writes: u64,
    url: String,
}

/// One credential. Made by `Cache::reader`, so that no two credentials share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reader {
    number: u64,
    identity: u64,
}

impl Reader {
    /// The same credential after its token has become someone else's (`Credentials::identity`).
    pub fn as_identity(self, identity: u64) -> Self {
        Self { identity, ..self }
    }
}

/// Answers to reads. Identical reads at the same time share one request.
pub struct Cache {
    answers: moka::future::Cache<Key, Arc<Held>>,
    readers: AtomicU64,
    writes: AtomicU64,
}

/// An answer as it is kept.
pub struct Held {
    /// Free of credentials.
    pub answer: Value,
    /// HTTP status; 2xx.
    pub status: u16,
    /// How long it was when it came.
    pub bytes: usize,
}

impl Cache {
    pub fn new() -> Self {
        let weight = |key: &Key, held: &Arc<Held>| {
            let bytes = u32::try_from(held.bytes + key.url.len()).unwrap_or(u32::MAX);
            bytes.saturating_add(ENTRY_BYTES)
        };
        Self {
            answers: moka::future::Cache::builder()
                .max_capacity(HELD_BYTES)
                .weigher(weight)
                .time_to_live(HOLDS)
                .build(),
            readers: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        }
    }

    /// A credential that shares nothing with any other.
    pub fn reader(&self) -> Reader {
        Reader {
            number: self.readers.fetch_add(1, Ordering::Relaxed),
            identity: 0,
        }
    }

    /// The answer of a moment ago, or a new one. Errors are not kept.
    pub async fn read(
        &self,
        reader: Reader,
        url: &str,
        ask: impl Future<Output = Result<Held, CatalogError>>,
    ) -> Result<Arc<Held>, CatalogError> {
        let key = Key {
            reader,
            // A read that began before a write is not found after it.
            writes: self.writes.load(Ordering::Acquire),
            url: url.to_owned(),
        };
        self.answers
            .try_get_with(key, async { ask.await.map(Arc::new) })
            .await
            .map_err(|error| CatalogError::clone(&error))
    }

    /// Forgets everything, for all readers: something was written.
    pub fn forget(&self) {
        self.writes.fetch_add(1, Ordering::AcqRel);
        self.answers.invalidate_all();
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}
