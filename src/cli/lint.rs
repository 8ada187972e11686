//! `lint`: what is wrong with a platform file, and what it contradicts.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    output::{note, say},
};
use crate::platform::{
    self, Finding, Loaded, Problems, TrustedDigests, Variables, lint::FindingSeverity,
};

#[derive(Debug, Args)]
pub(super) struct LintArguments {
    /// The platform file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 where the file can be used, whatever it contradicts; 1 where it cannot.
pub(super) fn run(arguments: &LintArguments) -> Result<(), Failure> {
    // Nothing is run and nothing is sent here, and values of variables do not matter.
    let nothing = TrustedDigests::default();
    match platform::load(&arguments.file, &Variables::of_process(), &nothing) {
        Err(problems) => {
            if arguments.json {
                say(of_problems(&problems))?;
            } else {
                note(&problems);
                note(format!(
                    "{}: it cannot be used",
                    counted(problems.problems.len(), "fault")
                ));
            }
            Err(Failure::Said)
        }
        Ok(loaded) => {
            let findings = platform::lint(&loaded);
            if arguments.json {
                say(of_findings(&loaded, &findings))
            } else {
                text(&loaded, &findings)
            }
        }
    }
}

fn text(loaded: &Loaded, findings: &[Finding]) -> Result<(), Failure> {
    for finding in findings {
        say(format!(
            "{}: {} [{}] {}",
            loaded.files.show(finding.place),
            finding.severity.as_str(),
            finding.code,
            finding.message
        ))?;
    }
    let platform = &loaded.platform;
    let warnings = findings
        .iter()
        .filter(|finding| finding.severity == FindingSeverity::Warning)
        .count();
    say(format!(
        "{}: {}, {}; {} ({}, {})",
        platform.name,
        counted(platform.services.len(), "service"),
        counted(platform.phases.len(), "phase"),
        counted(findings.len(), "finding"),
        counted(warnings, "warning"),
        counted(findings.len() - warnings, "note"),
    ))
}

/// `1 service`, `2 services`.
pub(super) fn counted(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn of_problems(problems: &Problems) -> Value {
    let list: Vec<Value> = problems
        .problems
        .iter()
        .map(|problem| {
            json!({
                "file": problems.files.path(problem.place.file),
                "line": problem.place.line,
                "column": problem.place.column,
                "wrong": problem.wrong,
                "right": problem.right,
            })
        })
        .collect();
    json!({ "usable": false, "problems": list })
}

fn of_findings(loaded: &Loaded, findings: &[Finding]) -> Value {
    let list: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "code": finding.code,
                "severity": finding.severity.as_str(),
                "file": loaded.files.path(finding.place.file),
                "line": finding.place.line,
                "column": finding.place.column,
                "message": finding.message,
            })
        })
        .collect();
    json!({
        "usable": true,
        "platform": loaded.platform.name,
        "services": loaded.platform.services.len(),
        "phases": loaded.platform.phases.len(),
        "findings": list,
    })
}
