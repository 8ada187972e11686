//! The platform file as its author meets it: what is wrong with it, where, and what would be right.

mod commands;
mod compose;
mod faults;
mod fuzz;
mod kubernetes;
mod lint;
mod manifests;
mod overlay;
mod served;
mod trust;

use std::{fs, path::PathBuf};

use openpolicy_mcp::platform::{self, Loaded, Problems, TrustedDigests, Variables};
use tempfile::TempDir;

/// A folder with files, the platform file among them.
pub struct Folder {
    folder: TempDir,
    variables: Vec<(String, String)>,
    trusted: TrustedDigests,
}

impl Folder {
    /// A folder with this as `platform.yaml`, which is trusted.
    pub fn with(platform: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("platform.yaml"), platform).expect("a file");
        Self {
            folder,
            variables: Vec::new(),
            trusted: TrustedDigests {
                everything: true,
                ..TrustedDigests::default()
            },
        }
    }

    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn untrusted(mut self) -> Self {
        self.trusted = TrustedDigests::default();
        self
    }

    pub fn trusting(mut self, trusted: TrustedDigests) -> Self {
        self.trusted = trusted;
        self
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("platform.yaml")
    }

    pub fn try_load(&self) -> Result<Loaded, Problems> {
        let variables: Variables = self.variables.iter().cloned().collect();
        platform::load(&self.path(), &variables, &self.trusted)
    }

    pub fn load(&self) -> Loaded {
        self.try_load()
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// `line:column: message`, of other files than the platform file with their name.
    pub fn faults(&self) -> Vec<String> {
        let problems = self.try_load().expect_err("the file has faults");
        let folder = self.folder.path().display().to_string();
        problems
            .to_string()
            .replace(&format!("{folder}/platform.yaml:"), "")
            .replace(&format!("{folder}/"), "")
            .lines()
            .map(str::to_owned)
            .collect()
    }
}
