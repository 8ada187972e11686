//! What a cluster is expected to have beside the platform: looked for before a run, installed by a person.

use std::path::Path;

use serde_json::Value;

use super::KubernetesRuntime;
use crate::{
    platform::model::ClusterPart,
    runtime::{Problem, Readiness},
};

/// How the document installs Istio.
pub(super) const INSTALL_ISTIO: &str = "istioctl install --set profile=demo -y";

/// How it is known that a part is there.
enum Sign {
    /// A program on this machine.
    Program(&'static str),
    /// A group of the API, which everybody may ask for.
    Group(&'static str),
    /// The label of the namespace by which Istio puts its proxy into pods.
    Injection,
}

/// What the check is called, how it is looked for, and the command that installs it: those of the document
/// "OpenPolicy Platform - Orchestration Engine Setup". They are shown and never run.
fn described(
    part: ClusterPart,
    namespace: &str,
    context: Option<&str>,
) -> (&'static str, Sign, String) {
    match part {
        ClusterPart::Kind => (
            "kind installed",
            Sign::Program("kind"),
            format!(
                "kind create cluster --name {}",
                context
                    .and_then(|context| context.strip_prefix("kind-"))
                    .unwrap_or(namespace)
            ),
        ),
        ClusterPart::Helm => (
            "Helm installed",
            Sign::Program("helm"),
            "curl https://get.helm.sh/helm-v3.12.0-linux-amd64.tar.gz | tar xz".to_owned(),
        ),
        ClusterPart::Istio => (
            "Istio installed",
            Sign::Group("networking.istio.io"),
            INSTALL_ISTIO.to_owned(),
        ),
        ClusterPart::IstioInjection => (
            "Istio injection on",
            Sign::Injection,
            format!("kubectl label namespace {namespace} istio-injection=enabled"),
        ),
        ClusterPart::ArgoCd => (
            "GitOps operational",
            Sign::Group("argoproj.io"),
            "kubectl create namespace argocd; kubectl apply -n argocd -f \
             https://raw.githubusercontent.com/argoproj/argo-cd/stable/manifests/install.yaml"
                .to_owned(),
        ),
        ClusterPart::PrometheusStack => (
            "Prometheus stack installed",
            Sign::Group("monitoring.coreos.com"),
            "helm install prometheus prometheus-community/kube-prometheus-stack --namespace monitoring \
             --create-namespace"
                .to_owned(),
        ),
        ClusterPart::ExternalSecrets => (
            "external secrets installed",
            Sign::Group("external-secrets.io"),
            "helm install external-secrets external-secrets/external-secrets --namespace external-secrets \
             --create-namespace"
                .to_owned(),
        ),
        ClusterPart::MetricsServer => (
            "metrics server installed",
            Sign::Group("metrics.k8s.io"),
            "kubectl apply -f \
             https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml"
                .to_owned(),
        ),
    }
}

impl KubernetesRuntime {
    /// A check for each part that the platform file expects.
    pub(super) async fn expected_parts(&self) -> Vec<Readiness> {
        let mut checks = Vec::with_capacity(self.expects.len());
        for part in &self.expects {
            let (name, sign, command) = described(*part, &self.namespace, self.context.as_deref());
            let found = match sign {
                Sign::Program(program) => Ok(is_on_path(program)),
                Sign::Group(group) => self.serves(group).await,
                Sign::Injection => self.is_injected().await,
            };
            let (is_ready, note) = match found {
                Ok(true) => (Some(true), None),
                Ok(false) => (
                    Some(false),
                    Some(format!("not there; a person installs it: {command}")),
                ),
                Err(problem) => (None, Some(problem.to_string())),
            };
            checks.push(Readiness {
                name,
                is_ready,
                note,
            });
        }
        checks
    }

    async fn serves(&self, group: &str) -> Result<bool, Problem> {
        Ok(self.cluster.get(&format!("/apis/{group}")).await?.is_some())
    }

    async fn is_injected(&self) -> Result<bool, Problem> {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        let namespace = self.cluster.get(&path).await?;
        let label = namespace
            .as_ref()
            .and_then(|one| one.pointer("/metadata/labels/istio-injection"))
            .and_then(Value::as_str);
        Ok(label == Some("enabled"))
    }
}

/// Whether a shell here would find this program.
fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
    })
}
