//! The files of the runtime that a platform file names: which they are, and their trees.

use std::path::{Path, PathBuf};

use super::Reading;
use crate::platform::{
    compose,
    described::Described,
    dotenv, kubernetes,
    problem::{Place, Problem, quoted},
    raw::{RawCompose, RawKubernetes, RawRuntime},
    read::{Placed, Read as _, Reader},
    validate::compose_files,
    variables::Variables,
    yaml::{self, Node},
};

/// Files of one platform; a folder of manifests has some hundred at most.
const MOST_FILES: usize = 500;

/// What was read, not yet interpreted: that waits until it is known whether the files are trusted.
#[derive(Debug, Default)]
pub struct RuntimeFiles {
    compose: Vec<Node>,
    profiles: Vec<String>,
    /// Of `.env` and `env_files`.
    variables: Vec<(String, String)>,
    pub manifests: Vec<Node>,
    pub unread: Vec<(Place, String)>,
}

impl RuntimeFiles {
    /// Every service that the files describe and that the runtime would start.
    pub fn described(&self, variables: &Variables, problems: &mut Vec<Problem>) -> Vec<Described> {
        let variables = variables.with_files(self.variables.iter().cloned());
        let project = compose::Project {
            files: &self.compose,
            variables: &variables,
        };
        let mut described = compose::described(&project, problems);
        for service in &mut described {
            service.is_inactive = !compose::is_active(service, &self.profiles);
        }
        described.extend(kubernetes::described(&self.manifests, problems));
        described
    }
}

/// Reads every file that `runtime` names.
pub fn read(root: &Node, folder: &Path, reading: &mut Reading) -> RuntimeFiles {
    let mut files = RuntimeFiles::default();
    let Some(node) = root.get("runtime") else {
        return files;
    };
    // Faults of these keys are told when the whole file is read.
    let nothing = Variables::default();
    let Some(raw) = RawRuntime::read(node, &mut Reader::new(&nothing, false)) else {
        return files;
    };
    if let Some(Placed { value, .. }) = &raw.compose {
        read_compose(
            value,
            compose_files(&raw, folder),
            folder,
            reading,
            &mut files,
        );
    }
    if let Some(Placed { value, .. }) = &raw.kubernetes {
        read_manifests(value, folder, reading, &mut files);
    }
    files
}

/// A Compose file without a platform file.
pub fn compose_alone(path: &Path, reading: &mut Reading) -> RuntimeFiles {
    let mut files = RuntimeFiles::default();
    let named = Placed {
        place: Place::default(),
        value: path.to_owned(),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    read_compose(
        &RawCompose::default(),
        vec![named],
        folder,
        reading,
        &mut files,
    );
    files
}

fn read_compose(
    raw: &RawCompose,
    named: Vec<Placed<PathBuf>>,
    folder: &Path,
    reading: &mut Reading,
    files: &mut RuntimeFiles,
) {
    files.profiles = raw
        .profiles
        .as_ref()
        .map(|profiles| profiles.value.clone())
        .unwrap_or_default();
    // Compose looks for `.env` beside the first file.
    let project_folder = named
        .first()
        .and_then(|file| file.value.parent())
        .map_or_else(|| folder.to_owned(), Path::to_owned);
    let mut seen: Vec<PathBuf> = Vec::new();
    // Compose refuses a service that an included file has too, so their order does not matter.
    let mut waiting: Vec<Placed<PathBuf>> = named.into_iter().rev().collect();
    while let Some(Placed { place, value: path }) = waiting.pop() {
        if seen.contains(&path) {
            continue;
        }
        if seen.len() == MOST_FILES {
            too_many(place, reading);
            return;
        }
        seen.push(path.clone());
        let Some((file, text)) = reading.named_text(&path, place) else {
            continue;
        };
        let Some(document) = reading.documents(file, &text).into_iter().next() else {
            continue;
        };
        let (included, foreign) = compose::included(&document);
        let beside = path.parent().unwrap_or(folder);
        for node in included {
            if let Some(name) = node.text() {
                if name.contains("://") || name.contains('$') {
                    files
                        .unread
                        .push((node.place, format!("`include` of {}", quoted(name))));
                } else {
                    waiting.push(Placed {
                        place: node.place,
                        value: beside.join(name),
                    });
                }
            }
        }
        for place in foreign {
            files
                .unread
                .push((place, "`extends` of another file".to_owned()));
        }
        files.compose.push(document);
    }
    match &raw.env_files {
        Some(named) => {
            for name in &named.value {
                if let Some((_, text)) = reading.named_text(&folder.join(&name.value), name.place) {
                    files.variables.extend(dotenv::variables(&text));
                }
            }
        }
        None => {
            let path = project_folder.join(".env");
            if path.is_file()
                && let Ok((_, text)) = reading.text(&path)
            {
                files.variables.extend(dotenv::variables(&text));
            }
        }
    }
}

fn read_manifests(
    raw: &RawKubernetes,
    folder: &Path,
    reading: &mut Reading,
    files: &mut RuntimeFiles,
) {
    for named in raw.manifests.iter().flat_map(|manifests| &manifests.value) {
        let path = folder.join(&named.value);
        let paths = if path.is_dir() {
            match manifests_in(&path) {
                Ok(paths) => paths,
                Err(error) => {
                    reading.problems.push(Problem::new(
                        named.place,
                        format!(
                            "the folder {} cannot be read: {error}",
                            quoted(&named.value)
                        ),
                        "",
                    ));
                    continue;
                }
            }
        } else {
            vec![path]
        };
        for path in paths {
            if reading.contents.len() > MOST_FILES {
                too_many(named.place, reading);
                return;
            }
            if let Some((file, text)) = reading.named_text(&path, named.place) {
                files.manifests.extend(reading.documents(file, &text));
            }
        }
    }
}

/// As `kubectl apply -f FOLDER` reads it: not below, in the order of names.
fn manifests_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_manifest = path
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json");
        if is_manifest && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn too_many(place: Place, reading: &mut Reading) {
    reading.problems.push(Problem::new(
        place,
        format!("more than {MOST_FILES} files belong to the platform"),
        "name fewer of them",
    ));
}

impl Reading {
    /// All documents of a file; its faults are noted.
    fn documents(&mut self, file: crate::platform::problem::FileId, text: &str) -> Vec<Node> {
        match yaml::documents(text, file) {
            Err(problem) => {
                self.problems.push(problem);
                Vec::new()
            }
            Ok((documents, mut problems)) => {
                self.problems.append(&mut problems);
                documents
            }
        }
    }
}
