//! Whether a platform file may run what it says and send variables where it says.
//!
//! A platform file may come from a repository that somebody cloned. Looking at what it names is
//! harmless; commands, deployments and addresses that would get the value of a variable are not.
//! They wait until a person has seen them, and wait again after any change of any of its files.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use sha2::{Digest as _, Sha256};

use super::{load::Loaded, model::RuntimeKind, problem::quoted, variables::Expanded};
use crate::digest::hex;

/// Digest of a platform file with every file that it refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilesDigest(String);

impl FilesDigest {
    /// Of names and contents, in the order in which they were read.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a Path, &'a [u8])>) -> Self {
        let mut digest = Sha256::new();
        for (path, content) in files {
            let path = path.as_os_str().as_encoded_bytes();
            // Lengths before texts: no two lists of files read the same.
            digest.update((path.len() as u64).to_le_bytes());
            digest.update(path);
            digest.update((content.len() as u64).to_le_bytes());
            digest.update(content);
        }
        Self(format!("sha256:{}", hex(&digest.finalize())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilesDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What was given as a digest is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: write `sha256:` with 64 hexadecimal digits, as `trust FILE` shows it")]
pub struct NotADigest(String);

impl FromStr for FilesDigest {
    type Err = NotADigest;

    fn from_str(written: &str) -> Result<Self, NotADigest> {
        let folded = written.trim().to_ascii_lowercase();
        let is_digest = folded
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_digest {
            Ok(Self(folded))
        } else {
            Err(NotADigest(written.to_owned()))
        }
    }
}

/// Whether a person has allowed what a file runs and sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Nobody has been asked.
    #[default]
    NotAsked,
    /// It was trusted once, and has changed since.
    Changed,
    Trusted(FilesDigest),
}

/// A proof that the platform file is trusted. Who runs, deploys or sends takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit(FilesDigest);

impl Permit {
    /// The digest of the files that were trusted.
    pub fn digest(&self) -> &FilesDigest {
        &self.0
    }
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    #[error(
        "nobody has allowed this platform file to run commands: `openpolicy-mcp trust FILE` shows them and asks"
    )]
    NotAsked,
    #[error(
        "the platform file or a file that it refers to has changed since it was trusted: `openpolicy-mcp trust FILE` shows what it runs and asks again"
    )]
    Changed,
}

impl Trust {
    /// The proof that whoever runs something has to show.
    pub fn permit(&self) -> Result<Permit, Untrusted> {
        match self {
            Self::NotAsked => Err(Untrusted::NotAsked),
            Self::Changed => Err(Untrusted::Changed),
            Self::Trusted(digest) => Ok(Permit(digest.clone())),
        }
    }

    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted(_))
    }
}

/// The digests that were trusted: given at the start, or kept in a folder.
#[derive(Debug, Clone, Default)]
pub struct TrustedDigests {
    /// By `--trust sha256:…`.
    pub given: Vec<FilesDigest>,
    /// One file a platform file, with its path and digest.
    pub folder: Option<PathBuf>,
    /// What the binary itself made, as the demo does.
    pub everything: bool,
}

impl TrustedDigests {
    /// What this file may do.
    pub fn judge(&self, platform_file: &Path, digest: &FilesDigest) -> Trust {
        if self.everything || self.given.contains(digest) {
            return Trust::Trusted(digest.clone());
        }
        match self.kept(platform_file) {
            None => Trust::NotAsked,
            Some(kept) if kept == *digest => Trust::Trusted(kept),
            Some(_) => Trust::Changed,
        }
    }

    /// Keeps that a person has trusted these files.
    pub fn keep(&self, platform_file: &Path, digest: &FilesDigest) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "there is no state folder",
            ));
        };
        fs::create_dir_all(folder)?;
        let path = folder.join(file_name(platform_file));
        let aside = path.with_extension(format!("{}.new", std::process::id()));
        fs::write(&aside, format!("{digest}\n{}\n", platform_file.display()))?;
        fs::rename(&aside, &path)
    }

    /// Takes trust away; whether there was any.
    pub fn forget(&self, platform_file: &Path) -> io::Result<bool> {
        let Some(folder) = &self.folder else {
            return Ok(false);
        };
        match fs::remove_file(folder.join(file_name(platform_file))) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where the trust of a file is kept; it need not be there.
    pub fn place_of(&self, platform_file: &Path) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(file_name(platform_file)))
    }

    fn kept(&self, platform_file: &Path) -> Option<FilesDigest> {
        let kept = fs::read_to_string(self.place_of(platform_file)?).ok()?;
        kept.lines().next()?.parse().ok()
    }
}

/// The folder of trusted digests inside the state folder.
pub fn folder_in(state: &Path) -> PathBuf {
    state.join("trust")
}

/// What waits for trust, one line each: what a person has to see before allowing it. Texts stand
/// as they are written, so that no value of a variable is shown.
pub fn wishes(loaded: &Loaded) -> Vec<String> {
    let mut lines = Vec::new();
    let raw = &loaded.raw;
    let files: Vec<String> = loaded
        .files
        .iter()
        .map(|path| quoted(&path.display().to_string()))
        .collect();
    match &loaded.platform.runtime {
        RuntimeKind::None => {}
        RuntimeKind::Process => lines.push("starts and stops local processes".to_owned()),
        RuntimeKind::Compose { project, .. } => lines.push(format!(
            "deploys with Docker Compose, project {}",
            quoted(project.as_deref().unwrap_or("(named after the folder)"))
        )),
        RuntimeKind::Kubernetes {
            context,
            kubeconfig,
            namespace,
            ..
        } => {
            let file = kubeconfig
                .as_ref()
                .map(|path| format!(" of {}", quoted(&path.display().to_string())));
            lines.push(format!(
                "deploys to Kubernetes, context {}{}, namespace {}",
                quoted(context.as_deref().unwrap_or("(the current one)")),
                file.unwrap_or_default(),
                quoted(namespace)
            ));
        }
    }
    let written = |words: &[Expanded]| {
        let words: Vec<&str> = words.iter().map(|word| word.written.as_str()).collect();
        shown_whole(&words.join(" "))
    };
    for (name, service) in raw.services.iter().flat_map(|services| &services.value.0) {
        if let Some(command) = &service.command {
            lines.push(format!(
                "{} runs: {}",
                quoted(&name.value),
                written(&command.value)
            ));
        }
    }
    for phase in raw.phases.iter().flat_map(|phases| &phases.value) {
        let name = phase.name.as_ref().map_or("", |name| name.value.as_str());
        let hooks = phase
            .before
            .iter()
            .chain(&phase.after)
            .flat_map(|hooks| &hooks.value);
        for hook in hooks {
            if let Some(exec) = hook.exec.as_ref().map(|exec| &exec.value) {
                let service = exec
                    .service
                    .as_ref()
                    .map_or("", |name| name.value.value.as_str());
                let command = exec.command.as_ref().map_or(&[][..], |words| &words.value);
                lines.push(format!(
                    "phase {} runs in {}: {}",
                    quoted(name),
                    quoted(service),
                    written(command)
                ));
            }
            let url = hook.http.as_ref().and_then(|call| call.value.url.as_ref());
            if let Some(url) = url {
                lines.push(format!(
                    "phase {} calls {}",
                    quoted(name),
                    shown_whole(&url.value.written)
                ));
            }
            if let Some(check) = &hook.check {
                lines.push(format!(
                    "phase {} checks with: {}",
                    quoted(name),
                    written(&check.value)
                ));
            }
        }
    }
    let named = raw.catalog.as_ref();
    let named = named.and_then(|catalog| catalog.value.openmetadata.as_ref());
    if let Some(url) = named.and_then(|named| named.value.0.url.as_ref()) {
        lines.push(format!(
            "asks OpenMetadata at {} with the credential of this server or of the file",
            shown_whole(&url.value.written)
        ));
    }
    let toolsets = raw.toolsets.iter().flat_map(|toolsets| &toolsets.value);
    let toolsets: Vec<String> = toolsets.map(|name| quoted(&name.value)).collect();
    if !toolsets.is_empty() {
        lines.push(format!("lists the toolsets {}", toolsets.join(", ")));
    }
    lines.extend(loaded.sends.iter().map(|(place, text, variables)| {
        let to = shown_whole(text);
        let what = variables.join(", ");
        format!("line {}: {to} gets {what}", place.line)
    }));
    lines.push(format!("files: {}", files.join(", ")));
    lines
}

/// Everything that would be run stands there: nothing is cut, and nothing hides.
fn shown_whole(text: &str) -> String {
    let shown: String = text
        .chars()
        .flat_map(|character| {
            let is_plain = character.is_ascii_graphic() || character == ' ';
            let escaped: Vec<char> = if is_plain || character.is_alphanumeric() {
                vec![character]
            } else {
                character.escape_unicode().collect()
            };
            escaped
        })
        .collect();
    format!("`{shown}`")
}

/// The name under which the trust of a file is kept: a digest of its absolute path.
fn file_name(platform_file: &Path) -> String {
    let absolute = fs::canonicalize(platform_file).unwrap_or_else(|_| platform_file.to_owned());
    let digest = FilesDigest::of([(absolute.as_path(), &[] as &[u8])]);
    digest.as_str().replace("sha256:", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_file_asks_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("platform.yaml");
        fs::write(&file, "platform: x").expect("a file");
        let trusted = TrustedDigests {
            folder: Some(folder.path().join("trust")),
            ..TrustedDigests::default()
        };
        let first = FilesDigest::of([(file.as_path(), b"platform: x".as_slice())]);
        let other = FilesDigest::of([(file.as_path(), b"platform: y".as_slice())]);
        assert_eq!(trusted.judge(&file, &first), Trust::NotAsked);
        trusted.keep(&file, &first).expect("it is kept");
        assert!(trusted.judge(&file, &first).permit().is_ok());
        assert_eq!(
            trusted.judge(&file, &other).permit(),
            Err(Untrusted::Changed)
        );
        assert!(trusted.forget(&file).expect("it is forgotten"));
        assert_eq!(trusted.judge(&file, &first), Trust::NotAsked);
    }

    #[test]
    fn a_digest_that_is_given_is_enough_for_a_container() {
        let digest = FilesDigest::of([(Path::new("p"), b"x".as_slice())]);
        let trusted = TrustedDigests {
            given: vec![digest.as_str().to_uppercase().parse().expect("a digest")],
            ..TrustedDigests::default()
        };
        assert!(trusted.judge(Path::new("p"), &digest).is_trusted());
        assert!("sha256:12".parse::<FilesDigest>().is_err());
    }

    #[test]
    fn files_cannot_be_shifted_into_each_other() {
        let one = FilesDigest::of([(Path::new("ab"), b"c".as_slice())]);
        let other = FilesDigest::of([(Path::new("a"), b"bc".as_slice())]);
        assert_ne!(one, other);
    }
}
