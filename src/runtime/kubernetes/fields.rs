//! Which fields of an object are ours, as the API server keeps count of them (`managedFields`).

use serde_json::{Map, Value};

/// An object cut to the fields that this manager has applied: what it would apply again to change
/// nothing. None where it has applied nothing.
pub(super) fn applied_by(object: &Value, manager: &str) -> Option<Value> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let ours = entries.iter().find(|entry| {
        entry.get("manager").and_then(Value::as_str) == Some(manager)
            && entry.get("operation").and_then(Value::as_str) == Some("Apply")
            && entry
                .get("subresource")
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
    })?;
    let mut kept = match cut(object, ours.get("fieldsV1")?) {
        Value::Object(kept) => kept,
        _ => Map::new(),
    };
    for key in ["apiVersion", "kind"] {
        if let Some(value) = object.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    let metadata = kept
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        for key in ["name", "namespace"] {
            if let Some(value) = object.pointer(&format!("/metadata/{key}")) {
                metadata.insert(key.to_owned(), value.clone());
            }
        }
    }
    Some(Value::Object(kept))
}

/// `fields` is a tree: `f:NAME` a field, `k:{…}` the item of a list with these keys, `v:…` the item
/// with this value, `.` the thing itself. A leaf without children is owned whole.
fn cut(value: &Value, fields: &Value) -> Value {
    let Some(fields) = fields.as_object() else {
        return value.clone();
    };
    if fields.keys().all(|key| key == ".") {
        return match (value, fields.is_empty()) {
            // Only that it is there is owned, and not what is in it.
            (Value::Object(_), false) => Value::Object(Map::new()),
            (Value::Array(_), false) => Value::Array(Vec::new()),
            _ => value.clone(),
        };
    }
    match value {
        Value::Object(map) => {
            let mut kept = Map::new();
            for (key, below) in fields {
                if let Some(name) = key.strip_prefix("f:")
                    && let Some(value) = map.get(name)
                {
                    kept.insert(name.to_owned(), cut(value, below));
                }
            }
            Value::Object(kept)
        }
        Value::Array(items) => {
            let kept = items.iter().filter_map(|item| {
                fields.iter().find_map(|(key, below)| {
                    if let Some(keys) = key.strip_prefix("k:") {
                        let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
                        let is_it = keys.iter().all(|(key, value)| item.get(key) == Some(value));
                        return is_it.then(|| with_keys(cut(item, below), &keys));
                    }
                    let wanted: Value = serde_json::from_str(key.strip_prefix("v:")?).ok()?;
                    (*item == wanted).then(|| item.clone())
                })
            });
            Value::Array(kept.collect())
        }
        other => other.clone(),
    }
}

/// An item of a list is found by its keys, whoever owns them.
fn with_keys(mut item: Value, keys: &Map<String, Value>) -> Value {
    if let Some(item) = item.as_object_mut() {
        for (key, value) in keys {
            item.insert(key.clone(), value.clone());
        }
    }
    item
}

/// An object as it could be made anew: without what the API server alone says of it.
pub(super) fn anew(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(top) = object.as_object_mut() {
        top.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in [
            "managedFields",
            "resourceVersion",
            "uid",
            "creationTimestamp",
            "generation",
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "ownerReferences",
        ] {
            metadata.remove(key);
        }
    }
    if object.get("kind").and_then(Value::as_str) == Some("Service")
        && object.pointer("/spec/clusterIP").and_then(Value::as_str) != Some("None")
        && let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
    {
        // Given by the cluster; another may have them by now.
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    object
}

/// The same text for the same value, whatever the order of its keys.
pub(super) fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                keys.into_iter()
                    .map(|key| (key.clone(), sorted(&map[key.as_str()])))
                    .collect::<Map<_, _>>()
                    .into()
            }
            Value::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_cut_to_what_was_applied() {
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "api",
                "namespace": "p",
                "uid": "1",
                "labels": {"ours": "1", "theirs": "2"},
                "managedFields": [
                    {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                    {"manager": "us", "operation": "Apply", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:ours": {}}},
                        "f:spec": {
                            "f:selector": {},
                            "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {
                                ".": {},
                                "f:image": {},
                                "f:name": {},
                                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                                "f:args": {},
                                "f:emptyDir": {},
                            }}}},
                        },
                        "f:finalizers": {".": {}, "v:\"a/b\"": {}},
                    }},
                ],
            },
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "api"}},
                "template": {"spec": {"restartPolicy": "Always", "containers": [
                    {"name": "side", "image": "side:1"},
                    {"name": "main", "image": "api:1", "pullPolicy": "Always", "args": ["a"], "emptyDir": {},
                     "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "TCP"}]},
                ]}},
            },
            "finalizers": ["a/b", "c/d"],
        });
        assert_eq!(
            applied_by(&object, "us"),
            Some(json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "api", "namespace": "p", "labels": {"ours": "1"}},
                "spec": {
                    "selector": {"matchLabels": {"app": "api"}},
                    "template": {"spec": {"containers": [
                        {"name": "main", "image": "api:1", "args": ["a"], "emptyDir": {},
                         "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                    ]}},
                },
                "finalizers": ["a/b"],
            }))
        );
        // An update is no apply, and nobody is us.
        assert_eq!(applied_by(&object, "kubectl"), None);
        assert_eq!(applied_by(&json!({"metadata": {}}), "us"), None);
    }

    #[test]
    fn the_order_of_keys_makes_no_difference() {
        let one = json!({"b": [{"d": 1, "c": 2}], "a": null});
        let other = json!({"a": null, "b": [{"c": 2, "d": 1}]});
        assert_eq!(canonical(&one), canonical(&other));
        assert_ne!(canonical(&one), canonical(&json!({"a": null})));
    }
}
