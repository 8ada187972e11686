//! Response times and errors over a window, of what a driver saw itself. Pure.

use std::{collections::VecDeque, time::Duration};

use super::{
    gate::{Reading, Readings},
    look::Seen,
};
use crate::health::Verdict;

/// Fewer answers than this decide nothing.
const FEWEST: usize = 3;
/// Older ones are forgotten, whatever the window.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What was seen, oldest first.
#[derive(Debug, Default)]
pub struct Samples {
    all: VecDeque<Sample>,
    last: Option<Seen>,
}

#[derive(Debug)]
struct Sample {
    at: Duration,
    responses: Vec<Duration>,
    looks: u32,
    failed: u32,
}

impl Samples {
    /// `at` by a monotonic clock.
    pub fn add(&mut self, at: Duration, seen: Seen) {
        self.all.push_back(Sample {
            at,
            responses: seen
                .services
                .iter()
                .filter_map(|one| one.response)
                .collect(),
            // Those that start have failed nobody.
            looks: seen
                .services
                .iter()
                .filter(is_counted)
                .map(|one| one.looks)
                .sum(),
            failed: seen
                .services
                .iter()
                .filter(is_counted)
                .map(|one| one.failed)
                .sum(),
        });
        while self
            .all
            .front()
            .is_some_and(|first| at.saturating_sub(first.at) > LONGEST)
        {
            self.all.pop_front();
        }
        self.last = Some(seen);
    }

    pub fn last(&self) -> Option<&Seen> {
        self.last.as_ref()
    }

    /// What conditions look at, over this window up to now.
    pub fn readings(&self, now: Duration, window: Duration) -> Readings {
        let Some(seen) = &self.last else {
            return Readings::none("nothing was seen yet");
        };
        let within: Vec<&Sample> = self
            .all
            .iter()
            .filter(|sample| now.saturating_sub(sample.at) <= window)
            .collect();
        let mut responses: Vec<Duration> = within
            .iter()
            .flat_map(|sample| sample.responses.iter().copied())
            .collect();
        responses.sort_unstable();
        let looks: u32 = within.iter().map(|sample| sample.looks).sum();
        let failed: u32 = within.iter().map(|sample| sample.failed).sum();
        let is_well = |verdict| matches!(verdict, Verdict::Up | Verdict::Degraded);
        let is_ill = |verdict| matches!(verdict, Verdict::Down | Verdict::Blocked);
        let named = |filter: &dyn Fn(Verdict) -> bool| -> Vec<String> {
            seen.services
                .iter()
                .filter(|one| filter(one.verdict))
                .map(|one| one.service.0.clone())
                .collect()
        };
        Readings {
            healthy: named(&is_well).len(),
            deployed: seen.services.len(),
            unhealthy: named(&is_ill).len(),
            unknown: named(&|verdict| verdict == Verdict::Unknown),
            not_healthy: seen
                .services
                .iter()
                .filter(|one| !is_well(one.verdict))
                .map(super::look::ServiceSeen::words)
                .collect(),
            memory: seen.memory.clone(),
            cpu: seen.cpu.clone(),
            mean_response: seen.metered.mean_response.clone().unwrap_or_else(|| {
                enough(&responses).map(|all| {
                    all.iter().sum::<Duration>() / u32::try_from(all.len()).unwrap_or(u32::MAX)
                })
            }),
            p95: seen.metered.p95.clone().unwrap_or_else(|| {
                enough(&responses).map(|all| {
                    let rank = (all.len() as f64 * 0.95).ceil() as usize;
                    all.get(rank.saturating_sub(1)).copied().unwrap_or_default()
                })
            }),
            errors: seen
                .metered
                .errors
                .clone()
                .unwrap_or_else(|| match looks as usize {
                    0..FEWEST => Err(few(looks as usize)),
                    _ => Ok(f64::from(failed) * 100.0 / f64::from(looks)),
                }),
            ingestion_success: seen.ingestion_success.clone(),
            tests_passing: seen.tests_passing.clone(),
            age: seen.age.clone(),
        }
    }
}

fn is_counted(seen: &&super::look::ServiceSeen) -> bool {
    !matches!(seen.verdict, Verdict::Starting | Verdict::Unknown)
}

fn enough(all: &[Duration]) -> Reading<&[Duration]> {
    match all.len() {
        0..FEWEST => Err(few(all.len())),
        _ => Ok(all),
    }
}

fn few(count: usize) -> String {
    format!("not decided yet: {count} of {FEWEST} answers")
}
