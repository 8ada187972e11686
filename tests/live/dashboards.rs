//! The dashboards of the chart, asked of a real Prometheus as Grafana would.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;

use crate::engines::prometheus::Watch;

const LIMIT: Duration = Duration::from_secs(20);

/// Panels of what this platform and this server have not: ingestion, an OpenMetadata, a snapshot,
/// looks that could not be made.
const EMPTY: [&str; 6] = [
    "_ingestion_",
    "openpolicy_catalog_",
    "openpolicy_snapshot_",
    "verdict=\"blocked\"",
    "verdict=\"down\"",
    "outcome=\"could_not_look\"",
];

/// What a dashboard asks, with its variables put in.
fn expressions(dashboard: &str, platform: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("charts/openpolicy-mcp/dashboards")
        .join(dashboard);
    let text = fs::read_to_string(file).expect("a file");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let asked = targets.map(|target| target["expr"].as_str().expect("PromQL"));
    let put_in = |expression: &str| {
        expression
            .replace("$platform", platform)
            .replace("$service", ".*")
            .replace("$instance", ".*")
    };
    asked.map(put_in).collect()
}

/// Every panel is valid, and shows something where there is something to show. Rates want two
/// looks of Prometheus with a change between them.
pub async fn show(watch: &mut Watch, platform: &str) {
    for dashboard in ["platform.json", "server.json"] {
        for expression in expressions(dashboard, platform) {
            let may_be_empty = EMPTY.iter().any(|part| expression.contains(part));
            let query = expression.as_str();
            watch
                .until(
                    async |watch| {
                        let found = watch.prometheus.at(query, None, LIMIT).await;
                        (
                            query,
                            found.unwrap_or_else(|error| panic!("{query}: {error}")),
                        )
                    },
                    |(_, found)| may_be_empty || !found.series.is_empty(),
                )
                .await;
        }
    }
}
