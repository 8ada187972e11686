//! The state folder: where it is, and that nobody but its owner reads it.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::private;

/// A folder that exists and belongs to its owner alone.
#[derive(Debug, Clone)]
pub struct StateFolder {
    path: PathBuf,
}

/// Why there is no state folder.
#[derive(Debug, thiserror::Error)]
#[error("the state folder {path} cannot be used: {error} (OPENPOLICY_STATE names another)")]
pub struct StateError {
    pub path: String,
    pub error: io::Error,
}

impl StateFolder {
    /// Makes the folder where it is missing.
    pub fn at(path: &Path) -> Result<Self, StateError> {
        let made = private::folder(path).map_err(|error| StateError {
            path: path.display().to_string(),
            error,
        });
        made.map(|()| Self {
            path: path.to_owned(),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder inside, made where it is missing. `name` is one of ours, never a user's text.
    pub fn folder(&self, name: &str) -> Result<PathBuf, StateError> {
        Ok(Self::at(&self.path.join(name))?.path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn others_may_not_look_into_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let above = tempfile::tempdir().expect("a folder");
        let state = StateFolder::at(&above.path().join("a/b")).expect("it is made");
        let inner = state.folder("catalog").expect("it is made");
        let mode = fs::metadata(&inner)
            .expect("it exists")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0);
    }

    #[test]
    fn a_file_in_the_way_is_told_with_its_path() {
        let above = tempfile::tempdir().expect("a folder");
        let path = above.path().join("file");
        fs::write(&path, "").expect("a file");
        let error = StateFolder::at(&path).expect_err("it is no folder");
        assert!(error.to_string().contains("OPENPOLICY_STATE"));
    }
}
