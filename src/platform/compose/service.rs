//! One service of a Compose file.

use std::time::Duration;

use super::{Texts, names};
use crate::platform::{
    described::{Described, HealthCheck, showable},
    problem::quoted,
    quantity::{self, Bytes, MilliCpu, NotAQuantity},
    read::Placed,
    yaml::{Entry, Node, Value},
};

/// How deep services may extend each other.
const DEEPEST: usize = 8;

/// What a service says; `completed` gets the services that it waits for to end well.
pub fn service(
    entry: &Entry,
    all: &Node,
    texts: &mut Texts<'_>,
    completed: &mut Vec<String>,
) -> Described {
    extended(entry, all, texts, completed, 0)
}

/// `extends` of the same file: what the other says, overlaid with what this one says.
fn extended(
    entry: &Entry,
    all: &Node,
    texts: &mut Texts<'_>,
    completed: &mut Vec<String>,
    depth: usize,
) -> Described {
    let own = said(entry, texts, completed);
    let Some(extends) = entry.value.get("extends") else {
        return own;
    };
    if extends.get("file").is_some() {
        // The other file is told as not read.
        return own;
    }
    let name = extends
        .text()
        .or_else(|| extends.get("service").and_then(Node::text));
    let base = name.and_then(|name| all.entries().iter().find(|other| other.key == name));
    match base {
        Some(base) if depth < DEEPEST => {
            let mut service = extended(base, all, texts, completed, depth + 1);
            service.name.clone_from(&own.name);
            // Compose takes neither over.
            service.needs.clear();
            service.aliases.clear();
            merge(&mut service, own);
            service
        }
        Some(_) => {
            texts.problem(
                extends.place,
                "services extend each other in a circle here",
                "take one `extends` away",
            );
            own
        }
        None => {
            texts.problem(
                extends.place,
                format!(
                    "`extends` names {}, which is no service of this file",
                    quoted(name.unwrap_or_default())
                ),
                "",
            );
            own
        }
    }
}

fn said(entry: &Entry, texts: &mut Texts<'_>, completed: &mut Vec<String>) -> Described {
    let node = &entry.value;
    let mut service = Described {
        name: entry.key.clone(),
        place: entry.place,
        ..Described::default()
    };
    if let Some(name) = node
        .get("container_name")
        .and_then(|node| texts.value(node))
    {
        service.aliases.push(name);
    }
    service.image = node.get("image").and_then(|image| {
        texts.shown(image).map(|value| Placed {
            place: image.place,
            value,
        })
    });
    ports(node, &mut service, texts);
    limits(node, &mut service, texts);
    needs(node, &mut service, texts, completed);
    if let Some(check) = node.get("healthcheck") {
        service.health = health(check, texts);
    }
    service.profiles = node
        .get("profiles")
        .map(|profiles| names(profiles).into_iter().map(|(name, _)| name).collect())
        .unwrap_or_default();
    service.is_stateful = node.get("volumes").is_some_and(keeps_data);
    if let Some(environment) = node.get("environment") {
        service.environment = variables(environment, texts);
    }
    service
}

/// A later file over an earlier one: values win, lists join, as Compose merges them.
pub fn merge(earlier: &mut Described, later: Described) {
    let Described {
        name: _,
        place: _,
        aliases,
        image,
        ports,
        published,
        memory,
        cpu,
        memory_reserved,
        cpu_reserved,
        storage,
        replicas,
        needs,
        health,
        is_one_shot,
        is_stateful,
        profiles,
        is_inactive: _,
        environment,
    } = later;
    if !aliases.is_empty() {
        earlier.aliases = aliases;
    }
    earlier.image = image.or(earlier.image.take());
    earlier.memory = memory.or(earlier.memory.take());
    earlier.cpu = cpu.or(earlier.cpu.take());
    earlier.memory_reserved = memory_reserved.or(earlier.memory_reserved.take());
    earlier.cpu_reserved = cpu_reserved.or(earlier.cpu_reserved.take());
    earlier.storage = storage.or(earlier.storage.take());
    earlier.replicas = replicas.or(earlier.replicas.take());
    earlier.health = health.or(earlier.health.take());
    earlier.is_one_shot |= is_one_shot;
    earlier.is_stateful |= is_stateful;
    for port in ports {
        if !earlier.ports.iter().any(|other| other.value == port.value) {
            earlier.ports.push(port);
        }
    }
    for port in published {
        if !earlier
            .published
            .iter()
            .any(|other| other.value == port.value)
        {
            earlier.published.push(port);
        }
    }
    for need in needs {
        if !earlier.needs.iter().any(|other| other.value == need.value) {
            earlier.needs.push(need);
        }
    }
    for profile in profiles {
        if !earlier.profiles.contains(&profile) {
            earlier.profiles.push(profile);
        }
    }
    for (name, value) in environment {
        match earlier
            .environment
            .iter_mut()
            .find(|(other, _)| *other == name)
        {
            Some(slot) => slot.1 = value,
            None => earlier.environment.push((name, value)),
        }
    }
}

/// `8080`, `8080:80`, `127.0.0.1:8080:80/tcp`, ranges, and the long form.
fn ports(node: &Node, service: &mut Described, texts: &mut Texts<'_>) {
    for port in node.get("ports").map(Node::items).unwrap_or_default() {
        let (target, published) = match &port.value {
            Value::Map(_) => {
                let target = port.get("target").and_then(|node| texts.value(node));
                let published = port.get("published").and_then(|node| texts.value(node));
                (target, published)
            }
            _ => {
                let Some(text) = texts.value(port) else {
                    continue;
                };
                let text = text.split('/').next().unwrap_or_default().to_owned();
                match text.rsplit_once(':') {
                    None => (Some(text), None),
                    Some((host, target)) => {
                        let published = host.rsplit(':').next().unwrap_or_default().to_owned();
                        (Some(target.to_owned()), Some(published))
                    }
                }
            }
        };
        let placed = |value| Placed {
            place: port.place,
            value,
        };
        match target.as_deref().and_then(port_range) {
            Some(targets) => service.ports.extend(targets.map(placed)),
            None => texts.problem(
                port.place,
                format!(
                    "{} is no port",
                    quoted(target.as_deref().unwrap_or_default())
                ),
                "write it like `8080:80`",
            ),
        }
        if let Some(published) = published.as_deref().and_then(port_range) {
            service.published.extend(published.map(placed));
        }
    }
    for port in node.get("expose").map(Node::items).unwrap_or_default() {
        let text = texts.value(port);
        for value in text.as_deref().and_then(port_range).into_iter().flatten() {
            service.ports.push(Placed {
                place: port.place,
                value,
            });
        }
    }
    let mut seen = Vec::new();
    service.ports.retain(|port| {
        let is_new = !seen.contains(&port.value);
        seen.push(port.value);
        is_new
    });
}

/// At most 100 ports: a service with more has no port that means something.
fn port_range(text: &str) -> Option<impl Iterator<Item = u16> + use<>> {
    let text = text.split('/').next()?.trim();
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to): (u16, u16) = (from.parse().ok()?, to.parse().ok()?);
    (from > 0 && from <= to).then(|| (from..=to).take(100))
}

fn limits(node: &Node, service: &mut Described, texts: &mut Texts<'_>) {
    let resources = node.at(&["deploy", "resources"]);
    let at = |group: &str, key: &str| resources.and_then(|found| found.at(&[group, key]));
    service.memory = amount(
        at("limits", "memory").or_else(|| node.get("mem_limit")),
        Bytes::EXPECTED,
        Bytes::parse,
        texts,
    );
    service.memory_reserved = amount(
        at("reservations", "memory").or_else(|| node.get("mem_reservation")),
        Bytes::EXPECTED,
        Bytes::parse,
        texts,
    );
    service.cpu = amount(
        at("limits", "cpus").or_else(|| node.get("cpus")),
        MilliCpu::EXPECTED,
        MilliCpu::parse,
        texts,
    );
    service.cpu_reserved = amount(
        at("reservations", "cpus"),
        MilliCpu::EXPECTED,
        MilliCpu::parse,
        texts,
    );
    let replicas = node
        .at(&["deploy", "replicas"])
        .or_else(|| node.get("scale"));
    service.replicas = replicas.and_then(|node| {
        let count: u32 = texts.value(node)?.trim().parse().ok()?;
        Some(Placed {
            place: node.place,
            value: (count, count),
        })
    });
}

fn amount<T>(
    node: Option<&Node>,
    expected: &str,
    parse: fn(&str) -> Result<T, NotAQuantity>,
    texts: &mut Texts<'_>,
) -> Option<Placed<T>> {
    let node = node?;
    let text = texts.value(node)?;
    match parse(&text) {
        Ok(value) => Some(Placed {
            place: node.place,
            value,
        }),
        Err(_) => {
            texts.problem(
                node.place,
                format!("{} is not {expected}", quoted(&text)),
                "",
            );
            None
        }
    }
}

/// Both forms of `depends_on`, and `links`.
fn needs(node: &Node, service: &mut Described, texts: &mut Texts<'_>, completed: &mut Vec<String>) {
    let mut found = node.get("depends_on").map(names).unwrap_or_default();
    for entry in node
        .get("depends_on")
        .map(Node::entries)
        .unwrap_or_default()
    {
        let condition = entry
            .value
            .get("condition")
            .and_then(|node| texts.value(node));
        match condition.as_deref() {
            Some("service_completed_successfully") => completed.push(entry.key.clone()),
            None | Some("service_started" | "service_healthy") => {}
            Some(other) => texts.problem(
                entry.place,
                format!("{} is no condition of `depends_on`", quoted(other)),
                "write service_started, service_healthy or service_completed_successfully",
            ),
        }
    }
    for (link, place) in node.get("links").map(names).unwrap_or_default() {
        let name = link.split(':').next().unwrap_or_default().to_owned();
        found.push((name, place));
    }
    for (value, place) in found {
        if !service.needs.iter().any(|need| need.value == value) {
            service.needs.push(Placed { place, value });
        }
    }
}

fn health(node: &Node, texts: &mut Texts<'_>) -> Option<Placed<HealthCheck>> {
    let test = node.get("test");
    let words: Vec<String> = match test {
        None => Vec::new(),
        Some(test) if test.text().is_some() => texts.shown(test).into_iter().collect(),
        Some(test) => test
            .items()
            .iter()
            .filter_map(|item| texts.shown(item))
            .collect(),
    };
    let is_disabled = node.get("disable").and_then(Node::text) == Some("true")
        || words.first().is_some_and(|word| word == "NONE");
    if is_disabled {
        return None;
    }
    let mut time = |key: &str| -> Option<Duration> {
        let node = node.get(key)?;
        let text = texts.value(node)?;
        match quantity::duration(&text) {
            Ok(duration) => Some(duration),
            Err(_) => {
                texts.problem(
                    node.place,
                    format!("{} is not {}", quoted(&text), quantity::DURATION_EXPECTED),
                    "",
                );
                None
            }
        }
    };
    let timeout = time("timeout").filter(|timeout| !timeout.is_zero());
    let interval = time("interval").filter(|interval| !interval.is_zero());
    let start_period = time("start_period");
    let retries = node
        .get("retries")
        .and_then(|node| texts.value(node))
        .and_then(|text| text.trim().parse().ok())
        .filter(|retries| *retries > 0);
    let words = words
        .into_iter()
        .filter(|word| word != "CMD" && word != "CMD-SHELL");
    Some(Placed {
        place: node.place,
        value: HealthCheck {
            test: words.collect::<Vec<_>>().join(" "),
            timeout,
            interval,
            retries,
            start_period,
        },
    })
}

/// A named volume outlives its container; a folder of the host is configuration more often.
fn keeps_data(volumes: &Node) -> bool {
    volumes.items().iter().any(|volume| match &volume.value {
        Value::Map(_) => volume.get("type").and_then(Node::text) == Some("volume"),
        _ => volume.text().is_some_and(|text| {
            text.split_once(':')
                .is_some_and(|(source, _)| !source.starts_with(['.', '/', '~', '$']))
        }),
    })
}

/// Both forms of `environment`; values of secrets stay away.
fn variables(node: &Node, texts: &mut Texts<'_>) -> Vec<(String, Option<String>)> {
    let mut variables = Vec::new();
    for entry in node.entries() {
        let value = texts.value(&entry.value);
        let value = value.and_then(|value| showable(&entry.key, &value));
        variables.push((entry.key.clone(), value));
    }
    for item in node.items() {
        let Some(written) = item.text() else {
            continue;
        };
        match written.split_once('=') {
            None => variables.push((written.to_owned(), None)),
            Some((name, _)) => {
                let whole = texts.value(item);
                let value = whole
                    .as_deref()
                    .and_then(|whole| whole.split_once('='))
                    .and_then(|(_, value)| showable(name, value));
                variables.push((name.to_owned(), value));
            }
        }
    }
    variables
}
