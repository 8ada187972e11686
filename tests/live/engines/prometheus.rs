//! A Prometheus and an Alertmanager of one's own.

use std::{fs, process::Command, time::Duration};

use openpolicy_mcp::{observe, platform::model::Endpoint};
use tempfile::TempDir;

use super::{Engine, PATIENCE, free_port};

pub struct Watch {
    pub prometheus: observe::Prometheus,
    pub alertmanager: observe::Alertmanager,
    pub engines: [Engine; 2],
    /// Of Prometheus.
    pub port: u16,
    pub alertmanager_port: u16,
    _folder: TempDir,
}

pub fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        url: format!("http://127.0.0.1:{port}").into(),
        token: None,
    }
}

/// Fails unless promtool takes the rules.
pub fn check_rules(rules: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.yml");
    fs::write(&path, rules).expect("a file");
    let checked = Command::new("promtool")
        .args(["check", "rules"])
        .arg(&path)
        .output();
    let checked = checked.expect("promtool (Debian package prometheus)");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}\n{rules}");
}

impl Watch {
    /// Looks at `target` five times a second, with `rules`, and sends alerts on.
    pub async fn start(target: u16, rules: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (port, alerts) = (free_port(), free_port());
        let configuration = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
             rule_files: [rules.yml]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alerts}']}}]}}]}}\n\
             scrape_configs: [{{job_name: openpolicy, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
        );
        fs::write(path("prometheus.yml"), configuration).expect("a file");
        fs::write(path("rules.yml"), rules).expect("a file");
        let silent = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";
        fs::write(path("alertmanager.yml"), silent).expect("a file");
        let alertmanager = Engine::start(
            &[
                "prometheus-alertmanager".to_owned(),
                format!("--config.file={}", path("alertmanager.yml")),
                format!("--storage.path={}", path("alerts")),
                format!("--web.listen-address=127.0.0.1:{alerts}"),
                "--cluster.listen-address=".to_owned(),
            ],
            &[],
        );
        let prometheus = Engine::start(
            &[
                "prometheus".to_owned(),
                format!("--config.file={}", path("prometheus.yml")),
                format!("--storage.tsdb.path={}", path("data")),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ],
            &[],
        );
        Self {
            prometheus: observe::Prometheus::new(&endpoint(port), None).expect("an address"),
            alertmanager: observe::Alertmanager::new(&endpoint(alerts), None).expect("an address"),
            engines: [prometheus, alertmanager],
            port,
            alertmanager_port: alerts,
            _folder: folder,
        }
    }

    /// Asks until something is found that `wanted` takes; the engines may still start.
    pub async fn until<Found: std::fmt::Debug>(
        &mut self,
        mut ask: impl AsyncFnMut(&Self) -> Found,
        wanted: impl Fn(&Found) -> bool,
    ) -> Found {
        let begun = std::time::Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        loop {
            pause.tick().await;
            let found = ask(self).await;
            if wanted(&found) {
                return found;
            }
            let is_running = self.engines.iter_mut().all(Engine::is_running);
            assert!(is_running, "an engine ended: {found:?}");
            assert!(begun.elapsed() < PATIENCE, "not in time: {found:?}");
        }
    }
}
