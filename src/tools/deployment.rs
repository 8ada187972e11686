//! What the deployment tools share: who asks, which phases are meant, what a run is.

pub mod approval;
pub mod phase;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Context, ErrorCode, ToolError, platform};
use crate::{
    answer::{Answer, Table, clean, time as times},
    deploy::{
        DeployError, Deployments, Plan, Progress, Status,
        deployments::Seen,
        gate,
        plan::{ChangeAction, Kind, PlannedPhase, PlannedTraffic, ServiceChange},
        story,
    },
    platform::{Phase, Platform, ServiceName, model::Promote},
    runtime::Problem,
};

/// Of a line of the timeline, in characters; `reason` has more.
const LONGEST_LINE: usize = 240;

/// The most that a call waits for a change.
pub const LONGEST_WAIT: u64 = 45;
/// Of a call so much is left for the answer.
const FOR_THE_ANSWER: Duration = Duration::from_secs(3);

/// Deployments of the platform of this call.
pub async fn deployments(context: &Context) -> Result<Deployments, ToolError> {
    Ok(Deployments::of(context.platform()?).await?)
}

/// `run-7`, `run 7` or `7`.
pub fn run_number(argument: &str, written: &str) -> Result<i64, ToolError> {
    let bare = written
        .trim()
        .trim_start_matches("run")
        .trim_start_matches(['-', ' ']);
    bare.parse().ok().filter(|run| *run > 0).ok_or_else(|| {
        ToolError::invalid(
            argument,
            format!("`{written}` is no run"),
            "give the number of a run, as deploy_phase and get_deployment with history tell it",
        )
    })
}

/// Waits as long as the caller asked for, and as the call allows.
pub fn until(context: &Context, wait: Option<u64>) -> Instant {
    let asked = Duration::from_secs(wait.unwrap_or(0).min(LONGEST_WAIT));
    (Instant::now() + asked).min(latest(context))
}

/// Until when a call may wait for something.
pub fn latest(context: &Context) -> Instant {
    let now = Instant::now();
    let latest = context.deadline().checked_sub(FOR_THE_ANSWER);
    latest.map_or(now, |latest| latest.max(now))
}

/// Phases by name or number, in the order of the platform; all of them up to `through`; all
/// without either.
pub fn phases<'a>(
    platform: &'a Platform,
    named: Option<&[String]>,
    through: Option<&str>,
) -> Result<Vec<&'a Phase>, ToolError> {
    if platform.phases.is_empty() {
        return Err(ToolError::new(
            ErrorCode::InvalidArgument,
            format!("the file of the platform {} gives no phases", platform.name),
        )
        .then("give `services`, or write `phases` into the platform file"));
    }
    let chosen: Vec<&Phase> = match (named, through) {
        (Some(_), Some(_)) => {
            return Err(ToolError::invalid(
                "through",
                "both `phases` and `through` are given",
                "give one of them",
            ));
        }
        (Some(names), None) => {
            let wanted: Vec<&Phase> = names
                .iter()
                .map(|name| self::platform::phase(platform, name))
                .collect::<Result<_, _>>()?;
            platform
                .phases
                .iter()
                .filter(|phase| wanted.iter().any(|one| one.name == phase.name))
                .collect()
        }
        (None, Some(name)) => {
            let last = self::platform::phase(platform, name)?;
            let count = platform
                .phases
                .iter()
                .position(|phase| phase.name == last.name)
                .map_or(0, |at| at + 1);
            platform.phases.iter().take(count).collect()
        }
        (None, None) => platform.phases.iter().collect(),
    };
    if chosen.is_empty() {
        return Err(ToolError::invalid(
            "phases",
            "no phase is named",
            "name at least one, or leave it out for all",
        ));
    }
    Ok(chosen)
}

/// Steps as one line: `postgresql > redis + rabbitmq`; then how traffic goes over.
pub fn steps(phase: &PlannedPhase) -> String {
    let mut steps: Vec<String> = phase
        .steps
        .iter()
        .map(|step| {
            let names: Vec<&str> = step.iter().map(|name| name.0.as_str()).collect();
            names.join(" + ")
        })
        .collect();
    steps.extend(phase.traffic.as_ref().map(traffic));
    steps.join(" > ")
}

/// `10 %, 50 %, 100 % of api-gateway-vs from v1 to v2 (now 0 %), gate and promote between`.
pub fn traffic(planned: &PlannedTraffic) -> String {
    let traffic = &planned.traffic;
    let between = match (traffic.weights.len(), traffic.promote) {
        (0 | 1, _) => "",
        (_, Promote::Gate) => ", gate between",
        (_, Promote::Person) => ", gate and promote between",
    };
    format!(
        "{} of {} from {} to {} (now {} %){between}",
        traffic.steps(),
        traffic.virtual_service,
        traffic.from,
        traffic.to,
        planned.was.percent()
    )
}

/// What becomes of the services of a phase, shortly: `create all`, `replace api; keep 4`.
pub fn changes(phase: &PlannedPhase) -> String {
    let mut by_action: BTreeMap<ChangeAction, Vec<&ServiceChange>> = BTreeMap::new();
    for change in &phase.changes {
        by_action.entry(change.action).or_default().push(change);
    }
    if let (1, Some((action, all))) = (by_action.len(), by_action.first_key_value()) {
        return match all.len() {
            1 => action.as_str().to_owned(),
            count => format!("{} all {count}", action.as_str()),
        };
    }
    let parts: Vec<String> = by_action
        .iter()
        .map(|(action, all)| match action {
            ChangeAction::Keep => format!("keep {}", all.len()),
            _ => {
                let names: Vec<&str> = all.iter().map(|one| one.service.0.as_str()).collect();
                format!("{} {}", action.as_str(), names.join(", "))
            }
        })
        .collect();
    parts.join("; ")
}

/// The conditions of a gate as one line.
pub fn gate_text(phase: &PlannedPhase) -> String {
    let conditions: Vec<String> = phase.gate.iter().map(gate::text).collect();
    let mut text = conditions.join(", ");
    if !phase.stable_for.is_zero() && !phase.gate.is_empty() {
        text.push_str(&format!(" for {}", gate::length(phase.stable_for)));
    }
    text
}

/// A run as every tool tells it.
pub fn put_run(answer: &mut Answer, context: &Context, seen: &Seen, lines: usize) {
    let (plan, state) = (&seen.reading.plan, &seen.reading.state);
    answer.put("run", seen.row.id);
    answer.put("state", seen.status());
    if plan.kind == Kind::RollBack {
        answer.put("kind", "rollback");
    }
    if let Some(reason) = &state.reason {
        answer.put("reason", reason.as_str());
    }
    if let Some(began) = state.created_at {
        let end = state.ended_at.unwrap_or(context.now);
        let took = end.as_millisecond() - began.as_millisecond();
        answer.put("began", times::text(began.as_millisecond()));
        answer.put("took", times::length(took));
    }
    if !plan.phases.is_empty() {
        let mut table = Table::new(&["name", "state", "ready", "gate", "took", "expected"]);
        for at in 0..plan.phases.len().min(state.phases.len()) {
            table.push(phase_row(at, seen, context));
        }
        answer.put("phases", table.into_value());
    }
    if state.rollback.is_some() {
        let all =
            state.to_restore(plan, seen.row.id).len() + state.to_unshift(plan, seen.row.id).len();
        let outcomes = state.restored.values().chain(state.unshifted.values());
        let done = outcomes.filter(|problem| problem.is_none()).count();
        answer.put("taken_back", format!("{done} of {all}"));
    }
    let told: Vec<Value> = seen
        .reading
        .entries
        .iter()
        .filter_map(|entry| {
            let line = story::line(plan, entry)?;
            let at = times::text(entry.at.as_millisecond());
            // The date stands in `began`.
            let at = at.get(11..19).map_or(at.as_str(), |time| time).to_owned();
            Some(Value::from(clean::text(
                &format!("{at} {line}"),
                LONGEST_LINE,
            )))
        })
        .collect();
    let skipped = told.len().saturating_sub(lines);
    if skipped > 0 {
        answer.put("earlier_lines", skipped);
    }
    answer.put_list("timeline", told.into_iter().skip(skipped).collect());
    if let Some(next) = next_step(context, seen) {
        answer.put("next_step", next);
    }
}

fn phase_row(at: usize, seen: &Seen, context: &Context) -> Vec<Value> {
    let (plan, state) = (&seen.reading.plan, &seen.reading.state);
    let (Some(planned), Some(progress)) = (plan.phases.get(at), state.phases.get(at)) else {
        return Vec::new();
    };
    let ready = phase::ready(planned, progress);
    let all = planned.services().count();
    let now = seen.at_gate(&planned.name);
    let unmet = match progress.readings.is_empty() || progress.is_gate_passed {
        true => String::new(),
        false => gate::unmet(&progress.readings),
    };
    let gate = match (&progress.promoted, progress.is_gate_passed) {
        (Some(_), _) => "let pass".to_owned(),
        (None, true) => "passed".to_owned(),
        (None, false) => now.map_or(unmet, |now| at_gate(planned, now)),
    };
    let gate = match share(seen, at) {
        Some(share) if gate.is_empty() => share,
        Some(share) => format!("{share}; {gate}"),
        None => gate,
    };
    let took = phase::took(progress, seen.reading.state.ended_at, context.now);
    let expected = planned
        .expected
        .map(|(from, to)| format!("{} to {}", gate::length(from), gate::length(to)));
    vec![
        planned.name.as_str().into(),
        phase::At::of(progress).as_str().into(),
        format!("{ready} of {all}").into(),
        gate.into(),
        took.map(times::length).into(),
        expected.into(),
    ]
}

/// `v2 has 10 % of api-gateway-vs`, by what the run did.
pub fn share(seen: &Seen, phase: usize) -> Option<String> {
    let (plan, state) = (&seen.reading.plan, &seen.reading.state);
    let share = state.share(plan, phase)?;
    let traffic = &plan.phases.get(phase)?.traffic.as_ref()?.traffic;
    Some(format!(
        "{} has {share} % of {}",
        traffic.to, traffic.virtual_service
    ))
}

/// What a gate reads at this moment, and for how long it has held.
fn at_gate(planned: &PlannedPhase, now: &Progress) -> String {
    let read = gate::told(&now.gate);
    match now.held {
        Some(held) if !planned.stable_for.is_zero() => format!(
            "{read}; held {} of {}",
            gate::length(Duration::from_secs(held.as_secs())),
            gate::length(planned.stable_for)
        ),
        _ => read,
    }
}

/// What a reader can do now.
fn next_step(context: &Context, seen: &Seen) -> Option<String> {
    let run = seen.row.id;
    if seen.is_interrupted() {
        let what = match &seen.silent {
            None => "was lost and nothing goes on by itself".to_owned(),
            Some(sign) => format!(
                "(process {}) has given no sign of life for {}: it goes on if that process does, and \
                 loses the run to whoever is told to take it",
                sign.process,
                gate::length(Duration::from_secs(sign.age().as_secs()))
            ),
        };
        return Some(format!(
            "its driver {what}: control_deployment with run {run} and `resume`, `abort` (rolls back) \
             or `accept`"
        ));
    }
    Some(match seen.reading.state.status {
        Status::AwaitingApproval => {
            let command = format!("`openpolicy-mcp approve {run}` on a terminal");
            match (seen.is_in_production(), context.can_ask()) {
                (true, _) => format!(
                    "a person with the passphrase of production approves it: {command}; no client can"
                ),
                (false, true) => format!(
                    "a person approves it: control_deployment with run {run} and `request_approval` \
                     asks the one at this client; or {command}"
                ),
                (false, false) => {
                    format!("a person approves it: {command}; no argument of a tool does")
                }
            }
        }
        Status::Paused if seen.reading.state.held_shift().is_some() => format!(
            "control_deployment with run {run}: `promote` goes on to the next weight, `resume` holds \
             the gate again, `abort` puts the traffic back and rolls back, `accept` leaves all as it \
             stands"
        ),
        Status::Paused => format!(
            "control_deployment with run {run}: `resume` tries again, `promote` lets the gate \
             pass, `abort` rolls back, `accept` leaves all as it stands"
        ),
        Status::Unknown => format!(
            "find out whether the hook ran, then control_deployment with run {run}: `promote` \
             (it did), `resume` (run it again) or `abort`"
        ),
        Status::Stuck => format!(
            "look at what stands in `reason`, then control_deployment with run {run}: `resume` \
             tries again, `accept` leaves all as it stands"
        ),
        Status::Running | Status::RollingBack => {
            format!("get_deployment with run {run} and `wait` tells when something changes")
        }
        Status::Ended(_) => return None,
    })
}

/// Phases and what becomes of them.
pub fn phase_table(plan: &Plan) -> Table {
    let mut table = Table::new(&["name", "steps", "changes", "memory", "gate", "on_failure"]);
    for phase in &plan.phases {
        let share = phase
            .sums
            .memory_share
            .map(|share| format!(" ({:.0}%)", share.0))
            .unwrap_or_default();
        table.push(vec![
            phase.name.as_str().into(),
            steps(phase).into(),
            changes(phase).into(),
            format!("{}{share}", phase.sums.memory).into(),
            gate_text(phase).into(),
            on_failure(phase).into(),
        ]);
    }
    table
}

fn on_failure(phase: &PlannedPhase) -> Option<&'static str> {
    use crate::platform::model::OnFailure;
    // What is usual is not said.
    match phase.on_failure {
        OnFailure::Rollback => None,
        OnFailure::Pause => Some("pause"),
        OnFailure::Stop => Some("stop"),
    }
}

/// Services that a plan restarts.
pub fn restarted(plan: &Plan) -> Vec<&ServiceName> {
    plan.phases
        .iter()
        .flat_map(|phase| &phase.changes)
        .filter(|change| change.action == ChangeAction::Replace)
        .map(|change| &change.service)
        .collect()
}

impl From<DeployError> for ToolError {
    fn from(error: DeployError) -> Self {
        use DeployError as E;
        let message = error.to_string();
        match error {
            E::Runtime(problem) => Self::from(problem),
            E::NoTraffic { problem, .. } => match problem {
                // The cluster answered, and its route is another one than is needed.
                Problem::Failed { .. } => Self::new(ErrorCode::Conflict, message)
                    .then("change the route or the platform file; nothing was changed"),
                problem => Self {
                    message,
                    ..Self::from(problem)
                },
            },
            E::NotTrusted(_) => Self::new(ErrorCode::Forbidden, message),
            E::NoState => Self::new(ErrorCode::Unavailable, message),
            E::NotADigest(_) => Self::new(ErrorCode::InvalidArgument, message).about("digest"),
            E::NoPlan(_) => Self::new(ErrorCode::NotFound, message)
                .about("digest")
                .then("make a new plan with plan_deployment"),
            E::Stale(_) => Self::new(ErrorCode::StalePlan, message)
                .about("digest")
                .then("make a new plan and look at what it says; nothing was changed"),
            E::Busy { run, .. } => Self::new(ErrorCode::Conflict, message).then(format!(
                "get_deployment with run {run} tells how far it is; nothing was changed"
            )),
            E::NoRun(_) => Self::new(ErrorCode::NotFound, message)
                .about("run")
                .then("get_deployment with `history` lists the runs"),
            E::Refused { run, .. } => Self::new(ErrorCode::Conflict, message)
                .then(format!("get_deployment with run {run} tells what it is")),
            E::NothingToDo { .. } => Self::new(ErrorCode::Conflict, message),
            E::EndsWithClient => Self::new(ErrorCode::Unavailable, message).then(
                "start the container with `serve --http`, or the server outside of one; nothing was \
                 changed",
            ),
            E::NoDriver(_) => Self::new(ErrorCode::Unavailable, message)
                .then("the run is in the journal: get_deployment shows it; `resume` tries again"),
            E::Journal(_) | E::Book(_) => Self::new(ErrorCode::Unavailable, message)
                .then("`openpolicy-mcp doctor` tells what is wrong with the state folder"),
        }
    }
}
