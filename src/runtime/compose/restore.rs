//! Makes containers again what they were, from what the engine said of them.
//!
//! As watchtower does it: the same name, labels, settings and networks, the image by its id,
//! volumes by their names. Each step may have been done already by an attempt that was cut off.

use std::{collections::HashMap, path::PathBuf};

use super::{
    ComposeRuntime, bind_files,
    capture::{Captured, before},
    containers::Container,
    engine::{is_absent, is_so_already},
};
use crate::{
    platform::ServiceName,
    runtime::{Applied, Before, Problem, values::AppliedOutcome},
};
use bollard::{
    errors::Error,
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerUpdateBody, EndpointSettings,
        NetworkConnectRequest, NetworkingConfig,
    },
    query_parameters::{
        CreateContainerOptions, InspectContainerOptions, RestartContainerOptions,
        StartContainerOptions, StopContainerOptions,
    },
};

/// Seconds that a container has to end when another takes its place.
const GRACE: i32 = 10;

impl ComposeRuntime {
    pub(super) async fn take_back(&self, before_it: &Before) -> Result<Applied, Problem> {
        let name = &before_it.service;
        self.service(name)?;
        self.tidy().await?;
        let now = self.containers_of(name).await?;
        let outcome = match &before_it.configuration {
            None => self.remove_all(&now).await,
            Some(configuration) => {
                let captured: Captured = serde_json::from_value(configuration.clone())
                    .map_err(|error| Problem::failed(format!("restoring {name}"), error))?;
                self.make_as_it_was(name, &captured, &now).await
            }
        };
        Ok(Applied {
            service: name.clone(),
            outcome: outcome.unwrap_or_else(AppliedOutcome::Failed),
            before: before(name, &now, self.is_here().await)?,
        })
    }

    /// It was not there: its containers go, its volumes stay.
    async fn remove_all(&self, now: &[Container]) -> Result<AppliedOutcome, Problem> {
        for container in now {
            self.stop_container(container.id(), GRACE).await?;
            self.remove(container).await?;
        }
        Ok(if now.is_empty() {
            AppliedOutcome::Unchanged
        } else {
            AppliedOutcome::Removed
        })
    }

    async fn make_as_it_was(
        &self,
        name: &ServiceName,
        captured: &Captured,
        now: &[Container],
    ) -> Result<AppliedOutcome, Problem> {
        let written = bind_files::write_back(&captured.files)
            .map_err(|error| Problem::failed(format!("writing back the files of {name}"), error))?;
        let wanted: Vec<Container> = captured.containers.iter().cloned().map(Container).collect();
        // Which of those that are there now is one of those that were: the same container, or one
        // that an earlier attempt has made of it.
        let mut left: Vec<&Container> = now.iter().collect();
        let mut pairs: Vec<(&Container, Option<&Container>)> = Vec::new();
        for was in &wanted {
            let place = left.iter().position(|is| {
                is.name() == was.name()
                    && is.image_id() == was.image_id()
                    && is.configuration() == was.configuration()
                    && (is.id() == was.id() || is.live() == was.live())
            });
            pairs.push((was, place.map(|place| left.swap_remove(place))));
        }
        let mut is_replaced = false;
        for is in left {
            self.stop_container(is.id(), GRACE).await?;
            self.remove(is).await?;
            is_replaced = true;
        }
        let mut is_started = false;
        for (was, is) in pairs {
            match is {
                None => {
                    self.make(name, was).await?;
                    is_replaced |= !now.is_empty();
                    is_started = true;
                }
                Some(is) => is_started |= self.put_right(was, is, &written).await?,
            }
        }
        Ok(match (is_replaced, is_started) {
            (true, _) => AppliedOutcome::Replaced,
            (false, true) => AppliedOutcome::Started,
            (false, false) => AppliedOutcome::Unchanged,
        })
    }

    /// A container that was never replaced: its limits, its state, its files. Whether something
    /// had to be done.
    async fn put_right(
        &self,
        was: &Container,
        is: &Container,
        written: &[PathBuf],
    ) -> Result<bool, Problem> {
        let client = self.engine.client().await?;
        let mut is_changed = false;
        if was.live() != is.live() {
            let host = was.0.host_config.clone().unwrap_or_default();
            let update = ContainerUpdateBody {
                memory: host.memory,
                memory_swap: host.memory_swap,
                memory_reservation: host.memory_reservation,
                nano_cpus: host.nano_cpus,
                cpu_shares: host.cpu_shares,
                cpu_quota: host.cpu_quota,
                cpu_period: host.cpu_period,
                cpuset_cpus: host.cpuset_cpus,
                pids_limit: host.pids_limit,
                restart_policy: host.restart_policy,
                ..ContainerUpdateBody::default()
            };
            let updating = client.update_container(is.id(), update);
            self.engine
                .asked(format!("setting the limits of {}", is.name()), updating)
                .await?;
            is_changed = true;
        }
        match (was.is_running(), is.is_running()) {
            (true, false) => {
                self.start_container(is.id(), is.name()).await?;
                is_changed = true;
            }
            (false, true) => {
                self.stop_container(is.id(), GRACE).await?;
                is_changed = true;
            }
            (true, true) if mounts_one_of(is, written) => {
                // It may have read the file once, at its start.
                let options = RestartContainerOptions {
                    t: Some(GRACE),
                    signal: None,
                };
                client
                    .restart_container(is.id(), Some(options))
                    .await
                    .map_err(|error| {
                        self.engine
                            .failed(format!("starting {} again", is.name()), &error)
                    })?;
                is_changed = true;
            }
            _ => {}
        }
        Ok(is_changed)
    }

    /// Creates and starts a container as it was.
    async fn make(&self, service: &ServiceName, was: &Container) -> Result<(), Problem> {
        let client = self.engine.client().await?;
        let what = || format!("restoring {service}");
        if self.image_id(was.image_id()).await?.is_none() {
            return Err(Problem::failed(
                what(),
                format!(
                    "its image {} ({}) is gone from the engine: bring it back (docker load, docker \
                     pull or a build), or start the service anew",
                    was.image_name().unwrap_or_default(),
                    was.image_id()
                ),
            ));
        }
        // Somebody else may have this name: a container without the labels of this service.
        self.free_name(was).await?;
        let (body, networks) = creation(&was.0).map_err(|error| Problem::failed(what(), error))?;
        let options = CreateContainerOptions {
            name: Some(was.name().to_owned()),
            ..CreateContainerOptions::default()
        };
        let creating = client.create_container(Some(options), body);
        let made = self.engine.asked(what(), creating).await?;
        for (network, endpoint) in networks {
            let request = NetworkConnectRequest {
                container: made.id.clone(),
                endpoint_config: Some(endpoint),
            };
            let connecting = client.connect_network(&network, request);
            self.engine
                .asked(format!("connecting {service} to {network}"), connecting)
                .await?;
        }
        if was.is_running() {
            self.start_container(&made.id, was.name()).await?;
        }
        Ok(())
    }

    async fn free_name(&self, was: &Container) -> Result<(), Problem> {
        let client = self.engine.client().await?;
        let question = async {
            match client
                .inspect_container(was.name(), None::<InspectContainerOptions>)
                .await
            {
                Ok(found) => Ok(Some(Container(found))),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let other = self
            .engine
            .asked(format!("looking for {}", was.name()), question)
            .await?;
        match other {
            Some(other) if other.label(super::containers::PROJECT) == Some(&self.project) => {
                self.remove(&other).await
            }
            Some(other) => Err(Problem::failed(
                format!("making {} again", was.name()),
                format!(
                    "another container ({}) has this name and does not belong to the project",
                    other.short_id()
                ),
            )),
            None => Ok(()),
        }
    }

    async fn start_container(&self, id: &str, name: &str) -> Result<(), Problem> {
        let client = self.engine.client().await?;
        match client
            .start_container(id, None::<StartContainerOptions>)
            .await
        {
            Ok(()) => Ok(()),
            Err(error) if is_so_already(&error) => Ok(()),
            Err(error) => Err(self.engine.failed(format!("starting {name}"), &error)),
        }
    }

    /// Asks a container to end and ends it after its grace. One that is gone is fine.
    pub(super) async fn stop_container(&self, id: &str, grace: i32) -> Result<(), Problem> {
        let client = self.engine.client().await?;
        let options = StopContainerOptions {
            t: Some(grace),
            signal: None,
        };
        let is_fine = |error: &Error| is_so_already(error) || is_absent(error);
        match client.stop_container(id, Some(options)).await {
            Err(error) if !is_fine(&error) => {
                Err(self.engine.failed("stopping a container", &error))
            }
            _ => Ok(()),
        }
    }
}

fn mounts_one_of(container: &Container, paths: &[PathBuf]) -> bool {
    container.0.mounts.iter().flatten().any(|mount| {
        let source = mount.source.as_ref().map(PathBuf::from);
        source.is_some_and(|source| paths.contains(&source))
    })
}

/// What makes a container like this one: the body, and the networks that it is connected to after
/// the first (the API before 1.44 takes one).
fn creation(
    was: &ContainerInspectResponse,
) -> Result<(ContainerCreateBody, Vec<(String, EndpointSettings)>), serde_json::Error> {
    let config = serde_json::to_value(was.config.clone().unwrap_or_default())?;
    let mut body: ContainerCreateBody = serde_json::from_value(config)?;
    let id = was.id.as_deref().unwrap_or_default();
    let short_id = id.get(..12).unwrap_or(id);
    // What its name means by now may be another one.
    body.image.clone_from(&was.image);
    // The engine gives a container its own id as host name where nobody names one.
    if body.hostname.as_deref() == Some(short_id) {
        body.hostname = None;
    }
    let mut host = was.host_config.clone().unwrap_or_default();
    let mode = host.network_mode.clone().unwrap_or_default();
    let shares_network = mode.starts_with("container:");
    if shares_network || mode == "host" {
        body.hostname = None;
        body.domainname = None;
        body.exposed_ports = None;
    }
    // Volumes without a name in the settings: the same ones again, by the names that they got.
    let mounted: Vec<String> = host
        .binds
        .iter()
        .flatten()
        .filter_map(|bind| bind.split(':').nth(1).map(str::to_owned))
        .chain(
            host.mounts
                .iter()
                .flatten()
                .filter(|mount| {
                    mount
                        .source
                        .as_ref()
                        .is_some_and(|source| !source.is_empty())
                })
                .filter_map(|mount| mount.target.clone()),
        )
        .collect();
    for mount in was.mounts.iter().flatten() {
        if let (Some("volume"), Some(name), Some(destination)) =
            (mount.typ.as_deref(), &mount.name, &mount.destination)
            && !mounted.contains(destination)
        {
            let mode = if mount.rw == Some(false) { "ro" } else { "rw" };
            host.mounts
                .iter_mut()
                .for_each(|mounts| mounts.retain(|one| one.target.as_ref() != Some(destination)));
            host.binds
                .get_or_insert_default()
                .push(format!("{name}:{destination}:{mode}"));
        }
    }
    body.host_config = Some(host);
    let mut networks: Vec<(String, EndpointSettings)> = was
        .network_settings
        .as_ref()
        .and_then(|settings| settings.networks.clone())
        .unwrap_or_default()
        .into_iter()
        .map(|(name, endpoint)| (name, asked_for(endpoint, short_id)))
        .collect();
    // The first is the one of the network mode.
    networks.sort_by_key(|(name, _)| (*name != mode, name.clone()));
    if shares_network || networks.is_empty() {
        networks.clear();
    } else {
        let (name, endpoint) = networks.remove(0);
        body.networking_config = Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(name, endpoint)])),
        });
    }
    Ok((body, networks))
}

/// What was asked for of an endpoint, without what the engine gave it.
fn asked_for(endpoint: EndpointSettings, short_id: &str) -> EndpointSettings {
    EndpointSettings {
        ipam_config: endpoint.ipam_config,
        links: endpoint.links,
        aliases: endpoint.aliases.map(|aliases| {
            aliases
                .into_iter()
                .filter(|alias| alias != short_id)
                .collect()
        }),
        driver_opts: endpoint.driver_opts,
        ..EndpointSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_container_is_made_of_its_image_with_its_volumes_and_names() {
        let was: ContainerInspectResponse = serde_json::from_value(json!({
            "Id": "0123456789abcdef",
            "Image": "sha256:old",
            "Config": {
                "Hostname": "0123456789ab",
                "Image": "api:1",
                "Env": ["A=1"],
                "Labels": {"com.docker.compose.service": "api"},
            },
            "HostConfig": {"NetworkMode": "p_default", "Binds": ["p_data:/data:rw"], "Memory": 64},
            "Mounts": [
                {"Type": "volume", "Name": "p_data", "Destination": "/data", "RW": true},
                {"Type": "volume", "Name": "0a1b", "Destination": "/cache", "RW": true},
            ],
            "NetworkSettings": {"Networks": {
                "p_back": {"Aliases": ["api", "0123456789ab"], "IPAddress": "10.0.0.9"},
                "p_default": {"Aliases": ["api"], "IPAddress": "10.1.0.9"},
            }},
        }))
        .expect("an inspection");
        let (body, networks) = creation(&was).expect("it can be made");
        let body: Value = serde_json::to_value(body).expect("JSON");
        assert_eq!(body["Image"], "sha256:old");
        assert_eq!(body.get("Hostname"), None);
        assert_eq!(body["Env"], json!(["A=1"]));
        assert_eq!(
            body["HostConfig"]["Binds"],
            json!(["p_data:/data:rw", "0a1b:/cache:rw"])
        );
        assert_eq!(
            body["NetworkingConfig"]["EndpointsConfig"],
            json!({"p_default": {"Aliases": ["api"]}})
        );
        let rest: Value = serde_json::to_value(networks).expect("JSON");
        assert_eq!(rest, json!([["p_back", {"Aliases": ["api"]}]]));
    }
}
