//! Where clients keep their configuration on each operating system.
//!
//! The one place where Linux, macOS and Windows differ. Linux is tested; the paths of macOS and
//! Windows are those that the clients document, and have not been verified by running them.

use std::path::PathBuf;

/// The user's home folder, if the environment names one.
pub fn home() -> Option<PathBuf> {
    let variable = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    folder(variable)
}

/// The folder of Claude Desktop's `claude_desktop_config.json`.
pub fn claude_desktop() -> Option<PathBuf> {
    if cfg!(windows) {
        return Some(folder("APPDATA")?.join("Claude"));
    }
    if cfg!(target_os = "macos") {
        return Some(home()?.join("Library/Application Support/Claude"));
    }
    let configuration = folder("XDG_CONFIG_HOME").or_else(|| Some(home()?.join(".config")))?;
    Some(configuration.join("Claude"))
}

fn folder(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable)?;
    (!value.is_empty()).then(|| PathBuf::from(value))
}
