//! What is asked of a run, and what that writes into its journal. Asking twice changes nothing.

use super::{
    book::Book,
    event::{EndState, Event, HookOutcome, Way},
    plan::Kind,
    state::{PhaseProgress, Status},
};
use crate::store::{JournalError, journal::Request};

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Approve,
    Pause,
    Resume,
    Promote,
    Abort,
    Accept,
}

impl Verb {
    pub const ALL: [Self; 6] = [
        Self::Approve,
        Self::Pause,
        Self::Resume,
        Self::Promote,
        Self::Abort,
        Self::Accept,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Accept => "accept",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == name)
    }

    /// Why it makes no sense for a run that is this; `is_driven`: a driver is at work.
    pub fn refusal(self, status: Status, is_driven: bool) -> Option<String> {
        let told = |why: &str| Some(why.to_owned());
        if status.is_over() {
            return Some(format!("the run is over ({})", status.as_str()));
        }
        match (self, status) {
            (Self::Approve, Status::AwaitingApproval) => None,
            (Self::Approve, _) => told("it does not wait for an approval"),
            (_, Status::AwaitingApproval) if !matches!(self, Self::Abort | Self::Accept) => {
                told("it waits for an approval: `openpolicy-mcp approve` gives it")
            }
            (Self::Pause, Status::Running) if is_driven => None,
            (Self::Pause, Status::RollingBack) => {
                told("it is being rolled back, which is not stopped halfway")
            }
            (Self::Pause, _) => told("it is not at work"),
            (Self::Resume, Status::Running | Status::RollingBack) if is_driven => {
                told("it is at work already")
            }
            (Self::Promote, Status::RollingBack | Status::Stuck) => {
                told("it is being rolled back: no gate is left to pass")
            }
            (Self::Abort, Status::RollingBack) if is_driven => {
                told("it is being rolled back already")
            }
            (Self::Accept, Status::Running | Status::RollingBack) if is_driven => {
                told("it is at work: pause it first")
            }
            _ => None,
        }
    }
}

/// Takes one request.
pub fn take(book: &Book, request: &Request) -> Result<(), JournalError> {
    let by = request.by.clone();
    let reason = request.reason.clone();
    let status = book.state().status;
    let said = |fallback: &str| reason.clone().unwrap_or_else(|| fallback.to_owned());
    match Verb::named(&request.verb) {
        _ if status.is_over() => {}
        Some(Verb::Approve) if status == Status::AwaitingApproval => {
            let question = book.state().question;
            match &request.approval {
                // The person was asked about something else, which is decided by now.
                Some(given) if Some(given.question) != question => book.write(Event::Note {
                    text: format!(
                        "an approval by {by} was of an earlier question; it approved nothing"
                    ),
                })?,
                given => {
                    let phase = asked_phase(book);
                    let way = given.as_ref().and_then(|given| Way::named(&given.way));
                    book.write(Event::Approved { by, phase, way })?;
                }
            }
        }
        Some(Verb::Pause) if status == Status::Running => book.write(Event::Paused {
            by,
            reason: said("asked for"),
        })?,
        Some(Verb::Resume) => book.write(Event::Resumed { by, reason })?,
        Some(Verb::Promote) => promote(book, by, reason)?,
        Some(Verb::Abort) => abort(book, by, said("aborted"))?,
        Some(Verb::Accept) => book.write(Event::Ended {
            state: EndState::Accepted,
            reason: Some(said("accepted as it stands")),
            by: Some(by),
        })?,
        _ => book.write(Event::Note {
            text: format!("`{}` came too late and changed nothing", request.verb),
        })?,
    }
    book.take(request)
}

/// The phase that waits for an approval; none where the run does.
pub fn asked_phase(book: &Book) -> Option<usize> {
    let state = book.state();
    let is_begun = state.driver.is_some();
    is_begun
        .then(|| state.phases.iter().position(|one| one.ended_at.is_none()))
        .flatten()
}

fn promote(book: &Book, by: String, reason: Option<String>) -> Result<(), JournalError> {
    let (status, open_hook, failed_hook, phase) = {
        let state = book.state();
        (
            state.status,
            state.open_hook,
            state.unfinished_hook(),
            state.phase_at_work(),
        )
    };
    if let Some(hook) = open_hook.or(failed_hook) {
        if status != Status::Running {
            book.write(Event::Resumed {
                by: by.clone(),
                reason,
            })?;
        }
        return book.write(Event::HookEnded {
            hook,
            outcome: HookOutcome::TakenAsDone,
        });
    }
    let Some(phase) = phase else {
        return book.write(Event::Note {
            text: "no phase is at work: nothing was promoted".into(),
        });
    };
    let promoted = match &reason {
        Some(reason) => format!("by {by}: {reason}"),
        None => format!("by {by}"),
    };
    let readings = book
        .state()
        .phases
        .get(phase)
        .map(|one| one.readings.clone())
        .unwrap_or_default();
    let shift = {
        let state = book.state();
        state
            .phases
            .get(phase)
            .and_then(PhaseProgress::shift_to_promote)
    };
    if let Some(step) = shift {
        if status != Status::Running {
            book.write(Event::Resumed { by, reason })?;
        }
        return book.write(Event::ShiftPassed {
            phase,
            step,
            readings,
            promoted: Some(promoted),
        });
    }
    let is_at_gate = {
        let state = book.state();
        state
            .phases
            .get(phase)
            .is_some_and(|one| one.gate_began_at.is_some() && !one.is_gate_passed)
    };
    if !is_at_gate {
        return book.write(Event::Note {
            text: "no gate is held: nothing was promoted".into(),
        });
    }
    if status != Status::Running {
        book.write(Event::Resumed { by, reason })?;
    }
    book.write(Event::GatePassed {
        phase,
        readings,
        baseline: Default::default(),
        promoted: Some(promoted),
    })
}

fn abort(book: &Book, by: String, reason: String) -> Result<(), JournalError> {
    let is_untouched = {
        let state = book.state();
        state.touched.is_empty() && state.shifted.is_empty() && book.plan.kind == Kind::Deploy
    };
    match is_untouched {
        true => book.write(Event::Ended {
            state: EndState::Cancelled,
            reason: Some(reason),
            by: Some(by),
        }),
        false => book.write(Event::RollbackBegun { by, reason }),
    }
}
