//! Follows a run: a live view on a terminal, else a line for each thing that happens.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::{
    super::{
        Failure,
        asked::Asked,
        output::{note, say},
    },
    outcome,
    view::{self, Look},
};
use crate::{
    answer::Answer,
    deploy::{Deployments, deployments::Seen},
    tools::ToolError,
};

/// Between two looks at the journal.
const LOOK: Duration = Duration::from_millis(400);
/// Between two pictures of the spinner.
const FRAME: Duration = Duration::from_millis(100);

pub(super) async fn look(deployments: &Deployments, run: i64) -> Result<Seen, Failure> {
    let seen = deployments.look(run).await;
    seen.map_err(|error| Failure::Error(ToolError::from(error).text()))
}

/// Follows until the run is over or a person has to decide. Ctrl-C leaves the run going.
pub(super) async fn follow(
    asked: &Asked,
    deployments: &Deployments,
    run: i64,
) -> Result<Seen, Failure> {
    let followed = async {
        match is_seen() {
            true => on_terminal(deployments, run).await,
            false => in_lines(asked, deployments, run).await,
        }
    };
    tokio::select! {
        // Ctrl-C is waited for before the first line is seen.
        biased;
        _ = tokio::signal::ctrl_c() => {
            note(format!(
                "\nrun {run} goes on: `openpolicy-mcp status {run} --follow` shows it, \
                 `openpolicy-mcp abort {run}` takes it back"
            ));
            Err(Failure::Code(outcome::LEFT))
        }
        seen = followed => seen,
    }
}

/// Whether the live view is what a person sees.
fn is_seen() -> bool {
    io::stderr().is_terminal()
}

/// What the live view has just shown is not printed again.
pub(super) fn leave_out_what_is_seen(asked: &Asked, answer: &mut Answer) {
    if asked.json || !is_seen() {
        return;
    }
    for shown in [
        "run",
        "state",
        "kind",
        "reason",
        "began",
        "took",
        "phases",
        "taken_back",
        "earlier_lines",
        "timeline",
    ] {
        answer.remove(shown);
    }
}

fn is_going_on(seen: &Seen) -> bool {
    seen.reading.state.status.is_active() && !seen.is_interrupted()
}

async fn on_terminal(deployments: &Deployments, run: i64) -> Result<Seen, Failure> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    let terminal = console::Term::stderr();
    let mut seen = look(deployments, run).await?;
    let mut looked = Instant::now();
    let mut frame = 0;
    let picture = |seen: &Seen, frame| {
        let look = Look {
            now: Timestamp::now(),
            frame,
            width: usize::from(terminal.size().1),
            is_coloured: console::colors_enabled_stderr(),
        };
        view::lines(seen, look).join("\n")
    };
    while is_going_on(&seen) {
        bar.set_message(picture(&seen, frame));
        bar.tick();
        tokio::time::sleep(FRAME).await;
        frame += 1;
        if looked.elapsed() >= LOOK {
            seen = look(deployments, run).await?;
            looked = Instant::now();
        }
    }
    bar.finish_and_clear();
    note(picture(&seen, frame));
    note("");
    Ok(seen)
}

/// What happens goes to stdout, or beside a structured answer to stderr.
async fn in_lines(asked: &Asked, deployments: &Deployments, run: i64) -> Result<Seen, Failure> {
    let mut told = 0;
    let mut gate = String::new();
    loop {
        let seen = look(deployments, run).await?;
        let mut lines: Vec<String> = seen
            .reading
            .entries
            .iter()
            .filter(|entry| entry.seq > told)
            .filter_map(|entry| view::event(&seen, entry))
            .collect();
        told = seen.reading.state.last_seq;
        if let Some(now) = view::waits_for(&seen).filter(|now| *now != gate) {
            lines.push(format!("  {now}"));
            gate = now;
        }
        for line in lines {
            match asked.json {
                true => note(line),
                false => say(line)?,
            }
        }
        if !is_going_on(&seen) {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK).await;
    }
}
