//! What a platform file contradicts, although it can be used.
//!
//! Lint never reads a file, a clock or the network: it looks at what was loaded.

mod amounts;
mod manifests;
mod mesh;
mod phases;
mod secrets;
mod services;
mod stated;
mod written;

use std::collections::HashMap;

use super::{
    load::Loaded,
    model::{Phase, Platform, Service, ServiceName},
    problem::Place,
    raw::RawPhase,
};

/// One contradiction, gap or doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable from version to version.
    pub code: &'static str,
    pub severity: FindingSeverity,
    pub place: Place,
    /// A sentence that names what is concerned.
    pub message: String,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingSeverity {
    /// Good to know.
    Note,
    /// Something will not go as the file says.
    Warning,
}

impl FindingSeverity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }
}

/// All findings, in the order of the files.
pub fn lint(loaded: &Loaded) -> Vec<Finding> {
    let mut linter = Linter::new(loaded);
    services::look(&mut linter);
    secrets::look(&mut linter);
    phases::look(&mut linter);
    stated::look(&mut linter);
    manifests::look(&mut linter);
    let mut findings = linter.findings;
    findings.sort_by(|one, other| {
        (one.place, one.code, &one.message).cmp(&(other.place, other.code, &other.message))
    });
    findings.dedup();
    findings
}

/// What is looked at, and what was found.
struct Linter<'a> {
    loaded: &'a Loaded,
    platform: &'a Platform,
    /// The phase of each service, counted from 0, and its step.
    phase_of: HashMap<&'a ServiceName, (usize, usize)>,
    by_name: HashMap<&'a ServiceName, &'a Service>,
    findings: Vec<Finding>,
}

impl<'a> Linter<'a> {
    fn new(loaded: &'a Loaded) -> Self {
        let platform = &loaded.platform;
        let mut phase_of = HashMap::new();
        for (number, phase) in platform.phases.iter().enumerate() {
            for (step, names) in phase.steps.iter().enumerate() {
                for name in names {
                    phase_of.insert(name, (number, step));
                }
            }
        }
        Self {
            loaded,
            platform,
            phase_of,
            by_name: platform
                .services
                .iter()
                .map(|service| (&service.name, service))
                .collect(),
            findings: Vec::new(),
        }
    }

    fn warn(&mut self, code: &'static str, place: Place, message: String) {
        self.push(code, FindingSeverity::Warning, place, message);
    }

    fn note(&mut self, code: &'static str, place: Place, message: String) {
        self.push(code, FindingSeverity::Note, place, message);
    }

    fn push(
        &mut self,
        code: &'static str,
        severity: FindingSeverity,
        place: Place,
        message: String,
    ) {
        self.findings.push(Finding {
            code,
            severity,
            place,
            message,
        });
    }

    /// Phases with what was written of them.
    fn phases(&self) -> impl Iterator<Item = (usize, &'a Phase, &'a RawPhase)> + use<'a> {
        let written = self
            .loaded
            .raw
            .phases
            .iter()
            .flat_map(|phases| &phases.value);
        self.platform
            .phases
            .iter()
            .zip(written)
            .enumerate()
            .map(|(number, (phase, raw))| (number, phase, raw))
    }

    fn services_of(&self, phase: &'a Phase) -> Vec<&'a Service> {
        phase
            .steps
            .iter()
            .flatten()
            .filter_map(|name| self.by_name.get(name).copied())
            .collect()
    }

    /// The services of this phase and all before it.
    fn services_through(&self, number: usize) -> Vec<&'a Service> {
        self.platform
            .phases
            .iter()
            .take(number + 1)
            .flat_map(|phase| self.services_of(phase))
            .collect()
    }
}

/// Where a key of a service stands, else the service itself.
fn place_of(service: &Service, key: &str) -> Place {
    let of = |wanted: &str| {
        service
            .sources
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, place)| *place)
    };
    of(key).or_else(|| of("name")).unwrap_or_default()
}

/// `` `a`, `b` and `c` ``.
fn listed<Name: std::fmt::Display>(names: impl IntoIterator<Item = Name>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}
