//! Services: what the platform file says, then its group, then Compose files and manifests.

use std::{collections::HashMap, path::PathBuf};

use super::{NAME_EXPECTED, Surroundings, is_name, probe, text, value};
use crate::platform::{
    described::Described,
    model::Service,
    near::nearest,
    problem::{Place, quoted},
    raw::{EnvValue, RawPlatform, RawService, RawTimes},
    read::{Placed, Range, Reader},
    variables::{Expanded, NoValue},
};

/// Where a value of a service stands.
pub fn source(service: &Service, key: &str) -> Option<Place> {
    service
        .sources
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, place)| *place)
}

/// Every service of the file, then those that only the Compose file or the manifests have.
pub fn services(
    raw: &RawPlatform,
    around: &Surroundings<'_>,
    times: &RawTimes,
    reader: &mut Reader<'_>,
) -> Vec<Service> {
    let mut services = Vec::new();
    let mut seen: HashMap<String, Place> = HashMap::new();
    let mut used = Vec::new();
    let given = raw.services.iter().flat_map(|services| &services.value.0);
    for (name, raw_service) in given {
        if !is_name(&name.value) {
            reader.problem(
                name.place,
                format!("{} is no name of a service", quoted(&name.value)),
                NAME_EXPECTED,
            );
            continue;
        }
        if let Some(first) = seen.insert(name.value.to_lowercase(), name.place) {
            reader.problem(
                name.place,
                format!(
                    "{} differs from the service in line {} in its capitals alone",
                    quoted(&name.value),
                    first.line
                ),
                "give one of them another name",
            );
            continue;
        }
        let described = described(raw_service, &name.value, around.described, reader);
        if let Some(described) = described {
            used.push(described.name.clone());
        }
        let builder = Builder {
            raw,
            own: raw_service,
            group: group_defaults(raw, raw_service, reader),
            described,
            around,
            times,
        };
        services.push(builder.service(name, reader));
    }
    let nothing = RawService::default();
    for described in around.described {
        if described.is_inactive
            || used.contains(&described.name)
            || seen.contains_key(&described.name.to_lowercase())
        {
            continue;
        }
        let name = Placed {
            place: described.place,
            value: described.name.clone(),
        };
        let builder = Builder {
            raw,
            own: &nothing,
            group: None,
            described: Some(described),
            around,
            times,
        };
        services.push(builder.service(&name, reader));
    }
    if services.is_empty() && reader.problems.is_empty() {
        reader.problem(
            raw.place,
            "the platform has no services",
            "write them under `services`, or name a Compose file under `runtime`",
        );
    }
    services
}

/// What the Compose file or the manifests say of this service.
fn described<'a>(
    raw: &RawService,
    name: &str,
    all: &'a [Described],
    reader: &mut Reader<'_>,
) -> Option<&'a Described> {
    let written = raw.compose.as_ref().or(raw.kubernetes.as_ref());
    let Some(written) = written else {
        return all.iter().find(|described| described.name == name);
    };
    let found = all.iter().find(|described| described.name == written.value);
    if found.is_none() && !all.is_empty() {
        let names = all.iter().map(|described| described.name.as_str());
        let right = nearest(&written.value, names)
            .map(|name| format!("did you mean `{name}`?"))
            .unwrap_or_default();
        reader.problem(
            written.place,
            format!("the runtime's files have no {}", quoted(&written.value)),
            right,
        );
    }
    found
}

pub fn group_defaults<'a>(
    raw: &'a RawPlatform,
    service: &RawService,
    reader: &mut Reader<'_>,
) -> Option<&'a RawService> {
    let group = service.group.as_ref()?;
    let groups = &raw.groups.as_ref()?.value.0;
    let found = groups.iter().find(|(name, _)| name.value == group.value);
    if found.is_none() {
        // A word alone is a group too, but a slip of the pen is none.
        let names = groups.iter().map(|(name, _)| name.value.as_str());
        if let Some(name) = nearest(&group.value, names) {
            reader.problem(
                group.place,
                format!("there is no group {}", quoted(&group.value)),
                format!("did you mean `{name}`?"),
            );
        }
    }
    found?.1.defaults.as_ref().map(|defaults| &defaults.value)
}

/// One service and where its values may come from, nearest first.
struct Builder<'a> {
    raw: &'a RawPlatform,
    own: &'a RawService,
    group: Option<&'a RawService>,
    described: Option<&'a Described>,
    around: &'a Surroundings<'a>,
    times: &'a RawTimes,
}

impl<'a> Builder<'a> {
    /// The value of a key here or in the group.
    fn get<T>(
        &self,
        field: impl Fn(&'a RawService) -> &'a Option<Placed<T>>,
    ) -> Option<&'a Placed<T>> {
        field(self.own)
            .as_ref()
            .or_else(|| field(self.group?).as_ref())
    }

    fn service(&self, name: &Placed<String>, reader: &mut Reader<'_>) -> Service {
        let mut sources = vec![("name", name.place)];
        let mut note = |key: &'static str, place: Option<Place>| {
            if let Some(place) = place {
                sources.push((key, place));
            }
        };
        let described = self.described;
        let (memory, memory_reserved) = amounts(
            self.get(|raw| &raw.memory),
            self.get(|raw| &raw.memory_reserved),
            described.and_then(|found| found.memory.as_ref()),
            described.and_then(|found| found.memory_reserved.as_ref()),
        );
        let (cpu, cpu_reserved) = amounts(
            self.get(|raw| &raw.cpu),
            self.get(|raw| &raw.cpu_reserved),
            described.and_then(|found| found.cpu.as_ref()),
            described.and_then(|found| found.cpu_reserved.as_ref()),
        );
        for (key, low, high) in [
            (
                "memory_reserved",
                memory_reserved.as_ref().map(|low| (low.place, low.value.0)),
                memory.as_ref().map(|high| high.value.0),
            ),
            (
                "cpu_reserved",
                cpu_reserved.as_ref().map(|low| (low.place, low.value.0)),
                cpu.as_ref().map(|high| high.value.0),
            ),
        ] {
            if let (Some((place, low)), Some(high)) = (low, high)
                && low > high
            {
                reader.problem(
                    place,
                    format!("`{key}` of `{}` is more than its limit", name.value),
                    "reserve at most what the limit allows",
                );
            }
        }
        let ports = self.ports(reader);
        let own_image = self.own_image(reader);
        let image = self
            .get(|raw| &raw.image)
            .map(|image| Placed {
                place: image.place,
                value: image.value.shown().to_owned(),
            })
            .or_else(|| described?.image.clone());
        let replicas = self
            .get(|raw| &raw.replicas)
            .map(|range| Placed {
                place: range.place,
                value: (range.value.from, range.value.to),
            })
            .or_else(|| described?.replicas.clone());
        let storage = self
            .get(|raw| &raw.storage)
            .cloned()
            .or_else(|| described?.storage.clone());
        note("memory", memory.as_ref().map(|found| found.place));
        note(
            "memory_reserved",
            memory_reserved.as_ref().map(|found| found.place),
        );
        note("cpu", cpu.as_ref().map(|found| found.place));
        note(
            "cpu_reserved",
            cpu_reserved.as_ref().map(|found| found.place),
        );
        note("ports", ports.first().map(|port| port.place));
        note("image", image.as_ref().map(|found| found.place));
        note("replicas", replicas.as_ref().map(|found| found.place));
        note("storage", storage.as_ref().map(|found| found.place));
        note(
            "aliases",
            self.own.aliases.as_ref().map(|found| found.place),
        );
        note("probe", self.get(|raw| &raw.probe).map(|found| found.place));
        note("group", self.own.group.as_ref().map(|found| found.place));
        note(
            "documented_path",
            self.own.documented_path.as_ref().map(|found| found.place),
        );
        let needs = self
            .own
            .needs
            .as_ref()
            .map(|found| found.place)
            .or_else(|| described?.needs.first().map(|need| need.place));
        note("needs", needs);
        let image_name = image.as_ref().map(|image| image.value.as_str());
        let is_stateful = self
            .get(|raw| &raw.stateful)
            .map(|stateful| stateful.value)
            .unwrap_or_else(|| {
                described.is_some_and(|found| found.is_stateful)
                    || image_name.is_some_and(is_database)
            });
        let probe = probe::probe(
            self.get(|raw| &raw.probe),
            described.and_then(|found| found.health.as_ref()),
            self.times,
            self.around.folder,
            reader,
        );
        let folder = self.own.folder.as_ref().or_else(|| {
            let process = self.raw.runtime.as_ref()?.value.process.as_ref()?;
            process.value.folder.as_ref()
        });
        Service {
            title: text(&self.own.title),
            purpose: text(&self.own.purpose),
            group: text(&self.own.group),
            image: image.map(|image| image.value),
            own_image,
            ports: ports.into_iter().map(|port| port.value).collect(),
            memory: value(&memory),
            cpu: value(&cpu),
            memory_reserved: value(&memory_reserved),
            cpu_reserved: value(&cpu_reserved),
            storage: value(&storage),
            replicas: value(&replicas),
            aliases: self.aliases(&name.value),
            probe,
            documented_path: text(&self.own.documented_path),
            is_one_shot: self.get(|raw| &raw.one_shot).map_or_else(
                || described.is_some_and(|found| found.is_one_shot),
                |flag| flag.value,
            ),
            is_essential: self.get(|raw| &raw.essential).is_none_or(|flag| flag.value),
            is_stateful,
            datasets: self
                .own
                .datasets
                .as_ref()
                .map(|datasets| datasets.value.clone())
                .unwrap_or_default(),
            environment: self.environment(reader),
            command: self.command(reader),
            folder: folder.map(|folder| self.around.folder.join(PathBuf::from(&folder.value))),
            runtime_name: text(&self.own.compose).or_else(|| text(&self.own.kubernetes)),
            assumed: self.assumed(reader),
            sources,
            line: if name.place.file.0 == 0 {
                name.place.line as usize
            } else {
                0
            },
            ..Service::named(&name.value)
        }
    }

    fn aliases(&self, name: &str) -> Vec<String> {
        let own = self.own.aliases.iter().flat_map(|aliases| &aliases.value);
        let mut aliases: Vec<String> = own.map(|alias| alias.value.clone()).collect();
        for alias in self.described.iter().flat_map(|found| &found.aliases) {
            if !aliases.contains(alias) {
                aliases.push(alias.clone());
            }
        }
        aliases.retain(|alias| alias != name && !alias.trim().is_empty());
        aliases
    }

    /// The image that the file itself names. Only a cluster needs its value.
    fn own_image(&self, reader: &mut Reader<'_>) -> Option<String> {
        let image = self.get(|raw| &raw.image)?;
        let is_used = self
            .raw
            .runtime
            .as_ref()
            .is_some_and(|runtime| runtime.value.kubernetes.is_some());
        match &image.value.value {
            Ok(name) => Some(name.clone()),
            // It waits for trust, and so does the cluster.
            Err(NoValue::Withheld(_)) => None,
            Err(reason) if is_used => {
                reader.problem(image.place, probe::why(reason), "");
                None
            }
            Err(_) => None,
        }
    }

    fn ports(&self, reader: &mut Reader<'_>) -> Vec<Placed<u16>> {
        let mut ports: Vec<Placed<u16>> = self.own.port.iter().cloned().collect();
        for port in self.own.ports.iter().flat_map(|ports| &ports.value) {
            if ports.iter().any(|other| other.value == port.value) {
                reader.problem(
                    port.place,
                    format!("the port {} stands here a second time", port.value),
                    "keep one of them",
                );
            } else {
                ports.push(port.clone());
            }
        }
        if ports.is_empty() {
            let found = self.described.iter().flat_map(|found| &found.ports);
            ports = found.cloned().collect();
        }
        ports
    }

    /// Variables of the platform, then of the group, then of the service; later ones win.
    fn environment(&self, reader: &mut Reader<'_>) -> Vec<(String, Option<String>)> {
        let mut all: Vec<(String, Option<String>)> = self
            .described
            .map(|found| found.environment.clone())
            .unwrap_or_default();
        let layers = [
            self.raw.env.as_ref(),
            self.group.and_then(|group| group.env.as_ref()),
            self.own.env.as_ref(),
        ];
        for (name, written) in layers
            .into_iter()
            .flatten()
            .flat_map(|layer| &layer.value.0)
        {
            let value = match written {
                EnvValue::Text(text) => {
                    if let Err(reason) = &text.value {
                        reader.missing(name.place, reason);
                    }
                    text.value.clone().ok()
                }
                EnvValue::Secret(_) | EnvValue::File(_) => None,
            };
            match all.iter_mut().find(|(other, _)| *other == name.value) {
                Some(slot) => slot.1 = value,
                None => all.push((name.value.clone(), value)),
            }
        }
        all
    }

    /// Without trust there is none.
    fn command(&self, reader: &mut Reader<'_>) -> Vec<String> {
        match &self.own.command {
            Some(command) if reader.is_trusted => words(command, reader),
            _ => Vec::new(),
        }
    }

    fn assumed(&self, reader: &mut Reader<'_>) -> Vec<String> {
        let mut assumed = Vec::new();
        for key in self.own.assumed.iter().flat_map(|assumed| &assumed.value) {
            if RawService::KEYS.contains(&key.value.as_str()) {
                assumed.push(key.value.clone());
            } else {
                let right = nearest(&key.value, RawService::KEYS.iter().copied())
                    .map(|key| format!("did you mean `{key}`?"))
                    .unwrap_or_default();
                reader.problem(
                    key.place,
                    format!("{} is no key of a service", quoted(&key.value)),
                    right,
                );
            }
        }
        assumed
    }
}

/// Program and arguments.
pub fn words(command: &Placed<Vec<Expanded>>, reader: &mut Reader<'_>) -> Vec<String> {
    let mut words = Vec::new();
    for word in &command.value {
        match &word.value {
            Ok(word) => words.push(word.clone()),
            Err(reason) => reader.missing(command.place, reason),
        }
    }
    words
}

/// Limit and reservation: `256Mi-512Mi` says both.
fn amounts<T: Copy>(
    written: Option<&Placed<Range<T>>>,
    reserved: Option<&Placed<T>>,
    described: Option<&Placed<T>>,
    described_reserved: Option<&Placed<T>>,
) -> (Option<Placed<T>>, Option<Placed<T>>) {
    let placed = |place: Place, value: T| Placed { place, value };
    let limit = written
        .map(|range| placed(range.place, range.value.to))
        .or_else(|| described.map(|found| placed(found.place, found.value)));
    let low = reserved
        .map(|found| placed(found.place, found.value))
        .or_else(|| {
            written
                .filter(|range| !range.value.is_single)
                .map(|range| placed(range.place, range.value.from))
        })
        .or_else(|| described_reserved.map(|found| placed(found.place, found.value)));
    (limit, low)
}

/// Images of what keeps data.
fn is_database(image: &str) -> bool {
    const DATABASES: [&str; 15] = [
        "postgres",
        "postgresql",
        "mysql",
        "mariadb",
        "mongo",
        "redis",
        "valkey",
        "rabbitmq",
        "elasticsearch",
        "opensearch",
        "cassandra",
        "clickhouse-server",
        "kafka",
        "minio",
        "etcd",
    ];
    let name = image.rsplit('/').next().unwrap_or(image);
    let name = name.split([':', '@']).next().unwrap_or(name);
    DATABASES.contains(&name)
}
