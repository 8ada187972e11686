//! The four figures of delivery, out of what was done. Pure.
//!
//! A *deployment* is a run that touched at least one service and is over. It *failed* where it was
//! rolled back, failed, or a later run took it back. *Time to restore* runs from the beginning of a
//! failed deployment until the platform was as before or a later one succeeded. *Lead time* would
//! begin with the change itself, which no runtime knows: what is known is the time from the plan to
//! the end of its run, and it is named so.

use std::time::Duration;

use jiff::Timestamp;

use super::{event::EndState, past::PastRun, plan::Kind, state::Status};

/// Of one window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Delivery {
    pub deployments: usize,
    pub failed: usize,
    /// The window divided by the deployments that ended well.
    pub every: Option<Duration>,
    /// Median from the plan to the end of successful runs.
    pub from_plan: Option<Duration>,
    /// Mean over the failed ones that are over.
    pub time_to_restore: Option<Duration>,
}

impl Delivery {
    /// Of `runs` (in any order) that ended in the window from `since` to `now`.
    pub fn of(runs: &[PastRun], since: Timestamp, now: Timestamp) -> Self {
        let mut runs: Vec<&PastRun> = runs.iter().collect();
        runs.sort_by_key(|run| run.run);
        let deployments: Vec<&PastRun> = runs
            .iter()
            .copied()
            .filter(|run| run.kind == Kind::Deploy && !run.touched.is_empty())
            .filter(|run| run.ended.is_some_and(|ended| ended >= since))
            .collect();
        let restored: Vec<Option<Duration>> = deployments
            .iter()
            .filter_map(|run| restored(run, &runs))
            .collect();
        let times: Vec<Duration> = restored.iter().flatten().copied().collect();
        let mut from_plan: Vec<Duration> = deployments
            .iter()
            .filter(|run| run.is_success())
            .filter_map(|run| between(run.planned, run.ended?))
            .collect();
        from_plan.sort_unstable();
        let length = between(since, now).unwrap_or_default();
        let good = u32::try_from(from_plan.len()).unwrap_or(u32::MAX);
        Self {
            deployments: deployments.len(),
            failed: restored.len(),
            every: (good > 0).then(|| length / good),
            from_plan: from_plan.get(from_plan.len() / 2).copied(),
            time_to_restore: (!times.is_empty()).then(|| {
                times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap_or(u32::MAX)
            }),
        }
    }

    /// In percent.
    pub fn failure_rate(&self) -> Option<f64> {
        (self.deployments > 0).then(|| self.failed as f64 * 100.0 / self.deployments as f64)
    }
}

/// Whether a deployment failed, and how long it took until that was over.
fn restored(run: &PastRun, all: &[&PastRun]) -> Option<Option<Duration>> {
    match run.status {
        Status::Ended(EndState::RolledBack) => Some(between(run.began, run.ended?)),
        Status::Ended(EndState::Failed) => {
            let next = all.iter().find(|other| {
                let is_good = match other.kind {
                    Kind::Deploy => other.is_success(),
                    Kind::RollBack => other.status == Status::Ended(EndState::RolledBack),
                };
                other.run > run.run && is_good
            });
            Some(next.and_then(|next| between(run.began, next.ended?)))
        }
        // It went well, and somebody took it back before the next deployment.
        Status::Ended(EndState::Succeeded) => {
            let next = all.iter().find(|other| other.run > run.run)?;
            let is_taken_back = next.kind == Kind::RollBack
                && next.status == Status::Ended(EndState::RolledBack)
                && run.touched.iter().any(|one| next.touched.contains(one));
            is_taken_back.then(|| between(run.ended?, next.ended?))
        }
        _ => None,
    }
}

fn between(from: Timestamp, to: Timestamp) -> Option<Duration> {
    Duration::try_from(to.duration_since(from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::ServiceName;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).expect("a time")
    }

    fn run(id: i64, kind: Kind, end: EndState, began: i64, ended: i64) -> PastRun {
        PastRun {
            run: id,
            kind,
            status: Status::Ended(end),
            began: at(began),
            ended: Some(at(ended)),
            by: "ada".into(),
            reason: None,
            phases: vec!["apps".into()],
            touched: vec![ServiceName("api".into())],
            planned: at(began - 1),
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn figures_come_out_of_what_was_done() {
        use EndState as E;
        use Kind as K;
        let good = run(1, K::Deploy, E::Succeeded, 100, 104);
        let rolled_back = run(2, K::Deploy, E::RolledBack, 200, 206);
        let failed = run(3, K::Deploy, E::Failed, 300, 301);
        let repaired = run(4, K::Deploy, E::Succeeded, 310, 311);
        let taken_back = run(5, K::RollBack, E::RolledBack, 320, 321);
        let figures = |runs: &[&PastRun]| {
            let runs: Vec<PastRun> = runs.iter().map(|run| (*run).clone()).collect();
            Delivery::of(&runs, at(0), at(400))
        };
        assert_eq!(figures(&[]), Delivery::default());
        assert_eq!(figures(&[]).failure_rate(), None);
        for (runs, deployments, failed_count, restore) in [
            (vec![&good], 1, 0, None),
            (vec![&good, &rolled_back], 2, 1, Some(6)),
            (vec![&good, &failed], 2, 1, None),
            (vec![&failed, &repaired], 2, 1, Some(11)),
            (vec![&repaired, &taken_back], 1, 1, Some(10)),
            // In any order.
            (vec![&taken_back, &repaired, &good], 2, 1, Some(10)),
        ] {
            let told = figures(&runs);
            assert_eq!((told.deployments, told.failed), (deployments, failed_count));
            assert_eq!(
                told.time_to_restore,
                restore.map(|minutes| MINUTE * minutes)
            );
        }
        let told = figures(&[&good, &rolled_back, &failed, &repaired]);
        assert_eq!(told.every, Some(MINUTE * 200), "two of them ended well");
        assert_eq!(told.failure_rate(), Some(50.0));
        assert_eq!(told.from_plan, Some(MINUTE * 5), "median of 5 and 2");
    }

    #[test]
    fn what_touched_nothing_is_no_deployment() {
        let mut cancelled = run(1, Kind::Deploy, EndState::Cancelled, 1, 2);
        cancelled.touched.clear();
        assert_eq!(
            Delivery::of(&[cancelled], at(0), at(10)),
            Delivery::default()
        );
    }
}
