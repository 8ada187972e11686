//! The platform's side of the timeline: what services became, and which data belongs to a service.

use serde_json::Value;

use super::{Arguments, Context, ToolError};
use crate::{
    answer::time as times,
    bridge::impact,
    catalog::scope::{Scope, Target},
    platform::{Platform, Service},
    store::history::Transition,
    tools::time,
};

/// Rows that are read at most; what is beyond is counted.
const MOST: usize = 2_000;

/// What became of services in the window.
#[derive(Default)]
pub struct Became {
    pub transitions: Vec<Transition>,
    /// Changes that were not read.
    pub left: u64,
    pub looked_at: Option<String>,
    pub missed: Option<String>,
}

/// The health of the services that this call is about: one of the platform, those that carry an
/// entity, or all.
pub async fn became(
    context: &Context,
    asked: &Arguments,
    service: Option<&Service>,
    scope: &Scope,
) -> Result<Became, ToolError> {
    if !context.has_platform() {
        return Ok(Became::default());
    }
    let watch = match context.platform() {
        Ok(watch) => watch,
        Err(error) => {
            return Ok(Became {
                missed: Some(format!("the health of services: {}", error.message)),
                ..Became::default()
            });
        }
    };
    let about = About::of(context, watch.platform(), asked, service, scope)?;
    let (since, until) = (about.since, about.until);
    let mut became = Became::default();
    let read = watch
        .with_history(move |history| {
            let begins = history.begins()?;
            let (found, total) = history.transitions(None, since, until, MOST)?;
            Ok((begins, found, total))
        })
        .await;
    let (begins, found, total) = match read {
        Ok(read) => read,
        Err(error) => {
            became.missed = Some(format!("the health of services: {error}"));
            return Ok(became);
        }
    };
    became.left = total - found.len() as u64;
    became.transitions = found
        .into_iter()
        .filter(|one| about.holds(&one.service))
        .collect();
    became.looked_at = Some(match begins {
        Some(begins) if begins > since => {
            format!(
                "health of services (looked at since {})",
                times::text(begins)
            )
        }
        Some(_) => "health of services".into(),
        None => "health of services (nobody has looked at them yet)".into(),
    });
    Ok(became)
}

/// What of the platform a call is about. Times: milliseconds since 1970.
pub struct About {
    pub since: i64,
    /// A little after what was asked for: what happened a second ago counts.
    pub until: i64,
    /// None: all.
    services: Option<Vec<String>>,
}

impl About {
    pub fn of(
        context: &Context,
        platform: &Platform,
        asked: &Arguments,
        service: Option<&Service>,
        scope: &Scope,
    ) -> Result<Self, ToolError> {
        // The platform is of now, whatever the age of the catalog's copy.
        let now = context.now.as_millisecond();
        let until = time::past("until", asked.until.as_deref(), now)?.unwrap_or(now);
        let since = time::past("since", asked.since.as_deref(), now)?
            .unwrap_or(until - super::DEFAULT_WINDOW);
        let services = match (service, scope.target()) {
            (Some(service), _) => Some(vec![service.name.0.clone()]),
            (None, Some(target)) => Some(carriers(platform, target)),
            (None, None) => None,
        };
        Ok(Self {
            since,
            until: until + times::MINUTE,
            services,
        })
    }

    pub fn is_everything(&self) -> bool {
        self.services.is_none()
    }

    pub fn holds(&self, service: &str) -> bool {
        let services = self.services.as_ref();
        services.is_none_or(|services| services.iter().any(|one| one == service))
    }
}

fn carriers(platform: &Platform, target: &Target) -> Vec<String> {
    impact::carriers_of(platform, &target.fqn)
        .into_iter()
        .map(|(service, _)| service.to_owned())
        .collect()
}

/// A row of the timeline, with its time.
pub fn row(transition: &Transition) -> (i64, Vec<Value>) {
    let mut what = format!("{} -> {}", transition.from, transition.to);
    if !transition.blocked_by.is_empty() {
        what.push_str(&format!(" by {}", transition.blocked_by.join(", ")));
    } else if let Some(reason) = &transition.reason {
        what.push_str(&format!(": {reason}"));
    }
    let row = vec![
        times::text(transition.at).into(),
        "health".into(),
        transition.service.as_str().into(),
        what.into(),
        Value::Null,
    ];
    (transition.at, row)
}
