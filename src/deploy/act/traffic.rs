//! Shifting requests from one version to another, and back.
//!
//! What the route says counts, before and after: whether an earlier driver shifted it, and whether an
//! answer that was lost had been a yes. What somebody else set is told and never written over.

use std::time::Duration;

use tokio::time::Instant;

use super::Act;
use crate::{
    deploy::{engine::DriveError, event::Event, plan::ShiftBack, progress::Progress},
    platform::model::Traffic,
    runtime::{Divided, Problem, Weights},
};

/// What a look at a route came to.
enum Looked {
    Now(Divided),
    /// It could not be looked at.
    Hidden(Problem),
    /// Something else comes first.
    Interrupted,
}

impl Act<'_> {
    pub(super) async fn shift(&self, phase: usize, step: usize) -> Result<(), DriveError> {
        let Some(planned) = self.phase(phase) else {
            return Ok(());
        };
        let Some(route) = &planned.traffic else {
            return Ok(());
        };
        let traffic = &route.traffic;
        let (before, then) = (route.before(step), route.then(step));
        let longest = planned.gate_timeout;
        let now = match self.divided(traffic, longest).await {
            Looked::Interrupted => return Ok(()),
            Looked::Hidden(problem) => {
                let reason = format!(
                    "how {} divides requests is not known: {problem}",
                    traffic.virtual_service
                );
                return Ok(self.fail(phase, reason)?);
            }
            Looked::Now(now) if now.weights != before && now.weights != then => {
                return Ok(self.fail(phase, changed(traffic, before, &now))?);
            }
            Looked::Now(now) => now.weights,
        };
        // An earlier driver may have written it down, and may have done it.
        let has_begun = self
            .book
            .state()
            .phases
            .get(phase)
            .is_some_and(|one| one.last_shift().is_some_and(|(last, _)| last >= step));
        if !has_begun {
            self.book.write(Event::ShiftBegun {
                phase,
                step,
                was: now,
                then,
            })?;
        }
        if now != then {
            match self.divide(traffic, now, then, longest).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(reason) => return Ok(self.fail(phase, reason)?),
            }
        }
        Ok(self.book.write(Event::ShiftEnded { phase, step })?)
    }

    pub(super) async fn unshift(&self, index: usize) -> Result<(), DriveError> {
        self.watching.disarm();
        let plan = &self.book.plan;
        let all = self.book.state().to_unshift(plan, self.book.run);
        let Some(back) = all.get(index) else {
            return Ok(());
        };
        let longest = plan.phases.iter().map(|phase| phase.gate_timeout).max();
        let longest = longest.unwrap_or(self.engine.tuning.restored_within);
        let looked = self.divided(&back.traffic, longest).await;
        let now = match &looked {
            Looked::Interrupted => return Ok(()),
            Looked::Now(now) => Some(now.weights),
            Looked::Hidden(_) => None,
        };
        self.book.write(Event::UnshiftBegun { index, now })?;
        let (outcome, problem) = match looked {
            Looked::Interrupted => return Ok(()),
            Looked::Hidden(problem) => ("failed", Some(problem.to_string())),
            Looked::Now(now) => match way_back(back, &now) {
                WayBack::IsThere => ("unchanged", None),
                WayBack::IsTheirs => ("left as somebody else set it", None),
                WayBack::Blocked(reason) => ("failed", Some(reason)),
                WayBack::Shift => {
                    let traffic = &back.traffic;
                    match self
                        .divide(traffic, now.weights, back.before, longest)
                        .await
                    {
                        Ok(true) => ("shifted back", None),
                        Ok(false) => return Ok(()),
                        Err(reason) => ("failed", Some(reason)),
                    }
                }
            },
        };
        Ok(self.book.write(Event::UnshiftEnded {
            index,
            outcome: outcome.into(),
            problem,
        })?)
    }

    /// Shifts, and where no answer says that it is done, looks: whether it is; not, where something
    /// else comes first before that is known. What went wrong in words.
    async fn divide(
        &self,
        traffic: &Traffic,
        was: Weights,
        then: Weights,
        longest: Duration,
    ) -> Result<bool, String> {
        let shifted = self.engine.runtime.shift(traffic, was, then).await;
        let Err(problem) = shifted else {
            return Ok(true);
        };
        let route = &traffic.virtual_service;
        match self.divided(traffic, longest).await {
            Looked::Interrupted => Ok(false),
            Looked::Now(now) if now.weights == then => Ok(true),
            Looked::Now(now) if now.weights == was => Err(format!(
                "{route} was not shifted and is still {was}: {problem}"
            )),
            Looked::Now(now) => Err(changed(traffic, was, &now)),
            Looked::Hidden(hidden) => Err(format!(
                "whether {route} was shifted to {then} is not known: {problem}; and then {hidden}"
            )),
        }
    }

    /// How requests are divided now. Who does not answer is asked again for this long.
    async fn divided(&self, traffic: &Traffic, longest: Duration) -> Looked {
        let until = Instant::now() + longest;
        loop {
            let problem = match self.engine.runtime.traffic(traffic, false).await {
                Ok(now) => return Looked::Now(now),
                Err(problem) => problem,
            };
            if self.is_interrupted() {
                return Looked::Interrupted;
            }
            let is_away = matches!(
                problem,
                Problem::NotReached { .. } | Problem::TimedOut { .. }
            );
            if !is_away || Instant::now() >= until {
                return Looked::Hidden(problem);
            }
            self.book.show(&Progress {
                waits_for: vec![problem.to_string()],
                ..self.progress()
            });
            tokio::time::sleep(self.engine.tuning.ask_every).await;
        }
    }
}

/// What taking traffic back comes to.
#[derive(Debug, PartialEq, Eq)]
enum WayBack {
    Shift,
    /// It is divided as it was.
    IsThere,
    /// Somebody else took the requests from the newer version: what answered them can go.
    IsTheirs,
    /// Somebody else sends requests to what would go.
    Blocked(String),
}

fn way_back(back: &ShiftBack, now: &Divided) -> WayBack {
    if now.weights == back.before {
        WayBack::IsThere
    } else if back.ours.contains(&now.weights) {
        WayBack::Shift
    } else if now.weights.percent() == 0 {
        WayBack::IsTheirs
    } else {
        let ours = back.ours.last().copied().unwrap_or(back.before);
        WayBack::Blocked(format!(
            "{}; set it to {} by hand (or give {} nothing) and `resume`, or `accept`",
            changed(&back.traffic, ours, now),
            back.before,
            back.traffic.to
        ))
    }
}

/// That somebody else changed it, and who.
fn changed(traffic: &Traffic, expected: Weights, now: &Divided) -> String {
    let holder = match &now.holder {
        Some(holder) => format!(", as {holder} set it"),
        None => String::new(),
    };
    format!(
        "{} was changed by somebody else: it divides {} to {} as {}{holder}, and {expected} was \
         expected",
        traffic.virtual_service, traffic.from, traffic.to, now.weights
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::model::Promote;

    #[test]
    fn only_what_this_run_set_is_set_back() {
        let back = ShiftBack {
            traffic: Traffic {
                virtual_service: "api-vs".into(),
                from: "v1".into(),
                to: "v2".into(),
                weights: vec![10, 50],
                promote: Promote::Gate,
            },
            phase: "canary".into(),
            before: Weights { from: 19, to: 1 },
            ours: vec![Weights::of(10), Weights::of(50)],
            run: 1,
        };
        let at = |from, to| {
            let divided = Divided {
                weights: Weights { from, to },
                holder: Some("\"kubectl-edit\"".into()),
            };
            way_back(&back, &divided)
        };
        assert_eq!(at(19, 1), WayBack::IsThere);
        assert_eq!(at(90, 10), WayBack::Shift);
        assert_eq!(at(50, 50), WayBack::Shift);
        assert_eq!(at(100, 0), WayBack::IsTheirs);
        let WayBack::Blocked(reason) = at(70, 30) else {
            panic!("it is somebody's");
        };
        for word in [
            "70 to 30",
            "\"kubectl-edit\"",
            "50 to 50 was expected",
            "19 to 1",
        ] {
            assert!(reason.contains(word), "{word}: {reason}");
        }
    }
}
