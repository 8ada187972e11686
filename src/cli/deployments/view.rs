//! The live view of a run, as lines. Pure.

use console::{Style, measure_text_width, truncate_str};
use jiff::Timestamp;

use crate::{
    answer::{clean, time},
    deploy::{
        Progress,
        deployments::Seen,
        event::Entry,
        gate::{self, ConditionReading, Met},
        plan::PlannedPhase,
        state::PhaseProgress,
        story,
    },
    tools::deployment::{
        phase::{self, At},
        share,
    },
};

/// How it is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub now: Timestamp,
    /// Which picture of the spinner.
    pub frame: usize,
    /// Columns of the terminal.
    pub width: usize,
    pub is_coloured: bool,
}

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Lines of what happened last.
const LAST: usize = 3;
/// Longest text of one line before it is cut to the terminal.
const LONGEST: usize = 400;

/// All lines, none wider than the terminal.
pub(super) fn lines(seen: &Seen, look: Look) -> Vec<String> {
    let paint = Paint(look.is_coloured);
    let is_at_work = seen.reading.state.status.is_active() && seen.is_driven;
    let mut lines = vec![head(seen, look, &paint)];
    let phases = &seen.reading.plan.phases;
    let widest = phases
        .iter()
        .map(|phase| measure_text_width(&phase.name))
        .max()
        .unwrap_or_default();
    for (number, (planned, progress)) in phases.iter().zip(&seen.reading.state.phases).enumerate() {
        let at = At::of(progress);
        let mark = match at {
            At::Done => paint.good("✓"),
            At::Failed => paint.bad("✗"),
            At::Waiting => paint.faint("·"),
            _ if is_at_work => paint.busy(SPINNER[look.frame % SPINNER.len()]),
            _ => paint.busy("•"),
        };
        lines.push(format!(
            "{mark} {:widest$}  {}",
            planned.name,
            phase_line(planned, progress, at, seen, look, &paint),
        ));
        if at != At::Done
            && let Some(share) = share(seen, number)
        {
            lines.push(format!("    {share}"));
        }
        if at == At::Gate
            && let Some(now) = seen.at_gate(&planned.name)
        {
            lines.extend(now.gate.iter().map(|one| condition(one, &paint)));
            lines.extend(held(planned, now).map(|held| paint.faint(&format!("    {held}"))));
        }
    }
    let (restoring, taken_back) = way_back(seen);
    lines.extend(taken_back);
    if is_at_work && let Some(progress) = &seen.progress {
        if restoring || !phases.iter().any(|one| seen.at_gate(&one.name).is_some()) {
            let waiting = progress.waits_for.iter().take(4);
            lines.extend(waiting.map(|one| format!("    {} {one}", paint.busy("…"))));
        }
        if progress.deployed > 0 {
            lines.push(platform(seen, progress));
        }
    }
    let told: Vec<String> = seen
        .reading
        .entries
        .iter()
        .filter_map(|entry| event(seen, entry))
        .collect();
    let skipped = told.len().saturating_sub(LAST);
    lines.extend(told.iter().skip(skipped).map(|line| paint.faint(line)));
    lines
        .into_iter()
        .map(|line| {
            // Colours are ours; everything else comes from files and services.
            let line: String = line.chars().take(LONGEST).collect();
            truncate_str(&line, look.width.max(20), "…").into_owned()
        })
        .collect()
}

fn head(seen: &Seen, look: Look, paint: &Paint) -> String {
    let state = &seen.reading.state;
    let status = seen.status();
    let word = status.replace('_', " ");
    let word = match status {
        "succeeded" | "accepted" => paint.good(&word),
        "failed" | "rolled_back" | "stuck" | "interrupted" | "cancelled" => paint.bad(&word),
        _ => paint.busy(&word),
    };
    let mut head = format!(
        "{} {word}",
        paint.strong(&format!(
            "run {} of {}",
            seen.row.id, seen.reading.plan.platform
        ))
    );
    if let Some(began) = state.created_at {
        let end = state.ended_at.unwrap_or(look.now);
        let took = end.as_millisecond() - began.as_millisecond();
        head.push_str(&format!(", {}", time::length(took)));
    }
    if let Some(reason) = &state.reason {
        head.push_str(&format!(": {}", clean_line(reason)));
    }
    head
}

/// One line of a phase behind its name.
fn phase_line(
    planned: &PlannedPhase,
    progress: &PhaseProgress,
    at: At,
    seen: &Seen,
    look: Look,
    paint: &Paint,
) -> String {
    let all = planned.services().count();
    let ready = phase::ready(planned, progress);
    let mut line = format!("{:11}  {ready:>2} of {all:<2}", at.as_str());
    let took = phase::took(progress, seen.reading.state.ended_at, look.now);
    let expected = planned
        .expected
        .map(|(from, to)| format!("expected {} to {}", gate::length(from), gate::length(to)));
    if let Some(took) = took {
        let length = time::length(took);
        let is_late = planned
            .expected
            .is_some_and(|(_, longest)| took as u128 > longest.as_millis() && took > 0);
        let length = match is_late {
            true => paint.busy(&length),
            false => length,
        };
        line.push_str(&format!("  {length}"));
    }
    if let Some(expected) = expected {
        line.push_str(&paint.faint(&format!("  {expected}")));
    }
    match (&progress.failure, &planned.status_word) {
        (Some(failure), _) => line.push_str(&format!("  {}", paint.bad(&clean_line(failure)))),
        (None, Some(word)) if at == At::Done => {
            line.push_str(&format!("  {}", paint.good(&clean_line(word))));
        }
        _ => {}
    }
    line
}

fn condition(read: &ConditionReading, paint: &Paint) -> String {
    let mark = match read.met {
        Met::Yes => paint.good("✓"),
        Met::No => paint.bad("✗"),
        Met::NotKnown => paint.busy("?"),
    };
    format!(
        "    {mark} {}: {}",
        read.condition,
        clean_line(&read.reading)
    )
}

fn held(planned: &PlannedPhase, now: &Progress) -> Option<String> {
    let held = now.held.filter(|_| !planned.stable_for.is_zero())?;
    Some(format!(
        "held for {} s of {}",
        held.as_secs(),
        gate::length(planned.stable_for)
    ))
}

/// Whether services are being taken back, and how far that is.
fn way_back(seen: &Seen) -> (bool, Option<String>) {
    let state = &seen.reading.state;
    let plan = &seen.reading.plan;
    if state.rollback.is_none() && plan.restores.is_empty() && plan.shifts.is_empty() {
        return (false, None);
    }
    let all = state.to_restore(plan, seen.row.id).len() + state.to_unshift(plan, seen.row.id).len();
    let outcomes = state.restored.values().chain(state.unshifted.values());
    let done = outcomes.filter(|one| one.is_none()).count();
    let line = match &state.restoring {
        Some(service) => format!("taken back: {done} of {all}, now {service}"),
        None => format!("taken back: {done} of {all}"),
    };
    (true, Some(line))
}

/// `3 of 3 healthy, memory 12% of 1Gi (its services may use 192Mi), cpu 3%`.
fn platform(seen: &Seen, progress: &Progress) -> String {
    let mut parts = vec![format!(
        "{} of {} healthy",
        progress.healthy, progress.deployed
    )];
    if let Some(memory) = progress.memory {
        let budget = seen
            .reading
            .plan
            .phases
            .iter()
            .zip(&seen.reading.state.phases)
            .rfind(|(_, progress)| progress.begun_at.is_some())
            .and_then(|(planned, _)| {
                let share = planned.sums.memory_share?;
                Some(format!(
                    " (limits add up to {}, {:.0}%)",
                    planned.sums.memory, share.0
                ))
            });
        parts.push(format!(
            "memory {memory:.1}% of capacity{}",
            budget.unwrap_or_default()
        ));
    }
    if let Some(cpu) = progress.cpu {
        parts.push(format!("cpu {cpu:.1}%"));
    }
    parts.join(", ")
}

/// `09:31:02 apps: gate passed`; none for entries that say nothing to a reader.
pub(super) fn event(seen: &Seen, entry: &Entry) -> Option<String> {
    let line = story::line(&seen.reading.plan, entry)?;
    let at = time::text(entry.at.as_millisecond());
    let at = at.get(11..19).map_or(at.as_str(), |time| time);
    Some(format!("{at} {}", clean_line(&line)))
}

/// What the run waits for, without numbers that change all the time.
pub(super) fn waits_for(seen: &Seen) -> Option<String> {
    let progress = seen.progress.as_ref()?;
    let phases = &seen.reading.plan.phases;
    let unmet: Vec<&str> = match phases.iter().find_map(|one| seen.at_gate(&one.name)) {
        Some(now) => now
            .gate
            .iter()
            .filter(|one| one.met != Met::Yes)
            .map(|one| one.condition.as_str())
            .collect(),
        None => progress.waits_for.iter().map(String::as_str).collect(),
    };
    (!unmet.is_empty()).then(|| format!("waits for: {}", clean_line(&unmet.join("; "))))
}

/// Reasons come from services and files: on one line, without what a terminal would obey.
fn clean_line(text: &str) -> String {
    clean::text(text, LONGEST).replace(['\n', '\t'], " ")
}

/// Colours, where there are any.
struct Paint(bool);

impl Paint {
    fn with(&self, style: Style, text: &str) -> String {
        match self.0 {
            true => style.force_styling(true).apply_to(text).to_string(),
            false => text.to_owned(),
        }
    }

    fn good(&self, text: &str) -> String {
        self.with(Style::new().green(), text)
    }

    fn bad(&self, text: &str) -> String {
        self.with(Style::new().red(), text)
    }

    fn busy(&self, text: &str) -> String {
        self.with(Style::new().yellow(), text)
    }

    fn faint(&self, text: &str) -> String {
        self.with(Style::new().dim(), text)
    }

    fn strong(&self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }
}
