//! Traffic between two versions of a service: weights of a VirtualService of Istio.
//!
//! The lists of routes in it are atomic: who applies one weight on the server applies, and owns, them
//! all. So weights are changed by a JSON patch, which leaves everything else as it is, and which tests
//! the routes that were read: where anybody changed one of them meanwhile, nothing is changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{KubernetesRuntime, parts::INSTALL_ISTIO, rights::Right};
use crate::{
    platform::{model::Traffic, problem::quoted},
    runtime::{Divided, Problem, Weights},
};

const GROUP: &str = "networking.istio.io";
const ROUTES: &str = "virtualservices";
const RULES: &str = "destinationrules";

/// What shifting needs.
const RIGHTS: [Right; 3] = [
    Right::on("get", GROUP, ROUTES),
    Right::on("patch", GROUP, ROUTES),
    Right::on("list", GROUP, RULES),
];

impl KubernetesRuntime {
    /// How a route divides requests now; with `is_planned` also whether it could be shifted.
    pub(super) async fn divided(
        &self,
        traffic: &Traffic,
        is_planned: bool,
    ) -> Result<Divided, Problem> {
        let api = self.istio().await?;
        if is_planned {
            let missing = self.missing_of(RIGHTS.into_iter().collect()).await?;
            if !missing.is_empty() {
                return Err(Problem::NotAllowed {
                    what: what(traffic),
                    reason: format!("missing in {}: {}", self.namespace, missing.words()),
                });
            }
        }
        let route = self.route(&api, traffic).await?;
        let found =
            Routes::of(&route, traffic).map_err(|reason| Problem::failed(what(traffic), reason))?;
        if is_planned {
            self.has_subsets(&api, traffic, &found).await?;
        }
        Ok(Divided {
            weights: found.weights,
            holder: holder(&route),
        })
    }

    /// Changes the weights of the routes that both versions have, and nothing else.
    pub(super) async fn divide(
        &self,
        traffic: &Traffic,
        was: Weights,
        then: Weights,
    ) -> Result<(), Problem> {
        let api = self.istio().await?;
        let route = self.route(&api, traffic).await?;
        let found =
            Routes::of(&route, traffic).map_err(|reason| Problem::failed(what(traffic), reason))?;
        if found.weights != was {
            return Err(Problem::HeldByOthers {
                what: what(traffic),
                reason: format!("it is {} by now, and no longer {was}", found.weights),
            });
        }
        let operations = found.patch(&route, then);
        let path = self.path_of_route(&api, traffic);
        self.cluster
            .patch(what(traffic), &path, &operations)
            .await?;
        Ok(())
    }

    /// The version of Istio's API that the server prefers, as `networking.istio.io/v1`.
    async fn istio(&self) -> Result<String, Problem> {
        let group = self.cluster.get(&format!("/apis/{GROUP}")).await?;
        let Some(group) = group else {
            return Err(no_istio());
        };
        let preferred = group.pointer("/preferredVersion/groupVersion");
        let others = group.get("versions").and_then(Value::as_array);
        let others = others.into_iter().flatten();
        let versions = preferred
            .into_iter()
            .chain(others.filter_map(|one| one.get("groupVersion")));
        for version in versions.filter_map(Value::as_str) {
            let kinds = self.cluster.get(&format!("/apis/{version}")).await?;
            let kinds = kinds
                .as_ref()
                .and_then(|one| one.get("resources")?.as_array());
            let has = |plural: &str| {
                let mut kinds = kinds.into_iter().flatten();
                kinds.any(|kind| kind.get("name").and_then(Value::as_str) == Some(plural))
            };
            if has(ROUTES) && has(RULES) {
                return Ok(version.to_owned());
            }
        }
        Err(no_istio())
    }

    fn path_of_route(&self, api: &str, traffic: &Traffic) -> String {
        format!(
            "/apis/{api}/namespaces/{}/{ROUTES}/{}",
            self.namespace, traffic.virtual_service
        )
    }

    async fn route(&self, api: &str, traffic: &Traffic) -> Result<Value, Problem> {
        let path = self.path_of_route(api, traffic);
        self.cluster
            .get(&path)
            .await?
            .ok_or_else(|| Problem::NotFound {
                what: what(traffic),
                reason: format!(
                    "there is no VirtualService {} in the namespace {}: apply it before, with \
                     `kubectl apply`",
                    traffic.virtual_service, self.namespace
                ),
            })
    }

    /// Whether both versions are defined for every host that the routes name.
    async fn has_subsets(
        &self,
        api: &str,
        traffic: &Traffic,
        found: &Routes,
    ) -> Result<(), Problem> {
        let path = format!("/apis/{api}/namespaces/{}/{RULES}", self.namespace);
        let rules = self.cluster.list(&path).await?.unwrap_or_default();
        for host in &found.hosts {
            let missing = missing_subsets(&rules, host, traffic, &self.namespace);
            if !missing.is_empty() {
                return Err(Problem::NotFound {
                    what: what(traffic),
                    reason: format!(
                        "no DestinationRule of the namespace {} defines {} of {}",
                        self.namespace,
                        missing.join(" and "),
                        quoted(host)
                    ),
                });
            }
        }
        Ok(())
    }
}

fn what(traffic: &Traffic) -> String {
    format!("shifting the traffic of {}", traffic.virtual_service)
}

fn no_istio() -> Problem {
    Problem::NotFound {
        what: "looking for Istio".into(),
        reason: format!(
            "the cluster has no VirtualService ({ROUTES}.{GROUP}) and DestinationRule: \
             `{INSTALL_ISTIO}` installs it"
        ),
    }
}

/// The routes of a VirtualService that divide requests between both versions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Routes {
    weights: Weights,
    /// Each with the places of both versions in it.
    places: Vec<Place>,
    /// Hosts whose versions these are, as they are written.
    hosts: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    http: usize,
    from: usize,
    to: usize,
}

impl Routes {
    /// Or why they cannot be shifted.
    fn of(object: &Value, traffic: &Traffic) -> Result<Self, String> {
        let (from, to) = (traffic.from.as_str(), traffic.to.as_str());
        let http = object.pointer("/spec/http").and_then(Value::as_array);
        let mut found: Option<Self> = None;
        for (at, entry) in http.into_iter().flatten().enumerate() {
            let destinations = entry.get("route").and_then(Value::as_array);
            let destinations: &[Value] = destinations.map_or(&[], Vec::as_slice);
            let of_subset = |name: &str| {
                let mut all = destinations.iter();
                all.position(|one| text(one, "/destination/subset") == Some(name))
            };
            let (Some(first), Some(second)) = (of_subset(from), of_subset(to)) else {
                continue;
            };
            if destinations.len() > 2 {
                return Err(format!(
                    "its route {} divides requests among {} destinations, and only {from} and {to} \
                     are spoken of",
                    at + 1,
                    destinations.len()
                ));
            }
            let weight = |place: usize| destinations.get(place).map_or(Ok(0), weight_of);
            let weights = Weights {
                from: weight(first)?,
                to: weight(second)?,
            };
            let hosts = destinations
                .iter()
                .filter_map(|one| text(one, "/destination/host"));
            let place = Place {
                http: at,
                from: first,
                to: second,
            };
            match &mut found {
                None => {
                    found = Some(Self {
                        weights,
                        places: vec![place],
                        hosts: hosts.map(str::to_owned).collect(),
                    });
                }
                Some(found) if found.weights == weights => {
                    found.places.push(place);
                    found.hosts.extend(hosts.map(str::to_owned));
                }
                Some(found) => {
                    return Err(format!(
                        "its routes divide requests between {from} and {to} differently ({} and \
                         {weights}): give them the same weights",
                        found.weights
                    ));
                }
            }
        }
        found.ok_or_else(|| {
            format!(
                "no `http` route of it has destinations with the subsets {from} and {to}: write both, \
                 the second one with weight 0"
            )
        })
    }

    /// Sets weights where the routes are as they were read.
    fn patch(&self, object: &Value, then: Weights) -> Value {
        let mut operations = Vec::new();
        for place in &self.places {
            let path = format!("/spec/http/{}/route", place.http);
            let read = object.pointer(&path).unwrap_or(&Value::Null);
            operations.push(json!({"op": "test", "path": path, "value": read}));
        }
        for place in &self.places {
            for (position, weight) in [(place.from, then.from), (place.to, then.to)] {
                let path = format!("/spec/http/{}/route/{position}/weight", place.http);
                // Of a key that is there this replaces the value.
                operations.push(json!({"op": "add", "path": path, "value": weight}));
            }
        }
        Value::Array(operations)
    }
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str()
}

/// No weight beside another one is none.
fn weight_of(destination: &Value) -> Result<u32, String> {
    match destination.get("weight") {
        None | Some(Value::Null) => Ok(0),
        Some(weight) => {
            let number = weight
                .as_u64()
                .and_then(|weight| u32::try_from(weight).ok());
            number.ok_or_else(|| "one of its weights is no whole number".to_owned())
        }
    }
}

/// Of both versions those that no rule for this host defines, quoted.
fn missing_subsets(rules: &[Value], host: &str, traffic: &Traffic, namespace: &str) -> Vec<String> {
    let whole = whole_host(host, namespace);
    let of_host = rules.iter().filter(|rule| {
        text(rule, "/spec/host").is_some_and(|other| whole_host(other, namespace) == whole)
    });
    let defined: BTreeSet<&str> = of_host
        .filter_map(|rule| rule.pointer("/spec/subsets")?.as_array())
        .flatten()
        .filter_map(|subset| text(subset, "/name"))
        .collect();
    let both = [&traffic.from, &traffic.to].into_iter();
    both.filter(|name| !defined.contains(name.as_str()))
        .map(|name| format!("the subset {name}"))
        .collect()
}

/// A short name is one of the namespace, as Istio reads it.
fn whole_host(host: &str, namespace: &str) -> String {
    const END: &str = ".svc.cluster.local";
    match host.contains('.') {
        false => format!("{host}.{namespace}{END}"),
        true => host.to_owned(),
    }
}

/// Who wrote the routes last, as the API server keeps count of it.
fn holder(object: &Value) -> Option<String> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let of_routes = entries.iter().filter(|entry| {
        let fields = entry.pointer("/fieldsV1/f:spec");
        fields.is_some_and(|fields| fields.get("f:http").is_some())
    });
    let last = of_routes.max_by_key(|entry| text(entry, "/time").unwrap_or_default())?;
    let (manager, time) = (text(last, "/manager")?, text(last, "/time"));
    Some(match time {
        Some(time) => format!("{} at {}", quoted(manager), quoted(time).trim_matches('`')),
        None => quoted(manager),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::model::Promote;

    fn traffic() -> Traffic {
        Traffic {
            virtual_service: "api-gateway-vs".into(),
            from: "v1".into(),
            to: "v2".into(),
            weights: vec![10],
            promote: Promote::Gate,
        }
    }

    fn destination(subset: &str, weight: Option<u32>) -> Value {
        let mut one = json!({"destination": {"host": "api-gateway", "subset": subset}});
        if let Some(weight) = weight {
            one["weight"] = weight.into();
        }
        one
    }

    fn object(routes: &[Value]) -> Value {
        let http: Vec<Value> = routes.iter().map(|route| json!({"route": route})).collect();
        json!({"spec": {"hosts": ["api-gateway"], "http": http}})
    }

    #[test]
    fn a_route_with_both_versions_is_found_and_only_its_weights_change() {
        let other = json!([destination("v2", None)]);
        let both = json!([destination("v2", Some(10)), destination("v1", Some(90))]);
        let object = object(&[other, both.clone()]);
        let found = Routes::of(&object, &traffic()).expect("routes");
        assert_eq!(found.weights, Weights { from: 90, to: 10 });
        assert_eq!(
            found.patch(&object, Weights::of(50)),
            json!([
                {"op": "test", "path": "/spec/http/1/route", "value": both},
                {"op": "add", "path": "/spec/http/1/route/1/weight", "value": 50},
                {"op": "add", "path": "/spec/http/1/route/0/weight", "value": 50},
            ])
        );
    }

    #[test]
    fn what_cannot_be_shifted_is_told() {
        let both = |from, to| json!([destination("v1", from), destination("v2", to)]);
        let told = |routes: &[Value]| Routes::of(&object(routes), &traffic());
        let three = json!([
            destination("v1", Some(80)),
            destination("v2", Some(10)),
            destination("v3", Some(10))
        ]);
        for (routes, words) in [
            (vec![], "no `http` route of it has"),
            (
                vec![json!([destination("v1", None)])],
                "the second one with weight 0",
            ),
            (vec![three], "among 3 destinations"),
            (
                vec![both(Some(90), Some(10)), both(Some(50), Some(50))],
                "differently (90 to 10 and 50 to 50)",
            ),
            (
                vec![
                    json!([destination("v1", None), {"destination": {"subset": "v2"}, "weight": "ten"}]),
                ],
                "no whole number",
            ),
        ] {
            let reason = told(&routes).expect_err(words);
            assert!(reason.contains(words), "{reason}");
        }
        // No weight is none.
        let found = told(&[both(Some(100), None)]).expect("routes");
        assert_eq!(found.weights, Weights { from: 100, to: 0 });
        let found = told(&[both(Some(90), Some(10)), both(Some(90), Some(10))]).expect("routes");
        assert_eq!(found.places.len(), 2);
    }

    #[test]
    fn subsets_are_those_of_the_host_however_it_is_written() {
        let rule = |host: &str, names: &[&str]| {
            let subsets: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"spec": {"host": host, "subsets": subsets}})
        };
        let missing = |rules: &[Value]| missing_subsets(rules, "api-gateway", &traffic(), "p");
        assert_eq!(
            missing(&[rule("api-gateway.p.svc.cluster.local", &["v1", "v2"])]),
            Vec::<String>::new()
        );
        assert_eq!(missing(&[rule("api-gateway", &["v1"])]), ["the subset v2"]);
        assert_eq!(missing(&[rule("other", &["v1", "v2"])]).len(), 2);
    }

    #[test]
    fn who_wrote_the_routes_last_is_told() {
        let entry = |manager: &str, time: &str, field: &str| json!({"manager": manager, "time": time, "fieldsV1": {"f:spec": {field: {}}}});
        let object = json!({"metadata": {"managedFields": [
            entry("kubectl-edit", "2026-12-01T10:00:02Z", "f:http"),
            entry("openpolicy-mcp-traffic", "2026-12-01T10:00:01Z", "f:http"),
            entry("other", "2026-12-01T10:00:03Z", "f:hosts"),
        ]}});
        assert_eq!(
            holder(&object),
            Some("`kubectl-edit` at 2026-12-01T10:00:02Z".to_owned())
        );
        assert_eq!(holder(&json!({})), None);
    }
}
