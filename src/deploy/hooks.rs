//! Runs what a phase does beside starting services, and finds out whether it has been done.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, header};
use url::Url;

use super::{
    event::HookOutcome,
    plan::{PlannedAction, PlannedHook},
};
use crate::{
    answer::clean,
    logs::Mask,
    net::{self, Dialer, Reached, Stage},
    platform::ServiceName,
    runtime::{Output, Problem, Runtime, Streams},
};

/// Of what a hook wrote so much is kept, when it failed.
const LONGEST_TAIL: usize = 300;

/// Whether its `check` says that it has been done; none where there is no check.
pub async fn is_done(
    runtime: &Arc<dyn Runtime>,
    hook: &PlannedHook,
) -> Option<Result<bool, String>> {
    let check = hook.check.as_ref()?;
    let PlannedAction::Exec { service, .. } = &hook.action else {
        return None;
    };
    let asked = runtime
        .exec(service, check, Streams::default(), hook.timeout)
        .await;
    Some(match asked {
        Ok(output) => Ok(output.exit.is_success()),
        Err(problem) => Err(problem.to_string()),
    })
}

/// Runs it. What it did when it does not come to an end nobody knows.
pub async fn run(runtime: &Arc<dyn Runtime>, hook: &PlannedHook) -> HookOutcome {
    match &hook.action {
        PlannedAction::Exec { service, command } => {
            of_command(runtime, service, command, hook).await
        }
        PlannedAction::Http { method, url } => of_request(method, url, hook.timeout).await,
    }
}

async fn of_command(
    runtime: &Arc<dyn Runtime>,
    service: &ServiceName,
    command: &[String],
    hook: &PlannedHook,
) -> HookOutcome {
    match runtime
        .exec(service, command, Streams::default(), hook.timeout)
        .await
    {
        Ok(output) if output.exit.is_success() => HookOutcome::Done,
        Ok(output) => HookOutcome::Failed(format!(
            "{} ended with {}: {}",
            hook.name(),
            output.exit,
            tail(&output)
        )),
        Err(problem @ Problem::TimedOut { .. }) => {
            HookOutcome::Unknown(format!("{}: {problem}", hook.name()))
        }
        Err(problem) => HookOutcome::Failed(format!("{}: {problem}", hook.name())),
    }
}

async fn of_request(method: &str, url: &str, timeout: Duration) -> HookOutcome {
    let failed = |reason: &str| HookOutcome::Failed(format!("{method} request: {reason}"));
    let (Ok(name), Ok(parsed)) = (method.parse::<Method>(), url.parse::<Url>()) else {
        return failed("its address or method cannot be read");
    };
    let (url, credentials) = net::split_credentials(parsed);
    let mut headers = HeaderMap::new();
    if let Some(credentials) = credentials {
        headers.insert(header::AUTHORIZATION, credentials);
    }
    let request = net::Request {
        method: name,
        url,
        headers,
        body: None,
    };
    let reached = Reached::default();
    let dialer = Dialer::default();
    let asked = tokio::time::timeout(timeout, dialer.ask(request, &reached)).await;
    match asked {
        Ok(Ok(answer)) if (200..300).contains(&answer.reply.status) => HookOutcome::Done,
        Ok(Ok(answer)) => failed(&format!("answered with HTTP {}", answer.reply.status)),
        // It was on its way: what became of it nobody knows.
        Err(_) | Ok(Err(_)) if reached.stage() == Stage::Answer => {
            HookOutcome::Unknown(format!("{method} request was sent, no answer came"))
        }
        Err(_) => failed("no connection within its time"),
        Ok(Err(_)) => failed("no connection"),
    }
}

/// The last that it wrote: data of a stranger, which may hold secrets.
fn tail(output: &Output) -> String {
    let text = output.text.trim();
    let start = text.len().saturating_sub(LONGEST_TAIL);
    let start = (start..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let last = text.get(start..).unwrap_or_default();
    clean::text(&Mask::new(&[]).masked(last), LONGEST_TAIL)
}
