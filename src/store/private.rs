//! Files and folders that nobody but their owner may read, from the moment that they are made.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::Path,
};

/// A file that was not there before.
pub fn new_file(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().write(true).create_new(true))
}

/// A file without anything in it, whether it was there or not.
pub fn empty_file(path: &Path) -> io::Result<File> {
    open(
        path,
        OpenOptions::new().write(true).create(true).truncate(true),
    )
}

/// A file that is written to at its end, made where it is missing.
pub fn file_to_append(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().append(true).create(true))
}

/// A folder, made where it is missing, with what is above it.
pub fn folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// On Windows the folders of a user are for the user alone already.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn others_may_not_read_what_is_made() {
        let above = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path| std::fs::metadata(path).expect("it").permissions().mode() & 0o777;
        let inner = above.path().join("a/b");
        folder(&inner).expect("it is made");
        assert_eq!(mode(&inner), 0o700);
        assert_eq!(mode(&above.path().join("a")), 0o700);
        let one = |name: &str| inner.join(name);
        new_file(&one("new")).expect("a file");
        empty_file(&one("empty")).expect("a file");
        file_to_append(&one("append")).expect("a file");
        for name in ["new", "empty", "append"] {
            assert_eq!(mode(&one(name)), 0o600, "{name}");
        }
        new_file(&one("new")).expect_err("it is there");
    }
}
