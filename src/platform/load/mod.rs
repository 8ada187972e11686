//! From the path of a platform file to a `Platform`, or to everything that is wrong with it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    described::Described,
    model::Platform,
    overlay,
    problem::{FileId, Files, Place, Problem, Problems, quoted},
    raw::RawPlatform,
    read::{Read as _, Reader},
    trust::{FilesDigest, TrustedDigests},
    validate::{self, Surroundings},
    variables::Variables,
    yaml::{self, LONGEST_FILE, Node},
};

mod runtime_files;

/// Platform files that are laid over each other: an environment, and what it shares.
const MOST_LAYERS: usize = 4;

/// A platform with what only `lint` and `trust` need.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub platform: Platform,
    /// As it was written.
    pub raw: RawPlatform,
    /// What Compose files and manifests say.
    pub described: Vec<Described>,
    /// Every document of the manifests.
    pub manifests: Vec<Node>,
    /// What those files refer to that is not read, such as `extends` of another file.
    pub unread: Vec<(Place, String)>,
    /// Texts that take values of variables or of secret files, with the names of these.
    pub sends: Vec<(Place, String, Vec<String>)>,
    /// Every file that was read, by the names that places use.
    pub files: Files,
    /// Of all of them; what trust binds.
    pub digest: FilesDigest,
}

/// Reads a platform file with everything that it refers to, and checks all of it.
pub fn load(
    path: &Path,
    variables: &Variables,
    trusted: &TrustedDigests,
) -> Result<Loaded, Problems> {
    let mut reading = Reading::default();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let (file, text) = match reading.text(path) {
        Ok(found) => found,
        Err(reason) => {
            let file = reading.files.add(path.to_owned());
            let place = Place {
                file,
                ..Place::default()
            };
            reading.problems.push(Problem::new(place, reason, ""));
            return Err(reading.into_problems());
        }
    };
    let root = reading.document(file, &text);
    let Some(root) = root.and_then(|root| reading.laid_over(root, path, &folder)) else {
        return Err(reading.into_problems());
    };
    let runtime = runtime_files::read(&root, &folder, &mut reading);
    let digest = reading.digest(&folder);
    let trust = trusted.judge(path, &digest);
    let withheld;
    let variables = if trust.is_trusted() {
        variables
    } else {
        withheld = variables.withheld();
        &withheld
    };
    let described = runtime.described(variables, &mut reading.problems);
    let mut reader = Reader::new(variables, trust.is_trusted());
    let raw = RawPlatform::read(&root, &mut reader).unwrap_or_default();
    let around = Surroundings {
        folder: &folder,
        trust,
        described: &described,
    };
    let platform = validate::platform(&raw, &around, &mut reader);
    reading.problems.append(&mut reader.problems);
    if reading.problems.is_empty() {
        Ok(Loaded {
            platform,
            raw,
            described,
            manifests: runtime.manifests,
            unread: runtime.unread,
            sends: reader.sends,
            files: reading.files,
            digest,
        })
    } else {
        Err(reading.into_problems())
    }
}

/// What a Compose file says by itself, for a first draft of a platform file. Values of variables
/// of this process are not read.
pub fn describe_compose(path: &Path) -> Result<Vec<Described>, Problems> {
    let mut reading = Reading::default();
    let runtime = runtime_files::compose_alone(path, &mut reading);
    let variables = Variables::of_process().withheld();
    let described = runtime.described(&variables, &mut reading.problems);
    if reading.problems.is_empty() {
        Ok(described)
    } else {
        Err(reading.into_problems())
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    files: Files,
    contents: Vec<(PathBuf, Vec<u8>)>,
    problems: Vec<Problem>,
}

impl Reading {
    fn into_problems(self) -> Problems {
        Problems::new(self.files, self.problems)
    }

    /// The text of a file, or why there is none.
    fn text(&mut self, path: &Path) -> Result<(FileId, String), String> {
        let content =
            read_bounded(path).map_err(|error| format!("the file cannot be read: {error}"))?;
        let text = String::from_utf8(content.clone())
            .map_err(|_| "the file is not UTF-8 text: save it as UTF-8".to_owned())?;
        self.contents.push((path.to_owned(), content));
        Ok((self.files.add(path.to_owned()), text))
    }

    /// The text of a file that another file names at a place.
    fn named_text(&mut self, path: &Path, named_at: Place) -> Option<(FileId, String)> {
        let found = self.text(path);
        found
            .map_err(|reason| {
                let shown = quoted(&path.display().to_string());
                self.problems
                    .push(Problem::new(named_at, format!("{shown}: {reason}"), ""));
            })
            .ok()
    }

    /// The one document of a platform file.
    fn document(&mut self, file: FileId, text: &str) -> Option<Node> {
        match yaml::documents(text, file) {
            Err(problem) => {
                self.problems.push(problem);
                None
            }
            Ok((documents, mut problems)) => {
                self.problems.append(&mut problems);
                let mut documents = documents.into_iter();
                let first = documents.next();
                if let Some(second) = documents.next() {
                    self.problems.push(Problem::new(
                        second.place,
                        "a second document begins here (`---`)",
                        "a platform file is one document",
                    ));
                }
                if first.is_none() {
                    let place = Place {
                        file,
                        line: 1,
                        column: 1,
                    };
                    self.problems.push(Problem::new(
                        place,
                        "the file is empty",
                        "write `platform: name` and `services`",
                    ));
                }
                first
            }
        }
    }

    /// This file over the one that it extends, and that over the one that it extends.
    fn laid_over(&mut self, root: Node, path: &Path, folder: &Path) -> Option<Node> {
        let mut layers = vec![root];
        let mut names: Vec<PathBuf> = path.file_name().map(PathBuf::from).into_iter().collect();
        while let Some(extends) = layers
            .last()
            .and_then(|layer| layer.get("extends"))
            .cloned()
        {
            let fault = |wrong: String, right: &str| Problem::new(extends.place, wrong, right);
            let named = extends.text().map(PathBuf::from);
            let Some(name) =
                named.filter(|name| name.components().count() == 1 && name.file_name().is_some())
            else {
                self.problems.push(fault(
                    "`extends` is the name of one file in the same folder".to_owned(),
                    "write `extends: platform.yaml`; paths in it count from that folder",
                ));
                return None;
            };
            if names.contains(&name) {
                let shown = quoted(&name.display().to_string());
                self.problems
                    .push(fault(format!("{shown} extends itself in the end"), ""));
                return None;
            }
            if names.len() >= MOST_LAYERS {
                self.problems.push(fault(
                    format!("more than {MOST_LAYERS} files are laid over each other here"),
                    "",
                ));
                return None;
            }
            let (file, text) = self.named_text(&folder.join(&name), extends.place)?;
            layers.push(self.document(file, &text)?);
            names.push(name);
        }
        layers.into_iter().rev().reduce(overlay::laid_over)
    }

    /// Paths relative to the platform file: the same files elsewhere have the same digest.
    fn digest(&self, folder: &Path) -> FilesDigest {
        FilesDigest::of(self.contents.iter().map(|(path, content)| {
            let path = path.strip_prefix(folder).unwrap_or(path);
            (path, content.as_slice())
        }))
    }
}

/// A file that is no larger than a platform file may be; devices and pipes are none.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut content = Vec::new();
    // One byte more than is allowed shows that there is more.
    let bound = LONGEST_FILE as u64 + 1;
    fs::File::open(path)?
        .take(bound)
        .read_to_end(&mut content)?;
    if content.len() > LONGEST_FILE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it has more than {} kB", LONGEST_FILE / 1024),
        ));
    }
    Ok(content)
}
