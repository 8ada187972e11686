//! Which cluster is asked, and every question to its API server.
//!
//! Objects are JSON here: what is applied is what manifests say, whatever versions know.

use std::{path::PathBuf, time::Duration};

use futures::{StreamExt as _, stream::BoxStream};
use http::{Method, Request};
use kube::{
    Client, Config,
    config::{ExecInteractiveMode, KubeConfigOptions},
    core::{Status, WatchEvent},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{
    kinds::{Reference, group_path},
    kubeconfig,
    mirror::Writes,
};
use crate::runtime::Problem;

/// Under this name the API server keeps which fields are ours.
pub(super) const MANAGER: &str = "openpolicy-mcp";

/// Under this one, how many replicas a stopped service has: none.
pub(super) const SCALER: &str = "openpolicy-mcp-scale";

/// Under this one, weights of routes.
pub(super) const SHIFTER: &str = "openpolicy-mcp-traffic";

/// One question; a large list takes some seconds.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);

const LONGEST_CONNECTING: Duration = Duration::from_secs(5);

/// Where the cluster is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The file that the platform file names; else `KUBECONFIG`, else `~/.kube/config`, else the
    /// service account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// Whether the context has to be named: what somebody made the current one last is an accident.
    pub is_strict: bool,
}

pub(super) struct Cluster {
    address: Address,
    connected: OnceCell<Connected>,
    writes: Writes,
}

struct Connected {
    client: Client,
    server: String,
    /// `context lab of ~/.kube/config, as the platform file names it`.
    by: String,
    /// Whether it was not merely the current one.
    is_named: bool,
}

impl Cluster {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            connected: OnceCell::new(),
            writes: Writes::default(),
        }
    }

    /// What was written here: whoever looks has to see it.
    pub(super) fn writes(&self) -> &Writes {
        &self.writes
    }

    async fn connected(&self) -> Result<&Connected, Problem> {
        self.connected
            .get_or_try_init(|| connected(&self.address))
            .await
    }

    /// Whether the context was chosen by somebody, and is not the one that is current by chance.
    pub(super) async fn is_named(&self) -> Result<bool, Problem> {
        Ok(self.connected().await?.is_named)
    }

    /// The address of the API server, and how it was chosen.
    pub(super) async fn place(&self) -> Result<(&str, &str), Problem> {
        let connected = self.connected().await?;
        Ok((&connected.server, &connected.by))
    }

    /// The client itself, for what is more than a question and an answer.
    pub(super) async fn client(&self) -> Result<Client, Problem> {
        Ok(self.connected().await?.client.clone())
    }

    /// What went wrong with it, as any question would tell it.
    pub(super) async fn refused(&self, what: String, error: kube::Error) -> Problem {
        self.problem(what, refusal(error)).await
    }

    /// What is there; none where nothing has this name.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Value>, Problem> {
        self.get_as(path, &format!("reading {path}")).await
    }

    async fn get_as(&self, path: &str, what: &str) -> Result<Option<Value>, Problem> {
        match self.ask(Method::GET, path, None).await {
            Ok(value) => Ok(Some(value)),
            Err(Refusal::Api(status)) if status.code == 404 => Ok(None),
            Err(refusal) => Err(self.problem(what.to_owned(), refusal).await),
        }
    }

    /// The items of a list; none where there is no such list.
    pub(super) async fn list(&self, path: &str) -> Result<Option<Vec<Value>>, Problem> {
        self.list_of(path, &format!("reading {path}")).await
    }

    /// The same, told in these words where it goes wrong.
    pub(super) async fn list_of(
        &self,
        path: &str,
        what: &str,
    ) -> Result<Option<Vec<Value>>, Problem> {
        let list = self.get_as(path, what).await?;
        Ok(list.map(|mut list| items(&mut list)))
    }

    /// The items of a list that has to be there, and where a watch goes on from it.
    pub(super) async fn list_with_version(
        &self,
        path: &str,
    ) -> Result<(Vec<Value>, String), Problem> {
        let what = format!("reading {path}");
        let Some(mut list) = self.get_as(path, &what).await? else {
            return Err(Problem::NotFound {
                what,
                reason: "there is no such list".into(),
            });
        };
        let version = list.pointer("/metadata/resourceVersion");
        let version = version.and_then(Value::as_str).unwrap_or_default();
        let version = version.to_owned();
        Ok((items(&mut list), version))
    }

    /// What happens to the items of a list from a version on, until the API server ends it.
    pub(super) async fn watch(
        &self,
        path: &str,
        version: &str,
        longest: Duration,
    ) -> Result<BoxStream<'static, kube::Result<WatchEvent<Value>>>, Problem> {
        let what = format!("watching {path}");
        let uri = format!(
            "{path}?watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={version}",
            longest.as_secs()
        );
        let request = Request::builder().uri(uri).body(Vec::new());
        let request = request.map_err(|error| Problem::failed(&what, error))?;
        let client = self.client().await?;
        let begun = client.request_events::<Value>(request);
        match tokio::time::timeout(LONGEST_CONNECTING, begun).await {
            Ok(Ok(events)) => Ok(events.boxed()),
            Ok(Err(error)) => Err(self.refused(what, error).await),
            Err(_) => Err(Problem::TimedOut {
                what,
                waited: LONGEST_CONNECTING,
            }),
        }
    }

    pub(super) async fn object(
        &self,
        reference: &Reference,
        namespace: &str,
    ) -> Result<Option<Value>, Problem> {
        self.get(&reference.path(namespace)).await
    }

    /// Whether a secret is there. Its values are not asked for.
    pub(super) async fn has_secret(&self, namespace: &str, name: &str) -> Result<bool, Problem> {
        const ALONE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        match self.ask_text(Method::GET, &path, None, Some(ALONE)).await {
            Ok(_) => Ok(true),
            Err(Refusal::Api(status)) if status.code == 404 => Ok(false),
            Err(refusal) => Err(self
                .problem(format!("looking for the secret {name}"), refusal)
                .await),
        }
    }

    /// Applies on the server under our name. What others hold is taken from nobody but us.
    pub(super) async fn apply(
        &self,
        object: &Value,
        reference: &Reference,
        namespace: &str,
        is_dry: bool,
    ) -> Result<Value, Problem> {
        let path = reference.path(namespace);
        let dry = if is_dry { "&dryRun=All" } else { "" };
        let asked = |force: bool| {
            format!("{path}?fieldManager={MANAGER}&fieldValidation=Strict&force={force}{dry}")
        };
        let body = Body {
            value: object,
            kind: "application/apply-patch+yaml",
        };
        let mut answered = self.ask(Method::PATCH, &asked(false), Some(body)).await;
        if let Err(Refusal::Api(status)) = &answered
            && is_held_by_us(status)
        {
            answered = self.ask(Method::PATCH, &asked(true), Some(body)).await;
        }
        if !is_dry {
            self.writes.wrote(&reference.kind, answered.as_ref().ok());
        }
        match answered {
            Ok(value) => Ok(value),
            Err(refusal) => {
                let what = match is_dry {
                    true => format!("trying {}", reference.words()),
                    false => format!("applying {}", reference.words()),
                };
                Err(self.problem(what, refusal).await)
            }
        }
    }

    /// Changes some fields, whoever holds them.
    pub(super) async fn merge(
        &self,
        reference: &Reference,
        namespace: &str,
        change: &Value,
    ) -> Result<Value, Problem> {
        let path = format!("{}?fieldManager={SCALER}", reference.path(namespace));
        let body = Body {
            value: change,
            kind: "application/merge-patch+json",
        };
        let answered = self.ask(Method::PATCH, &path, Some(body)).await;
        self.writes.wrote(&reference.kind, answered.as_ref().ok());
        match answered {
            Ok(value) => Ok(value),
            Err(refusal) => Err(self
                .problem(format!("changing {}", reference.words()), refusal)
                .await),
        }
    }

    /// Changes single places, each where all that `test`s say is so at that moment, under the name of
    /// who shifts traffic.
    pub(super) async fn patch(
        &self,
        what: String,
        path: &str,
        operations: &Value,
    ) -> Result<Value, Problem> {
        let path = format!("{path}?fieldManager={SHIFTER}&fieldValidation=Strict");
        let body = Body {
            value: operations,
            kind: "application/json-patch+json",
        };
        match self.ask(Method::PATCH, &path, Some(body)).await {
            Ok(value) => Ok(value),
            Err(refusal) => Err(self.problem(what, refusal).await),
        }
    }

    /// Removes an object, where it is there, and lets the cluster clear up what it had made.
    pub(super) async fn delete(
        &self,
        reference: &Reference,
        namespace: &str,
    ) -> Result<(), Problem> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        });
        let body = Body {
            value: &options,
            kind: "application/json",
        };
        let path = reference.path(namespace);
        let answered = self.ask(Method::DELETE, &path, Some(body)).await;
        self.writes.wrote(&reference.kind, None);
        match answered {
            Ok(_) => Ok(()),
            Err(Refusal::Api(status)) if status.code == 404 => Ok(()),
            Err(refusal) => Err(self
                .problem(format!("removing {}", reference.words()), refusal)
                .await),
        }
    }

    /// Removes a pod, so that its workload makes another.
    pub(super) async fn delete_pod(&self, namespace: &str, name: &str) -> Result<(), Problem> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let answered = self.ask(Method::DELETE, &path, None).await;
        self.writes.wrote("Pod", None);
        match answered {
            Ok(_) => Ok(()),
            Err(Refusal::Api(status)) if status.code == 404 => Ok(()),
            Err(refusal) => Err(self
                .problem(format!("removing the pod {name}"), refusal)
                .await),
        }
    }

    /// Makes something that only answers, such as an access review.
    pub(super) async fn create(
        &self,
        api_version: &str,
        plural: &str,
        object: &Value,
    ) -> Result<Value, Problem> {
        let path = format!("{}/{plural}", group_path(api_version));
        let body = Body {
            value: object,
            kind: "application/json",
        };
        match self.ask(Method::POST, &path, Some(body)).await {
            Ok(value) => Ok(value),
            Err(refusal) => Err(self.problem(format!("asking for {plural}"), refusal).await),
        }
    }

    /// A text, such as a log; none where it is not there.
    pub(super) async fn text(&self, path: &str) -> Result<Option<String>, Problem> {
        match self.ask_text(Method::GET, path, None, None).await {
            Ok(text) => Ok(Some(text)),
            // 400: the container has not begun, or has no earlier one.
            Err(Refusal::Api(status)) if matches!(status.code, 400 | 404) => Ok(None),
            Err(refusal) => Err(self.problem(format!("reading {path}"), refusal).await),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Body<'_>>,
    ) -> Result<Value, Refusal> {
        let text = self.ask_text(method, path, body, None).await?;
        serde_json::from_str(&text).map_err(|_| Refusal::Words("no JSON was answered".into()))
    }

    async fn ask_text(
        &self,
        method: Method,
        path: &str,
        body: Option<Body<'_>>,
        accept: Option<&str>,
    ) -> Result<String, Refusal> {
        let connected = self.connected().await.map_err(Refusal::Problem)?;
        let mut request = Request::builder().method(method).uri(path);
        if let Some(body) = body {
            request = request.header("content-type", body.kind);
        }
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let bytes = body.map(|body| body.value.to_string().into_bytes());
        let request = request
            .body(bytes.unwrap_or_default())
            .map_err(|error| Refusal::Words(error.to_string()))?;
        let asked = connected.client.request_text(request);
        match tokio::time::timeout(LONGEST_REQUEST, asked).await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(refusal(error)),
            Err(_) => Err(Refusal::Words(format!(
                "no answer within {} s",
                LONGEST_REQUEST.as_secs()
            ))),
        }
    }

    /// 'Not allowed', 'not reached', 'not there' and 'held by others' are different answers.
    async fn problem(&self, what: String, refusal: Refusal) -> Problem {
        match refusal {
            Refusal::Problem(problem) => problem,
            Refusal::Words(reason) => {
                let place = match self.place().await {
                    Ok((server, by)) => format!("{server} ({by})"),
                    Err(_) => "the cluster".into(),
                };
                Problem::NotReached {
                    what,
                    place,
                    reason,
                }
            }
            Refusal::Api(status) => of_status(what, &status),
        }
    }
}

fn items(list: &mut Value) -> Vec<Value> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

#[derive(Clone, Copy)]
struct Body<'a> {
    value: &'a Value,
    kind: &'static str,
}

enum Refusal {
    Api(Box<Status>),
    Words(String),
    Problem(Problem),
}

fn refusal(error: kube::Error) -> Refusal {
    match error {
        kube::Error::Api(status) => Refusal::Api(status),
        error => Refusal::Words(chain(&error)),
    }
}

fn of_status(what: String, status: &Status) -> Problem {
    let reason = match status.message.is_empty() {
        true => format!("{} {}", status.code, status.reason),
        false => status.message.clone(),
    };
    match status.code {
        401 => Problem::NotAllowed {
            what,
            reason: format!("the cluster does not know who asks ({reason})"),
        },
        403 => Problem::NotAllowed { what, reason },
        404 => Problem::NotFound { what, reason },
        409 if is_conflict(status) => Problem::HeldByOthers {
            what,
            reason: holders(status),
        },
        _ => Problem::Failed { what, reason },
    }
}

fn causes(status: &Status) -> impl Iterator<Item = (&str, &str)> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| (cause.field.as_str(), cause.message.as_str()))
}

fn is_conflict(status: &Status) -> bool {
    causes(status).next().is_some()
}

/// `.spec.replicas is held by "kubectl-edit"`.
fn holders(status: &Status) -> String {
    const MOST: usize = 6;
    let all: Vec<String> = causes(status)
        .map(|(field, message)| {
            let holder = message.strip_prefix("conflict with ").unwrap_or(message);
            format!("{field} is held by {holder}")
        })
        .collect();
    match all.len() > MOST {
        true => format!("{} and {} more", all[..MOST].join("; "), all.len() - MOST),
        false => all.join("; "),
    }
}

/// Only what we ourselves set by another way, such as the replicas of a stopped service.
fn is_held_by_us(status: &Status) -> bool {
    let ours = format!("conflict with \"{SCALER}\"");
    is_conflict(status) && causes(status).all(|(_, message)| message.starts_with(&ours))
}

async fn connected(address: &Address) -> Result<Connected, Problem> {
    let what = "finding the cluster";
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let by_default = given("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    let is_in_cluster = given("KUBERNETES_SERVICE_HOST").is_some();
    let named = address.kubeconfig.as_ref();
    let has_file =
        given("KUBECONFIG").is_some() || by_default.as_ref().is_some_and(|path| path.exists());
    let (mut config, by) = if named.is_none() && !has_file && is_in_cluster {
        if let Some(context) = &address.context {
            return Err(Problem::failed(
                what,
                format!("the context {context} is named, and there is no kubeconfig in this pod"),
            ));
        }
        let config = Config::incluster().map_err(|error| Problem::failed(what, chain(&error)))?;
        (config, "the service account of this pod".to_owned())
    } else {
        let paths: Vec<PathBuf> = match (named, given("KUBECONFIG")) {
            (Some(path), _) => vec![path.clone()],
            (None, Some(listed)) => std::env::split_paths(&listed).collect(),
            (None, None) => by_default.into_iter().collect(),
        };
        let shown: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let file = match shown.is_empty() {
            true => "~/.kube/config".to_owned(),
            false => shown.join(":"),
        };
        let kubeconfig =
            kubeconfig::read(&paths).map_err(|reason| Problem::failed(what, reason))?;
        let current = kubeconfig.current_context.clone();
        let (context, how) = match (&address.context, current) {
            (Some(context), _) => (context.clone(), "named by the platform file"),
            (None, _) if address.is_strict => {
                return Err(Problem::failed(
                    what,
                    "a production platform is not deployed to whatever context is the current \
                     one: name `context` under `runtime.kubernetes`",
                ));
            }
            (None, Some(current)) => (current, "the current one: `context` is not named"),
            (None, None) => {
                return Err(Problem::failed(
                    what,
                    format!("{file} has no current context, and the platform file names none"),
                ));
            }
        };
        let options = KubeConfigOptions {
            context: Some(context.clone()),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| Problem::failed(what, format!("{file}: {}", chain(&error))))?;
        (config, format!("context {context} of {file}, {how}"))
    };
    let is_named = address.context.is_some() || named.is_none() && !has_file;
    config.connect_timeout = Some(LONGEST_CONNECTING);
    // A command may say nothing for long; every other question has its own time-out.
    config.read_timeout = None;
    // An action is never sent twice by somebody who does not know what it is.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/').to_owned();
    if let Some(plugin) = &mut config.auth_info.exec {
        // It would read what a client of ours sends on the same input.
        if plugin.interactive_mode == Some(ExecInteractiveMode::Always) {
            return Err(Problem::failed(
                what,
                "its credentials come from a command that has to ask a person, and there is none \
                 here: sign in before, or name a context that needs nobody",
            ));
        }
        plugin.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    // Such a command is waited for.
    let client = tokio::task::spawn_blocking(move || Client::try_from(config))
        .await
        .map_err(|error| Problem::failed(what, error))?
        .map_err(|error| Problem::failed(what, chain(&error)))?;
    Ok(Connected {
        client,
        server,
        by,
        is_named,
    })
}

/// An error with what lies under it, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, causes: &[(&str, &str)]) -> Status {
        let causes: Vec<Value> = causes
            .iter()
            .map(|(field, message)| {
                json!({"reason": "FieldManagerConflict", "field": field, "message": message})
            })
            .collect();
        serde_json::from_value(json!({
            "code": code,
            "message": "as it says",
            "details": {"causes": causes},
        }))
        .expect("a status")
    }

    #[test]
    fn each_refusal_is_its_own_answer() {
        let told = |code| of_status("doing".into(), &status(code, &[]));
        assert!(matches!(told(401), Problem::NotAllowed { .. }));
        assert!(matches!(told(403), Problem::NotAllowed { .. }));
        assert!(matches!(told(404), Problem::NotFound { .. }));
        assert!(matches!(told(409), Problem::Failed { .. }));
        assert!(matches!(told(422), Problem::Failed { .. }));
        let theirs = status(
            409,
            &[(
                ".spec.replicas",
                "conflict with \"kubectl-edit\" using apps/v1",
            )],
        );
        assert!(!is_held_by_us(&theirs));
        assert_eq!(
            of_status("applying Deployment/api".into(), &theirs).to_string(),
            "applying Deployment/api would take from others what they hold: .spec.replicas is \
             held by \"kubectl-edit\" using apps/v1"
        );
        let ours = status(
            409,
            &[(
                ".spec.replicas",
                "conflict with \"openpolicy-mcp-scale\" using apps/v1",
            )],
        );
        assert!(is_held_by_us(&ours));
        assert!(!is_held_by_us(&status(409, &[])));
    }

    #[tokio::test]
    async fn what_cannot_be_found_is_told_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kubeconfig");
        let told = |address: Address| async move {
            let cluster = Cluster::new(address);
            let told = cluster.get("/api").await;
            told.expect_err("nobody is there")
        };
        let address = Address {
            kubeconfig: Some(file.clone()),
            context: None,
            is_strict: false,
        };
        let missing = told(address.clone()).await.to_string();
        assert!(missing.contains(&file.display().to_string()), "{missing}");
        std::fs::write(
            &file,
            "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n\
             contexts: [{name: near, context: {cluster: a, user: b}}]\nusers: [{name: b, user: {}}]\n\
             current-context: near\n",
        )
        .expect("a file");
        let unreached = told(address.clone()).await;
        assert!(
            matches!(unreached, Problem::NotReached { .. }),
            "{unreached:?}"
        );
        let words = unreached.to_string();
        assert!(
            words.contains("http://127.0.0.1:1 (context near"),
            "{words}"
        );
        let strict = told(Address {
            is_strict: true,
            ..address.clone()
        });
        let words = strict.await.to_string();
        assert!(words.contains("name `context`"), "{words}");
        let other = told(Address {
            context: Some("far".into()),
            ..address
        });
        let words = other.await.to_string();
        assert!(words.contains("far"), "{words}");
    }
}
