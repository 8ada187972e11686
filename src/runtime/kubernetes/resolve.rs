//! Resolves the manifests once: what is applied later is this, and never the files again.

use std::collections::{BTreeMap, BTreeSet};

use futures::{FutureExt as _, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Found, KubernetesRuntime, MOST_AT_ONCE, fields,
    kinds::Reference,
    manifests::{Manifests, Part},
    rights::Missing,
    workloads::{self, CONFIGURATION, OBJECTS, WORKLOADS},
};
use crate::{
    platform::ServiceName,
    runtime::{Desired, Problem, Readiness},
};

/// What `Desired::configuration` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Configuration {
    pub namespace: String,
    pub workload: Reference,
    /// With the workload, in the order of applying.
    pub objects: Vec<Value>,
    /// Secrets that it reads and that no manifest describes.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// What the manifests have and this runtime does not apply.
    #[serde(default)]
    pub left_out: Vec<String>,
}

impl Configuration {
    pub(super) fn of(desired: &Desired) -> Result<Self, Problem> {
        serde_json::from_value(desired.configuration.clone()).map_err(|error| {
            Problem::failed(format!("reading how {} should run", desired.service), error)
        })
    }

    pub(super) fn references(&self) -> impl Iterator<Item = Reference> {
        self.objects.iter().filter_map(Reference::of)
    }
}

impl KubernetesRuntime {
    pub(super) async fn resolve_all(
        &self,
        services: &[ServiceName],
    ) -> Result<Vec<Desired>, Problem> {
        let mut manifests = Manifests::read(&self.manifests, &self.namespace)
            .map_err(|reason| Problem::failed("reading the manifests", reason))?;
        for service in &self.platform.services {
            if let Some(image) = &service.own_image {
                manifests.use_image(self.workload_name(&service.name)?, image);
            }
        }
        let parts = manifests.parts();
        let mut resolved = Vec::with_capacity(services.len());
        let mut chosen: BTreeMap<&Reference, &Value> = BTreeMap::new();
        for name in services {
            let own = self.workload_name(name)?;
            let Some(part) = parts.iter().find(|part| part.workload.name == own) else {
                resolved.push(not_described(name, own, &manifests));
                continue;
            };
            let wanted = part.all.iter();
            chosen.extend(wanted.filter_map(|one| manifests.objects.get_key_value(one)));
            resolved.push(desired(name, part, &parts, &manifests, &self.namespace)?);
        }
        let (faults, found) = tokio::join!(self.tried(&chosen), self.found());
        let faults = faults?;
        for (desired, name) in resolved.iter_mut().zip(services) {
            let own = self.workload_name(name)?;
            let part = parts.iter().find(|part| part.workload.name == own);
            let own_faults: Vec<&str> = part
                .iter()
                .flat_map(|part| &part.all)
                .filter_map(|one| faults.get(one).map(String::as_str))
                .collect();
            let there = found.as_ref().ok().and_then(|found| found.workload(own));
            let there = there.and_then(Reference::of);
            desired.problem = match (desired.problem.take(), there, part) {
                (Some(problem), _, _) => Some(problem),
                // Both would run, under one name.
                (None, Some(there), Some(part)) if there.kind != part.workload.kind => {
                    Some(format!(
                        "{} is there, and the manifests have {}: remove the first one before",
                        there.words(),
                        part.workload.words()
                    ))
                }
                (None, _, _) if !own_faults.is_empty() => Some(own_faults.join("; ")),
                (None, _, _) => None,
            };
        }
        Ok(resolved)
    }

    /// What the API server says of each without doing it: fields that others hold, fields that
    /// cannot change, what is not allowed, what it does not understand.
    async fn tried(
        &self,
        objects: &BTreeMap<&Reference, &Value>,
    ) -> Result<BTreeMap<Reference, String>, Problem> {
        let references: BTreeSet<&Reference> = objects.keys().copied().collect();
        let missing = self.missing_rights(&references).await?;
        let is_made = objects.keys().any(|one| one.kind == "Namespace");
        let is_there = self.has_namespace().await;
        let mut faults = BTreeMap::new();
        if let (Ok(false), false) = (&is_there, is_made) {
            for reference in objects.keys() {
                let words = format!(
                    "there is no namespace {}, and no manifest makes it",
                    self.namespace
                );
                faults.insert((*reference).clone(), words);
            }
            return Ok(faults);
        }
        let mut tries = Vec::with_capacity(objects.len());
        for (reference, object) in objects {
            let (missing, is_there) = (&missing, &is_there);
            let one = async move {
                let fault = self.fault(reference, object, missing, is_there).await;
                let fault = fault.filter(|problem| !waits_for_role(object, problem, objects));
                ((*reference).clone(), fault.map(|fault| fault.to_string()))
            };
            tries.push(one.boxed());
        }
        let mut tries = stream::iter(tries).buffered(MOST_AT_ONCE);
        while let Some((reference, fault)) = tries.next().await {
            if let Some(fault) = fault {
                faults.insert(reference, fault);
            }
        }
        Ok(faults)
    }

    async fn fault(
        &self,
        reference: &Reference,
        object: &Value,
        missing: &Missing,
        is_there: &Result<bool, Problem>,
    ) -> Option<Problem> {
        let kind = reference.kind()?;
        if !kind.is_namespaced {
            return None;
        }
        let rights = missing.for_kind(kind);
        if !rights.is_empty() {
            return Some(Problem::NotAllowed {
                what: format!("what {} needs", reference.kind),
                reason: rights.join(", "),
            });
        }
        if matches!(is_there, Ok(false)) {
            // Its namespace is made first; nothing can be tried in one that is not there.
            return None;
        }
        let tried = self
            .cluster
            .apply(object, reference, &self.namespace, true)
            .await;
        tried.err()
    }

    /// Whether the namespace is there.
    pub(super) async fn has_namespace(&self) -> Result<bool, Problem> {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        let found = self.cluster.get(&path).await?;
        Ok(found.is_some_and(|one| one.pointer("/metadata/deletionTimestamp").is_none()))
    }

    pub(super) async fn readiness_of(
        &self,
        desired: &[Desired],
    ) -> Result<Vec<Readiness>, Problem> {
        let configurations: Vec<Configuration> = desired
            .iter()
            .filter(|one| !one.configuration.is_null())
            .map(Configuration::of)
            .collect::<Result<_, _>>()?;
        let (server, by) = self.cluster.place().await?;
        let mut list = vec![Readiness {
            name: "cluster named",
            is_ready: Some(self.cluster.is_named().await?),
            note: Some(format!("{server} by {by}; namespace {}", self.namespace)),
        }];
        let is_made = configurations
            .iter()
            .flat_map(Configuration::references)
            .any(|one| one.kind == "Namespace");
        list.push(match self.has_namespace().await {
            Ok(true) => ready("namespace created", Some(true), None),
            Ok(false) if is_made => ready(
                "namespace created",
                Some(true),
                Some("the run makes it".into()),
            ),
            Ok(false) => ready(
                "namespace created",
                Some(false),
                Some(format!("kubectl create namespace {}", self.namespace)),
            ),
            Err(problem) => ready("namespace created", None, Some(problem.to_string())),
        });
        list.extend(self.expected_parts().await);
        let references: BTreeSet<Reference> = configurations
            .iter()
            .flat_map(Configuration::references)
            .collect();
        let missing = self.missing_rights(&references.iter().collect()).await?;
        list.push(match missing.is_empty() {
            true => ready("permissions", Some(true), None),
            false => ready(
                "permissions",
                Some(false),
                Some(format!(
                    "missing in {}: {}",
                    self.namespace,
                    missing.words()
                )),
            ),
        });
        let found = self.found().await;
        if let Ok(found) = &found {
            list.extend(self.as_applied(desired, &configurations, found).await);
        }
        let secrets: BTreeSet<&String> =
            configurations.iter().flat_map(|one| &one.secrets).collect();
        if !secrets.is_empty() {
            list.push(self.has_secrets(&secrets).await);
        }
        let mut left_out: BTreeSet<String> = configurations
            .iter()
            .flat_map(|one| one.left_out.clone())
            .collect();
        if let Ok(found) = &found {
            left_out.extend(left_behind(&configurations, found));
        }
        if !left_out.is_empty() {
            let words: Vec<String> = left_out.into_iter().collect();
            list.push(ready(
                "manifests whole",
                Some(false),
                Some(words.join("; ")),
            ));
        }
        Ok(list)
    }

    /// Whether what stands around services that are as they were planned is so too: of the workload
    /// itself `observe` tells. None where there is none of them.
    async fn as_applied(
        &self,
        desired: &[Desired],
        configurations: &[Configuration],
        found: &Found,
    ) -> Option<Readiness> {
        let mut around: BTreeMap<Reference, &Value> = BTreeMap::new();
        for configuration in configurations {
            let workload = found.workload(&configuration.workload.name);
            let applied = workload
                .and_then(|workload| workloads::Workload(workload).annotation(CONFIGURATION));
            if applied.is_some_and(|applied| desired.iter().any(|one| one.digest == applied)) {
                let objects = configuration.objects.iter();
                around.extend(objects.filter_map(|one| Some((Reference::of(one)?, one))));
            }
        }
        around.retain(|one, _| {
            one.kind()
                .is_some_and(|kind| kind.is_namespaced && !kind.is_workload())
        });
        if around.is_empty() {
            return None;
        }
        let mut looks = Vec::with_capacity(around.len());
        for (reference, object) in &around {
            let look = async move {
                let there = self.cluster.object(reference, &self.namespace);
                let then = self.cluster.apply(object, reference, &self.namespace, true);
                // What cannot be tried is told of the service.
                let (there, then) = futures::future::try_join(there, then).await.ok()?;
                match there {
                    None => Some(format!("{} is gone", reference.words())),
                    Some(there) if fields::anew(&there) != fields::anew(&then) => {
                        Some(format!("{} is another", reference.words()))
                    }
                    Some(_) => None,
                }
            };
            looks.push(look.boxed());
        }
        let looks = stream::iter(looks).buffered(MOST_AT_ONCE);
        let changed: Vec<String> = looks.filter_map(|one| async { one }).collect().await;
        Some(match changed.is_empty() {
            true => ready("as applied", Some(true), None),
            false => ready(
                "as applied",
                Some(false),
                Some(format!("changed by hand: {}", changed.join(", "))),
            ),
        })
    }

    /// Whether secrets are there. Their values are asked for by nobody here.
    async fn has_secrets(&self, names: &BTreeSet<&String>) -> Readiness {
        const NAME: &str = "secrets created";
        let mut absent = Vec::new();
        for name in names {
            match self.cluster.has_secret(&self.namespace, name).await {
                Ok(true) => {}
                Ok(false) => absent.push(name.as_str()),
                Err(problem) => return ready(NAME, None, Some(problem.to_string())),
            }
        }
        match absent.is_empty() {
            true => ready(NAME, Some(true), None),
            false => ready(
                NAME,
                Some(false),
                Some(format!("not there: {}", absent.join(", "))),
            ),
        }
    }
}

/// What was applied with a service and is in its manifests no more: it stays, as nobody but a person
/// knows what else needs it.
fn left_behind(configurations: &[Configuration], found: &Found) -> Vec<String> {
    let mut left = Vec::new();
    for configuration in configurations {
        let name = &configuration.workload.name;
        let there = found.workload(name).map(workloads::Workload);
        let wanted: BTreeSet<Reference> = configuration.references().collect();
        let listed = there.map(workloads::Workload::objects).unwrap_or_default();
        left.extend(
            listed
                .iter()
                .filter(|one| !wanted.contains(one))
                .map(|one| {
                    format!(
                        "{} of {name} is in the manifests no more and stays in the cluster",
                        one.words()
                    )
                }),
        );
    }
    left
}

fn ready(name: &'static str, is_ready: Option<bool>, note: Option<String>) -> Readiness {
    Readiness {
        name,
        is_ready,
        note,
    }
}

fn not_described(name: &ServiceName, own: &str, manifests: &Manifests) -> Desired {
    let known: Vec<&str> = manifests.workloads().map(|one| one.name.as_str()).collect();
    let problem = format!(
        "the manifests have no Deployment, StatefulSet or DaemonSet `{own}`; they have {}",
        if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }
    );
    Desired::not_described(name.clone(), problem)
}

fn desired(
    name: &ServiceName,
    part: &Part,
    parts: &[Part],
    manifests: &Manifests,
    namespace: &str,
) -> Result<Desired, Problem> {
    let plain: Vec<&Value> = part
        .all
        .iter()
        .filter_map(|one| manifests.objects.get(one))
        .collect();
    let digest = workloads::digest(&json!(plain));
    let listed: Vec<String> = part.all.iter().map(Reference::written).collect();
    let objects: Vec<Value> = part
        .all
        .iter()
        .filter_map(|one| {
            let mut notes = vec![(WORKLOADS, belongs_to(one, parts))];
            if *one == part.workload {
                notes.push((CONFIGURATION, digest.clone()));
                notes.push((OBJECTS, listed.join(",")));
            }
            Some(annotated(manifests.objects.get(one)?, &notes))
        })
        .collect();
    let image = manifests
        .objects
        .get(&part.workload)
        .and_then(|workload| workloads::Workload(workload).image())
        .map(str::to_owned);
    let configuration = Configuration {
        namespace: namespace.to_owned(),
        workload: part.workload.clone(),
        objects,
        secrets: manifests.secrets_of(&part.workload).into_iter().collect(),
        left_out: manifests.left_out.clone(),
    };
    Ok(Desired {
        service: name.clone(),
        configuration: serde_json::to_value(&configuration)
            .map_err(|error| Problem::failed("resolving the manifests", error))?,
        digest,
        image_id: image.clone(),
        image,
        is_image_absent: false,
        problem: None,
        not_restored: Vec::new(),
    })
}

/// The workloads that an object is part of.
fn belongs_to(reference: &Reference, parts: &[Part]) -> String {
    let owners = parts.iter().filter(|part| part.all.contains(reference));
    let names: Vec<String> = owners.map(|part| part.workload.written()).collect();
    names.join(",")
}

fn annotated(object: &Value, notes: &[(&str, String)]) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let own = metadata.entry("annotations").or_insert_with(|| json!({}));
        if own.is_null() {
            *own = json!({});
        }
        if let Some(own) = own.as_object_mut() {
            for (name, value) in notes {
                own.insert((*name).to_owned(), value.as_str().into());
            }
        }
    }
    object
}
/// A binding to a Role that is made just before it: to see whether it would give more than its maker
/// has, the API server wants the Role to be there.
fn waits_for_role(
    binding: &Value,
    problem: &Problem,
    objects: &BTreeMap<&Reference, &Value>,
) -> bool {
    let of = |path: &str| binding.pointer(path).and_then(Value::as_str);
    let is_made = || {
        let mut made = objects.keys();
        made.any(|one| one.kind == "Role" && Some(one.name.as_str()) == of("/roleRef/name"))
    };
    matches!(problem, Problem::NotFound { .. })
        && of("/kind") == Some("RoleBinding")
        && of("/roleRef/kind") == Some("Role")
        && is_made()
}
