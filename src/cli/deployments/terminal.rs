//! What is asked of a person on the terminal.

use std::io::{self, IsTerminal as _, Write as _};

use console::Term;
use secrecy::SecretString;

use super::{super::Failure, outcome};

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
    terminal.write_str(question).map_err(unreadable)?;
    let typed = terminal.read_secure_line().map_err(unreadable)?;
    Ok(SecretString::from(typed))
}

/// A question of a command that follows a run and so takes Ctrl-C itself: it ends the question too.
pub(super) async fn or_left<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let answered = async { tokio::task::spawn_blocking(question).await };
    tokio::select! {
        // Ctrl-C is waited for before the question is seen.
        biased;
        _ = tokio::signal::ctrl_c() => {
            show_again();
            Err(Failure::Code(outcome::LEFT))
        }
        answered = answered => answered
            .map_err(|error| Failure::Error(format!("the question broke off: {error}")))?,
    }
}

/// What is typed shows again. Nobody else does it where a question ended before its answer.
fn show_again() {
    #[cfg(unix)]
    let _ = std::process::Command::new("stty").arg("echo").status();
    let _ = writeln!(io::stderr());
}

fn unreadable(error: io::Error) -> Failure {
    Failure::Error(format!("the terminal cannot be read: {error}"))
}
