//! Airflow: its scheduler and its database, by the health paths of versions 2 and 3.
//!
//! Sources: the pages "Checking Airflow Health Status" of the documentations of versions 2 and 3.

use secrecy::SecretString;
use serde_json::Value;

use super::{Findings, Look, Looked, web, web::Site, words};

/// The path of version 3, then that of version 2. Version 2 answers 404 for the first; the web
/// interface of version 3 answers HTML for what it does not know.
const PATHS: [(&str, &str); 2] = [("/api/v2/monitor/health", "3"), ("/health", "2")];

pub(super) async fn look(address: &SecretString, look: &Look<'_>) -> Looked {
    let mut site = Site::of(address, &[])?;
    let path = site.url.path().trim_end_matches('/').to_owned();
    // People give the path with the address. The longest first.
    let known = ["/api/v2/monitor/health", "/api/v1/health", "/health"];
    let base = known.iter().find_map(|known| path.strip_suffix(known));
    site.url.set_path(base.unwrap_or(&path));
    let mut last = None;
    for (path, version) in PATHS {
        let answer = site.get(site.below(path), look).await?;
        if let Some(refused) = site.refusal(&answer.reply) {
            return Ok(refused);
        }
        if let Ok(health) = web::json(&answer)
            && health.get("metadatabase").is_some()
        {
            return Ok(of_health(&health, version));
        }
        last = Some(answer.reply.status);
    }
    let status = last.unwrap_or_default();
    Ok(Findings::failed(match status {
        500..=599 => format!("it answers HTTP {status}: look at the log of its web server"),
        _ => format!(
            "{} answers (HTTP {status}), and neither of Airflow's health paths is there: is this \
             Airflow?",
            site.place()
        ),
    }))
}

fn of_health(health: &Value, version: &str) -> Findings {
    let status = |part: &str| {
        health
            .pointer(&format!("/{part}/status"))
            .and_then(Value::as_str)
    };
    let mut findings = Findings::passed();
    // Without one of the two nothing runs.
    for (part, next) in [
        ("metadatabase", "look at the database that it uses"),
        (
            "scheduler",
            "look whether its scheduler runs, and at its log",
        ),
    ] {
        match status(part) {
            Some("healthy") => {}
            Some(said) => {
                findings = Findings::failed(format!(
                    "it says that its {part} is {}: {next}",
                    words::quoted(said)
                ));
                break;
            }
            None => {
                findings = Findings::failed(format!(
                    "it says nothing of its {part}, which is never seen then: {next}"
                ));
                break;
            }
        }
    }
    // Absent or null where they are not deployed.
    for part in ["triggerer", "dag_processor"] {
        if let Some(said) = status(part).filter(|said| *said != "healthy") {
            findings.impair(format!(
                "it says that its {part} is {}: look whether it runs",
                words::quoted(said)
            ));
        }
    }
    findings.fact("airflow", version);
    let beat = health.pointer("/scheduler/latest_scheduler_heartbeat");
    if let Some(beat) = beat.and_then(Value::as_str) {
        findings.fact("scheduler_heartbeat", words::quoted(beat));
    }
    findings
}
