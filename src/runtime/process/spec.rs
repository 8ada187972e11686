//! What a keeper is told to run, read from the platform file.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{digest, platform::Service, runtime::Problem};

/// Variables that a child gets from the environment of whoever applies it: where programs are, who
/// and in which language. Nothing else of it.
const INHERITED: [&str; 8] = [
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM",
];

/// Names that begin so are our own settings and credentials; they are for no child.
const OWN: [&str; 2] = ["OPENPOLICY_", "OPENMETADATA_"];

/// Where programs are if nobody says.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program of this name is this binary itself, wherever it lies.
const SELF: &str = "openpolicy-mcp";

/// How one service is run. It may hold secrets: it goes over a pipe, and to disk with mode 0600.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spec {
    pub service: String,
    /// Program and arguments.
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// Variables that the platform file names without a value, which come from the environment of
    /// whoever applies it. They are never written to disk.
    pub passed: Vec<String>,
    pub folder: Option<PathBuf>,
    /// Bytes of anonymous and shared memory above which it is ended.
    pub memory: Option<u64>,
    pub is_one_shot: bool,
    pub tuning: Tuning,
}

/// Numbers that tests make small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// Before the first restart; doubled with each that follows.
    pub first_pause_ms: u64,
    pub longest_pause_ms: u64,
    /// A service that ran for so long begins again with the first pause.
    pub settled_ms: u64,
    /// Between two looks at its memory.
    pub look_ms: u64,
    /// A log file is followed by the next at this size.
    pub log_file_bytes: u64,
    /// Log files that are kept.
    pub log_files: u64,
}

impl Default for Tuning {
    /// Docker's restart policy settles after 10 s too.
    fn default() -> Self {
        Self {
            first_pause_ms: 500,
            longest_pause_ms: 30_000,
            settled_ms: 10_000,
            look_ms: 1_000,
            log_file_bytes: 4 << 20,
            log_files: 4,
        }
    }
}

impl Spec {
    pub(super) fn of(
        service: &Service,
        folder: Option<PathBuf>,
        tuning: Tuning,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Problem> {
        let refused = |reason: String| Problem::NotDescribed {
            service: service.name.0.clone(),
            reason,
        };
        let Some(program) = service.command.first().filter(|name| !name.is_empty()) else {
            return Err(refused(
                "the platform file gives it no `command` (program and arguments)".into(),
            ));
        };
        let mut command = service.command.clone();
        if program == SELF {
            command[0] = "/proc/self/exe".into();
        }
        let mut environment: BTreeMap<String, String> = INHERITED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), variable(name)?)))
            .collect();
        environment
            .entry("PATH".into())
            .or_insert_with(|| DEFAULT_PATH.into());
        let mut passed = Vec::new();
        for (name, value) in &service.environment {
            let value = match value {
                Some(value) => value.clone(),
                None if OWN.iter().any(|own| name.starts_with(own)) => {
                    return Err(refused(format!(
                        "the variable {name} is a setting of this server and is given to no service"
                    )));
                }
                None => {
                    passed.push(name.clone());
                    match variable(name) {
                        Some(value) => value,
                        None => continue,
                    }
                }
            };
            environment.insert(name.clone(), value);
        }
        Ok(Self {
            service: service.name.0.clone(),
            command,
            environment,
            passed,
            folder,
            memory: service.memory.map(|memory| memory.0),
            is_one_shot: service.is_one_shot,
            tuning,
        })
    }

    /// Of everything that the platform file says; two equal ones need no restart.
    pub(super) fn digest(&self) -> String {
        let mut bare = self.without_passed();
        for name in INHERITED {
            bare.environment.remove(name);
        }
        let text = serde_json::to_string(&bare).unwrap_or_default();
        digest::short(text, 16)
    }

    /// As it may stand on disk.
    pub(super) fn without_passed(&self) -> Self {
        let mut bare = self.clone();
        for name in &self.passed {
            bare.environment.remove(name);
        }
        bare
    }

    /// With the values that do not stand on disk.
    pub(super) fn with_passed(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        for name in &self.passed {
            if let Some(value) = variable(name) {
                self.environment.insert(name.clone(), value);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        let known = [
            ("PATH", "/bin"),
            ("API_PASSWORD", "from outside"),
            ("OPENMETADATA_TOKEN", "our own"),
            ("AWS_SECRET_ACCESS_KEY", "not asked for"),
        ];
        let found = known.iter().find(|(known, _)| *known == name)?;
        Some(found.1.to_owned())
    }

    fn service(environment: &[(&str, Option<&str>)]) -> Service {
        let mut service = Service::named("api");
        service.command = vec!["openpolicy-mcp".into(), "stand-in".into()];
        service.environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
            .collect();
        service
    }

    #[test]
    fn a_child_gets_what_the_file_says_and_no_secret_of_ours() {
        let service = service(&[("PORT", Some("80")), ("API_PASSWORD", None)]);
        let spec = Spec::of(&service, None, Tuning::default(), variable).expect("a command");
        let names: Vec<_> = spec.environment.keys().map(String::as_str).collect();
        assert_eq!(names, ["API_PASSWORD", "PATH", "PORT"]);
        assert_eq!(spec.environment["API_PASSWORD"], "from outside");
        assert!(!format!("{:?}", spec.without_passed()).contains("from outside"));

        let service = self::service(&[("OPENMETADATA_TOKEN", None)]);
        let refused = Spec::of(&service, None, Tuning::default(), variable);
        assert!(
            refused
                .expect_err("ours")
                .to_string()
                .contains("OPENMETADATA_TOKEN")
        );
    }

    #[test]
    fn the_digest_is_of_the_file_and_not_of_who_applies_it() {
        let of = |service: &Service, path: &str| {
            let path = path.to_owned();
            let spec = Spec::of(service, None, Tuning::default(), |name| {
                (name == "PATH").then(|| path.clone())
            });
            spec.expect("a command").digest()
        };
        let plain = service(&[]);
        assert_eq!(of(&plain, "/bin"), of(&plain, "/usr/bin"));
        assert_ne!(
            of(&plain, "/bin"),
            of(&service(&[("A", Some("1"))]), "/bin")
        );
    }

    #[test]
    fn without_a_command_it_says_what_is_missing() {
        let refused = Spec::of(&Service::named("db"), None, Tuning::default(), variable);
        assert!(
            refused
                .expect_err("no command")
                .to_string()
                .contains("`command`")
        );
    }
}
