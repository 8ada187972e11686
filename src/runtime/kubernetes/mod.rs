//! The `kubernetes` runtime: services as workloads of one namespace of a cluster.
//!
//! The API server is asked for everything and does everything; there is no command beside it, so
//! nothing goes on when this process is ended but what the cluster itself does. Manifests are read
//! once (`resolve`) and applied on the server under our own field manager: what others hold is told
//! and never taken. Namespaces and claims are never removed.

mod apply;
mod capture;
mod cluster;
mod exec;
mod fields;
mod kinds;
mod kubeconfig;
mod logs;
mod manifests;
mod mirror;
mod nodes;
mod parts;
mod resolve;
mod restore;
mod rights;
mod scaling;
mod stop;
mod traffic;
mod usage;
mod watched;
mod workloads;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;

pub use cluster::Address;

use self::{cluster::Cluster, watched::Watched, workloads::Workload};
use super::{
    Applied, Before, Change, Desired, Divided, Host, LogPage, LogQuery, Nodes, Observed, Output,
    Problem, Readiness, Runtime, Scaling, ServiceState, Stopped, Streams, Usage, Weights, Work,
    order,
};
use crate::platform::{
    Platform, Service, ServiceName,
    model::{ClusterPart, Environment, RuntimeKind, Traffic},
};

/// Questions to the API server at the same time.
const MOST_AT_ONCE: usize = 8;

/// Of `observe`, which is asked besides.
const LONGEST_OBSERVATION: Duration = Duration::from_millis(2_700);

/// Workloads of one namespace.
pub struct KubernetesRuntime {
    platform: Arc<Platform>,
    namespace: String,
    manifests: Vec<PathBuf>,
    context: Option<String>,
    expects: Vec<ClusterPart>,
    cluster: Arc<Cluster>,
    watched: Watched,
}

impl KubernetesRuntime {
    /// Nothing is asked yet. A platform file that nobody trusts names no cluster: a kubeconfig may
    /// hold a command that gives the credentials.
    pub fn of(platform: Arc<Platform>) -> Result<Self, Problem> {
        let RuntimeKind::Kubernetes {
            context,
            kubeconfig,
            namespace,
            manifests,
            expects,
        } = &platform.runtime
        else {
            return Err(Problem::failed(
                "opening the kubernetes runtime",
                "the platform file names another runtime",
            ));
        };
        if let Err(untrusted) = platform.trust.permit() {
            return Err(Problem::failed("opening the kubernetes runtime", untrusted));
        }
        let address = Address {
            kubeconfig: kubeconfig.clone(),
            context: context.clone(),
            is_strict: platform.environment == Environment::Production,
        };
        let cluster = Arc::new(Cluster::new(address));
        Ok(Self {
            namespace: namespace.clone(),
            manifests: manifests.clone(),
            context: context.clone(),
            expects: expects.clone(),
            watched: Watched::new(Arc::clone(&cluster), namespace.clone()),
            cluster,
            platform,
        })
    }

    fn service(&self, name: &ServiceName) -> Result<&Service, Problem> {
        order::service(&self.platform, name)
    }

    /// The name of a service's workload.
    fn workload_name(&self, name: &ServiceName) -> Result<&str, Problem> {
        let service = self.service(name)?;
        Ok(service.runtime_name.as_deref().unwrap_or(&service.name.0))
    }

    /// The workloads and pods of the namespace, asked for now: what is acted on.
    async fn found(&self) -> Result<Found, Problem> {
        Ok(Found::of(self.watched.ask().await?))
    }

    /// The same for whoever looks again and again.
    async fn looked(&self) -> Result<Found, Problem> {
        Ok(Found::of(self.watched.look().await?))
    }

    async fn pods(&self) -> Result<Vec<Value>, Problem> {
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        Ok(self.cluster.list(&path).await?.unwrap_or_default())
    }

    async fn observe_all(&self, services: &[ServiceName]) -> Result<Vec<Observed>, Problem> {
        let mut names = Vec::with_capacity(services.len());
        for name in services {
            names.push(self.workload_name(name)?);
        }
        let found = tokio::time::timeout(LONGEST_OBSERVATION, self.looked()).await;
        let found = found.unwrap_or_else(|_| {
            Err(Problem::TimedOut {
                what: "asking the cluster for its workloads".into(),
                waited: LONGEST_OBSERVATION,
            })
        });
        let seen = services.iter().zip(names);
        Ok(match found {
            Ok(found) => seen
                .map(|(name, own)| {
                    workloads::observed(name.clone(), found.workload(own), &found.pods_of(own))
                })
                .collect(),
            Err(problem) => seen
                .map(|(name, _)| {
                    Observed::new(name.clone(), ServiceState::Unknown(problem.to_string()))
                })
                .collect(),
        })
    }

    /// A cluster is known by the namespace that each has and that nobody makes anew; where that may
    /// not be looked at, by its address alone.
    async fn cluster_and_namespace(&self) -> Result<String, Problem> {
        let (server, _) = self.cluster.place().await?;
        let own = self.cluster.get("/api/v1/namespaces/kube-system").await;
        let id = match own {
            Ok(found) => found.and_then(|one| {
                let id = one.pointer("/metadata/uid")?.as_str()?;
                Some(format!(" ({id})"))
            }),
            Err(Problem::NotAllowed { .. }) => None,
            Err(problem) => return Err(problem),
        };
        Ok(format!(
            "kubernetes {server}{}, namespace {}",
            id.unwrap_or_default(),
            self.namespace
        ))
    }
}

/// What a namespace has.
struct Found {
    workloads: Vec<Arc<Value>>,
    pods: Vec<Arc<Value>>,
}

impl Found {
    /// Of each kind that is looked at, pods last.
    fn of(mut kinds: Vec<Vec<Arc<Value>>>) -> Self {
        let pods = kinds.pop().unwrap_or_default();
        Self {
            workloads: kinds.into_iter().flatten().collect(),
            pods,
        }
    }

    fn workload(&self, name: &str) -> Option<&Value> {
        let mut workloads = self.workloads.iter();
        let found = workloads.find(|one| Workload(one).name() == name);
        found.map(AsRef::as_ref)
    }

    fn pods_of(&self, name: &str) -> Vec<&Value> {
        let Some(workload) = self.workload(name).map(Workload) else {
            return Vec::new();
        };
        let pods = self.pods.iter().map(AsRef::as_ref);
        pods.filter(|pod| workload.has_pod(pod)).collect()
    }
}

impl Runtime for KubernetesRuntime {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn target<'a>(&'a self) -> Work<'a, String> {
        Box::pin(self.cluster_and_namespace())
    }

    fn resolve<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Desired>> {
        Box::pin(self.resolve_all(services))
    }

    fn observe<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Observed>> {
        Box::pin(self.observe_all(services))
    }

    fn capture<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Before>> {
        Box::pin(self.capture_all(services))
    }

    fn capture_for<'a>(&'a self, desired: &'a [Desired]) -> Work<'a, Vec<Before>> {
        Box::pin(self.capture_before(desired))
    }

    fn readiness<'a>(&'a self, desired: &'a [Desired]) -> Work<'a, Vec<Readiness>> {
        Box::pin(self.readiness_of(desired))
    }

    fn apply<'a>(&'a self, change: Change<'a>) -> Work<'a, Vec<Applied>> {
        Box::pin(self.apply_all(change))
    }

    fn host<'a>(&'a self) -> Work<'a, Host> {
        Box::pin(self.cluster_host())
    }

    fn restore<'a>(&'a self, before: &'a Before) -> Work<'a, Applied> {
        Box::pin(self.take_back(before))
    }

    fn stop<'a>(&'a self, services: &'a [ServiceName], grace: Duration) -> Work<'a, Vec<Stopped>> {
        Box::pin(self.stop_all(services, grace))
    }

    fn logs<'a>(&'a self, query: &'a LogQuery) -> Work<'a, LogPage> {
        Box::pin(self.log_page(query))
    }

    fn usage<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Usage>> {
        Box::pin(self.usage_of(services))
    }

    fn traffic<'a>(&'a self, traffic: &'a Traffic, is_planned: bool) -> Work<'a, Divided> {
        Box::pin(self.divided(traffic, is_planned))
    }

    fn shift<'a>(&'a self, traffic: &'a Traffic, was: Weights, then: Weights) -> Work<'a, ()> {
        Box::pin(self.divide(traffic, was, then))
    }

    fn nodes<'a>(&'a self) -> Work<'a, Nodes> {
        Box::pin(self.told_nodes())
    }

    fn scaling<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Option<Scaling>>> {
        Box::pin(self.scaling_of(services))
    }

    fn exec<'a>(
        &'a self,
        service: &'a ServiceName,
        command: &'a [String],
        streams: Streams<'a>,
        longest: Duration,
    ) -> Work<'a, Output> {
        Box::pin(self.run_in_pod(service, command, streams, longest))
    }
}
