//! Reads kubeconfig files, by the YAML reader that platform files have: that of kube would weigh a
//! megabyte in the binary.

use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;
use serde_json::{Map, Value};

use crate::platform::{problem::FileId, yaml};

/// Lists whose items are known by their names.
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

/// Keys whose values are no texts.
const FLAGS: [&str; 3] = [
    "insecure-skip-tls-verify",
    "disable-compression",
    "provideClusterInfo",
];

/// Keys that name files, which lie beside the kubeconfig where they are not absolute.
const FILES: [&str; 4] = [
    "certificate-authority",
    "client-certificate",
    "client-key",
    "tokenFile",
];

/// Several files make one, as kubectl reads them: of two things of one name the first one holds.
/// Those that are not there are left away, unless none is.
pub(super) fn read(paths: &[PathBuf]) -> Result<Kubeconfig, String> {
    let mut all = Map::new();
    let mut first_missing = None;
    let mut is_any = false;
    for path in paths {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                is_any = true;
                merge(&mut all, of_text(&text, path)?);
            }
            Err(error) => {
                first_missing.get_or_insert(format!("{}: {error}", path.display()));
            }
        }
    }
    match first_missing {
        Some(missing) if !is_any => Err(missing),
        _ => serde_json::from_value(Value::Object(all))
            .map_err(|error| format!("it is no kubeconfig: {error}")),
    }
}

fn of_text(text: &str, path: &Path) -> Result<Map<String, Value>, String> {
    let (documents, _) = yaml::documents(text, FileId::default())
        .map_err(|_| format!("{} cannot be read as YAML", path.display()))?;
    let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = folder.parent().unwrap_or(Path::new("/"));
    match documents
        .first()
        .map(|document| value(document, "", folder))
    {
        Some(Value::Object(read)) => Ok(read),
        _ => Err(format!("{} is no kubeconfig", path.display())),
    }
}

/// Everything is a text but what is known to be none: a token may look like a number.
fn value(node: &yaml::Node, key: &str, folder: &Path) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::List(items) => items.iter().map(|item| value(item, "", folder)).collect(),
        yaml::Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), value(&entry.value, &entry.key, folder)))
            .collect::<Map<_, _>>()
            .into(),
        yaml::Value::Scalar { text, .. } if FLAGS.contains(&key) => (text == "true").into(),
        yaml::Value::Scalar { text, .. } => {
            let is_beside =
                FILES.contains(&key) && !text.is_empty() || key == "command" && text.contains('/');
            match is_beside && Path::new(text).is_relative() {
                true => folder.join(text).display().to_string().into(),
                false => text.as_str().into(),
            }
        }
    }
}

fn merge(all: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        let is_list = LISTS.contains(&key.as_str());
        match (all.get_mut(&key), value) {
            (Some(Value::Array(all)), Value::Array(more)) if is_list => {
                for item in more {
                    if !all.iter().any(|one| one.get("name") == item.get("name")) {
                        all.push(item);
                    }
                }
            }
            (Some(there), value) => {
                if there.is_null() || there.as_str() == Some("") {
                    *there = value;
                }
            }
            (None, value) => {
                all.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn files_are_read_together_and_name_what_lies_beside_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(
            at("one"),
            "current-context: ''\npreferences: {}\n\
             clusters: [{name: a, cluster: {server: 'https://a', certificate-authority: ca.crt, insecure-skip-tls-verify: true}}]\n\
             users: [{name: u, user: {token: 1234567}}]\n",
        )
        .expect("a file");
        std::fs::write(
            at("two"),
            "current-context: near\nclusters: [{name: a, cluster: {server: 'https://other'}}]\n\
             contexts: [{name: near, context: {cluster: a, user: u, namespace: n}}]\n",
        )
        .expect("a file");
        let read = read(&[at("one"), at("nowhere"), at("two")]).expect("a kubeconfig");
        assert_eq!(read.current_context.as_deref(), Some("near"));
        let cluster = read.clusters[0].cluster.as_ref().expect("a cluster");
        assert_eq!(cluster.server.as_deref(), Some("https://a"));
        assert_eq!(cluster.insecure_skip_tls_verify, Some(true));
        assert_eq!(
            cluster.certificate_authority.as_deref(),
            Some(at("ca.crt").display().to_string().as_str())
        );
        let user = read.auth_infos[0].auth_info.as_ref().expect("a user");
        let token = user.token.as_ref().expect("a token");
        assert_eq!(token.expose_secret(), "1234567");
        assert_eq!(read.contexts[0].name, "near");
    }

    #[test]
    fn what_is_not_there_or_is_none_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        let told = read(std::slice::from_ref(&file)).expect_err("nothing");
        assert!(told.contains(&file.display().to_string()), "{told}");
        std::fs::write(&file, "- a list").expect("a file");
        let told = read(&[file]).expect_err("none");
        assert!(told.contains("is no kubeconfig"), "{told}");
    }
}
