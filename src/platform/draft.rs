//! A first platform file from what a Compose file says, with every guess marked as one.

use super::described::Described;

/// What the draft is made from.
#[derive(Debug)]
pub struct Source<'a> {
    /// Name of the platform.
    pub name: &'a str,
    /// Of the Compose file, as the platform file will name it.
    pub compose_file: &'a str,
    pub services: &'a [Described],
}

/// The text of a platform file.
pub fn draft(source: &Source<'_>) -> String {
    let file = quoted(source.compose_file);
    let mut profiles: Vec<&str> = Vec::new();
    for profile in source.services.iter().flat_map(|service| &service.profiles) {
        if !profiles.contains(&profile.as_str()) {
            profiles.push(profile);
        }
    }
    let profiles = if profiles.is_empty() {
        String::new()
    } else {
        let names: Vec<String> = profiles.iter().map(|profile| quoted(profile)).collect();
        format!(", profiles: [{}]", names.join(", "))
    };
    let mut text = format!(
        "# Drafted from {}. Images, ports, dependencies, limits and container names stay there\n\
         # and are read from there. What is marked `assumed` is a guess: check it, then run\n\
         #   openpolicy-mcp lint platform.yaml\n\
         platform: {}\n\
         environment: development # assumed; production: a person approves each run\n\
         # capacity: {{ memory: 8Gi, cpu: 4 }} # measured when absent\n\
         runtime: {{ compose: {{ files: [{file}]{profiles} }} }}\n\
         \n\
         services:\n",
        source.compose_file,
        quoted(source.name),
    );
    for service in source.services {
        text.push_str(&service_lines(service));
    }
    text.push_str(&phases(source.services));
    text.push_str(
        "\nrollback_when: { unhealthy_above: 50%, memory_above: 90% } # assumed\n\
         \n\
         alerts: # assumed\n\
         \x20 - { name: ServiceDown, when: down, for: 5m, severity: critical }\n",
    );
    text
}

fn service_lines(service: &Described) -> String {
    let (probe, why) = probe(service);
    let mut lines = format!(
        "  {}:\n    probe: {probe} # assumed: {why}\n",
        quoted(&service.name)
    );
    if service.is_one_shot {
        lines.push_str("    one_shot: true # another service waits until it has ended well\n");
    }
    if service.is_stateful {
        lines.push_str("    # datasets: [FQN of its service or database in OpenMetadata]\n");
    }
    lines
}

/// What to look at, and why that was chosen.
fn probe(service: &Described) -> (String, String) {
    let image = service
        .image
        .as_ref()
        .map_or("", |image| image.value.as_str());
    // `${IMAGE:-postgres:15}` says it too.
    let image = image.rsplit(":-").next().unwrap_or(image);
    let name = image.rsplit('/').next().unwrap_or(image);
    let name = name.split([':', '@', '}']).next().unwrap_or(name);
    let port = service.published.first().map(|port| port.value);
    let Some(port) = port else {
        return (
            "{ process: true }".to_owned(),
            "no port is published, so the runtime says whether it runs".to_owned(),
        );
    };
    let by_image = format!("by its image {name}, at its published port");
    let variable = |name: &str| {
        let found = service.environment.iter().find(|(other, _)| other == name);
        found.and_then(|(_, value)| value.clone())
    };
    match name {
        "postgres" | "postgresql" | "postgis" | "timescaledb" => {
            let user = variable("POSTGRES_USER").unwrap_or_else(|| "postgres".to_owned());
            let database = variable("POSTGRES_DB").unwrap_or_else(|| user.clone());
            let url = format!("postgresql://{user}@localhost:{port}/{database}");
            (
                format!(
                    "{{ postgres: {}, password: \"${{POSTGRES_PASSWORD}}\" }}",
                    quoted(&url)
                ),
                by_image,
            )
        }
        "redis" | "valkey" => (
            format!("{{ redis: \"redis://localhost:{port}\" }}"),
            by_image,
        ),
        "rabbitmq" => {
            let user = variable("RABBITMQ_DEFAULT_USER").unwrap_or_else(|| "guest".to_owned());
            let url = format!("amqp://{user}@localhost:{port}");
            (
                format!(
                    "{{ amqp: {}, password: \"${{RABBITMQ_DEFAULT_PASS}}\" }}",
                    quoted(&url)
                ),
                by_image,
            )
        }
        "elasticsearch" | "opensearch" => (
            format!("{{ search_engine: \"http://localhost:{port}\" }}"),
            by_image,
        ),
        "server" if image.contains("openmetadata") => (
            format!("{{ openmetadata: \"http://localhost:{port}\" }}"),
            by_image,
        ),
        "airflow" | "ingestion" => (
            format!("{{ airflow: \"http://localhost:{port}\" }}"),
            by_image,
        ),
        _ => match health_path(service) {
            Some(path) => (
                format!(
                    "{{ http: {} }}",
                    quoted(&format!("http://localhost:{port}{path}"))
                ),
                "the path of its health check, at its published port".to_owned(),
            ),
            None => (
                format!("{{ tcp: \"localhost:{port}\" }}"),
                "its published port; an http probe says more".to_owned(),
            ),
        },
    }
}

/// The path of the first address in a health check.
fn health_path(service: &Described) -> Option<String> {
    let test = &service.health.as_ref()?.value.test;
    let rest = test.split_once("://")?.1;
    let address = rest.split([' ', '"', '\'', ')']).next()?;
    let path = address.find('/').map_or("/", |at| &address[at..]);
    // A variable in it would be one of the container's.
    (!path.contains('$')).then(|| path.to_owned())
}

/// One phase; services whose dependencies stand in earlier steps start together.
fn phases(services: &[Described]) -> String {
    let mut steps: Vec<Vec<&str>> = Vec::new();
    let mut placed: Vec<&str> = Vec::new();
    let names: Vec<&str> = services
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    while placed.len() < names.len() {
        let mut step: Vec<&str> = services
            .iter()
            .filter(|service| !placed.contains(&service.name.as_str()))
            .filter(|service| {
                let mut needs = service.needs.iter().map(|need| need.value.as_str());
                needs.all(|need| placed.contains(&need) || !names.contains(&need))
            })
            .map(|service| service.name.as_str())
            .collect();
        if step.is_empty() {
            // A circle: lint names it.
            step = names
                .iter()
                .copied()
                .filter(|name| !placed.contains(name))
                .collect();
        }
        placed.extend(&step);
        steps.push(step);
    }
    let mut text = "\n# assumed: one phase, in the order of depends_on\nphases:\n  - name: platform\n    steps:\n".to_owned();
    for step in steps {
        let names: Vec<String> = step.into_iter().map(quoted).collect();
        text.push_str(&format!("      - [{}]\n", names.join(", ")));
    }
    text.push_str("    gate: { healthy: all, stable_for: 10s, timeout: 20m }\n");
    text
}

/// A word as it is where YAML reads it as that word, else in quotes.
fn quoted(text: &str) -> String {
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_./".contains(character))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "all" | "none"
        );
    if is_word {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
