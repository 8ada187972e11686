//! What a command prints: answers on stdout, everything else on stderr.

use std::io::{self, Write as _};

use super::Failure;

/// Prints an answer. A reader that went away (`| head`) has read enough; a full disk is an error.
pub(super) fn say(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Error(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints an answer as JSON.
pub(super) fn say_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Error(format!("the answer cannot be printed: {error}")))?;
    say(text)
}

/// Tells the person something beside the answer. Without stderr there is nobody to tell.
pub(super) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
