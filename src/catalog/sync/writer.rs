//! The file of the copy beside the requests: written on a thread that may wait for the disk.

use super::SyncError;
use crate::catalog::snapshot::{
    SnapshotError,
    draft::{Batch, Draft},
};

pub struct Writer {
    /// Away while something is written.
    draft: Option<Draft>,
}

impl Writer {
    pub fn new(draft: Draft) -> Self {
        Self { draft: Some(draft) }
    }

    /// Works on the file.
    pub async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Draft) -> Result<T, SnapshotError> + Send + 'static,
    ) -> Result<T, SyncError> {
        let mut draft = self.draft.take().ok_or(SyncError::Crashed)?;
        let (draft, done) = tokio::task::spawn_blocking(move || {
            let done = work(&mut draft);
            (draft, done)
        })
        .await
        .map_err(|_| SyncError::Crashed)?;
        self.draft = Some(draft);
        Ok(done?)
    }

    pub async fn write(&mut self, batch: Batch) -> Result<(), SyncError> {
        self.run(move |draft| draft.write(&batch)).await
    }

    pub async fn note(&mut self, name: &str) -> Result<Option<String>, SyncError> {
        let name = name.to_owned();
        self.run(move |draft| draft.note(&name)).await
    }

    pub async fn set_note(&mut self, name: &str, value: &str) -> Result<(), SyncError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.run(move |draft| draft.set_note(&name, &value)).await
    }

    pub fn into_draft(self) -> Result<Draft, SyncError> {
        self.draft.ok_or(SyncError::Crashed)
    }
}
