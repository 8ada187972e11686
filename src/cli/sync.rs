//! `sync`: copies the catalog into the local snapshot, with progress on a terminal.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    sync::Arc,
};

use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    Failure, block_on, environment,
    output::{note, say},
};
use crate::{
    answer::clean,
    app,
    catalog::{
        self, Catalogs, Client,
        snapshot::Part,
        sync::{self, Options, Place, Progress, Summary, SyncError},
    },
    settings::CatalogSettings,
    store::StateFolder,
};

/// Copies everything that the server's own credential may see. An interrupted copy is gone on with.
#[derive(Debug, Args)]
pub(super) struct SyncArguments {
    #[command(flatten)]
    openmetadata: environment::OpenMetadataArguments,
    #[command(flatten)]
    platform: environment::PlatformArguments,
    #[command(flatten)]
    state: environment::StateArguments,
    /// Read everything anew, not only what changed.
    #[arg(long)]
    full: bool,
    /// Do not ask before a copy that costs one call an entity (servers before 1.7).
    #[arg(long, short = 'y')]
    yes: bool,
    /// One JSON object for programs.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 where the snapshot is new, also where counts differ, which is said.
pub(super) fn run(arguments: &SyncArguments) -> Result<(), Failure> {
    let (given, state) = (arguments.openmetadata.settings()?, arguments.state.folder());
    let platform = arguments.platform.settings()?;
    let catalog = app::catalog_of(&given, &platform, state.as_deref())?;
    let CatalogSettings::OpenMetadata(settings) = &catalog else {
        return Err(Failure::Usage(
            "there is no catalog to copy: set OPENMETADATA_URL (and OPENMETADATA_TOKEN)".into(),
        ));
    };
    let Some(folder) = state else {
        return Err(Failure::Usage(
            "there is no place for the snapshot: set OPENPOLICY_STATE or --state".into(),
        ));
    };
    let state = StateFolder::at(&folder).map_err(|error| Failure::Error(error.to_string()))?;
    let place = Place::of(&state, settings).map_err(|error| Failure::Error(error.to_string()))?;
    let catalogs = Catalogs::of_openmetadata(&catalog::Settings::from(settings))
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let client = Arc::clone(
        catalogs
            .own_client()
            .ok_or_else(|| Failure::Error("this catalog has no server".into()))?,
    );
    let mut options = Options {
        full: arguments.full,
        may_cost_a_call_an_entity: arguments.yes,
        ..Options::default()
    };
    let mut ended = block_on(attended(&client, &place, &options))?;
    if let Err(SyncError::NeedsApproval { .. }) = &ended
        && let Err(error) = &ended
        && asks(error)?
    {
        options.may_cost_a_call_an_entity = true;
        ended = block_on(attended(&client, &place, &options))?;
    }
    match ended {
        Ok(summary) if arguments.json => say(format_args!("{:#}", as_json(&summary))),
        Ok(summary) => say(as_text(&summary)),
        Err(error) => Err(failure(&error, arguments.json)),
    }
}

/// Copies until it is done or someone interrupts.
async fn attended(
    client: &Client,
    place: &Place,
    options: &Options,
) -> Result<Result<Summary, SyncError>, Failure> {
    let (progress, seen) = watch::channel(Progress::default());
    let bar = io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        bar
    });
    let drawing = bar.clone().map(|bar| tokio::spawn(draw(bar, seen)));
    let outcome = tokio::select! {
        outcome = sync::copy(client, place, options, &progress) => Ok(outcome),
        () = interrupted() => Err(Failure::Error(
            "interrupted; what was read is kept: run the same command again to go on. The \
             snapshot before, if there is one, is as it was"
                .into(),
        )),
    };
    if let (Some(drawing), Some(bar)) = (drawing, bar) {
        drawing.abort();
        bar.finish_and_clear();
    }
    outcome
}

/// Waits for Ctrl-C, or to be asked to end.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut interrupt)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn draw(bar: ProgressBar, mut seen: watch::Receiver<Progress>) {
    let style = |template: &str| {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    };
    let counted = style("{msg:34} [{bar:30}] {human_pos} of {human_len}, {per_sec}, {eta} left");
    let waiting = style("{msg:34} {spinner} {human_pos}");
    let mut stage = String::new();
    while seen.changed().await.is_ok() {
        let now = seen.borrow_and_update().clone();
        if now.stage != stage {
            stage.clone_from(&now.stage);
            // The estimate of time begins anew.
            bar.reset();
            bar.set_message(stage.clone());
        }
        match now.total {
            Some(total) => {
                bar.set_style(counted.clone());
                bar.set_length(total.max(now.done));
            }
            None => bar.set_style(waiting.clone()),
        }
        bar.set_position(now.done);
    }
}

/// Asks a person; nobody is asked where there is no terminal.
fn asks(error: &SyncError) -> Result<bool, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(false);
    }
    note(error);
    // A person who does not see the question answers it with Enter, which is no.
    let _ = write!(io::stderr(), "Copy it? [y/N] ");
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::Error(format!("the answer cannot be read: {error}")))?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

fn failure(error: &SyncError, is_json: bool) -> Failure {
    let then = match error {
        SyncError::NeedsApproval { .. } => Some("run it with --yes to agree"),
        SyncError::Catalog { .. } => Some(
            "what was read is kept: run the same command again to go on. The snapshot before, if \
             there is one, is as it was",
        ),
        SyncError::ThinIndex { .. } => {
            Some("rebuild it there, then run this again; the snapshot before is as it was")
        }
        SyncError::Snapshot(_) => {
            Some("is the disk full? The snapshot before, if there is one, is as it was")
        }
        _ => None,
    };
    let mut message = clean::text(&error.to_string(), LONGEST_LINE);
    if let Some(then) = then {
        message = format!("{message}; {then}");
    }
    if is_json {
        let body = json!({"ok": false, "error": message});
        if say(format_args!("{body:#}")).is_ok() {
            return Failure::Said;
        }
    }
    match error {
        SyncError::NeedsApproval { .. } => Failure::Usage(message),
        _ => Failure::Error(message),
    }
}

/// In characters: an error page of a server must not fill the terminal.
const LONGEST_LINE: usize = 600;

fn as_json(summary: &Summary) -> Value {
    let head = &summary.head;
    let counts: Vec<Value> = head
        .counts
        .iter()
        .map(|count| json!({"type": count.entity_type, "said": count.said, "copied": count.copied}))
        .collect();
    let parts: Value = Part::ALL
        .into_iter()
        .map(|part| {
            let read = head.part(part);
            let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string());
            let read = json!({
                "in_full": time(read.in_full), "incrementally": time(read.incrementally),
            });
            (part.as_str().to_owned(), read)
        })
        .collect::<serde_json::Map<String, Value>>()
        .into();
    clean::value(json!({
        "ok": true,
        "mode": summary.mode.as_str(),
        "url": head.url,
        "identity": head.identity,
        "version": head.version,
        "as_of": head.as_of.to_string(),
        "complete": is_complete(summary),
        "counts": counts,
        "edges": summary.edges,
        "parts": parts,
        "differences": {
            "since": summary.compared_with.map(|at| at.to_string()),
            "found": summary.differences.kept + summary.differences.dropped,
        },
        "notes": head.notes,
        "remarks": summary.remarks,
        "requests": summary.requests,
        "seconds": summary.took.as_secs_f64(),
        "path": summary.path.display().to_string(),
        "bytes": summary.bytes,
    }))
}

/// Every count is as the server said, and nothing odd was found.
fn is_complete(summary: &Summary) -> bool {
    let counts = &summary.head.counts;
    summary.head.notes.is_empty()
        && counts
            .iter()
            .all(|count| count.said.is_none_or(|said| said == count.copied))
}

fn as_text(summary: &Summary) -> String {
    let head = &summary.head;
    let total: u64 = head.counts.iter().map(|count| count.copied).sum();
    let seconds = summary.took.as_secs_f64();
    let mut lines = vec![format!(
        "{} copy of {} (OpenMetadata {}) as {}: {total} entities and {} edges, {} requests, {seconds:.1} s",
        match summary.mode {
            sync::Mode::Full => "Full",
            sync::Mode::Incremental => "Incremental",
        },
        head.url.as_deref().unwrap_or_default(),
        head.version,
        head.identity.as_deref().unwrap_or_default(),
        summary.edges,
        summary.requests,
    )];
    lines.extend(summary.remarks.iter().cloned());
    lines.push(format!("{:24} {:>9} {:>9}", "type", "server", "copied"));
    for count in &head.counts {
        let said = count.said.map_or("?".into(), |said| said.to_string());
        let differs = count.said.is_some_and(|said| said != count.copied);
        lines.push(format!(
            "{:24} {said:>9} {:>9}{}",
            count.entity_type,
            count.copied,
            if differs { "  <- differs" } else { "" }
        ));
    }
    for part in Part::ALL {
        let read = head.part(part);
        lines.push(match (read.in_full, read.incrementally) {
            (None, None) => format!("{}: not on this server, or not readable", part.as_str()),
            (Some(full), None) => format!("{}: read in full at {full}", part.as_str()),
            (Some(full), Some(at)) => format!(
                "{}: what changed was read at {at}, everything at {full}",
                part.as_str()
            ),
            (None, Some(at)) => format!("{}: what changed was read at {at}", part.as_str()),
        });
    }
    lines.extend(head.notes.iter().map(|note| format!("note: {note}")));
    if let Some(since) = summary.compared_with {
        lines.push(format!(
            "{} differences to the copy of {since}",
            summary.differences.kept + summary.differences.dropped
        ));
    }
    lines.push(format!(
        "{} ({})",
        summary.path.display(),
        HumanBytes(summary.bytes)
    ));
    let lines: Vec<String> = lines
        .iter()
        .map(|line| clean::text(line, LONGEST_LINE).replace('\n', " "))
        .collect();
    lines.join("\n")
}
