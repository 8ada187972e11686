//! Starts the process that drives a run: of this same binary, in a session of its own, so that no
//! client or server that ends takes it with it.

use std::{
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use secrecy::ExposeSecret as _;

use crate::store::{Site, private};

/// Of what a driver said last so much is told.
const LONGEST_SAID: u64 = 500;

/// A driver that was started.
pub struct Started {
    child: Option<Child>,
    log: PathBuf,
}

impl Started {
    /// How it ended, where it has.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        let said = last_said(&self.log).unwrap_or_default();
        Some(match said.trim() {
            "" => format!("it ended ({status})"),
            said => format!("it ended ({status}): {said}"),
        })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It goes on; whoever started it reaps it, if it is there then.
        if let Some(mut child) = self.child.take() {
            std::thread::spawn(move || child.wait());
        }
    }
}

/// Where a driver writes what it has to say beside the journal.
pub fn log_of(site: &Site, run: i64) -> PathBuf {
    site.folder.join(format!("run-{run}.log"))
}

pub fn start(site: &Site, run: i64) -> Result<Started, String> {
    let told = |error: std::io::Error| error.to_string();
    let log = log_of(site, run);
    let file = private::file_to_append(&log).map_err(told)?;
    let mut child = Command::new(program())
        .arg("drive")
        .arg(run.to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::from(file))
        .spawn()
        .map_err(told)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(site.order.expose_secret().as_bytes())
            .map_err(told)?;
    }
    Ok(Started {
        child: Some(child),
        log,
    })
}

/// This binary, also right after its file was replaced by a newer version.
fn program() -> PathBuf {
    match cfg!(target_os = "linux") {
        true => "/proc/self/exe".into(),
        false => std::env::current_exe().unwrap_or_else(|_| "openpolicy-mcp".into()),
    }
}

fn last_said(log: &PathBuf) -> Option<String> {
    let mut file = std::fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_SAID)))
        .ok()?;
    let mut said = Vec::new();
    file.read_to_end(&mut said).ok()?;
    Some(String::from_utf8_lossy(&said).into_owned())
}
