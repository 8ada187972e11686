//! The composition root: settings become catalogs, a service, transports, and a clean end.

pub use crate::settings::{self, Settings};

/// Why the server did not start, or ended badly. `main` makes the exit code of it.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A setting that cannot be taken: exit code 2.
    #[error("{0}")]
    Settings(String),
    /// The address is taken, the standard streams are gone, and the like: exit code 1.
    #[error("{0}")]
    Start(String),
    /// Work did not end in time after a signal: exit code 1.
    #[error("{0}")]
    Drain(String),
}

impl AppError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => 2,
            Self::Start(_) | Self::Drain(_) => 1,
        }
    }
}

/// Serves until the client hangs up (stdio) or a signal comes.
pub async fn serve(settings: Settings) -> Result<(), AppError> {
    let _ = settings;
    Err(AppError::Start("not built yet".into()))
}

/// The catalogs that these settings name.
pub fn catalogs(
    settings: &settings::CatalogSettings,
) -> Result<crate::catalog::Catalogs, AppError> {
    let _ = settings;
    Ok(crate::catalog::Catalogs::default())
}
