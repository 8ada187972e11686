//! What Kubernetes manifests say of services: workloads, with what Services and HPAs add.

use std::{collections::HashMap, time::Duration};

use super::{
    described::{Described, HealthCheck, showable},
    problem::{Place, Problem, quoted},
    quantity::{Bytes, MilliCpu, NotAQuantity},
    read::Placed,
    yaml::Node,
};

/// Kinds whose pods are services of the platform.
const WORKLOADS: [&str; 5] = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"];

/// Every workload as a service of its name.
pub fn described(documents: &[Node], problems: &mut Vec<Problem>) -> Vec<Described> {
    let objects = objects(documents);
    let of_kind = |wanted: &'static str| {
        objects
            .iter()
            .copied()
            .filter(move |object| kind(object) == wanted)
    };
    let maps: HashMap<&str, &Node> = of_kind("ConfigMap")
        .filter_map(|object| Some((name(object)?, object.get("data")?)))
        .collect();
    let mut services: Vec<Described> = Vec::new();
    let mut labels: Vec<&Node> = Vec::new();
    for object in objects
        .iter()
        .copied()
        .filter(|object| WORKLOADS.contains(&kind(object)))
    {
        if let Some((service, pod_labels)) = workload(object, &maps, problems) {
            services.push(service);
            labels.push(pod_labels);
        }
    }
    for object in of_kind("Service") {
        let Some(selector) = object.at(&["spec", "selector"]) else {
            continue;
        };
        let chosen = services.iter_mut().zip(&labels);
        let mut chosen: Vec<&mut Described> = chosen
            .filter(|(_, labels)| selects(selector, labels))
            .map(|(service, _)| service)
            .collect();
        // What stands before several versions is the name of none of them alone.
        let is_alone = chosen.len() == 1;
        for service in &mut chosen {
            add_service(object, service, is_alone);
        }
    }
    for object in of_kind("HorizontalPodAutoscaler") {
        let target = object
            .at(&["spec", "scaleTargetRef", "name"])
            .and_then(Node::text);
        let found = services
            .iter_mut()
            .find(|service| Some(service.name.as_str()) == target);
        if let Some(service) = found {
            service.replicas = scaled(object).or(service.replicas.take());
        }
    }
    services
}

/// Every object, those of a `List` one by one.
pub fn objects(documents: &[Node]) -> Vec<&Node> {
    documents
        .iter()
        .flat_map(|document| match kind(document) {
            "List" => document
                .get("items")
                .map(Node::items)
                .unwrap_or_default()
                .iter()
                .collect(),
            _ => vec![document],
        })
        .collect()
}

pub fn kind(object: &Node) -> &str {
    object.get("kind").and_then(Node::text).unwrap_or_default()
}

pub fn name(object: &Node) -> Option<&str> {
    object.at(&["metadata", "name"])?.text()
}

/// The pods of a workload.
pub struct Pods<'a> {
    /// Of the workload.
    pub name: &'a str,
    pub labels: &'a Node,
}

/// None where the object is no workload.
pub fn pods(object: &Node) -> Option<Pods<'_>> {
    let template = WORKLOADS
        .contains(&kind(object))
        .then(|| template(object))??;
    Some(Pods {
        name: name(object)?,
        labels: labels(template),
    })
}

fn template(object: &Node) -> Option<&Node> {
    match kind(object) {
        "CronJob" => object.at(&["spec", "jobTemplate", "spec", "template"]),
        _ => object.at(&["spec", "template"]),
    }
}

fn labels(template: &Node) -> &Node {
    template.at(&["metadata", "labels"]).unwrap_or(template)
}

impl Pods<'_> {
    /// By a selector with `matchLabels` and `matchExpressions`; an empty one selects all pods.
    pub fn are_selected_by(&self, selector: &Node) -> bool {
        let of = |key: &str| self.labels.get(key).and_then(Node::text);
        let labels = selector.get("matchLabels").map_or(&[][..], Node::entries);
        let expressions = selector.get("matchExpressions").map(Node::items);
        labels
            .iter()
            .all(|entry| of(&entry.key) == entry.value.text())
            && expressions.unwrap_or_default().iter().all(|one| {
                let key = one.get("key").and_then(Node::text).unwrap_or_default();
                let values = one.get("values").map(Node::items).unwrap_or_default();
                let is_listed = of(key)
                    .is_some_and(|label| values.iter().any(|value| value.text() == Some(label)));
                match one.get("operator").and_then(Node::text) {
                    Some("In") => is_listed,
                    Some("NotIn") => !is_listed,
                    Some("Exists") => of(key).is_some(),
                    Some("DoesNotExist") => of(key).is_none(),
                    _ => false,
                }
            })
    }
}

fn workload<'a>(
    object: &'a Node,
    maps: &HashMap<&str, &Node>,
    problems: &mut Vec<Problem>,
) -> Option<(Described, &'a Node)> {
    let template = template(object)?;
    let pod = template.get("spec")?;
    let mut service = Described {
        name: name(object)?.to_owned(),
        place: object.at(&["metadata", "name"])?.place,
        is_one_shot: matches!(kind(object), "Job" | "CronJob"),
        is_stateful: kind(object) == "StatefulSet",
        ..Described::default()
    };
    service.replicas = object.at(&["spec", "replicas"]).and_then(|node| {
        let count: u32 = node.text()?.parse().ok()?;
        Some(placed(node, (count, count)))
    });
    if service.replicas.is_none() && kind(object) == "Deployment" {
        service.replicas = Some(placed(object, (1, 1)));
    }
    let containers = pod.get("containers").map(Node::items).unwrap_or_default();
    for (position, container) in containers.iter().enumerate() {
        if position == 0 {
            main_container(container, &mut service, maps);
        }
        resources(container, &mut service, problems);
    }
    let claims = object
        .at(&["spec", "volumeClaimTemplates"])
        .map(Node::items)
        .unwrap_or_default();
    for claim in claims {
        let size = claim.at(&["spec", "resources", "requests", "storage"]);
        add(
            &mut service.storage,
            size,
            Bytes::EXPECTED,
            kubernetes_bytes,
            sum_bytes,
            problems,
        );
    }
    Some((service, labels(template)))
}

/// Image, ports, health and environment are those of the first container; others stand beside it.
fn main_container(container: &Node, service: &mut Described, maps: &HashMap<&str, &Node>) {
    service.image = container
        .get("image")
        .and_then(|image| Some(placed(image, image.text()?.to_owned())));
    for port in container.get("ports").map(Node::items).unwrap_or_default() {
        if let Some(node) = port.get("containerPort")
            && let Some(number) = node.text().and_then(|text| text.parse().ok())
        {
            service.ports.push(placed(node, number));
        }
    }
    let probe = ["readinessProbe", "livenessProbe", "startupProbe"]
        .into_iter()
        .find_map(|key| container.get(key));
    service.health = probe.map(|probe| placed(probe, health(probe)));
    for from in container
        .get("envFrom")
        .map(Node::items)
        .unwrap_or_default()
    {
        let map = from.at(&["configMapRef", "name"]).and_then(Node::text);
        for entry in map
            .and_then(|name| maps.get(name))
            .map_or(&[][..], |data| data.entries())
        {
            let value = entry
                .value
                .text()
                .and_then(|value| showable(&entry.key, value));
            service.environment.push((entry.key.clone(), value));
        }
    }
    for variable in container.get("env").map(Node::items).unwrap_or_default() {
        let Some(name) = variable.get("name").and_then(Node::text) else {
            continue;
        };
        let of_map = || {
            let reference = variable.at(&["valueFrom", "configMapKeyRef"])?;
            let data = maps.get(reference.get("name")?.text()?)?;
            data.get(reference.get("key")?.text()?)?.text()
        };
        let value = variable.get("value").and_then(Node::text).or_else(of_map);
        let value = value.and_then(|value| showable(name, value));
        service.environment.retain(|(other, _)| other != name);
        service.environment.push((name.to_owned(), value));
    }
}

fn health(probe: &Node) -> HealthCheck {
    let seconds = |key: &str| -> Option<Duration> {
        let seconds: u64 = probe.get(key)?.text()?.parse().ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    };
    let path = probe.at(&["httpGet", "path"]).and_then(Node::text);
    HealthCheck {
        test: path.unwrap_or_default().to_owned(),
        timeout: seconds("timeoutSeconds"),
        interval: seconds("periodSeconds"),
        retries: probe
            .get("failureThreshold")
            .and_then(|node| node.text()?.parse().ok())
            .filter(|retries| *retries > 0),
        start_period: seconds("initialDelaySeconds"),
    }
}

/// All containers of a pod together.
fn resources(container: &Node, service: &mut Described, problems: &mut Vec<Problem>) {
    let at = |group: &str, key: &str| container.at(&["resources", group, key]);
    let bytes = (
        Bytes::EXPECTED,
        kubernetes_bytes as fn(&str) -> _,
        sum_bytes as fn(_, _) -> _,
    );
    let cpu = (
        MilliCpu::EXPECTED,
        MilliCpu::parse as fn(&str) -> _,
        sum_cpu as fn(_, _) -> _,
    );
    add(
        &mut service.memory,
        at("limits", "memory"),
        bytes.0,
        bytes.1,
        bytes.2,
        problems,
    );
    add(
        &mut service.memory_reserved,
        at("requests", "memory"),
        bytes.0,
        bytes.1,
        bytes.2,
        problems,
    );
    add(
        &mut service.cpu,
        at("limits", "cpu"),
        cpu.0,
        cpu.1,
        cpu.2,
        problems,
    );
    add(
        &mut service.cpu_reserved,
        at("requests", "cpu"),
        cpu.0,
        cpu.1,
        cpu.2,
        problems,
    );
}

fn add<T: Copy>(
    sum: &mut Option<Placed<T>>,
    node: Option<&Node>,
    expected: &str,
    parse: fn(&str) -> Result<T, NotAQuantity>,
    both: fn(T, T) -> T,
    problems: &mut Vec<Problem>,
) {
    let Some((node, text)) = node.and_then(|node| Some((node, node.text()?))) else {
        return;
    };
    match parse(text) {
        Ok(value) => match sum {
            Some(sum) => sum.value = both(sum.value, value),
            None => *sum = Some(placed(node, value)),
        },
        Err(_) => problems.push(Problem::new(
            node.place,
            format!("{} is not {expected}", quoted(text)),
            "",
        )),
    }
}

/// Kubernetes reads `M` and `G` as powers of 1,000, unlike Docker.
fn kubernetes_bytes(written: &str) -> Result<Bytes, NotAQuantity> {
    let decimal = [("k", 3), ("M", 6), ("G", 9), ("T", 12)];
    for (unit, power) in decimal {
        if let Some(number) = written.trim().strip_suffix(unit)
            && let Ok(number) = number.parse::<f64>()
            && (0.0..1e6).contains(&number)
        {
            return Ok(Bytes((number * 10_f64.powi(power)).round() as u64));
        }
    }
    Bytes::parse(written)
}

fn sum_bytes(one: Bytes, other: Bytes) -> Bytes {
    Bytes(one.0.saturating_add(other.0))
}

fn sum_cpu(one: MilliCpu, other: MilliCpu) -> MilliCpu {
    MilliCpu(one.0.saturating_add(other.0))
}

/// Every label of the selector stands at the pod.
pub fn selects(selector: &Node, labels: &Node) -> bool {
    let wanted = selector.entries();
    !wanted.is_empty()
        && wanted
            .iter()
            .all(|entry| labels.get(&entry.key).and_then(Node::text) == entry.value.text())
}

/// The name, where it has one of its own, and the port under which others reach it.
fn add_service(object: &Node, service: &mut Described, is_alone: bool) {
    if let Some(name) = name(object).filter(|_| is_alone)
        && name != service.name
        && !service.aliases.iter().any(|alias| alias == name)
    {
        service.aliases.push(name.to_owned());
    }
    for port in object
        .at(&["spec", "ports"])
        .map(Node::items)
        .unwrap_or_default()
    {
        let number = |key: &str| -> Option<Placed<u16>> {
            let node = port.get(key)?;
            Some(placed(node, node.text()?.parse().ok()?))
        };
        if let Some(reached) = number("port")
            && service.ports.is_empty()
        {
            service.ports.push(number("targetPort").unwrap_or(reached));
        }
        service.published.extend(number("nodePort"));
    }
}

fn scaled(object: &Node) -> Option<Placed<(u32, u32)>> {
    let spec = object.get("spec")?;
    let number = |key: &str| -> Option<u32> { spec.get(key)?.text()?.parse().ok() };
    let most = number("maxReplicas")?;
    let least = number("minReplicas").unwrap_or(1);
    (least <= most).then(|| placed(spec, (least, most)))
}

fn placed<T>(node: &Node, value: T) -> Placed<T> {
    let place: Place = node.place;
    Placed { place, value }
}
