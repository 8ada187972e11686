//! The file of the copy beside the requests: written on a thread that may wait for the disk.

use std::sync::Mutex;

use super::SyncError;
use crate::catalog::snapshot::{
    SnapshotError,
    draft::{Batch, Draft},
};

pub struct Writer {
    /// Away while something is written. Behind a lock because a connection is not shared between
    /// threads; never waited for, as whoever writes has the writer for themselves.
    draft: Mutex<Option<Draft>>,
}

impl Writer {
    pub fn new(draft: Draft) -> Self {
        Self {
            draft: Mutex::new(Some(draft)),
        }
    }

    /// Works on the file.
    pub async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Draft) -> Result<T, SnapshotError> + Send + 'static,
    ) -> Result<T, SyncError> {
        let mut draft = self.taken().ok_or(SyncError::Crashed)?;
        let (draft, done) = tokio::task::spawn_blocking(move || {
            let done = work(&mut draft);
            (draft, done)
        })
        .await
        .map_err(|_| SyncError::Crashed)?;
        self.draft = Mutex::new(Some(draft));
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

    pub fn into_draft(mut self) -> Result<Draft, SyncError> {
        self.taken().ok_or(SyncError::Crashed)
    }

    fn taken(&mut self) -> Option<Draft> {
        self.draft.get_mut().ok()?.take()
    }
}
