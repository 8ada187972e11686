//! Whether a folder lies on a network file system, where the locks of SQLite cannot be relied on.

use std::path::Path;

/// File systems that hosts share, as Linux names them (`/proc/filesystems`, and for FUSE what
/// stands after `fuse.`).
const SHARED: &[&str] = &[
    "nfs",
    "nfs3",
    "nfs4",
    "cifs",
    "smb",
    "smb2",
    "smb3",
    "smbfs",
    "ncpfs",
    "afs",
    "coda",
    "ceph",
    "glusterfs",
    "lustre",
    "beegfs",
    "gpfs",
    "orangefs",
    "pvfs2",
    "davfs",
    "sshfs",
    "s3fs",
    "s3ql",
    "gcsfuse",
    "goofys",
    "mount-s3",
    "rclone",
    "curlftpfs",
    "blobfuse",
    "blobfuse2",
    "juicefs",
    "cephfs",
    "ceph-fuse",
];

/// The network file system on which this folder lies; none where it lies on a local one, or where
/// the system does not tell (all but Linux).
pub fn network_of(folder: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let folder = std::fs::canonicalize(folder).ok()?;
    network_in(&mounts, &folder)
}

/// The same by the text of `/proc/self/mountinfo`, for an absolute path without links. Pure.
fn network_in(mounts: &str, folder: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(mount);
    // A later mount at the same place hides an earlier one.
    let (_, kind) = mounts
        .filter(|(place, _)| folder.starts_with(place))
        .max_by_key(|(place, _)| place.len())?;
    let name = kind.strip_prefix("fuse.").unwrap_or(kind);
    SHARED.contains(&name).then(|| kind.to_owned())
}

/// Where something is mounted and what: `36 35 98:0 / /mnt rw shared:1 - ext3 /dev/root rw`.
fn mount(line: &str) -> Option<(String, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let place = before.split(' ').nth(4)?;
    Some((unescaped(place), after.split(' ').next()?))
}

/// Space, tab, line end and backslash stand as `\040` and so on.
fn unescaped(place: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(place.to_owned(), |text, (escape, character)| {
        text.replace(escape, character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
27 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 27 0:40 / /home rw,relatime shared:7 - nfs4 server:/home rw,vers=4.2
41 40 8:2 / /home/local rw - xfs /dev/sdb1 rw
42 27 0:42 / /mnt/with\\040space rw - cifs //server/share rw
43 27 0:43 / /mnt/laptop rw - fuse.sshfs me@host:/ rw
44 27 0:44 / /mnt/disk rw - fuseblk /dev/sdc1 rw
45 27 0:45 / /mnt/hidden rw - nfs server:/x rw
46 45 0:46 / /mnt/hidden rw - tmpfs tmpfs rw
";

    #[test]
    fn the_innermost_and_latest_mount_counts() {
        for (folder, kind) in [
            ("/var/lib/state", None),
            ("/home/me/.local/state", Some("nfs4")),
            ("/home", Some("nfs4")),
            ("/homestead", None),
            ("/home/local/me", None),
            ("/mnt/with space/state", Some("cifs")),
            ("/mnt/laptop/x", Some("fuse.sshfs")),
            ("/mnt/disk", None),
            ("/mnt/hidden/x", None),
        ] {
            let found = network_in(MOUNTS, Path::new(folder));
            assert_eq!(found.as_deref(), kind, "{folder}");
        }
        assert_eq!(network_in("nonsense\n", Path::new("/")), None);
    }

    #[test]
    fn a_temporary_folder_is_local() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(network_of(folder.path()), None);
    }
}
