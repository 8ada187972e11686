//! Files of the host that are mounted into containers: copied, so that they can be written back.
//!
//! Only files up to a megabyte. Folders, larger files, sockets and what is on another host are
//! told as not kept. Whoever may read a file of the host may not be the one who may read the state
//! folder: copies stand where resolved configurations stand, with mode 0600.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::containers::Container;
use crate::digest;

/// Bytes of a file that is copied at most.
const LARGEST: u64 = 1 << 20;

/// A file as it was.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub path: PathBuf,
    /// Of the content.
    pub digest: String,
    /// Base64.
    content: String,
}

/// What of this path could not be written back; none: it is kept.
fn obstacle(path: &Path) -> Option<String> {
    let told = |why: &str| Some(format!("{} is mounted and not kept: {why}", path.display()));
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            told("it is not there yet, or on another machine")
        }
        Err(_) => told("it cannot be read"),
        Ok(metadata) if metadata.is_dir() => told("it is a folder"),
        Ok(metadata) if !metadata.is_file() => told("it is no file"),
        Ok(metadata) if metadata.len() > LARGEST => told("it has more than 1 MiB"),
        Ok(_) if fs::File::open(path).is_err() => told("it cannot be read"),
        Ok(_) => None,
    }
}

/// What `restore` would not take back of a service of a resolved Compose file. `is_here`: what it mounts
/// is of this machine.
pub(super) fn not_restored(service: &Value, is_here: bool) -> Vec<String> {
    let volumes = service.get("volumes").and_then(Value::as_array);
    volumes
        .into_iter()
        .flatten()
        .filter_map(|volume| match volume {
            // As version 1 writes it.
            Value::String(text) => text
                .split(':')
                .next()
                .filter(|source| source.starts_with('/'))
                .map(PathBuf::from),
            volume => {
                let is_bind = volume.get("type").and_then(Value::as_str) == Some("bind");
                let source = volume.get("source").and_then(Value::as_str);
                source.filter(|_| is_bind).map(PathBuf::from)
            }
        })
        .filter_map(|path| match is_here {
            true => obstacle(&path),
            false => Some(format!(
                "{} is mounted and not kept: it is on another machine",
                path.display()
            )),
        })
        .collect()
}

/// Copies of the files that are mounted into these containers.
pub(super) fn kept(containers: &[Container]) -> Vec<Kept> {
    let mounts = containers
        .iter()
        .flat_map(|container| container.0.mounts.iter().flatten());
    let paths: BTreeSet<PathBuf> = mounts
        .filter(|mount| mount.typ.as_deref() == Some("bind"))
        .filter_map(|mount| mount.source.as_ref().map(PathBuf::from))
        .filter(|path| obstacle(path).is_none())
        .collect();
    paths
        .into_iter()
        .filter_map(|path| {
            let content = fs::read(&path).ok()?;
            Some(Kept {
                digest: digest(&content),
                content: BASE64_STANDARD.encode(content),
                path,
            })
        })
        .collect()
}

/// Writes back what differs now; the paths that were written.
pub(super) fn write_back(files: &[Kept]) -> io::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for file in files {
        let now = fs::read(&file.path).ok();
        if now.is_some_and(|now| digest(&now) == file.digest) {
            continue;
        }
        let content = BASE64_STANDARD
            .decode(&file.content)
            .map_err(io::Error::other)?;
        // In place: the mount is of this very file, and another one under its name would not be
        // seen inside.
        fs::write(&file.path, content)?;
        written.push(file.path.clone());
    }
    Ok(written)
}

fn digest(content: &[u8]) -> String {
    digest::short(content, 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn folders_and_large_files_are_told_and_small_ones_are_written_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let small = folder.path().join("small");
        let large = folder.path().join("large");
        fs::write(&small, "one").expect("a file");
        fs::write(&large, vec![0; (LARGEST + 1) as usize]).expect("a file");
        let bind = |path: &Path| json!({"type": "bind", "source": path});
        let service = json!({"volumes": [
            bind(&small),
            bind(&large),
            bind(folder.path()),
            format!("{}/absent:/x:rw", folder.path().display()),
            {"type": "volume", "source": "data"},
            "data:/data:rw",
        ]});
        let far = not_restored(&service, false);
        assert!(
            far.iter().all(|one| one.ends_with("another machine")),
            "{far:?}"
        );
        assert!(far.len() >= not_restored(&service, true).len(), "{far:?}");
        let told = not_restored(&service, true);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("1 MiB") && told[1].contains("folder"));

        let container = Container(
            serde_json::from_value(json!({"Mounts": [
                {"Type": "bind", "Source": small}, {"Type": "bind", "Source": large},
            ]}))
            .expect("an inspection"),
        );
        let kept = kept(&[container]);
        assert_eq!(kept.len(), 1);
        assert!(write_back(&kept).expect("nothing to do").is_empty());
        fs::write(&small, "two").expect("a file");
        assert_eq!(
            write_back(&kept).expect("written"),
            std::slice::from_ref(&small)
        );
        assert_eq!(fs::read_to_string(&small).expect("a file"), "one");
    }
}
