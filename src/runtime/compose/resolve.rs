//! Resolves a Compose project once: what is applied later is this, and never the files again.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use bollard::errors::Error;
use serde_json::{Map, Value, json};

use super::{
    ComposeRuntime, bind_files,
    engine::is_absent,
    program::{Program, Version},
};
use crate::{
    platform::{ServiceName, yaml},
    runtime::{Desired, Problem},
};

/// Keys of a project beside `services` that services refer to.
const SHARED: [&str; 4] = ["networks", "volumes", "secrets", "configs"];

/// Keys of a service that say what Compose does around it: what a service needs is waited for by
/// us, profiles are chosen by now, and nothing is pulled again that is here. Compose 2 leaves all
/// of them out of its hash.
const AROUND: [&str; 3] = ["depends_on", "profiles", "pull_policy"];

/// Of a configuration: Compose's own hash of the service, and the image that its name stands for,
/// so that another image under the same name is a change.
pub(super) fn digest(hash: &str, image_id: Option<&str>) -> String {
    format!("{hash}@{}", image_id.unwrap_or("not here"))
}

/// What `Desired::configuration` holds.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Configuration {
    pub project: String,
    /// Paths are absolute by now; Compose wants a folder all the same.
    pub folder: PathBuf,
    /// Its name in the Compose file.
    pub service: String,
    /// `services` with it and those that it shares a network or volumes with.
    pub services: Map<String, Value>,
    /// Networks, volumes, secrets and configs of the project.
    pub shared: Map<String, Value>,
}

impl ComposeRuntime {
    pub(super) async fn resolve_all(
        &self,
        services: &[ServiceName],
    ) -> Result<Vec<Desired>, Problem> {
        let program = self.program().await?.clone();
        let project = self.project_of_files(&program).await?;
        let hashes = self.hashes(&program, &project).await?;
        let mut ids: HashMap<String, Option<String>> = HashMap::new();
        let is_here = self.is_here().await;
        let mut resolved = Vec::with_capacity(services.len());
        for name in services {
            let compose_name = self.compose_name(name)?;
            let configuration = project.of_service(compose_name, self);
            let Some(configuration) = configuration else {
                resolved.push(self.not_described(name, compose_name, &project));
                continue;
            };
            let own = configuration.services.get(compose_name);
            let own = own.cloned().unwrap_or_default();
            let image = image_of(&own, &self.project, compose_name, program.version);
            let image_id = match ids.get(&image) {
                Some(known) => known.clone(),
                None => {
                    let id = self.image_id(&image).await?;
                    ids.insert(image.clone(), id.clone());
                    id
                }
            };
            let hash = hashes.get(compose_name).map_or("", String::as_str);
            resolved.push(Desired {
                service: name.clone(),
                digest: digest(hash, image_id.as_deref()),
                not_restored: bind_files::not_restored(&own, is_here),
                configuration: serde_json::to_value(&configuration)
                    .map_err(|error| Problem::failed("resolving the Compose files", error))?,
                image: Some(image),
                is_image_absent: image_id.is_none(),
                image_id,
                problem: None,
            });
        }
        Ok(resolved)
    }

    /// The image that a name stands for here; none where it is not here.
    pub(super) async fn image_id(&self, image: &str) -> Result<Option<String>, Problem> {
        let client = self.engine.client().await?;
        let question = async {
            match client.inspect_image(image).await {
                Ok(found) => Ok(found.id),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err::<_, Error>(error),
            }
        };
        self.engine
            .asked(format!("looking for the image {image}"), question)
            .await
    }

    fn not_described(&self, name: &ServiceName, compose_name: &str, project: &Project) -> Desired {
        let known: Vec<&str> = project.services.keys().map(String::as_str).collect();
        let problem = format!(
            "the Compose files have no service `{compose_name}` (with the profiles that \
             `runtime` names: {}); they have {}",
            if self.files.profiles.is_empty() {
                "none".to_owned()
            } else {
                self.files.profiles.join(", ")
            },
            known.join(", ")
        );
        Desired::not_described(name.clone(), problem)
    }

    /// `config`, in the environment of this process.
    async fn project_of_files(&self, program: &Program) -> Result<Project, Problem> {
        let what = "resolving the Compose files";
        let mut arguments = Vec::new();
        if program.version == Version::One {
            // Limits that stand under `deploy`, which it leaves away otherwise.
            arguments.push("--compatibility".to_owned());
        }
        for file in &self.files.files {
            arguments.extend(["-f".to_owned(), file.display().to_string()]);
        }
        for profile in &self.files.profiles {
            arguments.extend(["--profile".to_owned(), profile.clone()]);
        }
        for file in &self.files.env_files {
            arguments.extend(["--env-file".to_owned(), file.display().to_string()]);
        }
        arguments.push("config".into());
        if program.version == Version::Two {
            arguments.extend(["--format".to_owned(), "json".into()]);
        }
        let out = self.ask_compose(what, program, arguments).await?;
        let value = match program.version {
            Version::Two => serde_json::from_str(&out).map_err(|error| error.to_string()),
            Version::One => json_of_yaml(&out),
        };
        let value = value.map_err(|reason| Problem::failed(what, reason))?;
        Ok(Project::of(value))
    }

    /// What Compose will say of each service when it has made it.
    async fn hashes(
        &self,
        program: &Program,
        project: &Project,
    ) -> Result<HashMap<String, String>, Problem> {
        let what = "resolving the Compose files";
        let file = self.resolved_file(&project.written(&self.project))?;
        let arguments = [
            "-f".to_owned(),
            file.path().display().to_string(),
            "config".into(),
            "--hash".into(),
            "*".into(),
        ];
        let out = self.ask_compose(what, program, arguments.to_vec()).await?;
        Ok(out
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            .map(|(service, hash)| (service.to_owned(), hash.trim().to_owned()))
            .collect())
    }
}

/// A resolved project.
struct Project {
    services: Map<String, Value>,
    shared: Map<String, Value>,
}

impl Project {
    fn of(value: Value) -> Self {
        let Value::Object(mut top) = value else {
            return Self {
                services: Map::new(),
                shared: Map::new(),
            };
        };
        let mut services = match top.remove("services") {
            Some(Value::Object(services)) => services,
            _ => Map::new(),
        };
        for service in services.values_mut().filter_map(Value::as_object_mut) {
            for key in AROUND {
                service.shift_remove(key);
            }
        }
        let shared = SHARED
            .iter()
            .chain(&["version"])
            .filter_map(|key| Some(((*key).to_owned(), top.remove(*key)?)))
            .collect();
        Self { services, shared }
    }

    fn written(&self, project: &str) -> Value {
        written(project, &self.services, &self.shared)
    }

    /// A service with everything that it cannot be made without.
    fn of_service(&self, name: &str, runtime: &ComposeRuntime) -> Option<Configuration> {
        let mut wanted = vec![name.to_owned()];
        let mut next = 0;
        while let Some(service) = wanted.get(next).and_then(|name| self.services.get(name)) {
            for other in referred(service) {
                if self.services.contains_key(&other) && !wanted.contains(&other) {
                    wanted.push(other);
                }
            }
            next += 1;
        }
        self.services.get(name)?;
        Some(Configuration {
            project: runtime.project.clone(),
            folder: runtime.folder.clone(),
            service: name.to_owned(),
            services: self
                .services
                .iter()
                .filter(|(name, _)| wanted.contains(name))
                .map(|(name, service)| (name.clone(), service.clone()))
                .collect(),
            shared: self.shared.clone(),
        })
    }
}

impl Configuration {
    /// How many containers it asks for.
    pub(super) fn replicas(&self) -> usize {
        let own = self.services.get(&self.service);
        let count =
            own.and_then(|own| own.get("scale").or_else(|| own.pointer("/deploy/replicas")));
        let count = count.and_then(Value::as_u64).unwrap_or(1);
        usize::try_from(count).unwrap_or(1)
    }
}

/// The text of a project file.
pub(super) fn written(
    project: &str,
    services: &Map<String, Value>,
    shared: &Map<String, Value>,
) -> Value {
    let mut top = shared.clone();
    // Compose 1 does not know `name`, and gives a `version`.
    if !top.contains_key("version") {
        top.insert("name".into(), json!(project));
    }
    top.insert("services".into(), Value::Object(services.clone()));
    Value::Object(top)
}

/// Services whose network, processes or volumes a service shares.
fn referred(service: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for key in ["network_mode", "ipc", "pid"] {
        let mode = service.get(key).and_then(Value::as_str);
        names.extend(
            mode.and_then(|mode| mode.strip_prefix("service:"))
                .map(str::to_owned),
        );
    }
    for key in ["volumes_from", "links"] {
        let items = service.get(key).and_then(Value::as_array);
        for item in items.into_iter().flatten().filter_map(Value::as_str) {
            names.extend(item.split(':').next().map(str::to_owned));
        }
    }
    names
}

/// The image of a service, as Compose names what it builds itself.
fn image_of(service: &Value, project: &str, name: &str, version: Version) -> String {
    let given = service.get("image").and_then(Value::as_str);
    given.map_or_else(
        || match version {
            Version::One => format!("{project}_{name}"),
            Version::Two => format!("{project}-{name}"),
        },
        str::to_owned,
    )
}

/// Version 1 writes YAML only, by PyYAML: a scalar that is no text stands without quotes.
fn json_of_yaml(text: &str) -> Result<Value, String> {
    fn value(node: &yaml::Node) -> Value {
        match &node.value {
            yaml::Value::Null => Value::Null,
            yaml::Value::List(items) => items.iter().map(value).collect(),
            yaml::Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), value(&entry.value)))
                .collect::<Map<_, _>>()
                .into(),
            yaml::Value::Scalar { text, is_quoted } => match text.as_str() {
                _ if *is_quoted => Value::String(text.clone()),
                "true" => true.into(),
                "false" => false.into(),
                "null" | "~" | "" => Value::Null,
                plain => plain
                    .parse::<i64>()
                    .map(Value::from)
                    .or_else(|_| {
                        let is_number = plain.starts_with(|first: char| {
                            first.is_ascii_digit() || first == '-' || first == '.'
                        });
                        if is_number {
                            plain.parse::<f64>().map(Value::from).map_err(|_| ())
                        } else {
                            Err(())
                        }
                    })
                    .unwrap_or_else(|()| Value::String(plain.to_owned())),
            },
        }
    }
    let file = crate::platform::problem::FileId::default();
    let (documents, _) = yaml::documents(text, file)
        .map_err(|_| "what Compose wrote cannot be read as YAML".to_owned())?;
    let document = documents.first().ok_or("Compose wrote nothing")?;
    Ok(value(document))
}

/// Commands run in another folder than this process.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_version_1_writes_keeps_its_types() {
        let text = "services:\n  a:\n    cpus: 0.5\n    ports:\n    - 127.0.0.1:80:80/tcp\n    \
                    environment:\n      ONE: '1'\n      EMPTY: ''\n    privileged: true\n    \
                    mem_limit: 64m\n    stop_grace_period: 10s\n    retries: 3\nversion: '3.9'\n";
        let read = json_of_yaml(text).expect("YAML");
        let expected = json!({
            "services": {"a": {
                "cpus": 0.5,
                "ports": ["127.0.0.1:80:80/tcp"],
                "environment": {"ONE": "1", "EMPTY": ""},
                "privileged": true,
                "mem_limit": "64m",
                "stop_grace_period": "10s",
                "retries": 3,
            }},
            "version": "3.9",
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn a_service_takes_those_along_whose_network_it_shares() {
        let project = Project::of(json!({
            "name": "p",
            "services": {
                "page": {"network_mode": "service:proxy", "depends_on": ["db"]},
                "proxy": {"volumes_from": ["files:ro"]},
                "files": {},
                "db": {"profiles": ["x"]},
            },
            "networks": {"default": {}},
        }));
        assert_eq!(project.services["page"].get("depends_on"), None);
        assert_eq!(project.services["db"], json!({}));
        assert_eq!(referred(&project.services["page"]), ["proxy"]);
        assert_eq!(referred(&project.services["proxy"]), ["files"]);
        assert_eq!(project.written("p")["name"], "p");
    }
}
