//! Services: ports, probes, health paths, dependencies, what the runtime's files say otherwise.

use std::collections::{BTreeMap, HashSet};

use secrecy::ExposeSecret as _;
use url::Url;

use super::{Linter, listed, place_of};
use crate::platform::{
    model::{AlertCondition, AlertScope, ProbeKind, RuntimeKind, Service, ServiceName},
    problem::Place,
    raw::Needs,
    read::Placed,
    standards,
};

pub fn look(linter: &mut Linter<'_>) {
    ports(linter);
    for service in &linter.platform.services {
        probe(linter, service);
        documented_path(linter, service);
        needs(linter, service);
        from_runtime(linter, service);
    }
    all_services(linter);
    minimal(linter);
    standards_kept(linter);
    alerts(linter);
    for (place, what) in &linter.loaded.unread {
        linter.note(
            "not-read",
            *place,
            format!("{what} is not read: what it says is missing here"),
        );
    }
}

fn ports(linter: &mut Linter<'_>) {
    let mut users: BTreeMap<u16, Vec<&Service>> = BTreeMap::new();
    for service in &linter.platform.services {
        for port in &service.ports {
            users.entry(*port).or_default().push(service);
        }
    }
    for (port, users) in users {
        if let [.., last] = users.as_slice()
            && users.len() > 1
        {
            let names = listed(users.iter().map(|service| &service.name));
            let place = place_of(last, "ports");
            let used = format!("port {port} is used by {names}");
            match linter.platform.runtime {
                RuntimeKind::Kubernetes { .. } => linter.note(
                    "port-used-twice",
                    place,
                    format!("{used}: on a cluster each has it at an address of its own"),
                ),
                _ => linter.warn(
                    "port-used-twice",
                    place,
                    format!("{used}: on one host only one of them can have it"),
                ),
            }
        }
    }
    let mut published: BTreeMap<u16, Vec<(&str, Place)>> = BTreeMap::new();
    for service in linter
        .loaded
        .described
        .iter()
        .filter(|service| !service.is_inactive)
    {
        for port in &service.published {
            published
                .entry(port.value)
                .or_default()
                .push((&service.name, port.place));
        }
    }
    for (port, users) in published {
        if let [.., (_, place)] = users.as_slice()
            && users.len() > 1
        {
            let names = listed(users.iter().map(|(name, _)| *name));
            linter.warn(
                "host-port-used-twice",
                *place,
                format!(
                    "port {port} of the host is published for {names}: the second one cannot start"
                ),
            );
        }
    }
}

fn probe(linter: &mut Linter<'_>, service: &Service) {
    match service.probe.as_ref().map(|probe| &probe.kind) {
        None if service.is_one_shot => {}
        None => linter.warn(
            "no-probe",
            place_of(service, "probe"),
            format!(
                "`{}` has no probe: whether it is healthy is not known",
                service.name
            ),
        ),
        // What waits for trust is no finding: trust shows it.
        Some(ProbeKind::Withheld { kind, reason }) if reason.contains("is not set") => linter.note(
            "probe-cannot-look",
            place_of(service, "probe"),
            format!(
                "the {kind} probe of `{}` cannot look: {reason}",
                service.name
            ),
        ),
        _ => {}
    }
}

/// A path that answers 200 to anything tells nothing.
fn documented_path(linter: &mut Linter<'_>, service: &Service) {
    let Some(path) = &service.documented_path else {
        return;
    };
    let place = place_of(service, "documented_path");
    let Some(kind) = service.probe.as_ref().map(|probe| &probe.kind) else {
        return;
    };
    match kind.name() {
        "openmetadata" if !path.starts_with("/api/") => linter.warn(
            "documented-path-answers-anything",
            place,
            format!(
                "`{}` answers {path} with its web page (HTML, status 200) whatever its health; \
                 the probe asks /api/v1/system/status",
                service.name
            ),
        ),
        "search_engine" if !path.starts_with("/_cluster/health") => linter.warn(
            "documented-path-unknown",
            place,
            format!(
                "{path} is no path of a search engine; the probe of `{}` asks /_cluster/health",
                service.name
            ),
        ),
        "http" => {
            if let ProbeKind::Http { url, .. } = kind
                && let Ok(url) = Url::parse(url.expose_secret())
                && url.path() != path
            {
                linter.warn(
                    "documented-path-differs",
                    place,
                    format!(
                        "the document looks at {path} of `{}`, the probe at {}",
                        service.name,
                        url.path()
                    ),
                );
            }
        }
        "page" if path != "/" => linter.note(
            "documented-path-answers-anything",
            place,
            format!(
                "a web application may answer {path} with its page whatever its health; the probe of `{}` loads the page",
                service.name
            ),
        ),
        "postgres" | "redis" | "amqp" | "tcp" | "process" => linter.warn(
            "documented-path-differs",
            place,
            format!(
                "the document looks at {path} of `{}`; the probe ({}) asks nothing over HTTP",
                service.name,
                kind.name()
            ),
        ),
        _ => {}
    }
}

fn needs(linter: &mut Linter<'_>, service: &Service) {
    let place = place_of(service, "needs");
    let own = linter.phase_of.get(&service.name).copied();
    if own.is_none() && !linter.platform.phases.is_empty() {
        linter.note(
            "in-no-phase",
            place_of(service, "name"),
            format!("`{}` is in no phase: no run deploys it", service.name),
        );
    }
    for name in &service.needs {
        let Some(needed) = linter.by_name.get(name).copied() else {
            continue;
        };
        if service.is_essential && !needed.is_essential {
            linter.warn(
                "essential-needs-inessential",
                place,
                format!(
                    "`{}` is essential and needs `{name}`, which an emergency stops first",
                    service.name
                ),
            );
        }
        let (Some((phase, step)), Some(own_phase)) = (own, own.map(|(phase, _)| phase)) else {
            continue;
        };
        match linter.phase_of.get(name).copied() {
            None => linter.warn(
                "dependency-in-no-phase",
                place,
                format!("`{}` needs `{name}`, which is in no phase", service.name),
            ),
            Some((other, _)) if other > own_phase => {
                let names = (phase_name(linter, phase), phase_name(linter, other));
                linter.warn(
                    "dependency-in-later-phase",
                    place,
                    format!(
                        "`{}` of phase `{}` needs `{name}`, which comes in phase `{}`: its gate waits for something that is not there",
                        service.name, names.0, names.1
                    ),
                );
            }
            Some((other, other_step)) if other == own_phase && other_step > step => linter.warn(
                "dependency-in-later-step",
                place,
                format!(
                    "`{}` needs `{name}`, which comes in a later step of the same phase",
                    service.name
                ),
            ),
            Some((other, other_step)) if other == own_phase && other_step == step => linter.note(
                "dependency-in-same-step",
                place,
                format!(
                    "`{}` needs `{name}` and starts together with it: it may fail until that is up",
                    service.name
                ),
            ),
            Some(_) => {}
        }
    }
}

fn phase_name(linter: &Linter<'_>, number: usize) -> String {
    linter
        .platform
        .phases
        .get(number)
        .map(|phase| phase.name.clone())
        .unwrap_or_default()
}

/// `needs: all` is taken as those of earlier phases, as nothing could start otherwise.
fn all_services(linter: &mut Linter<'_>) {
    let raw = linter
        .loaded
        .raw
        .services
        .iter()
        .flat_map(|services| &services.value.0);
    for (name, service) in raw {
        let Some(Placed {
            place,
            value: Needs::All,
        }) = &service.needs
        else {
            continue;
        };
        all_of_later_phases(linter, &name.value, *place);
        // Who needs it, directly or through others.
        let mut dependents: HashSet<&str> = HashSet::from([name.value.as_str()]);
        let mut in_order = Vec::new();
        loop {
            let next: Vec<&Service> = linter
                .platform
                .services
                .iter()
                .filter(|other| !dependents.contains(other.name.0.as_str()))
                .filter(|other| {
                    other
                        .needs
                        .iter()
                        .any(|need| dependents.contains(need.0.as_str()))
                })
                .collect();
            if next.is_empty() {
                break;
            }
            for other in next {
                dependents.insert(&other.name.0);
                in_order.push(&other.name);
            }
        }
        if !in_order.is_empty() {
            let names = listed(in_order.iter());
            linter.warn(
                "cycle-through-all",
                *place,
                format!(
                    "`{}` needs all services, and {names} need it: a circle; 'all' is taken as the services of earlier phases",
                    name.value
                ),
            );
        }
    }
}

/// 'All services' that are not there when the one that needs them starts.
fn all_of_later_phases(linter: &mut Linter<'_>, name: &str, place: Place) {
    let phase_of = |service: &Service| linter.phase_of.get(&service.name).map(|(phase, _)| *phase);
    let Some(own) = linter.platform.service(name).and_then(phase_of) else {
        return;
    };
    let later: Vec<&ServiceName> = linter
        .platform
        .services
        .iter()
        .filter(|other| phase_of(other).is_some_and(|phase| phase > own))
        .map(|other| &other.name)
        .collect();
    if !later.is_empty() {
        let message = format!(
            "`{name}` of phase `{}` needs all services, and {} come in a later phase",
            phase_name(linter, own),
            listed(later)
        );
        linter.warn("dependency-in-later-phase", place, message);
    }
}

/// What the runtime's files say otherwise; the platform file wins.
fn from_runtime(linter: &mut Linter<'_>, service: &Service) {
    let described = &linter.loaded.described;
    if described.is_empty() {
        return;
    }
    let name = service.runtime_name.as_deref().unwrap_or(&service.name.0);
    let Some(found) = described.iter().find(|found| found.name == name) else {
        linter.warn(
            "not-in-runtime",
            place_of(service, "name"),
            format!("the runtime's files have no `{name}`: no run can deploy it"),
        );
        return;
    };
    // On a cluster the image of the platform file runs.
    let decides_image = matches!(linter.platform.runtime, RuntimeKind::Kubernetes { .. });
    let mut differs = |key: &'static str, ours: Option<String>, theirs: Option<String>| {
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && ours != theirs
        {
            linter.warn(
                "runtime-differs",
                place_of(service, key),
                format!(
                    "`{key}` of `{}` is {ours} here and {theirs} in the runtime's files, which decide what runs",
                    service.name
                ),
            );
        }
    };
    differs(
        "memory",
        service.memory.map(|memory| memory.to_string()),
        found.memory.as_ref().map(|memory| memory.value.to_string()),
    );
    differs(
        "cpu",
        service.cpu.map(|cpu| cpu.to_string()),
        found.cpu.as_ref().map(|cpu| cpu.value.to_string()),
    );
    if !decides_image {
        differs(
            "image",
            service.image.clone(),
            found.image.as_ref().map(|image| image.value.clone()),
        );
    }
}

fn minimal(linter: &mut Linter<'_>) {
    let minimal = &linter.platform.minimal;
    let place = linter
        .loaded
        .raw
        .minimal
        .as_ref()
        .map(|minimal| minimal.place);
    for name in minimal {
        let Some(service) = linter.by_name.get(name).copied() else {
            continue;
        };
        for need in service.needs.iter().filter(|need| !minimal.contains(need)) {
            linter.warn(
                "minimal-incomplete",
                place.unwrap_or_default(),
                format!("`{name}` of the minimal set needs `{need}`, which is not in it"),
            );
        }
    }
}

fn standards_kept(linter: &mut Linter<'_>) {
    let Some(compliance) = standards::compliance(linter.platform) else {
        return;
    };
    for (name, faults) in compliance.missed {
        if let Some(service) = linter.by_name.get(&name).copied() {
            linter.warn(
                "standard-missed",
                place_of(service, "name"),
                format!("`{name}` misses the standards: {}", faults.join("; ")),
            );
        }
    }
}

/// Rules about a share of a limit that nobody has.
fn alerts(linter: &mut Linter<'_>) {
    let written = linter
        .loaded
        .raw
        .alerts
        .iter()
        .flat_map(|alerts| &alerts.value);
    let rules: Vec<_> = linter.platform.alerts.iter().zip(written).collect();
    for (rule, raw) in rules {
        let watched: Vec<&Service> = match &rule.scope {
            AlertScope::Platform => continue,
            AlertScope::AllServices => linter.platform.services.iter().collect(),
            AlertScope::Services(names) => names
                .iter()
                .filter_map(|name| linter.by_name.get(name).copied())
                .collect(),
        };
        let what = match rule.when {
            AlertCondition::MemoryAbove(_) if watched.iter().all(|it| it.memory.is_none()) => {
                "a limit of memory"
            }
            AlertCondition::CpuAbove(_) if watched.iter().all(|it| it.cpu.is_none()) => {
                "a limit of CPU"
            }
            AlertCondition::IngestionFailuresAbove(_) | AlertCondition::OlderThan(_)
                if watched.iter().all(|it| it.datasets.is_empty()) =>
            {
                "datasets"
            }
            _ => continue,
        };
        linter.warn(
            "alert-cannot-fire",
            raw.place,
            format!(
                "the alert `{}` cannot fire: no service that it watches has {what}",
                rule.name
            ),
        );
    }
}
