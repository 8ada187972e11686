//! What is opened when it is first needed: never before `tools/list` is answered.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::OnceCell;

use crate::{catalog::Catalogs, tools::ToolError};

type Opening<T> = Pin<Box<dyn Future<Output = Result<T, ToolError>> + Send>>;

/// Opened once, by the first caller that needs it. A failure is told to that caller and tried
/// again by the next.
pub struct Lazy<T> {
    opened: OnceCell<Arc<T>>,
    open: Box<dyn Fn() -> Opening<T> + Send + Sync>,
}

/// The catalogs of a server.
pub type LazyCatalogs = Lazy<Catalogs>;

impl<T: Default + Send + Sync + 'static> Lazy<T> {
    /// What is open already.
    pub fn opened(value: T) -> Self {
        let lazy = Self::new(|| async { Ok(T::default()) });
        Self {
            opened: OnceCell::new_with(Some(Arc::new(value))),
            ..lazy
        }
    }
}

impl<T: Send + Sync + 'static> Lazy<T> {
    pub fn new<F, O>(open: F) -> Self
    where
        F: Fn() -> O + Send + Sync + 'static,
        O: Future<Output = Result<T, ToolError>> + Send + 'static,
    {
        Self {
            opened: OnceCell::new(),
            open: Box::new(move || Box::pin(open())),
        }
    }

    pub async fn get(&self) -> Result<Arc<T>, ToolError> {
        let open = || async { (self.open)().await.map(Arc::new) };
        self.opened.get_or_try_init(open).await.map(Arc::clone)
    }
}
