//! Makes services run as was resolved, wave by wave.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use futures::future::join_all;
use serde_json::{Map, Value};

use super::{
    ComposeRuntime, Found,
    capture::before,
    containers::{self, Container},
    last_words,
    program::Version,
    resolve::{Configuration, written},
};
use crate::{
    platform::ServiceName,
    runtime::{
        Applied, Change, Desired, Problem, ServiceState, needs, order, values::AppliedOutcome,
    },
};

/// How long Compose may take: it may have to pull or build an image.
const LONGEST_UP: Duration = Duration::from_secs(900);

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(250);

impl ComposeRuntime {
    pub(super) async fn apply_all(&self, change: Change<'_>) -> Result<Vec<Applied>, Problem> {
        let waves = order::waves_of(&self.platform, change.desired)?;
        // What an earlier command left half done would be met by its name.
        self.tidy().await?;
        let mut done: Vec<Applied> = Vec::new();
        for wave in waves {
            done.extend(self.apply_wave(&wave, change).await?);
        }
        done.sort_by_key(|applied| change.position(&applied.service));
        Ok(done)
    }

    /// Services that do not need each other.
    async fn apply_wave(
        &self,
        wave: &[&Desired],
        change: Change<'_>,
    ) -> Result<Vec<Applied>, Problem> {
        let waited = wave
            .iter()
            .map(|desired| needs::wait(self, &self.platform, &desired.service, change, LOOK));
        let waited = join_all(waited).await;
        let found = self.containers().await?;
        let mut outcomes: HashMap<ServiceName, AppliedOutcome> = HashMap::new();
        let mut due: Vec<(&Desired, Configuration)> = Vec::new();
        for (desired, waited) in wave.iter().zip(waited) {
            let outcome = match waited {
                Err(reason) => Some(AppliedOutcome::Waits(reason)),
                Ok(()) => match self.ready(desired, &found).await {
                    Ok(Some(configuration)) => {
                        due.push((desired, configuration));
                        None
                    }
                    Ok(None) => Some(AppliedOutcome::Unchanged),
                    Err(problem) => Some(AppliedOutcome::Failed(problem)),
                },
            };
            outcomes.extend(outcome.map(|outcome| (desired.service.clone(), outcome)));
        }
        let faults = self.up_all(&due, change).await;
        let after = self.containers().await?;
        let is_here = self.is_here().await;
        let mut applied = Vec::with_capacity(wave.len());
        for desired in wave {
            let name = &desired.service;
            let compose_name = self.compose_name(name)?;
            let earlier = found.of(compose_name);
            let outcome = match outcomes.remove(name) {
                Some(outcome) => outcome,
                None => self.outcome(
                    name,
                    earlier,
                    after.of(compose_name),
                    faults.get(name).cloned(),
                ),
            };
            applied.push(Applied {
                service: name.clone(),
                outcome,
                before: before(name, earlier, is_here)?,
            });
        }
        Ok(applied)
    }

    /// What has to be applied; nothing where it is so already.
    async fn ready(
        &self,
        desired: &Desired,
        found: &Found,
    ) -> Result<Option<Configuration>, Problem> {
        let name = &desired.service;
        if let Some(problem) = &desired.problem {
            return Err(Problem::NotDescribed {
                service: name.0.clone(),
                reason: problem.clone(),
            });
        }
        let configuration: Configuration = serde_json::from_value(desired.configuration.clone())
            .map_err(|error| Problem::failed(format!("starting {name}"), error))?;
        // What was planned is applied, and nothing else: a name may mean another image by now.
        if let (Some(image), Some(planned)) = (&desired.image, &desired.image_id) {
            let now = self.image_id(image).await?;
            if now.as_ref() != Some(planned) {
                return Err(Problem::failed(
                    format!("starting {name}"),
                    match now {
                        Some(now) => format!(
                            "{image} is another image by now ({now} and not {planned}): plan again"
                        ),
                        None => {
                            format!("the image {image} is gone since it was planned: plan again")
                        }
                    },
                ));
            }
        }
        let containers = found.of(&configuration.service);
        let is_one_shot = self.service(name)?.is_one_shot;
        let is_so = containers.len() == configuration.replicas()
            && containers.iter().all(|container| {
                container.configuration().as_deref() == Some(desired.digest.as_str())
                    && (container.is_running() || is_one_shot && is_done(container))
            });
        Ok((!is_so).then_some(configuration))
    }

    /// Runs Compose for all of them at once; where that fails, for each alone, so that one never
    /// hides the others. What went wrong, by service.
    async fn up_all(
        &self,
        due: &[(&Desired, Configuration)],
        change: Change<'_>,
    ) -> HashMap<ServiceName, Problem> {
        let mut faults = HashMap::new();
        let all: Vec<&Configuration> = due.iter().map(|(_, configuration)| configuration).collect();
        let Err(problem) = self.up(&all, change).await else {
            return faults;
        };
        if let [(desired, _)] = due {
            faults.insert(desired.service.clone(), problem);
            return faults;
        }
        for (desired, configuration) in due {
            if let Err(problem) = self.up(&[configuration], change).await {
                faults.insert(desired.service.clone(), problem);
            }
        }
        faults
    }

    async fn up(&self, services: &[&Configuration], change: Change<'_>) -> Result<(), Problem> {
        if services.is_empty() {
            return Ok(());
        }
        let program = self.program().await?;
        let mut all: Map<String, Value> = Map::new();
        let mut shared: Map<String, Value> = Map::new();
        for configuration in services {
            all.extend(configuration.services.clone());
            shared.extend(configuration.shared.clone());
        }
        let file = self.resolved_file(&written(&self.project, &all, &shared))?;
        let mut arguments = vec!["-f".to_owned(), path(file.path().to_owned())];
        if program.version == Version::Two {
            // Its output goes into a message.
            arguments.extend(["--ansi".to_owned(), "never".into()]);
            arguments.extend(["--progress".to_owned(), "quiet".into()]);
        } else {
            arguments.extend(["--no-ansi".to_owned()]);
        }
        arguments.extend(["up", "-d", "--no-deps"].map(str::to_owned));
        let names: Vec<&str> = services
            .iter()
            .map(|configuration| configuration.service.as_str())
            .collect();
        arguments.extend(names.iter().map(|name| (*name).to_owned()));
        let what = format!("docker compose up of {}", names.join(", "));
        let ended = self
            .run_compose(&what, program, arguments, LONGEST_UP, change.on_command)
            .await?;
        if ended.status.success() {
            return Ok(());
        }
        let said = if ended.error.trim().is_empty() {
            &ended.out
        } else {
            &ended.error
        };
        Err(Problem::failed(what, last_words(said)))
    }

    fn outcome(
        &self,
        name: &ServiceName,
        earlier: &[Container],
        now: &[Container],
        fault: Option<Problem>,
    ) -> AppliedOutcome {
        let what = || format!("starting {name}");
        let is_one_shot = self.service(name).is_ok_and(|service| service.is_one_shot);
        let state = containers::observed(name.clone(), now).state;
        let reason = now.iter().find_map(Container::engine_error);
        if let Some(fault) = fault {
            let Problem::Failed { what, reason: said } = fault else {
                return AppliedOutcome::Failed(fault);
            };
            // The engine's own sentence about this container is the better one.
            let reason = reason.unwrap_or(said);
            return AppliedOutcome::Failed(Problem::failed(what, in_words(&reason)));
        }
        match &state {
            ServiceState::Absent => {
                AppliedOutcome::Failed(Problem::failed(what(), "Compose made no container of it"))
            }
            ServiceState::Exited(exit) if !(is_one_shot && exit.is_success()) => {
                let words = format!("it ended at once with {exit}: look at its log");
                AppliedOutcome::Failed(Problem::failed(what(), words))
            }
            _ => {
                let ids = |containers: &[Container]| {
                    let mut ids: Vec<String> =
                        containers.iter().map(|one| one.id().to_owned()).collect();
                    ids.sort();
                    ids
                };
                if earlier.is_empty() {
                    AppliedOutcome::Started
                } else if ids(earlier) != ids(now) {
                    AppliedOutcome::Replaced
                } else if earlier.iter().all(Container::is_running) {
                    AppliedOutcome::Unchanged
                } else {
                    AppliedOutcome::Started
                }
            }
        }
    }
}

fn is_done(container: &Container) -> bool {
    matches!(container.state(), ServiceState::Exited(exit) if exit.is_success())
}

fn path(path: PathBuf) -> String {
    path.display().to_string()
}

/// What the engine says, with what it means where it is known.
fn in_words(said: &str) -> String {
    let folded = said.to_lowercase();
    let means = [
        ("port is already allocated", "a port is taken"),
        ("address already in use", "a port is taken"),
        ("no such image", "the image is not here"),
        (
            "pull access denied",
            "the image is not here and cannot be pulled",
        ),
        ("manifest unknown", "the registry has no such image"),
        ("manifest for", "the registry has no such image"),
        (
            "no such host",
            "the image is not here and its registry is not reached",
        ),
        (
            "error response from daemon: get",
            "the image is not here and its registry is not reached",
        ),
        ("no space left on device", "the disk of the engine is full"),
        ("executable file not found", "its image has no such program"),
        (
            "bind source path does not exist",
            "a file or folder that it mounts is not there",
        ),
    ];
    match means.iter().find(|(part, _)| folded.contains(part)) {
        Some((_, meaning)) => format!("{meaning}: {said}"),
        None => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_is_told_with_its_meaning() {
        let told = in_words("Bind for 0.0.0.0:80 failed: port is already allocated");
        assert!(told.starts_with("a port is taken: Bind for"), "{told}");
        assert_eq!(in_words("something else"), "something else");
    }
}
