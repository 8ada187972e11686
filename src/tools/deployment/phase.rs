//! How far a phase of a run is, as tools and the live view tell it.

use jiff::Timestamp;

use crate::deploy::{
    plan::PlannedPhase,
    state::{PhaseProgress, StepProgress},
};

/// What a phase does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Waiting,
    Work,
    Gate,
    Done,
    Failed,
}

impl At {
    pub fn of(progress: &PhaseProgress) -> Self {
        if progress.ended_at.is_some() {
            Self::Done
        } else if progress.failure.is_some() {
            Self::Failed
        } else if progress.begun_at.is_none() {
            Self::Waiting
        } else if progress.gate_began_at.is_some() && !progress.is_gate_passed {
            Self::Gate
        } else {
            Self::Work
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Work => "at work",
            Self::Gate => "at its gate",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// Services of the phase that are ready.
pub fn ready(planned: &PlannedPhase, progress: &PhaseProgress) -> usize {
    planned
        .steps
        .iter()
        .zip(&progress.steps)
        .filter(|(_, progress)| **progress == StepProgress::Ready)
        .map(|(services, _)| services.len())
        .sum()
}

/// Milliseconds that the phase took, or has taken so far; none before it begins. `run_ended`: when
/// its run was over.
pub fn took(progress: &PhaseProgress, run_ended: Option<Timestamp>, now: Timestamp) -> Option<i64> {
    let begun = progress.begun_at?;
    let end = progress.ended_at.or(run_ended).unwrap_or(now);
    Some(end.as_millisecond() - begun.as_millisecond())
}
