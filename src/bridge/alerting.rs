//! Evaluates the alert rules for as long as a server runs, and tells Alertmanager.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::Catalog,
    health::{Watch, alerts::Alerts},
    observe::{Alertmanager, alertmanager::Ours},
    platform::{AlertRule, Platform},
};

/// Between two evaluations: four fit into the shortest `for` of a minute.
const EVERY: Duration = Duration::from_secs(15);

/// How long an alert goes on at Alertmanager unless it is sent again: it ends there by itself where
/// this server is gone.
const GOES_ON: Duration = Duration::from_secs(120);

/// How long one evaluation, or one sending, may take.
const LONGEST: Duration = Duration::from_secs(10);

/// Gives the catalog as this server itself sees it, where there is one.
pub type OwnCatalog = Box<dyn Fn() -> BoxFuture<'static, Option<Catalog>> + Send + Sync>;

/// Evaluates until `shutdown`.
pub async fn run(watch: Arc<Watch>, catalog: OwnCatalog, shutdown: CancellationToken) {
    let platform = Arc::clone(watch.platform());
    if platform.alerts.is_empty() {
        return;
    }
    let alertmanager = platform
        .alertmanager
        .as_ref()
        .map(|endpoint| Alertmanager::new(endpoint, None));
    let alertmanager = match alertmanager {
        Some(Ok(alertmanager)) => Some(alertmanager),
        Some(Err(error)) => {
            tracing::error!(reason = %error, "Alerts are not sent");
            None
        }
        None => None,
    };
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        let catalog = catalog().await;
        let evaluated = match watch.known().await {
            Ok(health) => {
                let deadline = Instant::now() + LONGEST;
                watch.evaluate(&health, catalog.as_ref(), deadline).await
            }
            Err(error) => Err(error),
        };
        let alerts = match evaluated {
            Ok(evaluated) => evaluated.alerts,
            Err(error) => {
                tracing::warn!(reason = %error, "The alert rules were not evaluated");
                continue;
            }
        };
        let ours = ours(&platform, &alerts, Timestamp::now());
        if let (Some(alertmanager), false) = (&alertmanager, ours.is_empty())
            && let Err(error) = alertmanager.send(&ours, LONGEST).await
        {
            tracing::warn!(reason = %error, "Alerts were not sent");
        }
    }
}

/// What Alertmanager is told: what fires, and what ended a moment ago. Pure.
fn ours(platform: &Platform, alerts: &Alerts, now: Timestamp) -> Vec<Ours> {
    let recent = now - GOES_ON;
    alerts
        .iter()
        .filter_map(|((rule, service), alert)| {
            let rule = platform.alerts.iter().find(|known| known.name == *rule)?;
            let changed = Timestamp::from_millisecond(alert.changed_at).ok()?;
            let until = match alert.state.as_str() {
                "firing" => now + GOES_ON,
                "resolved" if changed >= recent => changed,
                _ => return None,
            };
            Some(Ours {
                platform: platform.name.clone(),
                rule: rule.name.clone(),
                service: (!service.is_empty()).then(|| service.clone()),
                severity: rule.severity,
                summary: summary(rule, service),
                since: Timestamp::from_millisecond(alert.since).ok()?,
                until,
            })
        })
        .collect()
}

fn summary(rule: &AlertRule, service: &str) -> String {
    if service.is_empty() {
        format!("{} of the platform", rule.name)
    } else {
        format!("{} of {service}", rule.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        platform::{AlertCondition, AlertScope, Severity},
        store::history::AlertRecord,
    };

    #[test]
    fn what_fires_goes_on_and_what_ended_is_told_once_more() {
        let mut platform = Platform::default();
        platform.alerts.push(AlertRule {
            name: "ServiceDown".into(),
            when: AlertCondition::Down,
            hold: Duration::ZERO,
            severity: Severity::Critical,
            scope: AlertScope::AllServices,
        });
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let alert = |state: &str, seconds_ago: i64| AlertRecord {
            state: state.into(),
            since: now.as_millisecond() - 600_000,
            changed_at: now.as_millisecond() - seconds_ago * 1_000,
            ..AlertRecord::default()
        };
        let key = |service: &str| ("ServiceDown".to_owned(), service.to_owned());
        let alerts = Alerts::from([
            (key("fires"), alert("firing", 300)),
            (key("may"), alert("pending", 10)),
            (key("ended"), alert("resolved", 30)),
            (key("long-ended"), alert("resolved", 600)),
        ]);
        let told: Vec<_> = ours(&platform, &alerts, now)
            .into_iter()
            .map(|one| (one.service.unwrap_or_default(), one.until > now))
            .collect();
        assert_eq!(told, [("ended".into(), false), ("fires".into(), true)]);
    }
}
