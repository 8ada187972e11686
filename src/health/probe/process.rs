//! What a runtime says of a service, as an observation.
//!
//! A probe of kind `process` has no address: whoever has the runtime asks it and hands the answer
//! to `observed`.

use jiff::Timestamp;

use super::super::observation::{Observation, Outcome};
use crate::runtime::{Observed, RuntimeHealth, ServiceState};

/// `is_one_shot`: the service ends by itself, and done is up. Where the runtime looks at health
/// itself, as a container's health check does, its word is the answer.
pub fn observed(at: Timestamp, seen: &Observed, is_one_shot: bool) -> Observation {
    let note = || {
        let note = seen.note.as_deref().map(super::words::quoted);
        note.map(|note| format!(": {note}")).unwrap_or_default()
    };
    let outcome = match &seen.state {
        ServiceState::Running => match seen.health {
            None | Some(RuntimeHealth::Healthy) => Outcome::Passed,
            Some(RuntimeHealth::Starting) => {
                Outcome::Failed(format!("its own health check has not passed yet{}", note()))
            }
            Some(RuntimeHealth::Unhealthy) => {
                Outcome::Failed(format!("its own health check fails{}", note()))
            }
        },
        ServiceState::Exited(exit) if is_one_shot && exit.is_success() => Outcome::Passed,
        ServiceState::Starting => {
            Outcome::Failed(format!("its process is being started{}", note()))
        }
        ServiceState::Exited(exit) => {
            Outcome::Failed(format!("its process ended with {exit}: look at its log"))
        }
        ServiceState::Restarting { count, last, .. } => Outcome::Failed(format!(
            "its process ended with {last} and is being started again ({count} restarts so far): \
             look at its log"
        )),
        ServiceState::Absent => Outcome::Failed("its process was never started".into()),
        ServiceState::Unknown(words) => Outcome::CouldNotLook(format!(
            "the runtime could not say whether it runs: {}",
            super::words::quoted(words)
        )),
    };
    Observation {
        at,
        outcome,
        response: None,
        facts: Vec::new(),
    }
}

/// Without a runtime.
pub(super) fn nobody_to_ask() -> Outcome {
    Outcome::CouldNotLook(
        "only a runtime can say whether its process runs, and none is asked here: give the \
         service another probe"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{platform::ServiceName, runtime::Exit};

    #[test]
    fn done_is_up_only_for_what_ends_by_itself() {
        let at = Timestamp::UNIX_EPOCH;
        let ended = |code| {
            ServiceState::Exited(Exit {
                code: Some(code),
                signal: None,
                at,
                reason: None,
            })
        };
        let outcome = |state: &ServiceState, is_one_shot| {
            let seen = Observed::new(ServiceName("api".into()), state.clone());
            observed(at, &seen, is_one_shot).outcome
        };
        assert_eq!(outcome(&ServiceState::Running, false), Outcome::Passed);
        assert_eq!(outcome(&ended(0), true), Outcome::Passed);
        for (state, is_one_shot) in [
            (ended(0), false),
            (ended(1), true),
            (ServiceState::Absent, true),
            (ServiceState::Starting, false),
        ] {
            let outcome = outcome(&state, is_one_shot);
            assert!(
                matches!(outcome, Outcome::Failed(_)),
                "{state:?}: {outcome:?}"
            );
        }
        let unknown = outcome(&ServiceState::Unknown("no socket".into()), false);
        assert!(matches!(unknown, Outcome::CouldNotLook(why) if why.contains("no socket")));
    }

    #[test]
    fn a_health_check_of_the_runtime_has_the_word() {
        let of = |health| {
            let seen = Observed {
                health: Some(health),
                note: Some("its health check says: connection refused".into()),
                ..Observed::new(ServiceName("api".into()), ServiceState::Running)
            };
            observed(Timestamp::UNIX_EPOCH, &seen, false).outcome
        };
        assert_eq!(of(RuntimeHealth::Healthy), Outcome::Passed);
        for (health, part) in [
            (RuntimeHealth::Starting, "not passed yet"),
            (RuntimeHealth::Unhealthy, "connection refused"),
        ] {
            let told = of(health);
            let is_told = matches!(&told, Outcome::Failed(why) if why.contains(part));
            assert!(is_told, "{told:?}");
        }
    }
}
