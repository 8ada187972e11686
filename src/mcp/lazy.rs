//! What is opened when it is first needed: never before `tools/list` is answered.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::Mutex;

use crate::{catalog::Catalogs, tools::ToolError};

type Opening<T> = Pin<Box<dyn Future<Output = Result<Arc<T>, ToolError>> + Send>>;

/// Opened by the first caller that needs it. A failure is told to that caller and tried again by
/// the next.
pub struct Lazy<T> {
    opened: Mutex<Option<Arc<T>>>,
    open: Box<dyn Fn(Option<Arc<T>>) -> Opening<T> + Send + Sync>,
    /// Whether each caller looks for a newer one.
    is_followed: bool,
}

/// The catalogs of a server.
pub type LazyCatalogs = Lazy<Catalogs>;

impl<T: Default + Send + Sync + 'static> Lazy<T> {
    /// What is open already.
    pub fn opened(value: T) -> Self {
        Self {
            opened: Mutex::new(Some(Arc::new(value))),
            ..Self::new(|| async { Ok(T::default()) })
        }
    }
}

impl<T: Send + Sync + 'static> Lazy<T> {
    /// Opened once.
    pub fn new<F, O>(open: F) -> Self
    where
        F: Fn() -> O + Send + Sync + 'static,
        O: Future<Output = Result<T, ToolError>> + Send + 'static,
    {
        Self {
            opened: Mutex::new(None),
            open: Box::new(move |_| {
                let opening = open();
                Box::pin(async move { opening.await.map(Arc::new) })
            }),
            is_followed: false,
        }
    }

    /// `newest` is asked by each caller, with what is open: it hands that back, or a newer one.
    pub fn following<F, O>(newest: F) -> Self
    where
        F: Fn(Option<Arc<T>>) -> O + Send + Sync + 'static,
        O: Future<Output = Result<Arc<T>, ToolError>> + Send + 'static,
    {
        Self {
            opened: Mutex::new(None),
            open: Box::new(move |opened| Box::pin(newest(opened))),
            is_followed: true,
        }
    }

    pub async fn get(&self) -> Result<Arc<T>, ToolError> {
        let mut opened = self.opened.lock().await;
        if let (Some(opened), false) = (&*opened, self.is_followed) {
            return Ok(Arc::clone(opened));
        }
        let newest = (self.open)(opened.clone()).await?;
        *opened = Some(Arc::clone(&newest));
        Ok(newest)
    }
}
