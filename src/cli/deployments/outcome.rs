//! The exit codes of what a run is.

use super::super::Failure;
use crate::deploy::{Status, deployments::Seen, event::EndState, plan::Kind};

/// Ended as nobody wanted it.
const FAILED: u8 = 1;
/// A person has to decide.
const DECIDE: u8 = 3;
/// Ctrl-C, as shells have it.
pub(super) const LEFT: u8 = 130;

/// For `--help`.
pub(in super::super) const EXIT_CODES: &str = "\
Exit codes: 0 succeeded (or still at work, where it is not followed), 1 failed, rolled back, \
cancelled or stuck, 2 wrong usage, 3 paused, interrupted, or a person has to approve or decide, \
130 Ctrl-C: the run goes on.";

/// What was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Success,
    /// That it is taken back.
    Back,
}

/// How a command ends that shows this run.
pub(super) fn of(seen: &Seen, wanted: Wanted) -> Result<(), Failure> {
    let is_back = seen.reading.plan.kind == Kind::RollBack || wanted == Wanted::Back;
    match code(seen.reading.state.status, seen.is_interrupted(), is_back) {
        0 => Ok(()),
        code => Err(Failure::Code(code)),
    }
}

fn code(status: Status, is_interrupted: bool, is_back: bool) -> u8 {
    match status {
        _ if is_interrupted => DECIDE,
        Status::Running | Status::RollingBack => 0,
        Status::AwaitingApproval | Status::Paused | Status::Unknown => DECIDE,
        Status::Stuck => FAILED,
        Status::Ended(EndState::Succeeded | EndState::Accepted) => 0,
        Status::Ended(EndState::RolledBack | EndState::Cancelled) if is_back => 0,
        Status::Ended(EndState::RolledBack | EndState::Cancelled | EndState::Failed) => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_code() {
        use EndState as E;
        for (status, deployed, taken_back) in [
            (Status::Running, 0, 0),
            (Status::RollingBack, 0, 0),
            (Status::AwaitingApproval, 3, 3),
            (Status::Paused, 3, 3),
            (Status::Unknown, 3, 3),
            (Status::Stuck, 1, 1),
            (Status::Ended(E::Succeeded), 0, 0),
            (Status::Ended(E::Accepted), 0, 0),
            (Status::Ended(E::Failed), 1, 1),
            (Status::Ended(E::RolledBack), 1, 0),
            (Status::Ended(E::Cancelled), 1, 0),
        ] {
            assert_eq!(code(status, false, false), deployed, "{status:?}");
            assert_eq!(code(status, false, true), taken_back, "{status:?}");
        }
        assert_eq!(code(Status::Running, true, false), 3, "interrupted");
    }
}
