//! Response times and errors of requests that were sent. Pure.

use std::time::Duration;

use crate::{
    deploy::gate::Readings,
    health::observation::{Observation, Outcome},
};

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    /// None: there was no answer.
    response: Option<Duration>,
    /// Why it counts as failed.
    failure: Option<String>,
}

impl Request {
    pub(super) fn of(look: &Observation) -> Self {
        Self {
            response: look.response,
            failure: match &look.outcome {
                Outcome::Passed | Outcome::Impaired(_) => None,
                Outcome::Failed(why) | Outcome::CouldNotLook(why) => Some(why.clone()),
            },
        }
    }
}

/// What they come to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Figures {
    pub(super) requests: usize,
    pub(super) failed: usize,
    /// Of those that were answered.
    pub(super) mean: Option<Duration>,
    pub(super) p95: Option<Duration>,
    /// Answers a second.
    pub(super) a_second: f64,
    /// The first failure.
    pub(super) why: Option<String>,
    sorted: Vec<Duration>,
    took: Duration,
}

impl Figures {
    pub(super) fn of(requests: &[Request], took: Duration) -> Self {
        let mut figures = Self {
            requests: requests.len(),
            failed: requests.iter().filter(|one| one.failure.is_some()).count(),
            why: requests.iter().find_map(|one| one.failure.clone()),
            sorted: requests.iter().filter_map(|one| one.response).collect(),
            took,
            ..Self::default()
        };
        figures.count();
        figures
    }

    /// Of several services that were asked one after the other.
    pub(super) fn together<'a>(all: impl Iterator<Item = &'a Figures>) -> Self {
        let mut sum = Self::default();
        for one in all {
            sum.requests += one.requests;
            sum.failed += one.failed;
            sum.took += one.took;
            sum.sorted.extend(&one.sorted);
        }
        sum.count();
        sum
    }

    fn count(&mut self) {
        self.sorted.sort_unstable();
        let count = self.sorted.len();
        let total: Duration = self.sorted.iter().sum();
        self.mean = u32::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .map(|count| total / count);
        let rank = (count as f64 * 0.95).ceil() as usize;
        self.p95 = self.sorted.get(rank.saturating_sub(1)).copied();
        self.a_second = match self.took.is_zero() {
            true => 0.0,
            false => count as f64 / self.took.as_secs_f64(),
        };
    }

    /// As triggers read them.
    pub(super) fn readings(&self) -> Readings {
        let time = |time: Option<Duration>| time.ok_or_else(|| "nothing answered".to_owned());
        Readings {
            mean_response: time(self.mean),
            p95: time(self.p95),
            errors: match self.requests {
                0 => Err("nothing was asked".into()),
                all => Ok(self.failed as f64 * 100.0 / all as f64),
            },
            ..Readings::none("not measured")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(milliseconds: u64) -> Request {
        Request {
            response: Some(Duration::from_millis(milliseconds)),
            failure: None,
        }
    }

    #[test]
    fn times_are_of_answers_and_errors_of_requests() {
        let mut requests: Vec<Request> = (1..=19).map(|_| answered(10)).collect();
        requests.push(answered(210));
        requests.push(Request {
            response: None,
            failure: Some("refused".into()),
        });
        let figures = Figures::of(&requests, Duration::from_secs(2));
        assert_eq!((figures.requests, figures.failed), (21, 1));
        assert_eq!(figures.mean, Some(Duration::from_millis(20)));
        assert_eq!(figures.p95, Some(Duration::from_millis(10)));
        assert_eq!(figures.a_second, 10.0);
        assert_eq!(figures.why.as_deref(), Some("refused"));
        let twice = Figures::together([&figures, &figures].into_iter());
        assert_eq!((twice.requests, twice.mean), (42, figures.mean));
        assert_eq!(twice.a_second, 10.0);
        let none = Figures::of(&[], Duration::ZERO);
        assert!(none.readings().mean_response.is_err());
        assert!(none.readings().errors.is_err());
    }
}
