//! How a stand-in behaves: what it was told, what it counts, what it logs.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Failure, http, line};
use crate::platform::{Bytes, Percent, quantity};

/// What can be changed at run time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Control {
    /// Share of requests that fail, 0 to 1.
    pub fail: Option<f64>,
    pub delay: Option<Duration>,
    /// Bytes to use.
    pub memory: Option<u64>,
    /// Share of a core to use, 0 to 1.
    pub cpu: Option<f64>,
    /// Log lines to write at once.
    pub log: Option<u32>,
    /// Ends with this code.
    pub exit: Option<u8>,
}

impl Control {
    /// Of the body of `POST /control`; what cannot be read is said.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| format!("the body is not JSON: {error}"))?;
        let Value::Object(fields) = body else {
            return Err("the body is no object".into());
        };
        let mut control = Self::default();
        for (name, value) in fields {
            let text = match &value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let wrong = |error: String| format!("`{name}`: {error}");
            match name.as_str() {
                "fail" => control.fail = Some(share(&text).map_err(wrong)?),
                "cpu" => control.cpu = Some(share(&text).map_err(wrong)?),
                "delay" => {
                    let delay =
                        quantity::duration(&text).map_err(|error| wrong(error.to_string()))?;
                    control.delay = Some(delay);
                }
                "memory" => {
                    let memory = Bytes::parse(&text).map_err(|error| wrong(error.to_string()))?;
                    control.memory = Some(memory.0);
                }
                "log" => {
                    control.log = Some(text.parse().map_err(|_| wrong("is no number".into()))?);
                }
                "exit" => {
                    control.exit = Some(text.parse().map_err(|_| wrong("is no exit code".into()))?);
                }
                _ => {
                    return Err(format!(
                        "there is no `{name}`: fail, delay, memory, cpu, log, exit"
                    ));
                }
            }
        }
        Ok(control)
    }
}

/// `5%`: a share from 0 to 1. `true` is all, `false` none.
pub(super) fn share(written: &str) -> Result<f64, String> {
    match written {
        "true" => return Ok(1.0),
        "false" => return Ok(0.0),
        _ => {}
    }
    let percent = Percent::parse(written).map_err(|error| error.to_string())?;
    if percent.0 > 100.0 {
        return Err("more than 100%".into());
    }
    Ok(percent.0 / 100.0)
}

struct Told {
    fail: f64,
    delay: Duration,
    cpu: f64,
    /// Written to, so that it is really used.
    memory: Vec<u8>,
    needs: Vec<Need>,
}

struct Need {
    url: String,
    /// Why it is not there; none: it is.
    fault: Option<String>,
}

pub(super) struct Behaviour {
    pub name: String,
    begun: Instant,
    starts_in: Duration,
    told: Mutex<Told>,
    exit: Mutex<Option<u8>>,
    exit_asked: Notify,
    requests: AtomicU64,
    failures: AtomicU64,
    lines: AtomicU64,
}

impl Behaviour {
    pub(super) fn new(name: &str, starts_in: Option<Duration>) -> Self {
        Self {
            name: name.to_owned(),
            begun: Instant::now(),
            starts_in: starts_in.unwrap_or_default(),
            told: Mutex::new(Told {
                fail: 0.0,
                delay: Duration::ZERO,
                cpu: 0.0,
                memory: Vec::new(),
                needs: Vec::new(),
            }),
            exit: Mutex::new(None),
            exit_asked: Notify::new(),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            lines: AtomicU64::new(0),
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn needs(&self, urls: Vec<String>) {
        self.told().needs = urls
            .into_iter()
            .map(|url| Need {
                url,
                fault: Some("not looked at yet".into()),
            })
            .collect();
    }

    pub(super) fn apply(&self, control: &Control) -> Result<(), Failure> {
        {
            let mut told = self.told();
            if let Some(fail) = control.fail {
                told.fail = fail;
            }
            if let Some(delay) = control.delay {
                told.delay = delay;
            }
            if let Some(cpu) = control.cpu {
                told.cpu = cpu;
            }
            if let Some(memory) = control.memory {
                // Another value than 0, so that no page is shared with others.
                told.memory = vec![0xA5; memory as usize];
            }
        }
        if let Some(lines) = control.log {
            self.chatter(lines)?;
        }
        if let Some(code) = control.exit {
            *self.exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
            self.exit_asked.notify_one();
        }
        Ok(())
    }

    pub(super) async fn exit_asked(&self) -> u8 {
        loop {
            if let Some(code) = *self.exit.lock().unwrap_or_else(PoisonError::into_inner) {
                return code;
            }
            self.exit_asked.notified().await;
        }
    }

    pub(super) fn delay(&self) -> Duration {
        self.told().delay
    }

    /// Counts a request, and says whether it is one that fails: each n-th, so that a share is
    /// exact and a test can count.
    pub(super) fn counts_as_failure(&self) -> bool {
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let share = self.told().fail;
        let fails = (count as f64 * share).floor() > ((count - 1) as f64 * share).floor();
        if fails {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        fails
    }

    /// Whether it is well, and what it says of itself.
    pub(super) fn health(&self) -> (bool, Value) {
        let told = self.told();
        let is_started = self.begun.elapsed() >= self.starts_in;
        let faults: Vec<String> = told
            .needs
            .iter()
            .filter_map(|need| Some(format!("{}: {}", need.url, need.fault.as_ref()?)))
            .collect();
        let is_well = is_started && faults.is_empty();
        let status = match (is_started, is_well) {
            (false, _) => "starting",
            (true, true) => "ok",
            (true, false) => "unhealthy",
        };
        let body = json!({
            "status": status,
            "service": self.name,
            "uptime_seconds": self.begun.elapsed().as_secs(),
            "memory_bytes": told.memory.len(),
            "faults": faults,
        });
        (is_well, body)
    }

    /// In the text format of Prometheus.
    pub(super) fn metrics(&self) -> String {
        let requests = self.requests.load(Ordering::Relaxed);
        let failures = self.failures.load(Ordering::Relaxed);
        let lines = self.lines.load(Ordering::Relaxed);
        let memory = self.told().memory.len();
        format!(
            "# TYPE http_requests_total counter\n\
             http_requests_total{{status=\"200\"}} {}\n\
             http_requests_total{{status=\"500\"}} {failures}\n\
             # TYPE log_lines_total counter\n\
             log_lines_total {lines}\n\
             # TYPE held_memory_bytes gauge\n\
             held_memory_bytes {memory}\n",
            requests - failures
        )
    }

    pub(super) fn log(&self, level: &str, text: std::fmt::Arguments<'_>) -> Result<(), Failure> {
        self.lines.fetch_add(1, Ordering::Relaxed);
        line(format_args!(
            "{:.3} {level} [{}] {text}",
            Timestamp::now(),
            self.name
        ))
    }

    /// Lines as services write them: most alike, a few not.
    pub(super) fn chatter(&self, lines: u32) -> Result<(), Failure> {
        for _ in 0..lines {
            let n = self.lines.load(Ordering::Relaxed);
            match n % 50 {
                49 => self.log(
                    "ERROR",
                    format_args!(
                        "query failed: could not connect to server at 10.0.{}.{}:5432 (attempt {})",
                        n % 7,
                        n % 250,
                        n % 5 + 1
                    ),
                )?,
                7 | 29 => self.log(
                    "WARN",
                    format_args!(
                        "slow query took {} ms: SELECT * FROM bills WHERE id = {n}",
                        200 + n % 900
                    ),
                )?,
                n if n % 3 == 0 => self.log(
                    "INFO",
                    format_args!(
                        "job 3f2a{n:04x}-91c0-4d1e-8a7b-0000{n:08x} finished in {} ms",
                        n % 400
                    ),
                )?,
                _ => self.log(
                    "INFO",
                    format_args!(
                        "GET /api/v1/bills/{n} 200 {} ms user={}",
                        n % 90 + 3,
                        n % 17
                    ),
                )?,
            }
        }
        Ok(())
    }

    /// Uses its share of a core for a moment.
    pub(super) async fn burn(&self) {
        const SLICE: Duration = Duration::from_millis(50);
        let share = self.told().cpu;
        if share <= 0.0 {
            // Looked at again in a moment.
            tokio::time::sleep(SLICE * 4).await;
            return;
        }
        let begun = Instant::now();
        let mut sum = 0_u64;
        while begun.elapsed() < SLICE.mul_f64(share) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        tokio::time::sleep(SLICE.saturating_sub(begun.elapsed())).await;
    }
}

/// Looks at what it needs, each second.
pub(super) async fn look_at_needs(behaviour: Arc<Behaviour>) {
    loop {
        let urls: Vec<String> = {
            let told = behaviour.told();
            told.needs.iter().map(|need| need.url.clone()).collect()
        };
        if urls.is_empty() {
            return;
        }
        for (place, url) in urls.iter().enumerate() {
            let fault = http::fault_of(url).await;
            let is_news = {
                let mut told = behaviour.told();
                let Some(need) = told.needs.get_mut(place) else {
                    continue;
                };
                let is_news = need.fault != fault;
                need.fault.clone_from(&fault);
                is_news
            };
            if is_news {
                // Without a reader there is nobody to tell.
                let _ = match &fault {
                    Some(fault) => {
                        behaviour.log("ERROR", format_args!("{url} does not answer: {fault}"))
                    }
                    None => behaviour.log("INFO", format_args!("{url} answers")),
                };
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_failures_is_exact() {
        let behaviour = Behaviour::new("api", None);
        behaviour.told().fail = share("5%").expect("a share");
        let failed = (0..200).filter(|_| behaviour.counts_as_failure()).count();
        assert_eq!(failed, 10);
        assert!(behaviour.metrics().contains("status=\"200\"} 190\n"));
    }

    #[test]
    fn control_says_what_it_cannot_read() {
        let read = |body: &str| Control::read(body.as_bytes());
        let control = read(r#"{"fail": "50%", "delay": "300ms", "memory": "1Mi", "exit": 3}"#);
        let control = control.expect("all known");
        assert_eq!(
            (control.fail, control.memory, control.exit),
            (Some(0.5), Some(1 << 20), Some(3))
        );
        for (body, part) in [
            (r#"{"fails": 1}"#, "there is no `fails`"),
            (r#"{"delay": 5}"#, "a duration"),
            (r#"{"exit": 999}"#, "exit code"),
            ("[]", "no object"),
        ] {
            let refused = read(body).expect_err(body);
            assert!(refused.contains(part), "{refused}");
        }
    }
}
