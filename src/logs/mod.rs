//! Logs on stderr: one event one sentence, identifiers as fields, nothing of a secret.

mod mask;

use std::io::Write;

use secrecy::SecretString;
use tracing_subscriber::{
    EnvFilter, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::settings::{LogFormat, LogSettings};

pub use mask::Mask;

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the log level `{written}` cannot be read: {reason}")]
pub struct LogError {
    written: String,
    reason: String,
}

/// Starts logging, with a panic hook that logs in the same form. `secrets` are masked wherever
/// they stand, beside whatever looks like a token. A second call does nothing.
pub fn start(settings: &LogSettings, secrets: &[SecretString]) -> Result<(), LogError> {
    let written = settings.level.0.trim();
    let mut filter = EnvFilter::try_new(written).map_err(|error| LogError {
        written: written.to_owned(),
        reason: error.to_string(),
    })?;
    // Below `warn` these libraries log whole requests: only on demand, by their name.
    for (library, level) in [
        ("rmcp", "error"),
        ("hyper", "warn"),
        ("h2", "warn"),
        ("reqwest", "warn"),
        ("rustls", "warn"),
    ] {
        if !written.contains(library)
            && let Ok(directive) = format!("{library}={level}").parse()
        {
            filter = filter.add_directive(directive);
        }
    }
    let writer = Masked {
        mask: Mask::new(secrets),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry
            .with(
                lines
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false),
            )
            .try_init(),
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            let message = panic.payload_as_str().unwrap_or_default();
            tracing::error!(place, message, "A fault of this server was caught");
        }));
    }
    Ok(())
}

/// Makes writers that mask one event at a time.
struct Masked {
    mask: Mask,
}

impl<'a> MakeWriter<'a> for Masked {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Event {
            mask: &self.mask,
            bytes: Vec::new(),
        }
    }
}

/// One event, kept until it is whole: a secret may be written in pieces.
struct Event<'a> {
    mask: &'a Mask,
    bytes: Vec<u8>,
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.bytes);
        // Where stderr is gone there is no one to tell.
        let _ = std::io::stderr()
            .lock()
            .write_all(self.mask.masked(&text).as_bytes());
    }
}
