//! What services use, from `/proc`.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{
    ProcessRuntime,
    identity::{Place, Stat},
    members,
    record::Stage,
    stop::belonging,
};
use crate::{
    platform::{Bytes, MilliCpu, ServiceName},
    runtime::{Problem, Usage},
};

/// Processor time of one service at one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    at: Instant,
    ticks: u64,
    /// Of the main process: another one began to count anew.
    start: u64,
}

/// A difference over less is noise: a tick is 10 ms.
const SHORTEST_WINDOW: Duration = Duration::from_millis(250);

/// A look that is older says nothing of now.
const LONGEST_WINDOW: Duration = Duration::from_secs(60);

impl ProcessRuntime {
    pub(super) async fn usage_of(&self, services: &[ServiceName]) -> Result<Vec<Usage>, Problem> {
        for name in services {
            self.service(name)?;
        }
        let (used, is_new) = self.look_at(services)?;
        if !is_new {
            return Ok(used);
        }
        // Without an earlier look there is no difference.
        tokio::time::sleep(SHORTEST_WINDOW).await;
        Ok(self.look_at(services)?.0)
    }

    /// One look at all: `/proc` is read once. Also whether one of them waits for a second look.
    fn look_at(&self, services: &[ServiceName]) -> Result<(Vec<Usage>, bool), Problem> {
        let failed = |error| Problem::failed("looking at processes", error);
        let here = Place::here().map_err(failed)?;
        let all = Stat::all().map_err(failed)?;
        let mut used = Vec::with_capacity(services.len());
        let mut is_new = false;
        for name in services {
            let (usage, is_first) = self.look(name, &here, &all)?;
            is_new |= is_first;
            used.push(usage);
        }
        Ok((used, is_new))
    }

    /// What a service uses, and whether its processor use waits for a second look.
    fn look(
        &self,
        name: &ServiceName,
        here: &Place,
        all: &[Stat],
    ) -> Result<(Usage, bool), Problem> {
        let at = Timestamp::now();
        let service = self.service(name)?;
        let mut usage = Usage {
            memory_limit: service.memory,
            cpu_limit: service.cpu,
            ..Usage::none(name.clone(), at)
        };
        let failed = |error| Problem::failed(format!("looking at {name}"), error);
        let record = match self.folder_of(name).read() {
            Ok(Some(record)) if record.stage == Stage::Running => record,
            Ok(_) => return Ok((usage, false)),
            Err(error) => {
                let unknown = Usage::unknown(name.clone(), at, error.to_string());
                return Ok((unknown, false));
            }
        };
        let processes = belonging(&record, here, all).map_err(failed)?;
        if processes.is_empty() {
            return Ok((usage, false));
        }
        let pids = || processes.iter().map(|stat| stat.pid);
        usage.memory = Some(Bytes(pids().filter_map(members::memory).sum()));
        if pids().any(|pid| members::memory(pid).is_none() && Stat::of(pid).is_ok()) {
            usage.is_unknown = true;
            usage
                .notes
                .push("some of its processes belong to others and are not counted".into());
        }
        usage.disk = pids()
            .filter_map(members::disk)
            .fold(None, |sum, (read, written)| {
                let (before_read, before_written) = sum.unwrap_or_default();
                let (Bytes(r), Bytes(w)): (Bytes, Bytes) = (before_read, before_written);
                Some((Bytes(r + read), Bytes(w + written)))
            });
        let sample = Sample {
            at: Instant::now(),
            ticks: processes.iter().map(|stat| stat.ticks).sum(),
            start: record.child.as_ref().map_or(0, |child| child.start),
        };
        let Ok(mut samples) = self.samples.lock() else {
            return Ok((usage, false));
        };
        let before = samples
            .get(name)
            .copied()
            .filter(|before| before.start == sample.start && before.at.elapsed() <= LONGEST_WINDOW);
        let Some(before) = before else {
            samples.insert(name.clone(), sample);
            return Ok((usage, true));
        };
        let window = sample.at.duration_since(before.at);
        if window < SHORTEST_WINDOW {
            return Ok((usage, true));
        }
        samples.insert(name.clone(), sample);
        usage.cpu = Some(milli_cpu(sample.ticks.saturating_sub(before.ticks), window));
        usage.cpu_window = window;
        Ok((usage, false))
    }
}

/// Thousandths of a core: clock ticks over a window.
fn milli_cpu(ticks: u64, window: Duration) -> MilliCpu {
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    MilliCpu((seconds / window.as_secs_f64() * 1_000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_two_is_half_a_core() {
        let second = rustix::param::clock_ticks_per_second();
        assert_eq!(milli_cpu(second, Duration::from_secs(2)), MilliCpu(500));
    }
}
