//! What was deployed, taken back and stopped, as rows of the timeline.

use jiff::Timestamp;
use serde_json::Value;

use super::{Arguments, Context, ToolError, services::About};
use crate::{
    answer::time as times,
    catalog::scope::Scope,
    deploy::{Deployments, past::PastRun},
    platform::Service,
    store::journal::Intervention,
};

/// Runs that are read at most; what is beyond is counted.
const MOST: usize = 500;

/// What was done in the window.
#[derive(Default)]
pub struct Deployed {
    pub rows: Vec<(i64, Vec<Value>)>,
    /// Runs that were not read.
    pub left: u64,
    pub looked_at: Option<String>,
    pub missed: Option<String>,
}

/// What was done to the services that this call is about.
pub async fn done(
    context: &Context,
    asked: &Arguments,
    service: Option<&Service>,
    scope: &Scope,
) -> Result<Deployed, ToolError> {
    // That the platform's file cannot be taken is told with the health.
    let Ok(watch) = context.platform() else {
        return Ok(Deployed::default());
    };
    let about = About::of(context, watch.platform(), asked, service, scope)?;
    let moment = |at: i64| Timestamp::from_millisecond(at).unwrap_or(context.now);
    let (since, until) = (moment(about.since), moment(about.until));
    let past = match Deployments::past(watch, since, until, MOST).await {
        Ok(past) => past,
        Err(error) => {
            return Ok(Deployed {
                missed: Some(format!("deployments: {error}")),
                ..Deployed::default()
            });
        }
    };
    let runs = past
        .runs
        .iter()
        .filter(|run| about.is_everything() || run.touched.iter().any(|one| about.holds(&one.0)))
        .map(|run| of_run(run, context.now));
    let stops = past
        .interventions
        .iter()
        .filter(|one| one.services.iter().any(|name| about.holds(name)))
        .map(of_stop);
    Ok(Deployed {
        rows: runs.chain(stops).collect(),
        left: past.left,
        looked_at: Some("deployments".into()),
        missed: None,
    })
}

fn of_run(run: &PastRun, now: Timestamp) -> (i64, Vec<Value>) {
    let at = run.ended.unwrap_or(run.began).as_millisecond();
    let took = run.ended.unwrap_or(now).as_millisecond() - run.began.as_millisecond();
    let state = run.status.as_str().replace('_', " ");
    let mut what = format!("{}: {state} after {}", run.what(), times::length(took));
    if let Some(reason) = &run.reason {
        what.push_str(&format!(" ({reason})"));
    }
    let names: Vec<&str> = run.touched.iter().map(|one| one.0.as_str()).collect();
    (at, row(at, &names, &what, &run.by))
}

fn of_stop(stop: &Intervention) -> (i64, Vec<Value>) {
    let mut what = format!(
        "{}: {}",
        stop.what,
        stop.outcome
            .as_deref()
            .unwrap_or("nobody wrote what came of it")
    );
    if let Some(reason) = &stop.reason {
        what.push_str(&format!(" ({reason})"));
    }
    let names: Vec<&str> = stop.services.iter().map(String::as_str).collect();
    (stop.at, row(stop.at, &names, &what, &stop.by))
}

/// Names of services that a row holds; the rest is counted.
const MOST_NAMES: usize = 4;

fn row(at: i64, names: &[&str], what: &str, by: &str) -> Vec<Value> {
    let mut subject = names[..names.len().min(MOST_NAMES)].join(", ");
    if names.len() > MOST_NAMES {
        subject.push_str(&format!(" and {} more", names.len() - MOST_NAMES));
    }
    vec![
        times::text(at).into(),
        "deployment".into(),
        subject.into(),
        what.into(),
        by.into(),
    ]
}
