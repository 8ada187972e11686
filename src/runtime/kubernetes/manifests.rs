//! Which objects of the manifests belong to which service. Pure, but for reading the files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::kinds::{Kind, Reference};
use crate::platform::{problem::FileId, yaml};

/// Everything that the manifests describe, for one namespace.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    /// By what they are, in the order of applying.
    pub objects: BTreeMap<Reference, Value>,
    /// What is not applied, and why.
    pub left_out: Vec<String>,
}

/// What one service consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub workload: Reference,
    /// With the workload, in the order of applying.
    pub all: Vec<Reference>,
}

impl Manifests {
    /// Reads files and folders, as `kubectl apply -f` does: not below, in the order of names.
    pub(super) fn read(paths: &[PathBuf], namespace: &str) -> Result<Self, String> {
        let mut documents = Vec::new();
        for path in paths {
            for file in files_of(path)? {
                let text = std::fs::read_to_string(&file)
                    .map_err(|error| format!("{}: {error}", file.display()))?;
                let (nodes, _) = yaml::documents(&text, FileId::default())
                    .map_err(|_| format!("{} cannot be read as YAML", file.display()))?;
                documents.extend(nodes.iter().map(json));
            }
        }
        Ok(Self::of(documents, namespace))
    }

    /// The image of a workload's first container, which is the one of the service.
    pub(super) fn use_image(&mut self, workload: &str, image: &str) {
        let own = self
            .objects
            .iter_mut()
            .find(|(reference, _)| {
                reference.name == workload && reference.kind().is_some_and(Kind::is_workload)
            })
            .and_then(|(_, object)| object.pointer_mut("/spec/template/spec/containers/0/image"));
        if let Some(own) = own {
            *own = image.into();
        }
    }

    fn of(documents: Vec<Value>, namespace: &str) -> Self {
        let mut read = Self::default();
        for document in documents {
            let items = match document.get("kind").and_then(Value::as_str) {
                Some("List") => document
                    .get("items")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default(),
                _ => vec![document],
            };
            for object in items {
                if !object.is_null() {
                    read.take(object, namespace);
                }
            }
        }
        read
    }

    fn take(&mut self, mut object: Value, namespace: &str) {
        let words = |key: &str| {
            let value = object.pointer(key).and_then(Value::as_str);
            value.unwrap_or("(none)").to_owned()
        };
        let told = format!("{}/{}", words("/kind"), words("/metadata/name"));
        let Some(reference) = Reference::of(&object) else {
            self.left_out
                .push(format!("{told} is of a kind that is not applied here"));
            return;
        };
        let is_namespaced = reference.kind().is_none_or(|kind| kind.is_namespaced);
        let own = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        if is_namespaced && own.is_some_and(|own| own != namespace) {
            self.left_out.push(format!(
                "{told} is for the namespace {}, and the platform file names {namespace}",
                own.unwrap_or_default()
            ));
            return;
        }
        if reference.kind == "Namespace" && reference.name != namespace {
            self.left_out.push(format!(
                "{told} is not the namespace of the platform, {namespace}"
            ));
            return;
        }
        if is_namespaced
            && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.insert("namespace".into(), namespace.into());
        }
        if let Some(top) = object.as_object_mut() {
            top.remove("status");
        }
        let is_other = |earlier: &Value| *earlier != object;
        if self.objects.get(&reference).is_some_and(is_other) {
            self.left_out
                .push(format!("{told} stands twice: the later one is taken"));
        }
        self.objects.insert(reference, object);
    }

    pub(super) fn workloads(&self) -> impl Iterator<Item = &Reference> {
        let all = self.objects.keys();
        all.filter(|reference| reference.kind().is_some_and(Kind::is_workload))
    }

    /// The parts of every workload. What no workload has to do with belongs to all.
    pub(super) fn parts(&self) -> Vec<Part> {
        let workloads: Vec<&Reference> = self.workloads().collect();
        let mut of_each: Vec<BTreeSet<&Reference>> = workloads
            .iter()
            .map(|workload| self.around(workload))
            .collect();
        for reference in self.objects.keys() {
            let is_anybodys = of_each.iter().any(|around| around.contains(reference));
            let is_workload = reference.kind().is_some_and(Kind::is_workload);
            if !is_anybodys && !is_workload {
                for around in &mut of_each {
                    around.insert(reference);
                }
            }
        }
        let parts = workloads.into_iter().zip(of_each);
        parts
            .map(|(workload, around)| {
                let mut all: Vec<Reference> = around.into_iter().cloned().collect();
                all.push(workload.clone());
                all.sort_by(|one, other| (one.rank(), one).cmp(&(other.rank(), other)));
                Part {
                    workload: workload.clone(),
                    all,
                }
            })
            .collect()
    }

    /// What a workload refers to, and what selects it.
    fn around(&self, workload: &Reference) -> BTreeSet<&Reference> {
        let nothing = Value::Null;
        let object = self.objects.get(workload).unwrap_or(&nothing);
        let labels = object.pointer("/spec/template/metadata/labels");
        let labels = labels.unwrap_or(&nothing);
        let mut named = BTreeSet::new();
        if let Some(pod) = object.pointer("/spec/template/spec") {
            references(pod, &mut named);
        }
        let mut around: BTreeSet<&Reference> = BTreeSet::new();
        for (reference, other) in &self.objects {
            let at = |path: &str| other.pointer(path).unwrap_or(&nothing);
            let is_around = match reference.kind.as_str() {
                "Service" => selects(at("/spec/selector"), labels),
                "NetworkPolicy" => selects(at("/spec/podSelector/matchLabels"), labels),
                "PodDisruptionBudget" => selects(at("/spec/selector/matchLabels"), labels),
                "HorizontalPodAutoscaler" => {
                    at("/spec/scaleTargetRef/kind") == workload.kind.as_str()
                        && at("/spec/scaleTargetRef/name") == workload.name.as_str()
                }
                kind => named.contains(&(kind.to_owned(), reference.name.clone())),
            };
            if is_around {
                around.insert(reference);
            }
        }
        // What refers to those.
        for (reference, other) in &self.objects {
            let mut named = BTreeSet::new();
            references(other, &mut named);
            let is_around = match reference.kind.as_str() {
                "Ingress" => around
                    .iter()
                    .any(|one| one.kind == "Service" && names_backend(other, &one.name)),
                "RoleBinding" => {
                    let subjects = other.get("subjects").and_then(Value::as_array);
                    subjects.into_iter().flatten().any(|subject| {
                        let name = subject.get("name").and_then(Value::as_str);
                        subject.get("kind").and_then(Value::as_str) == Some("ServiceAccount")
                            && around.iter().any(|one| {
                                one.kind == "ServiceAccount" && Some(one.name.as_str()) == name
                            })
                    })
                }
                _ => false,
            };
            if is_around {
                around.insert(reference);
                let role = other.pointer("/roleRef/name").and_then(Value::as_str);
                let is_role =
                    |one: &&Reference| one.kind == "Role" && Some(one.name.as_str()) == role;
                around.extend(self.objects.keys().find(is_role));
            }
        }
        around
    }

    /// Secrets that a workload reads and that no manifest describes: they have to be there.
    pub(super) fn secrets_of(&self, workload: &Reference) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        if let Some(pod) = self
            .objects
            .get(workload)
            .and_then(|object| object.pointer("/spec/template/spec"))
        {
            references(pod, &mut named);
        }
        let is_described = |name: &str| {
            let mut secrets = self.objects.keys();
            secrets.any(|one| one.kind == "Secret" && one.name == name)
        };
        named
            .into_iter()
            .filter(|(kind, name)| kind == "Secret" && !is_described(name))
            .map(|(_, name)| name)
            .collect()
    }
}

/// Every label of the selector is one of these; an empty selector is about nobody in particular.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object().filter(|selector| !selector.is_empty()) else {
        return false;
    };
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// Kind and name of everything that a pod refers to, wherever it stands. What is marked `optional`
/// may be absent.
fn references(value: &Value, named: &mut BTreeSet<(String, String)>) {
    let mut add = |kind: &str, name: Option<&Value>| {
        if let Some(name) = name.and_then(Value::as_str) {
            named.insert((kind.to_owned(), name.to_owned()));
        }
    };
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, named)),
        Value::Object(map) => {
            for (key, below) in map {
                if below.get("optional") == Some(&Value::Bool(true)) {
                    continue;
                }
                match key.as_str() {
                    "configMapRef" | "configMapKeyRef" | "configMap" => {
                        add("ConfigMap", below.get("name"));
                    }
                    "secretRef" | "secretKeyRef" => add("Secret", below.get("name")),
                    "secret" => add("Secret", below.get("secretName").or(below.get("name"))),
                    "persistentVolumeClaim" => {
                        add("PersistentVolumeClaim", below.get("claimName"));
                    }
                    "serviceAccountName" => add("ServiceAccount", Some(below)),
                    "imagePullSecrets" => {
                        for secret in below.as_array().into_iter().flatten() {
                            add("Secret", secret.get("name"));
                        }
                    }
                    _ => {}
                }
            }
            map.values().for_each(|below| references(below, named));
        }
        _ => {}
    }
}

/// Whether an Ingress leads to this Service.
fn names_backend(ingress: &Value, service: &str) -> bool {
    match ingress {
        Value::Array(items) => items.iter().any(|item| names_backend(item, service)),
        Value::Object(map) => map.iter().any(|(key, below)| {
            let is_it = matches!(key.as_str(), "backend" | "defaultBackend")
                && below.pointer("/service/name").and_then(Value::as_str) == Some(service);
            is_it || names_backend(below, service)
        }),
        _ => false,
    }
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_manifest = file
            .extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json");
        if is_manifest && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// As kubectl reads YAML: `yes` and `on` are true, `0644` is octal.
fn json(node: &yaml::Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::List(items) => items.iter().map(json).collect(),
        yaml::Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.value)))
            .collect::<Map<_, _>>()
            .into(),
        yaml::Value::Scalar { text, is_quoted } => match text.as_str() {
            _ if *is_quoted => Value::String(text.clone()),
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true.into(),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
                false.into()
            }
            "null" | "Null" | "NULL" | "~" | "" => Value::Null,
            plain => number(plain).unwrap_or_else(|| Value::String(plain.to_owned())),
        },
    }
}

fn number(plain: &str) -> Option<Value> {
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, plain.strip_prefix('+').unwrap_or(plain)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let of_base = |digits: &str, base| i64::from_str_radix(digits, base).ok();
    let whole = if let Some(rest) = digits.strip_prefix("0x") {
        of_base(rest, 16)
    } else if let Some(rest) = digits.strip_prefix("0o") {
        of_base(rest, 8)
    } else if digits.len() > 1 && digits.starts_with('0') && !digits.contains('.') {
        of_base(digits, 8)
    } else {
        digits.parse().ok()
    };
    if let Some(whole) = whole {
        return Some((sign * whole).into());
    }
    let is_decimal = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    is_decimal.then(|| plain.parse::<f64>().ok().map(Value::from))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: p }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { MODE: '0644', LEVEL: info }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: reader }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: looks }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: may-look }
subjects: [{ kind: ServiceAccount, name: reader }]
roleRef: { kind: Role, name: looks }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: api } }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: front }
spec: { rules: [{ http: { paths: [{ backend: { service: { name: web } } }] } }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: api, namespace: p }
spec:
  template:
    metadata: { labels: { app: api, tier: a } }
    spec:
      serviceAccountName: reader
      containers:
      - name: main
        envFrom: [{ configMapRef: { name: settings } }]
        env: [{ name: A, valueFrom: { secretKeyRef: { name: keys, key: A } } }]
      volumes: [{ name: f, secret: { secretName: files, defaultMode: 0640 } }]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec: { template: { metadata: { labels: { app: db } }, spec: {} } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: split }
---
apiVersion: v1
kind: Service
metadata: { name: far, namespace: other }
";

    fn read() -> Manifests {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("all.yaml"), TEXT).expect("a file");
        std::fs::write(folder.path().join("notes.txt"), "no").expect("a file");
        Manifests::read(&[folder.path().to_owned()], "p").expect("manifests")
    }

    #[test]
    fn each_service_has_what_it_refers_to_and_what_selects_it() {
        let read = read();
        let parts = read.parts();
        let of = |name: &str| {
            let mut parts = parts.iter();
            let part = parts
                .find(|part| part.workload.name == name)
                .expect("a part");
            part.all.iter().map(Reference::words).collect::<Vec<_>>()
        };
        assert_eq!(
            of("api"),
            [
                "Namespace/p",
                "ServiceAccount/reader",
                "Role/looks",
                "RoleBinding/may-look",
                "ConfigMap/settings",
                "Service/web",
                "Deployment/api",
                "Ingress/front",
            ]
        );
        assert_eq!(of("db"), ["Namespace/p", "StatefulSet/db"]);
        let api = read.workloads().next().expect("a workload");
        assert_eq!(
            read.secrets_of(api).into_iter().collect::<Vec<_>>(),
            ["files", "keys"]
        );
        assert_eq!(
            read.left_out,
            [
                "VirtualService/split is of a kind that is not applied here",
                "Service/far is for the namespace other, and the platform file names p",
            ]
        );
    }

    #[test]
    fn scalars_are_read_as_kubectl_reads_them() {
        let read = read();
        let of = |name: &str, path: &str| {
            let mut objects = read.objects.iter();
            let found = objects.find(|(reference, _)| reference.name == name);
            found.expect("an object").1.pointer(path).cloned()
        };
        assert_eq!(of("settings", "/data/MODE"), Some("0644".into()));
        assert_eq!(
            of("api", "/spec/template/spec/volumes/0/secret/defaultMode"),
            Some(0o640.into())
        );
        for (text, value) in [
            ("7", serde_json::json!(7)),
            ("-7", serde_json::json!(-7)),
            ("0x1F", serde_json::json!(31)),
            ("1.5", serde_json::json!(1.5)),
            ("256Mi", serde_json::json!("256Mi")),
            ("1.2.3", serde_json::json!("1.2.3")),
            ("10.0.0.1", serde_json::json!("10.0.0.1")),
        ] {
            let read = number(text).unwrap_or_else(|| text.into());
            assert_eq!(read, value, "{text}");
        }
    }
}
