//! Runs a tool on the catalog that answers: the live one, or the snapshot while that is away.
//!
//! This is the one place where a snapshot takes the place of a live catalog. A write never meets
//! one that was not asked for, and an answer of OpenMetadata, be it a refusal, is never replaced.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::error::Elapsed;

use super::{
    Context, Effect, ErrorCode, Outcome, Surroundings, Tool, ToolError, Toolset, error::Retry,
    pages,
};
use crate::{
    answer::time,
    catalog::{Catalog, Heard, Lost, Snapshot, Spare},
};

/// Of the time of a call, what is kept for a second run on the snapshot: reading a large one for
/// the first time takes seconds.
const KEPT_FOR_THE_SNAPSHOT: u32 = 8;

/// Runs a tool for at most `longest`, for whoever calls.
pub async fn run(
    tool: &'static Tool,
    surroundings: Surroundings,
    longest: Duration,
    arguments: Value,
) -> Outcome {
    let begun = Instant::now();
    let Surroundings {
        catalogs,
        platform,
        caller,
    } = surroundings;
    let sources = catalogs.sources(caller.openmetadata_token.as_ref()).await;
    let context = |catalog| {
        Context::new(Arc::clone(&catalogs), caller.clone())
            .with_platform(platform.clone())
            .ending_in(longest.saturating_sub(begun.elapsed()))
            .asking(catalog)
    };
    if matches!(tool.toolset, Toolset::Platform | Toolset::Deploy) {
        // The catalog is what they ask besides: that it is away is a part of their answer.
        let spare = match sources.spare {
            Spare::Snapshot { snapshot, .. } => Some(snapshot),
            _ => None,
        };
        let context = context(sources.first).with_spare(spare);
        let mut outcome = (tool.call)(&context, arguments).await;
        if let (Ok(answer), Ok(watch)) = (&mut outcome, context.platform()) {
            for note in watch.notes() {
                answer.warn(note);
            }
        }
        return outcome;
    }
    if let Ok(Catalog::Snapshot(snapshot)) = &sources.first {
        let context = context(sources.first.clone());
        // The demo stands for nothing else: nobody needs to be told.
        if !snapshot.is_of_a_server() {
            return (tool.call)(&context, arguments).await;
        }
        return on_snapshot(tool, &context, snapshot, arguments, None).await;
    }
    let (snapshot, patience) = match (tool.effect, sources.spare, &sources.first) {
        (
            Effect::Read,
            Spare::Snapshot {
                snapshot, patience, ..
            },
            Ok(_),
        ) => (snapshot, patience),
        (_, spare, _) => {
            let context = context(sources.first);
            let outcome = (tool.call)(&context, pages::of_live(arguments)?).await;
            return match (tool.effect, spare) {
                (Effect::Read, Spare::Unusable(why)) => {
                    outcome.map_err(|error| unaided(error, &why))
                }
                _ => outcome,
            };
        }
    };
    let why = match catalogs.outage() {
        Some(why) => why,
        None => {
            let heard = Arc::new(Heard::default());
            let first = sources.first.map(|catalog| catalog.heard_by(&heard));
            let arguments = pages::of_live(arguments.clone())?;
            let left = longest - longest / KEPT_FOR_THE_SNAPSHOT;
            let left = left.saturating_sub(begun.elapsed());
            let context = context(first)
                .ending_in(left)
                .with_spare(Some(Arc::clone(&snapshot)));
            let outcome = tokio::time::timeout(left, (tool.call)(&context, arguments));
            match live(outcome, &heard, patience).await {
                Ok(outcome) => return outcome,
                Err(away) => {
                    if let Some(is_slow) = away.is_slow {
                        catalogs.is_away(away.why.clone(), is_slow);
                    }
                    away.why
                }
            }
        }
    };
    metrics::counter!("openpolicy_snapshot_answers_total", "tool" => tool.name).increment(1);
    let context = context(Ok(Catalog::Snapshot(Arc::clone(&snapshot))));
    on_snapshot(tool, &context, &snapshot, arguments, Some(&why)).await
}

/// Why a live catalog has no answer to a call.
struct Away {
    why: String,
    /// Whether it is to be left alone for a moment: not at all, as it answers others; as it is
    /// down; or as it is too slow.
    is_slow: Option<bool>,
}

/// The outcome on the live catalog, unless that is away.
async fn live(
    outcome: impl Future<Output = Result<Outcome, Elapsed>>,
    heard: &Heard,
    patience: Duration,
) -> Result<Outcome, Away> {
    let down = |why| Away {
        why,
        is_slow: Some(false),
    };
    let outcome = tokio::select! {
        biased;
        outcome = outcome => outcome,
        lost = heard.lost(patience) => return Err(match lost {
            Lost::Unreachable(why) => down(why),
            Lost::Silent(time) => Away {
                why: format!("OpenMetadata gave no answer for {} s", time.as_secs_f32()),
                is_slow: Some(true),
            },
        }),
    };
    match (outcome, heard.unreachable()) {
        (_, Some(why)) => Err(down(why)),
        (Ok(Err(error)), None) if is_trouble(&error) => Err(Away {
            why: error.message,
            is_slow: None,
        }),
        (Ok(outcome), None) => Ok(outcome),
        (Err(_), None) => Err(Away {
            why: "OpenMetadata was too slow for this question".into(),
            is_slow: None,
        }),
    }
}

/// The catalog could not say, and neither could what stands behind it.
fn is_trouble(error: &ToolError) -> bool {
    matches!(error.code, ErrorCode::Unavailable | ErrorCode::Timeout)
}

/// The outcome on a snapshot of a server, said to be one. `away`: why the server does not answer;
/// none where the snapshot was asked for.
async fn on_snapshot(
    tool: &Tool,
    context: &Context,
    snapshot: &Snapshot,
    arguments: Value,
    away: Option<&str>,
) -> Outcome {
    let as_of = snapshot.as_of();
    let moment = as_of.as_millisecond();
    let copy = format!(
        "the snapshot of {} ({} old)",
        time::text(moment),
        time::length(context.now.as_millisecond() - moment)
    );
    let arguments = pages::of_snapshot(arguments, as_of)?;
    match (tool.call)(context, arguments).await {
        Ok(mut answer) => {
            answer
                .put("source", "snapshot")
                .put("as_of", as_of.to_string());
            answer.warn_first(match away {
                Some(why) => format!("{why}; this is {copy}"),
                None => format!("as asked, this is {copy}"),
            });
            pages::mark(&mut answer, as_of);
            Ok(answer)
        }
        Err(error) => Err(of_snapshot(error, snapshot, &copy, away)),
    }
}

/// What a snapshot cannot say is not what the catalog does not have.
fn of_snapshot(error: ToolError, snapshot: &Snapshot, copy: &str, away: Option<&str>) -> ToolError {
    let why = away.map_or_else(String::new, |why| format!(" ({why})"));
    match error.code {
        ErrorCode::NotFound => {
            let message = match error.message.strip_suffix(" was not found") {
                Some(what) => format!("{what} is not in this snapshot: {copy}{why}"),
                None => format!("{}: so says {copy}{why}", error.message),
            };
            let step = match away {
                Some(_) => {
                    "correct the name, or ask again when OpenMetadata answers: it may have it"
                }
                None => "correct the name, or ask OpenMetadata (--catalog auto): it may have it",
            };
            let retry = if away.is_some() {
                Retry::Yes
            } else {
                Retry::No
            };
            ToolError {
                message,
                ..error.retry(retry).then(step)
            }
        }
        ErrorCode::InvalidArgument | ErrorCode::Ambiguous => error,
        code => {
            if code == ErrorCode::BadUpstream {
                snapshot.found_damaged();
            }
            match away {
                None => error,
                Some(why) => ToolError::new(
                    ErrorCode::Unavailable,
                    format!("{why}; and {copy} does not help: {}", error.message),
                )
                .retry(Retry::Yes)
                .then("ask again when OpenMetadata answers; `openpolicy-mcp doctor` says what is wrong"),
            }
        }
    }
}

/// A snapshot is there and does not help.
fn unaided(error: ToolError, why: &str) -> ToolError {
    if !is_trouble(&error) {
        return error;
    }
    ToolError {
        message: format!("{}; {why}", error.message),
        ..error
    }
}
