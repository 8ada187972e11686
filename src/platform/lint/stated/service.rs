//! What a document says of a service in another place against what the file says of it.

use super::{Linter, listed, words};
use crate::platform::{model::Service, problem::Place, raw::RawServiceStatement, standards};

pub(super) fn look(service: &Service, statement: &RawServiceStatement, linter: &mut Linter<'_>) {
    let said = words(statement.text.as_ref());
    let mut differs = |key: &str, place: Place, stated: String, ours: String| {
        linter.warn(
            "stated-service-differs",
            place,
            format!(
                "in another place{said} the document states {stated} as `{key}` of `{}`; here it is {ours}",
                service.name
            ),
        );
    };
    if let Some(port) = &statement.port
        && !service.ports.contains(&port.value)
    {
        let ours: Vec<String> = service.ports.iter().map(ToString::to_string).collect();
        differs(
            "port",
            port.place,
            port.value.to_string(),
            or_none(ours.join(", ")),
        );
    }
    if let Some(memory) = &statement.memory
        && service.memory != Some(memory.value.to)
    {
        let ours = service.memory.map(|memory| memory.to_string());
        differs(
            "memory",
            memory.place,
            memory.value.to.to_string(),
            or_none(ours.unwrap_or_default()),
        );
    }
    if let Some(cpu) = &statement.cpu
        && service.cpu != Some(cpu.value.to)
    {
        let ours = service.cpu.map(|cpu| cpu.to_string());
        differs(
            "cpu",
            cpu.place,
            cpu.value.to.to_string(),
            or_none(ours.unwrap_or_default()),
        );
    }
    if let Some(replicas) = &statement.replicas
        && service.replicas != Some((replicas.value.from, replicas.value.to))
    {
        let show = |(from, to): (u32, u32)| {
            if from == to {
                from.to_string()
            } else {
                format!("{from}-{to}")
            }
        };
        let ours = service.replicas.map(show);
        let stated = show((replicas.value.from, replicas.value.to));
        differs(
            "replicas",
            replicas.place,
            stated,
            or_none(ours.unwrap_or_default()),
        );
    }
    if let Some(path) = &statement.documented_path
        && standards::health_path(service).as_ref() != Some(&path.value)
    {
        let ours = standards::health_path(service);
        differs(
            "documented_path",
            path.place,
            path.value.clone(),
            or_none(ours.unwrap_or_default()),
        );
    }
    if let Some(needs) = &statement.needs {
        let mut stated: Vec<String> = needs.value.iter().map(|name| name.value.clone()).collect();
        let mut ours: Vec<String> = service.needs.iter().map(|name| name.0.clone()).collect();
        stated.sort();
        ours.sort();
        if stated != ours {
            differs("needs", needs.place, listed(stated), listed(ours));
        }
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        text
    }
}
