//! The catalogs, opened when they are first needed: never before `tools/list` is answered.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::OnceCell;

use crate::{catalog::Catalogs, tools::ToolError};

type Opening = Pin<Box<dyn Future<Output = Result<Catalogs, ToolError>> + Send>>;

/// Catalogs that are opened once, by the first caller that needs them. A failure is told to that
/// caller and tried again by the next.
pub struct LazyCatalogs {
    opened: OnceCell<Arc<Catalogs>>,
    open: Box<dyn Fn() -> Opening + Send + Sync>,
}

impl LazyCatalogs {
    pub fn new<F, O>(open: F) -> Self
    where
        F: Fn() -> O + Send + Sync + 'static,
        O: Future<Output = Result<Catalogs, ToolError>> + Send + 'static,
    {
        Self {
            opened: OnceCell::new(),
            open: Box::new(move || Box::pin(open())),
        }
    }

    /// Catalogs that are open already.
    pub fn opened(catalogs: Catalogs) -> Self {
        let lazy = Self::new(|| async { Ok(Catalogs::default()) });
        Self {
            opened: OnceCell::new_with(Some(Arc::new(catalogs))),
            ..lazy
        }
    }

    pub async fn get(&self) -> Result<Arc<Catalogs>, ToolError> {
        let open = || async { (self.open)().await.map(Arc::new) };
        self.opened.get_or_try_init(open).await.map(Arc::clone)
    }
}
