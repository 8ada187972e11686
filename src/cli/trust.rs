//! `trust`: shows what a platform file runs and where it sends variables, and allows it.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
};

use clap::Args;

use super::{
    Failure,
    environment::StateArguments,
    output::{note, say},
};
use crate::platform::{
    self, Trust, TrustedDigests, Variables,
    trust::{self, FilesDigest},
};

#[derive(Debug, Args)]
pub(super) struct TrustArguments {
    /// The platform file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Allow it without asking, if its digest is this one.
    #[arg(long, value_name = "sha256:…", conflicts_with_all = ["show", "forget"])]
    digest: Option<FilesDigest>,
    /// Only show what there is to allow.
    #[arg(long)]
    show: bool,
    /// Take the trust away again.
    #[arg(long, conflicts_with = "show")]
    forget: bool,
    #[command(flatten)]
    state: StateArguments,
}

pub(super) fn run(arguments: &TrustArguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let trusted = TrustedDigests {
        folder: arguments
            .state
            .folder()
            .map(|folder| trust::folder_in(&folder)),
        ..TrustedDigests::default()
    };
    if arguments.forget {
        let was_trusted = trusted.forget(file).map_err(|error| unkept(&error))?;
        return say(if was_trusted {
            "it is not trusted any more"
        } else {
            "it was not trusted"
        });
    }
    let loaded = platform::load(file, &Variables::of_process(), &trusted)
        .map_err(|problems| Failure::Error(problems.to_string()))?;
    for line in trust::wishes(&loaded) {
        say(line)?;
    }
    say(format!("digest: {}", loaded.digest))?;
    match &loaded.platform.trust {
        Trust::Trusted(_) => return say("it is trusted"),
        Trust::Changed => note("it was trusted once, and has changed since"),
        Trust::NotAsked => {}
    }
    if arguments.show {
        return Ok(());
    }
    match &arguments.digest {
        Some(digest) if *digest != loaded.digest => {
            return Err(Failure::Error(format!(
                "the files have another digest than {digest}: they are not what you looked at"
            )));
        }
        Some(_) => {}
        None => ask()?,
    }
    trusted
        .keep(file, &loaded.digest)
        .map_err(|error| unkept(&error))?;
    say("it is trusted until one of its files changes")
}

/// A person types it: a program that has no terminal names the digest that somebody looked at.
fn ask() -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "there is no terminal to ask on: name the digest that you looked at with \
             --digest sha256:…"
                .into(),
        ));
    }
    let _ = write!(io::stderr(), "Allow all of this? Type yes: ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    if read.is_ok() && answer.trim().eq_ignore_ascii_case("yes") {
        Ok(())
    } else {
        Err(Failure::Error("nothing was allowed".into()))
    }
}

fn unkept(error: &io::Error) -> Failure {
    Failure::Error(format!(
        "what is trusted cannot be kept in the state folder: {error} (OPENPOLICY_STATE names another)"
    ))
}
