//! What autoscalers make of workloads: how many pods they want, and what keeps them from more.

use serde_json::Value;

use super::{KubernetesRuntime, LONGEST_OBSERVATION, workloads::cut};
use crate::{
    answer::clean,
    platform::ServiceName,
    runtime::{Problem, Scaling},
};

const WHAT: &str = "asking for autoscalers (`list horizontalpodautoscalers.autoscaling`)";

/// Of the name of a reason, which is one word.
const LONGEST_REASON: usize = 80;

impl KubernetesRuntime {
    pub(super) async fn scaling_of(
        &self,
        services: &[ServiceName],
    ) -> Result<Vec<Option<Scaling>>, Problem> {
        let mut names = Vec::with_capacity(services.len());
        for name in services {
            names.push(self.workload_name(name)?);
        }
        let path = format!(
            "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
            self.namespace
        );
        let asked = self.cluster.list_of(&path, WHAT);
        let scalers = tokio::time::timeout(LONGEST_OBSERVATION, asked)
            .await
            .map_err(|_| Problem::TimedOut {
                what: WHAT.into(),
                waited: LONGEST_OBSERVATION,
            })??
            .unwrap_or_default();
        let of = |name: &str| {
            scalers
                .iter()
                .find(|one| Scaler(one).target() == Some(name))
        };
        Ok(names
            .into_iter()
            .map(|name| of(name).map(|one| Scaler(one).scaling()))
            .collect())
    }
}

/// A HorizontalPodAutoscaler as the API server has it.
#[derive(Debug, Clone, Copy)]
struct Scaler<'a>(&'a Value);

impl<'a> Scaler<'a> {
    fn text(self, path: &str) -> Option<&'a str> {
        self.0.pointer(path)?.as_str()
    }

    fn count(self, path: &str) -> Option<u32> {
        let count = self.0.pointer(path)?.as_u64()?;
        u32::try_from(count).ok()
    }

    /// The workload, where it scales one of the kinds that a service is.
    fn target(self) -> Option<&'a str> {
        let kind = self.text("/spec/scaleTargetRef/kind")?;
        let name = self.text("/spec/scaleTargetRef/name");
        name.filter(|_| matches!(kind, "Deployment" | "StatefulSet"))
    }

    /// Reason and words of a condition, where it has this status.
    fn condition(self, kind: &str, status: &str) -> Option<(String, String)> {
        let conditions = self.0.pointer("/status/conditions")?.as_array()?;
        let found = conditions.iter().find(|condition| {
            let is =
                |key: &str, value: &str| condition.get(key).and_then(Value::as_str) == Some(value);
            is("type", kind) && is("status", status)
        })?;
        let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
        Some((
            clean::text(text("reason"), LONGEST_REASON),
            cut(text("message")),
        ))
    }

    fn scaling(self) -> Scaling {
        let words = |(reason, message): (String, String)| match message.is_empty() {
            true => reason,
            false => format!("{reason}: {message}"),
        };
        // It reads nothing, or may not act: then nobody scales.
        let stuck = self
            .condition("AbleToScale", "False")
            .or_else(|| self.condition("ScalingActive", "False"));
        Scaling {
            current: self.count("/status/currentReplicas").unwrap_or_default(),
            wanted: self.count("/status/desiredReplicas"),
            least: self.count("/spec/minReplicas").unwrap_or(1),
            most: self.count("/spec/maxReplicas").unwrap_or_default(),
            limited: self.condition("ScalingLimited", "True").map(words),
            stuck: stuck.map(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scaler(conditions: &Value) -> Value {
        json!({
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"},
                "maxReplicas": 3,
            },
            "status": {"currentReplicas": 2, "desiredReplicas": 3, "conditions": conditions},
        })
    }

    #[test]
    fn what_keeps_an_autoscaler_from_more_is_told() {
        let limited = scaler(&json!([
            {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"},
            {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"},
            {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas",
             "message": "the desired replica count is more than the maximum replica count"},
        ]));
        let told = Scaler(&limited).scaling();
        let limited_by =
            "TooManyReplicas: the desired replica count is more than the maximum replica count";
        assert_eq!(told.limited.as_deref(), Some(limited_by));
        assert_eq!(told.stuck, None);
        assert_eq!(told.to_string(), "2 of 1-3, wants 3, limited");
        let blind = scaler(&json!([
            {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "none"},
            {"type": "ScalingLimited", "status": "False", "reason": "DesiredWithinRange"},
        ]));
        let told = Scaler(&blind).scaling();
        assert_eq!(told.stuck.as_deref(), Some("FailedGetResourceMetric: none"));
        assert_eq!(told.limited, None);
        assert_eq!(told.to_string(), "2 of 1-3, wants 3, does not scale");
        // One that nobody has looked at yet.
        let told = Scaler(&json!({"spec": {"maxReplicas": 3}})).scaling();
        assert_eq!((told.current, told.wanted), (0, None));
    }

    #[test]
    fn what_scales_something_else_is_of_no_service() {
        let mut other = scaler(&json!([]));
        other["spec"]["scaleTargetRef"]["kind"] = "Rollout".into();
        assert_eq!(Scaler(&other).target(), None);
        assert_eq!(Scaler(&scaler(&json!([]))).target(), Some("api"));
    }
}
