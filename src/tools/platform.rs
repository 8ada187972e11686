//! What the platform tools share: naming services, saying what an answer rests on.

use std::time::Duration;

use serde_json::Value;

use super::{Context, ErrorCode, ToolError, arguments::near};
use crate::{
    answer::Answer,
    health::Watch,
    platform::{Phase, Platform, Service},
};

/// The services that `services` and `phase` name; all of them without either.
pub fn chosen<'a>(
    platform: &'a Platform,
    services: Option<&[String]>,
    phase: Option<&str>,
) -> Result<Vec<&'a Service>, ToolError> {
    match (services, phase) {
        (Some(_), Some(_)) => Err(ToolError::invalid(
            "phase",
            "both `services` and `phase` are given",
            "give one of them, or neither for all services",
        )),
        (Some(names), None) => {
            let mut chosen: Vec<&Service> = Vec::new();
            for name in names {
                let service = self::service(platform, "services", name)?;
                if !chosen.iter().any(|other| other.name == service.name) {
                    chosen.push(service);
                }
            }
            Ok(chosen)
        }
        (None, Some(name)) => {
            let phase = self::phase(platform, name)?;
            Ok(phase
                .steps
                .iter()
                .flatten()
                .filter_map(|name| platform.service(&name.0))
                .collect())
        }
        (None, None) => Ok(platform.services.iter().collect()),
    }
}

/// The service of the platform that an argument `service` means, where no `entity` is given: names
/// of the platform go before those of the catalog's services.
pub fn meant<'a>(
    context: &'a Context,
    service: Option<&str>,
    entity: Option<&str>,
) -> Option<&'a Service> {
    let name = service.filter(|_| entity.is_none())?;
    context.platform().ok()?.platform().service(name)
}

/// The service of this name or alias.
pub fn service<'a>(
    platform: &'a Platform,
    argument: &str,
    written: &str,
) -> Result<&'a Service, ToolError> {
    platform.service(written).ok_or_else(|| {
        let names = platform.services.iter().flat_map(|service| {
            std::iter::once(service.name.0.as_str())
                .chain(service.aliases.iter().map(String::as_str))
        });
        ToolError::new(
            ErrorCode::NotFound,
            format!("the platform {} has no service `{written}`", platform.name),
        )
        .about(argument)
        .did_you_mean(near(written, names))
        .then("get_platform lists the services; container names are understood too")
    })
}

/// The phase of this name or number.
pub fn phase<'a>(platform: &'a Platform, written: &str) -> Result<&'a Phase, ToolError> {
    platform.phase(written).ok_or_else(|| {
        let names = platform.phases.iter().map(|phase| phase.name.as_str());
        let all: Vec<&str> = names.clone().collect();
        ToolError::new(
            ErrorCode::NotFound,
            format!("the platform {} has no phase `{written}`", platform.name),
        )
        .about("phase")
        .did_you_mean(near(written, names))
        .then(if all.is_empty() {
            "its file gives no phases".to_owned()
        } else {
            format!("phases are: {} (or by number, from 1)", all.join(", "))
        })
    })
}

/// Says what the answer rests on, where that is less than a reader would think.
pub fn put_provenance(answer: &mut Answer, watch: &Watch) {
    if let Some(reason) = watch.not_kept() {
        answer.warn(format!("health history is not kept: {reason}"));
    }
    for note in watch.notes() {
        answer.warn(note);
    }
}

/// Names, the rest of them counted.
pub fn some(names: &[String], most: usize) -> Value {
    let mut some: Vec<Value> = names
        .iter()
        .take(most)
        .map(|name| name.as_str().into())
        .collect();
    if names.len() > most {
        some.push(format!("and {} more", names.len() - most).into());
    }
    some.into()
}

/// Whole milliseconds; one decimal below ten.
pub fn milliseconds(time: Option<Duration>) -> Value {
    let Some(time) = time else {
        return Value::Null;
    };
    let milliseconds = time.as_secs_f64() * 1_000.0;
    if milliseconds < 9.95 {
        ((milliseconds * 10.0).round() / 10.0).into()
    } else {
        (milliseconds.round() as u64).into()
    }
}

/// The name of the phase that deploys a service.
pub fn phase_of<'a>(platform: &'a Platform, service: &Service) -> Option<&'a str> {
    let phase = platform.phases.iter().find(|phase| {
        phase
            .steps
            .iter()
            .flatten()
            .any(|name| *name == service.name)
    })?;
    Some(&phase.name)
}
