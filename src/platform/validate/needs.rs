//! Direct dependencies, once services and phases are known.

use std::collections::HashMap;

use super::{Names, Surroundings, services::group_defaults};
use crate::platform::{
    described::Described,
    model::{Phase, Service, ServiceName},
    problem::Place,
    raw::{Needs, RawPlatform, RawService},
    read::{Placed, Reader},
};

/// Fills in direct dependencies, once the phases are known: `all` are those of earlier phases.
pub fn resolve(
    raw: &RawPlatform,
    around: &Surroundings<'_>,
    names: &Names,
    phases: &[Phase],
    services: &mut [Service],
    reader: &mut Reader<'_>,
) {
    let given: HashMap<&str, &RawService> = raw
        .services
        .iter()
        .flat_map(|services| &services.value.0)
        .map(|(name, service)| (name.value.as_str(), service))
        .collect();
    for service in services.iter_mut() {
        let own = given.get(service.name.0.as_str()).copied();
        let written = own
            .and_then(|own| own.needs.as_ref().map(|needs| (needs, own)))
            .or_else(|| {
                let own = own?;
                let group = group_defaults(raw, own, &mut Reader::new(reader.variables, false))?;
                group.needs.as_ref().map(|needs| (needs, own))
            });
        service.needs = match written {
            Some((needs, _)) => match &needs.value {
                Needs::All => all_before(&service.name, phases, needs.place, reader),
                Needs::Services(list) => {
                    let list = Placed {
                        place: needs.place,
                        value: list.clone(),
                    };
                    names.resolve_all(Some(&list), reader)
                }
            },
            None => {
                let runtime_name = service.runtime_name.as_deref().unwrap_or(&service.name.0);
                let described = around
                    .described
                    .iter()
                    .find(|found| found.name == runtime_name);
                described_needs(described, names, raw)
            }
        };
    }
}

/// Dependencies that a Compose file states, under the names of the platform file.
fn described_needs(
    described: Option<&Described>,
    names: &Names,
    raw: &RawPlatform,
) -> Vec<ServiceName> {
    let mut needs = Vec::new();
    for need in described.iter().flat_map(|found| &found.needs) {
        let renamed = raw
            .services
            .iter()
            .flat_map(|services| &services.value.0)
            .find(|(_, service)| {
                let written = service.compose.as_ref().or(service.kubernetes.as_ref());
                written.is_some_and(|written| written.value == need.value)
            });
        let name = renamed.map_or(need.value.as_str(), |(name, _)| name.value.as_str());
        if let Some(name) = names.position(name).and_then(|at| names.names.get(at))
            && !needs.contains(name)
        {
            needs.push(name.clone());
        }
    }
    needs
}

fn all_before(
    service: &ServiceName,
    phases: &[Phase],
    place: Place,
    reader: &mut Reader<'_>,
) -> Vec<ServiceName> {
    let own = phases
        .iter()
        .position(|phase| phase.steps.iter().flatten().any(|name| name == service));
    let Some(own) = own else {
        reader.problem(
            place,
            format!("`{service}` needs all services of the phases before, and is in no phase"),
            "put it into a phase, or name what it needs",
        );
        return Vec::new();
    };
    phases
        .iter()
        .take(own)
        .flat_map(|phase| phase.steps.iter().flatten().cloned())
        .collect()
}
