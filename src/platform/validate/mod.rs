//! The raw file becomes a `Platform`: names are resolved, sources merged, and every fault is told.

mod alerts;
mod backup;
mod cycles;
mod endpoints;
mod needs;
mod phases;
mod probe;
mod services;
mod traffic;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    described::Described,
    model::{Capacity, Group, Objectives, Platform, RuntimeKind, ServiceName, Standards},
    near::nearest,
    problem::{Place, quoted},
    raw::{RawObjectives, RawPlatform, RawRuntime, RawStandards, Required},
    read::{Placed, Reader},
    trust::Trust,
};

/// Services of one platform. The largest that is known has 50; the document of a healthy answer
/// stays within its budget up to 500.
const MOST_SERVICES: usize = 2_000;

/// What stands around a platform file.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// Where the platform file lies.
    pub folder: &'a Path,
    pub trust: Trust,
    /// What Compose files and manifests say.
    pub described: &'a [Described],
}

/// Checks everything. Where `reader` has problems afterwards, the platform is of no use.
pub fn platform(raw: &RawPlatform, around: &Surroundings<'_>, reader: &mut Reader<'_>) -> Platform {
    let name = required_name(raw, reader);
    let groups = groups(raw);
    let times = raw
        .standards
        .as_ref()
        .and_then(|standards| standards.value.probe.as_ref())
        .map(|times| times.value.clone())
        .unwrap_or_default();
    let mut services = services::services(raw, around, &times, reader);
    if services.len() > MOST_SERVICES {
        reader.problem(
            raw.place,
            format!(
                "{} services stand here, more than {MOST_SERVICES}",
                services.len()
            ),
            "",
        );
        services.truncate(MOST_SERVICES);
    }
    let names = Names::of(&services, reader);
    let phases = phases::phases(raw, &names, reader);
    needs::resolve(raw, around, &names, &phases, &mut services, reader);
    cycles::report(&services, reader);
    let alerts = alerts::alerts(raw, &names, &services, reader);
    let triggers = phases::triggers(raw, reader);
    Platform {
        name,
        title: text(&raw.title),
        version: text(&raw.version),
        folder: around.folder.to_owned(),
        trust: around.trust.clone(),
        environment: raw
            .environment
            .as_ref()
            .map(|environment| environment.value)
            .unwrap_or_default(),
        capacity: capacity(raw),
        runtime: runtime(raw, around.folder, reader),
        objectives: raw
            .objectives
            .as_ref()
            .map(|objectives| objectives_of(&objectives.value))
            .unwrap_or_default(),
        groups,
        phases,
        rollback_when: triggers.conditions,
        rollback_hold: triggers.hold,
        rollback_window: triggers.window,
        alerts,
        minimal: names.resolve_all(raw.minimal.as_ref(), reader),
        backup: backup::backup(raw, &names, reader),
        standards: raw
            .standards
            .as_ref()
            .map(|standards| standards_of(&standards.value, &names, reader)),
        metrics: raw
            .metrics
            .iter()
            .flat_map(|metrics| &metrics.value.0)
            .map(|(name, query)| (name.value.clone(), query.clone()))
            .collect(),
        prometheus: endpoints::endpoint(raw.prometheus.as_ref(), around.folder, reader),
        alertmanager: endpoints::endpoint(raw.alertmanager.as_ref(), around.folder, reader),
        catalog: endpoints::catalog(raw, around.folder, reader),
        toolsets: raw
            .toolsets
            .iter()
            .flat_map(|toolsets| &toolsets.value)
            .map(|toolset| toolset.value.clone())
            .collect(),
        store: endpoints::store(raw, reader),
        by_name: names.by_name,
        services,
    }
}

fn required_name(raw: &RawPlatform, reader: &mut Reader<'_>) -> String {
    match &raw.platform {
        Some(name) if is_name(&name.value) => name.value.clone(),
        Some(name) => {
            reader.problem(
                name.place,
                format!("{} is no name of a platform", quoted(&name.value)),
                NAME_EXPECTED,
            );
            String::new()
        }
        None => {
            reader.problem(
                raw.place,
                "`platform` is missing",
                "write `platform: its-name`",
            );
            String::new()
        }
    }
}

/// What names are made of, so that they can stand in addresses, tables and commands.
const NAME_EXPECTED: &str =
    "use letters, digits, `-`, `_` and `.`, at most 63, and begin with a letter or a digit";

/// Names of platforms, services and phases.
fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
}

/// The services by name and alias.
struct Names {
    /// Folded to lower case.
    by_name: HashMap<String, usize>,
    names: Vec<ServiceName>,
}

impl Names {
    fn of(services: &[super::model::Service], reader: &mut Reader<'_>) -> Self {
        let mut by_name = HashMap::new();
        for (position, service) in services.iter().enumerate() {
            by_name.insert(service.name.0.to_lowercase(), position);
        }
        for (position, service) in services.iter().enumerate() {
            for alias in &service.aliases {
                let other = *by_name.entry(alias.to_lowercase()).or_insert(position);
                if other != position {
                    let place = services::source(service, "aliases").unwrap_or_default();
                    reader.problem(
                        place,
                        format!(
                            "{} is a name of `{}` and of `{}`",
                            quoted(alias),
                            service.name,
                            services
                                .get(other)
                                .map_or("", |other| other.name.0.as_str())
                        ),
                        "keep it for one of them",
                    );
                }
            }
        }
        let names = services
            .iter()
            .map(|service| service.name.clone())
            .collect();
        Self { by_name, names }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.trim().to_lowercase()).copied()
    }

    /// The service that is meant, or a problem with the nearest one.
    fn resolve(&self, written: &Placed<String>, reader: &mut Reader<'_>) -> Option<ServiceName> {
        let found = self
            .position(&written.value)
            .and_then(|at| self.names.get(at));
        if found.is_none() {
            let names = self.names.iter().map(|name| name.0.as_str());
            let right = match nearest(&written.value, names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "name one that stands under `services`".to_owned(),
            };
            reader.problem(
                written.place,
                format!("there is no service {}", quoted(&written.value)),
                right,
            );
        }
        found.cloned()
    }

    fn resolve_all(
        &self,
        written: Option<&Placed<Vec<Placed<String>>>>,
        reader: &mut Reader<'_>,
    ) -> Vec<ServiceName> {
        let mut names = Vec::new();
        for written in written.iter().flat_map(|list| &list.value) {
            if let Some(name) = self.resolve(written, reader) {
                if names.contains(&name) {
                    reader.problem(
                        written.place,
                        format!("`{name}` stands here a second time"),
                        "keep one of them",
                    );
                } else {
                    names.push(name);
                }
            }
        }
        names
    }
}

fn text(value: &Option<Placed<String>>) -> Option<String> {
    let text = value.as_ref()?.value.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn value<T: Copy>(placed: &Option<Placed<T>>) -> Option<T> {
    placed.as_ref().map(|placed| placed.value)
}

fn capacity(raw: &RawPlatform) -> Capacity {
    let Some(capacity) = &raw.capacity else {
        return Capacity::default();
    };
    Capacity {
        memory: value(&capacity.value.memory),
        cpu: value(&capacity.value.cpu),
        storage: value(&capacity.value.storage),
        external_memory: value(&capacity.value.external_memory),
    }
}

fn groups(raw: &RawPlatform) -> Vec<Group> {
    raw.groups
        .iter()
        .flat_map(|groups| &groups.value.0)
        .map(|(name, group)| Group {
            name: name.value.clone(),
            objectives: group
                .objectives
                .as_ref()
                .map(|objectives| objectives_of(&objectives.value))
                .unwrap_or_default(),
        })
        .collect()
}

fn objectives_of(raw: &RawObjectives) -> Objectives {
    Objectives {
        uptime: value(&raw.uptime),
        p95: value(&raw.p95),
        mean_response: value(&raw.mean_response),
        errors: value(&raw.errors),
        utilisation: value(&raw.utilisation),
        healthy: value(&raw.healthy),
        deployment_every: value(&raw.deployment_every),
        lead_time: value(&raw.lead_time),
        time_to_restore: value(&raw.time_to_restore),
        change_failure_rate: value(&raw.change_failure_rate),
    }
}

fn standards_of(raw: &RawStandards, names: &Names, reader: &mut Reader<'_>) -> Standards {
    let required: Vec<Required> = raw
        .requires
        .iter()
        .flat_map(|requires| requires.value.iter().copied())
        .collect();
    Standards {
        ports: raw
            .ports
            .as_ref()
            .map(|ports| (ports.value.from, ports.value.to)),
        health_path: text(&raw.health_path),
        needs_probe: required.contains(&Required::Probe),
        needs_limits: required.contains(&Required::Limits),
        needs_reservations: required.contains(&Required::Reservations),
        needs_image: required.contains(&Required::Image),
        except: names.resolve_all(raw.except.as_ref(), reader),
    }
}

/// Compose looks for these, in this order, where no file is named.
pub const COMPOSE_FILES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// The files of the runtime, as the platform file names them: relative to its folder.
pub fn compose_files(raw: &RawRuntime, folder: &Path) -> Vec<Placed<PathBuf>> {
    let Some(compose) = &raw.compose else {
        return Vec::new();
    };
    match &compose.value.files {
        Some(files) => files
            .value
            .iter()
            .map(|file| Placed {
                place: file.place,
                value: folder.join(&file.value),
            })
            .collect(),
        None => {
            let file = COMPOSE_FILES
                .iter()
                .map(|name| folder.join(name))
                .find(|path| path.is_file())
                .unwrap_or_else(|| folder.join(COMPOSE_FILES[0]));
            vec![Placed {
                place: compose.place,
                value: file,
            }]
        }
    }
}

fn runtime(raw: &RawPlatform, folder: &Path, reader: &mut Reader<'_>) -> RuntimeKind {
    let Some(Placed {
        place,
        value: runtime,
    }) = &raw.runtime
    else {
        return RuntimeKind::None;
    };
    let given = [
        runtime.compose.is_some(),
        runtime.kubernetes.is_some(),
        runtime.process.is_some(),
    ];
    if given.iter().filter(|is_given| **is_given).count() > 1 {
        reader.problem(
            *place,
            "a platform has one runtime, and several stand here",
            "keep one of compose, kubernetes, process",
        );
    }
    let paths = |list: &Option<Placed<Vec<Placed<String>>>>| -> Vec<PathBuf> {
        list.iter()
            .flat_map(|list| &list.value)
            .map(|path| folder.join(&path.value))
            .collect()
    };
    if let Some(compose) = &runtime.compose {
        RuntimeKind::Compose {
            files: compose_files(runtime, folder)
                .into_iter()
                .map(|file| file.value)
                .collect(),
            project: text(&compose.value.project),
            profiles: compose
                .value
                .profiles
                .as_ref()
                .map(|profiles| profiles.value.clone())
                .unwrap_or_default(),
            env_files: paths(&compose.value.env_files),
        }
    } else if let Some(kubernetes) = &runtime.kubernetes {
        RuntimeKind::Kubernetes {
            context: text(&kubernetes.value.context),
            kubeconfig: text(&kubernetes.value.kubeconfig).map(|path| folder.join(path)),
            namespace: text(&kubernetes.value.namespace).unwrap_or_else(|| "default".to_owned()),
            manifests: paths(&kubernetes.value.manifests),
            expects: kubernetes
                .value
                .expects
                .as_ref()
                .map(|expects| expects.value.clone())
                .unwrap_or_default(),
        }
    } else if runtime.process.is_some() {
        RuntimeKind::Process
    } else {
        reader.problem(
            *place,
            "the runtime is not named",
            "write one of compose, kubernetes, process, or leave `runtime` away",
        );
        RuntimeKind::None
    }
}

/// A duration that has to be longer than nothing.
fn positive(
    placed: &Option<Placed<Duration>>,
    default: Duration,
    reader: &mut Reader<'_>,
) -> Duration {
    match placed {
        Some(placed) if placed.value.is_zero() => {
            reader.problem(
                placed.place,
                "this takes longer than nothing",
                "write a time like 10s",
            );
            default
        }
        Some(placed) => placed.value,
        None => default,
    }
}

/// Nothing in particular, where a fault concerns the whole.
fn place_of<T>(placed: &Option<Placed<T>>, otherwise: Place) -> Place {
    placed.as_ref().map_or(otherwise, |placed| placed.place)
}
