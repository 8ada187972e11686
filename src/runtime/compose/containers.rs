//! The containers of a project, and what they tell of themselves. Reading only.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum},
    query_parameters::{InspectContainerOptions, ListContainersOptions},
};
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::engine::{Engine, is_absent};
use crate::{
    digest,
    platform::ServiceName,
    runtime::{Exit, Observed, Problem, RuntimeHealth, ServiceState},
};

/// Labels that Compose gives its containers, versions 1 and 2 alike.
pub(super) const PROJECT: &str = "com.docker.compose.project";
pub(super) const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const CONFIG_HASH: &str = "com.docker.compose.config-hash";

/// Characters of what a health check wrote last, or of what the engine says.
const LONGEST_WORD: usize = 400;

/// A container as the engine inspects it.
#[derive(Debug, Clone)]
pub(super) struct Container(pub ContainerInspectResponse);

/// Containers by the name of their service in the Compose file, newest first.
pub(super) type ByService = HashMap<String, Vec<Container>>;

/// Every container of the project that is no `run` of somebody.
pub(super) async fn of_project(engine: &Engine, project: &str) -> Result<ByService, Problem> {
    let client = engine.client().await?;
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([(
            "label".to_owned(),
            vec![format!("{PROJECT}={project}")],
        )])),
        ..ListContainersOptions::default()
    };
    let listed = engine
        .asked("listing containers", client.list_containers(Some(options)))
        .await?;
    let inspected = listed
        .into_iter()
        .filter_map(|one| one.id)
        .map(|id| inspected(engine, id));
    let mut found = ByService::new();
    for container in join_all(inspected).await {
        let Some(container) = container? else {
            continue;
        };
        if container
            .label(ONE_OFF)
            .is_some_and(|one_off| one_off == "True")
        {
            continue;
        }
        if let Some(service) = container.label(SERVICE).map(str::to_owned) {
            found.entry(service).or_default().push(container);
        }
    }
    for containers in found.values_mut() {
        containers.sort_by(|one, other| other.0.created.cmp(&one.0.created));
    }
    Ok(found)
}

/// One container; none where it is gone.
pub(super) async fn inspected(engine: &Engine, id: String) -> Result<Option<Container>, Problem> {
    let client = engine.client().await?;
    let question = async {
        match client
            .inspect_container(&id, None::<InspectContainerOptions>)
            .await
        {
            Ok(found) => Ok(Some(Container(found))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    };
    engine.asked("inspecting a container", question).await
}

impl Container {
    pub(super) fn id(&self) -> &str {
        self.0.id.as_deref().unwrap_or_default()
    }

    pub(super) fn short_id(&self) -> &str {
        let id = self.id();
        id.get(..12).unwrap_or(id)
    }

    /// Without the slash that the engine puts before it.
    pub(super) fn name(&self) -> &str {
        let name = self.0.name.as_deref().unwrap_or_default();
        name.trim_start_matches('/')
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let labels = self.0.config.as_ref()?.labels.as_ref()?;
        labels.get(name).map(String::as_str)
    }

    /// `sha256:…`: the image that it was made of, whatever its name means by now.
    pub(super) fn image_id(&self) -> &str {
        self.0.image.as_deref().unwrap_or_default()
    }

    pub(super) fn image_name(&self) -> Option<&str> {
        self.0.config.as_ref()?.image.as_deref()
    }

    fn status(&self) -> ContainerStateStatusEnum {
        let state = self.0.state.as_ref();
        state
            .and_then(|state| state.status)
            .unwrap_or(ContainerStateStatusEnum::EMPTY)
    }

    /// It runs, or will be started again by the engine.
    pub(super) fn is_running(&self) -> bool {
        use ContainerStateStatusEnum as Status;
        matches!(
            self.status(),
            Status::RUNNING | Status::RESTARTING | Status::PAUSED | Status::STOPPING
        )
    }

    /// It was made and has never run.
    pub(super) fn is_created(&self) -> bool {
        self.status() == ContainerStateStatusEnum::CREATED
    }

    pub(super) fn started_at(&self) -> Option<Timestamp> {
        time(self.0.state.as_ref()?.started_at.as_deref()?)
    }

    /// How it ended last; none where it never did.
    pub(super) fn exit(&self) -> Option<Exit> {
        let state = self.0.state.as_ref()?;
        let at = time(state.finished_at.as_deref()?)?;
        let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
        let is_out_of_memory = state.oom_killed == Some(true);
        let memory = self.0.host_config.as_ref().and_then(|host| host.memory);
        let reason = if is_out_of_memory {
            Some(match memory.filter(|memory| *memory > 0) {
                Some(memory) => format!("out of memory: its limit is {} MiB", memory >> 20),
                None => "out of memory".to_owned(),
            })
        } else {
            state
                .error
                .clone()
                .filter(|error| !error.is_empty())
                .map(|error| cut(&error))
        };
        Some(Exit {
            code,
            // As shells tell of it: 128 and the number of the signal.
            signal: code
                .filter(|code| (129..=192).contains(code))
                .map(|code| code - 128),
            at,
            reason,
        })
    }

    /// Its memory limit in bytes, where it was killed and the engine names no reason: a process
    /// that runs out of memory right after its start is not told as such (the engine listens to the
    /// kernel only once it runs), and nothing tells it from one that somebody killed.
    fn killed_below(&self) -> Option<i64> {
        const KILL: i32 = 9;
        let is_killed = matches!(
            self.state(),
            ServiceState::Exited(Exit {
                signal: Some(KILL),
                reason: None,
                ..
            })
        );
        let limit = self.0.host_config.as_ref()?.memory?;
        (is_killed && limit > 0).then_some(limit)
    }

    pub(super) fn state(&self) -> ServiceState {
        use ContainerStateStatusEnum as Status;
        let restarts = self.restarts();
        let never = || Exit {
            code: None,
            signal: None,
            at: Timestamp::now(),
            reason: None,
        };
        match self.status() {
            Status::RUNNING | Status::PAUSED | Status::STOPPING => ServiceState::Running,
            Status::CREATED => match self.engine_error() {
                // The engine could not start it; it will not try again by itself.
                Some(reason) => ServiceState::Exited(Exit {
                    code: self.0.state.as_ref().and_then(|state| {
                        state.exit_code.and_then(|code| i32::try_from(code).ok())
                    }),
                    reason: Some(reason),
                    ..never()
                }),
                None => ServiceState::Starting,
            },
            Status::RESTARTING => {
                let last = self.exit().unwrap_or_else(never);
                ServiceState::Restarting {
                    count: restarts,
                    since: last.at,
                    last,
                }
            }
            Status::EXITED | Status::DEAD | Status::REMOVING => {
                ServiceState::Exited(self.exit().unwrap_or_else(never))
            }
            Status::EMPTY => ServiceState::Unknown("the engine gives no status".into()),
        }
    }

    /// What the engine says of a start that failed.
    pub(super) fn engine_error(&self) -> Option<String> {
        let error = self.0.state.as_ref()?.error.as_deref()?;
        (!error.is_empty()).then(|| cut(error))
    }

    pub(super) fn restarts(&self) -> u32 {
        let count = self.0.restart_count.unwrap_or_default();
        u32::try_from(count).unwrap_or_default()
    }

    /// What its health check says, with the last word of it.
    pub(super) fn health(&self) -> Option<(RuntimeHealth, Option<String>)> {
        let health = self.0.state.as_ref()?.health.as_ref()?;
        let told = match health.status? {
            HealthStatusEnum::STARTING => RuntimeHealth::Starting,
            HealthStatusEnum::HEALTHY => RuntimeHealth::Healthy,
            HealthStatusEnum::UNHEALTHY => RuntimeHealth::Unhealthy,
            HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => return None,
        };
        let last = health.log.as_ref().and_then(|log| log.last());
        let word = last
            .filter(|result| result.exit_code != Some(0))
            .and_then(|result| result.output.as_deref())
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(cut);
        Some((told, word))
    }

    /// Compares with [`super::resolve::digest`].
    pub(super) fn configuration(&self) -> Option<String> {
        Some(super::resolve::digest(
            self.label(CONFIG_HASH)?,
            Some(self.image_id()),
        ))
    }

    /// Digest of what can be changed without Compose, so that `docker update`, another network or
    /// a container made by hand is seen.
    pub(super) fn live(&self) -> String {
        let host = self.0.host_config.as_ref();
        let host = host.and_then(|host| serde_json::to_value(host).ok());
        let config = self.0.config.as_ref();
        let config = config.and_then(|config| serde_json::to_value(config).ok());
        let of = |value: &Option<Value>, name: &str| -> Value {
            value
                .as_ref()
                .and_then(|value| value.get(name).cloned())
                .unwrap_or_default()
        };
        let host_fields: BTreeMap<&str, Value> = HOST_FIELDS
            .iter()
            .map(|name| (*name, of(&host, name)))
            .collect();
        let mut environment: Vec<String> =
            serde_json::from_value(of(&config, "Env")).unwrap_or_default();
        environment.sort();
        let mut mounts: Vec<Value> = self
            .0
            .mounts
            .iter()
            .flatten()
            .map(|mount| {
                json!([
                    mount.destination,
                    mount.name.as_ref().or(mount.source.as_ref()),
                    mount.rw
                ])
            })
            .collect();
        mounts.sort_by_key(ToString::to_string);
        let told = json!({
            "image": self.image_id(),
            "host": host_fields,
            "environment": environment,
            "command": of(&config, "Cmd"),
            "entrypoint": of(&config, "Entrypoint"),
            "user": of(&config, "User"),
            "mounts": mounts,
            "networks": self.networks(),
        });
        digest::short(told.to_string(), 32)
    }

    /// Names of its networks, in order.
    pub(super) fn networks(&self) -> Vec<String> {
        let networks = self
            .0
            .network_settings
            .as_ref()
            .and_then(|settings| settings.networks.as_ref());
        let mut names: Vec<String> = networks
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    }
}

/// What `docker update` and `docker run` set, as far as it changes how a service runs.
const HOST_FIELDS: [&str; 18] = [
    "Memory",
    "MemorySwap",
    "MemoryReservation",
    "NanoCpus",
    "CpuShares",
    "CpuQuota",
    "CpuPeriod",
    "CpusetCpus",
    "PidsLimit",
    "RestartPolicy",
    "Privileged",
    "CapAdd",
    "CapDrop",
    "NetworkMode",
    "PortBindings",
    "ReadonlyRootfs",
    "SecurityOpt",
    "OomKillDisable",
];

/// What a runtime tells of a service with these containers.
pub(super) fn observed(service: ServiceName, containers: &[Container]) -> Observed {
    // Where several stand for one service, the one that is worst tells.
    let rank = |container: &&Container| match container.state() {
        ServiceState::Running => match container.health() {
            Some((RuntimeHealth::Unhealthy, _)) => 2,
            Some((RuntimeHealth::Starting, _)) => 1,
            _ => 0,
        },
        ServiceState::Starting => 3,
        ServiceState::Restarting { .. } => 4,
        _ => 5,
    };
    // The newest of the worst: `max_by_key` takes the last.
    let Some(container) = containers.iter().rev().max_by_key(rank) else {
        return Observed::new(service, ServiceState::Absent);
    };
    let health = container.health();
    let mut notes = Vec::new();
    if containers.len() > 1 {
        let names: Vec<_> = containers.iter().map(Container::name).collect();
        notes.push(format!(
            "{} containers: {}",
            containers.len(),
            names.join(", ")
        ));
    }
    if container.status() == ContainerStateStatusEnum::PAUSED {
        notes.push("it is paused (docker unpause)".to_owned());
    }
    if let Some((told, Some(word))) = &health
        && *told != RuntimeHealth::Healthy
    {
        notes.push(format!("its health check says: {word}"));
    }
    if let Some(limit) = container.killed_below() {
        notes.push(format!(
            "it was killed and the engine does not say for what; its memory limit is {} MiB",
            limit >> 20
        ));
    }
    let image = container
        .image_name()
        .map(|name| image_words(name, container.image_id()));
    let mut live: Vec<String> = containers.iter().map(Container::live).collect();
    live.sort();
    Observed {
        image,
        image_id: Some(container.image_id().to_owned()).filter(|id| !id.is_empty()),
        // That of a registry, which an image that was built here has not.
        image_digest: None,
        started_at: container.started_at(),
        restarts: container.restarts(),
        instance: Some(container.short_id().to_owned()),
        health: health.map(|(told, _)| told),
        configuration: container.configuration(),
        live: Some(live.join("+")),
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        ..Observed::new(service, container.state())
    }
}

/// `postgres:15 (sha256:0123456789ab)`.
pub(super) fn image_words(name: &str, id: &str) -> String {
    let short = id.get(..19).unwrap_or(id);
    if name.starts_with("sha256:") {
        short.to_owned()
    } else {
        format!("{name} ({short})")
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.trim().chars().take(LONGEST_WORD).collect();
    if cut.len() < text.trim().len() {
        cut.push('…');
    }
    cut
}

/// The engine writes the year 1 where there is no time.
fn time(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    (time > Timestamp::UNIX_EPOCH).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(value: Value) -> Container {
        Container(serde_json::from_value(value).expect("an inspection"))
    }

    #[test]
    fn each_status_is_a_state() {
        let of = |state: Value| container(json!({ "State": state })).state();
        let began = "0001-01-01T00:00:00Z";
        let ended = "2026-01-02T03:04:05.5Z";
        assert_eq!(of(json!({"Status": "running"})), ServiceState::Running);
        assert_eq!(
            of(json!({"Status": "created", "FinishedAt": began})),
            ServiceState::Starting
        );
        let refused = of(json!({"Status": "created", "Error": "port is already allocated"}));
        assert!(
            matches!(&refused, ServiceState::Exited(exit) if exit.to_string().contains("allocated")),
            "{refused:?}"
        );
        let killed = json!({
            "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": true, "FinishedAt": ended},
            "HostConfig": {"Memory": 64 << 20},
        });
        let killed = container(killed).state();
        let ServiceState::Exited(exit) = &killed else {
            panic!("{killed:?}");
        };
        assert_eq!((exit.code, exit.signal), (Some(137), Some(9)));
        assert_eq!(
            exit.reason.as_deref(),
            Some("out of memory: its limit is 64 MiB")
        );
        let untold = json!({
            "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": false, "FinishedAt": ended},
            "HostConfig": {"Memory": 64 << 20},
        });
        let untold = observed(ServiceName("api".into()), &[container(untold)]);
        let note = untold.note.expect("a note");
        assert!(note.contains("memory limit is 64 MiB"), "{note}");
        let loops = json!({
            "RestartCount": 4,
            "State": {"Status": "restarting", "ExitCode": 3, "FinishedAt": ended},
        });
        let loops = container(loops).state();
        assert!(
            matches!(&loops, ServiceState::Restarting { count: 4, last, .. } if last.code == Some(3)),
            "{loops:?}"
        );
    }

    #[test]
    fn what_was_changed_by_hand_changes_the_digest_and_nothing_else_does() {
        let of = |memory: u64, environment: [&str; 2], started: &str| {
            container(json!({
                "Id": started,
                "Image": "sha256:1",
                "HostConfig": {"Memory": memory},
                "Config": {"Env": environment},
                "State": {"Status": "running", "StartedAt": started},
            }))
            .live()
        };
        let one = of(64, ["A=1", "B=2"], "2026-01-02T03:04:05Z");
        assert_eq!(one, of(64, ["B=2", "A=1"], "2026-02-02T03:04:05Z"));
        assert_ne!(one, of(65, ["A=1", "B=2"], "2026-01-02T03:04:05Z"));
        assert_ne!(one, of(64, ["A=1", "B=3"], "2026-01-02T03:04:05Z"));
    }

    #[test]
    fn the_worst_container_tells_of_a_service() {
        let one = |status: &str, health: Option<&str>| {
            let mut state = json!({"Status": status});
            if let Some(health) = health {
                let log = json!([{"ExitCode": 1, "Output": "no answer\n"}]);
                state["Health"] = json!({"Status": health, "Log": log});
            }
            container(json!({"Id": "0123456789abcdef", "State": state}))
        };
        let name = || ServiceName("api".into());
        assert_eq!(observed(name(), &[]).state, ServiceState::Absent);
        let seen = observed(
            name(),
            &[
                one("running", Some("healthy")),
                one("running", Some("unhealthy")),
            ],
        );
        assert_eq!(seen.health, Some(RuntimeHealth::Unhealthy));
        let note = seen.note.expect("a note");
        assert!(note.contains("2 containers"), "{note}");
        assert!(note.contains("no answer"), "{note}");
    }
}
