//! What is asked of a person on the terminal.

use std::io::{self, IsTerminal as _, Write as _};

use console::Term;
use secrecy::SecretString;

use super::super::Failure;

/// Whether there is somebody to ask.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a `yes`. Without a terminal it fails and says what to do instead.
pub(in super::super) fn confirm(question: &str, instead: &str) -> Result<(), Failure> {
    if !is_there() {
        return Err(Failure::Usage(format!(
            "there is no terminal to ask on: {instead}"
        )));
    }
    let _ = write!(io::stderr(), "{question} Type yes: ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    match read.is_ok() && answer.trim().eq_ignore_ascii_case("yes") {
        true => Ok(()),
        false => Err(Failure::Error("nothing was changed".into())),
    }
}

/// A line that does not show while it is typed. A pipe is never read: what a program can send, it
/// could have been told.
pub(super) fn hidden(question: &str) -> Result<SecretString, Failure> {
    if !is_there() {
        return Err(Failure::Usage(
            "a passphrase is typed on a terminal, and there is none".into(),
        ));
    }
    let terminal = Term::stderr();
    let told = |error: io::Error| Failure::Error(format!("the terminal cannot be read: {error}"));
    terminal.write_str(question).map_err(told)?;
    let typed = terminal.read_secure_line().map_err(told)?;
    Ok(SecretString::from(typed))
}
