//! What differs between operating systems: where clients keep their files, and who may read them.
//!
//! Linux is tested. The paths of macOS and Windows are those that the clients document; nobody has
//! run this there yet.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The user's home folder, if the environment names one.
pub fn home() -> Option<PathBuf> {
    let variable = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    folder(variable)
}

/// The folder of Claude Desktop's `claude_desktop_config.json`.
pub fn claude_desktop() -> Option<PathBuf> {
    Some(above_configuration()?.join("Claude"))
}

/// The user's own folder for what this program keeps between runs: `$XDG_STATE_HOME/openpolicy-mcp`
/// (XDG Base Directory Specification), `~/Library/Application Support/openpolicy-mcp`,
/// `%LOCALAPPDATA%\openpolicy-mcp`.
pub fn state() -> Option<PathBuf> {
    let above = above("LOCALAPPDATA", "XDG_STATE_HOME", ".local/state")?;
    Some(above.join("openpolicy-mcp"))
}

/// The user's own folder for what this program is told once: `$XDG_CONFIG_HOME/openpolicy-mcp`,
/// `~/Library/Application Support/openpolicy-mcp`, `%APPDATA%\openpolicy-mcp`.
pub fn configuration() -> Option<PathBuf> {
    Some(above_configuration()?.join("openpolicy-mcp"))
}

fn above_configuration() -> Option<PathBuf> {
    above("APPDATA", "XDG_CONFIG_HOME", ".config")
}

/// Where programs have folders of their own: the variable of Windows, and that of XDG with what
/// stands for it below the home folder.
fn above(windows: &str, xdg: &str, below_home: &str) -> Option<PathBuf> {
    if cfg!(windows) {
        return folder(windows);
    }
    if cfg!(target_os = "macos") {
        return Some(home()?.join("Library/Application Support"));
    }
    // The specification: a path that is not absolute is to be ignored.
    folder(xdg)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(home()?.join(below_home)))
}

/// Takes the file away from everyone but its owner. On Windows the folders of a user are that
/// already, and nothing is changed.
pub fn for_owner_alone(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    }
    let _ = path;
    Ok(())
}

fn folder(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable)?;
    (!value.is_empty()).then(|| PathBuf::from(value))
}
