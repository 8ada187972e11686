//! Elasticsearch or OpenSearch: the colour of the cluster.

use secrecy::SecretString;
use serde_json::Value;

use super::{Findings, Look, Looked, web, web::Site, words};

pub(super) async fn look(address: &SecretString, look: &Look<'_>) -> Looked {
    let mut site = Site::of(address, &[])?;
    // People give the path with the address.
    let path = site
        .url
        .path()
        .trim_end_matches("/_cluster/health")
        .to_owned();
    site.url.set_path(&path);
    let answer = site.get(site.below("/_cluster/health"), look).await?;
    if let Some(refused) = site.refusal(&answer.reply) {
        return Ok(refused);
    }
    let place = site.place();
    let health = web::json(&answer).unwrap_or_default();
    let mut findings = match answer.reply.status {
        200..=299 => of_health(&health),
        // 408 comes with a health that timed out.
        408 if health.get("cluster_name").is_some() => of_health(&health),
        status => of_error(status, &health, &place),
    };
    if let Some(name) = health.get("cluster_name").and_then(Value::as_str) {
        findings.fact("cluster", words::quoted(name));
    }
    Ok(findings)
}

fn of_health(health: &Value) -> Findings {
    let colour = health.get("status").and_then(Value::as_str);
    let number = |name: &str| health.get(name).and_then(Value::as_u64);
    let unassigned = number("unassigned_shards").unwrap_or_default();
    let data_nodes = number("number_of_data_nodes").unwrap_or_default();
    let mut findings = match colour {
        Some("green") => Findings::passed(),
        Some("yellow") if data_nodes <= 1 => Findings::passed(),
        Some("yellow") => {
            let mut findings = Findings::passed();
            findings.impair(format!(
                "its cluster is yellow: {unassigned} shards have no place for a copy, so one more \
                 lost node loses data; look for nodes that left"
            ));
            findings
        }
        Some("red") => Findings::failed(format!(
            "its cluster is red: {unassigned} shards have no place, so part of the data is away; \
             look at `_cluster/allocation/explain`"
        )),
        _ => {
            return Findings::failed(
                "its answer is no cluster health: is this Elasticsearch or OpenSearch?",
            );
        }
    };
    if let Some(colour) = colour {
        findings.fact("colour", colour);
    }
    findings.fact("data_nodes", data_nodes);
    if unassigned > 0 {
        findings.fact("unassigned_shards", unassigned);
    }
    findings
}

fn of_error(status: u16, body: &Value, place: &str) -> Findings {
    let kind = body.pointer("/error/type").and_then(Value::as_str);
    match kind {
        Some(kind) => Findings::failed(format!(
            "it answers HTTP {status} ({}): look at its log",
            words::quoted(kind)
        )),
        None => Findings::failed(format!(
            "{place} answers HTTP {status} where a cluster health is expected: is this \
             Elasticsearch or OpenSearch?"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::health::observation::Outcome;

    #[test]
    fn the_colour_decides_and_one_node_may_be_yellow() {
        let outcome = |colour: &str, nodes: u64| {
            let health = json!({"cluster_name": "openpolicy", "status": colour,
                "number_of_data_nodes": nodes, "unassigned_shards": 3});
            of_health(&health).outcome
        };
        assert_eq!(outcome("green", 3), Outcome::Passed);
        assert_eq!(outcome("yellow", 1), Outcome::Passed);
        assert!(matches!(outcome("yellow", 2), Outcome::Impaired(why) if why.contains("3 shards")));
        assert!(matches!(outcome("red", 1), Outcome::Failed(why) if why.contains("red")));
        assert!(matches!(outcome("blue", 1), Outcome::Failed(_)));
    }
}
