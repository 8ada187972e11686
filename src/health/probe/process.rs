//! What a runtime knows of a process, as an observation.
//!
//! A probe of kind `process` has no address: whoever has the runtime asks it and hands the answer
//! to `observed`.

use jiff::Timestamp;

use super::super::observation::{Fact, Observation, Outcome};

/// What a runtime says of the process (container, pod) of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs, with its process id where there is one.
    Running(Option<u32>),
    /// It ended by itself, with its exit code where that is known.
    Ended(Option<i32>),
    /// It was never started, or was stopped on purpose.
    NotStarted,
    /// The runtime did not answer: its words.
    NotKnown(String),
}

/// `is_one_shot`: the service ends by itself, and done is up.
pub fn observed(at: Timestamp, state: &ProcessState, is_one_shot: bool) -> Observation {
    let mut facts = Vec::new();
    let outcome = match state {
        ProcessState::Running(pid) => {
            facts.extend(pid.map(|pid| Fact {
                name: "pid",
                value: pid.to_string(),
            }));
            Outcome::Passed
        }
        ProcessState::Ended(Some(0)) if is_one_shot => Outcome::Passed,
        ProcessState::Ended(code) => {
            let code = match code {
                Some(code) => format!("with exit code {code}"),
                None => "by a signal".into(),
            };
            Outcome::Failed(format!("its process ended {code}: look at its log"))
        }
        ProcessState::NotStarted => Outcome::Failed("its process is not started".into()),
        ProcessState::NotKnown(words) => Outcome::CouldNotLook(format!(
            "the runtime could not say whether it runs: {}",
            super::words::quoted(words)
        )),
    };
    Observation {
        at,
        outcome,
        response: None,
        facts,
    }
}

/// Without a runtime.
pub(super) fn nobody_to_ask() -> Outcome {
    Outcome::CouldNotLook(
        "only a runtime can say whether its process runs, and none is configured: name one in \
         the platform file, or give the service another probe"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_is_up_only_for_what_ends_by_itself() {
        let outcome =
            |state, is_one_shot| observed(Timestamp::UNIX_EPOCH, &state, is_one_shot).outcome;
        assert_eq!(
            outcome(ProcessState::Running(Some(7)), false),
            Outcome::Passed
        );
        assert_eq!(outcome(ProcessState::Ended(Some(0)), true), Outcome::Passed);
        for (state, is_one_shot) in [
            (ProcessState::Ended(Some(0)), false),
            (ProcessState::Ended(Some(1)), true),
            (ProcessState::Ended(None), true),
            (ProcessState::NotStarted, true),
        ] {
            let outcome = outcome(state.clone(), is_one_shot);
            assert!(
                matches!(outcome, Outcome::Failed(_)),
                "{state:?}: {outcome:?}"
            );
        }
        let unknown = outcome(ProcessState::NotKnown("no socket".into()), false);
        assert!(matches!(unknown, Outcome::CouldNotLook(why) if why.contains("no socket")));
    }
}
