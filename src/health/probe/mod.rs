//! One look at one service, by the kind of its probe.
//!
//! A look ends within the probe's own time-out: name, connection, TLS, handshake and answer
//! together. It never writes, never follows a redirect to another host, uses no proxy, and hands a
//! password only to what has answered in the right protocol (HTTP apart, where it goes with the
//! request). Reasons are one sentence with the next step; addresses in them hold no credentials,
//! texts of the other side are cut and cleaned, and every secret of the probe is masked.
//!
//! What is `Failed` (the service is not well) and what is `CouldNotLook` (nothing is known of it):
//!
//! | what happens | outcome | because |
//! |---|---|---|
//! | connection refused | failed | the host answers that nothing listens there |
//! | host unreachable (EHOSTUNREACH) | failed | the network is there and the host is not: a stopped container or machine looks so |
//! | no connection in time | failed | nobody answers; that a firewall may be the cause is said |
//! | connected, no answer in time | failed | it hangs |
//! | hangs up without an answer | failed | it is there and does not serve |
//! | answers in another protocol | failed | what should be there is not there |
//! | no TLS where TLS is expected | failed | the same |
//! | certificate expired | failed | every client that checks fails too |
//! | says that it is not well (HTTP 5xx, `LOADING`, cluster red, scheduler unhealthy) | failed | its own word |
//! | database or virtual host does not exist | failed | we were let in, and what should be there is not |
//! | all connections taken | failed | no client gets in |
//! | slower than `slow_above`, fuller than allowed, cluster yellow on several nodes | impaired | it works, not as it should |
//! | what the file asks to watch besides cannot be read | impaired | the service answers, and its owner has to know that nobody watches |
//! | HTML where a health answer is expected | impaired | a web interface answers for any path: no proof of health, and none of a fault |
//! | name without address, name server silent | could not look | says nothing of the service |
//! | no network route (ENETUNREACH), no local ports or files, not permitted | could not look | our own side |
//! | wrong or missing password, HTTP 401, 403 or 407 | could not look | it is up and refuses *us*: calling it down would be false, calling it up unproven; the reason says that it answers, and the response time is kept |
//! | no right to run the query, query that cannot be read | could not look | our probe is at fault |
//! | certificate of an unknown authority, for another name, not valid yet; client certificate wanted | could not look | trust and clocks of this machine, or a wrong name in our address |
//! | address that cannot be read, variable not set | could not look | our configuration |
//! | yellow cluster of one data node | passed | replicas have no second node to go to; the colour is a fact |

mod airflow;
mod amqp;
mod amqp_wire;
mod http;
mod openmetadata;
mod page;
mod postgres;
pub mod process;
mod redis;
mod runner;
mod search_engine;
mod secrets;
mod target;
mod tcp;
mod web;
mod words;

use std::{future::Future, path::PathBuf, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::observation::{Fact, Observation, Outcome};
use crate::{
    net::{Dialer, Reached},
    platform::{Probe, ProbeKind},
};

pub use runner::{AT_ONCE, Check, Checks, check, check_all};

/// What looks share.
#[derive(Debug, Default)]
pub struct Surroundings {
    dialer: Dialer,
}

impl Surroundings {
    /// `ca_file`: certificates (PEM) that are trusted beside the compiled-in ones.
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Self {
            dialer: Dialer::new(ca_file),
        }
    }
}

/// What something that answered has shown.
#[derive(Debug)]
struct Findings {
    outcome: Outcome,
    facts: Vec<Fact>,
}

impl Findings {
    fn passed() -> Self {
        Self::of(Outcome::Passed)
    }

    fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            facts: Vec::new(),
        }
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self::of(Outcome::Failed(reason.into()))
    }

    fn refused_us(reason: impl Into<String>) -> Self {
        Self::of(Outcome::CouldNotLook(reason.into()))
    }

    /// Not as it should be, unless something worse was found already.
    fn impair(&mut self, reason: impl Into<String>) {
        if self.outcome == Outcome::Passed {
            self.outcome = Outcome::Impaired(reason.into());
        }
    }

    fn fact(&mut self, name: &'static str, value: impl ToString) {
        self.facts.push(Fact {
            name,
            value: value.to_string(),
        });
    }
}

/// What a kind of probe finds; an error where nothing answered.
type Looked = Result<Findings, Outcome>;

/// One look that goes on.
struct Look<'a> {
    dialer: &'a Dialer,
    reached: Reached,
    timeout: Duration,
    until: Instant,
}

impl Look<'_> {
    /// What is asked besides must not cost the answer that stands already: it gets what is left of
    /// the time but a tenth of the whole.
    async fn besides<Answer>(&self, asked: impl Future<Output = Answer>) -> Option<Answer> {
        let until = self.until.checked_sub(self.timeout / 10)?;
        tokio::time::timeout_at(until, asked).await.ok()
    }
}

/// Looks once.
pub async fn look(probe: &Probe, surroundings: &Surroundings) -> Observation {
    look_within(probe, probe.timeout, surroundings).await
}

/// Looks once, in `timeout` instead of the probe's own.
async fn look_within(probe: &Probe, timeout: Duration, surroundings: &Surroundings) -> Observation {
    let at = Timestamp::now();
    let begun = Instant::now();
    let look = Look {
        dialer: &surroundings.dialer,
        reached: Reached::default(),
        timeout,
        until: begun + timeout,
    };
    let looked = tokio::time::timeout_at(look.until, by_kind(&probe.kind, &look)).await;
    let took = begun.elapsed();
    let (mut findings, response) = match looked {
        Ok(Ok(findings)) => (findings, Some(took)),
        Ok(Err(outcome)) => (Findings::of(outcome), None),
        Err(_) => {
            let place = target::place(&probe.kind);
            let outcome = words::out_of_time(look.reached.stage(), &place, timeout);
            (Findings::of(outcome), None)
        }
    };
    if let (Some(took), Some(bound)) = (response, probe.slow_above)
        && took > bound
    {
        findings.impair(format!(
            "it answers after {}, slower than {}",
            words::spoken(took),
            words::spoken(bound)
        ));
    }
    let findings = secrets::without(&probe.kind, findings);
    Observation {
        at,
        outcome: findings.outcome,
        response,
        facts: findings.facts,
    }
}

async fn by_kind(kind: &ProbeKind, look: &Look<'_>) -> Looked {
    match kind {
        ProbeKind::Http {
            url,
            status,
            json,
            body,
            headers,
        } => {
            let wanted = http::Wanted {
                status,
                json,
                body: body.as_deref(),
            };
            http::look(url, &wanted, headers, look).await
        }
        ProbeKind::Page { url, title } => page::look(url, title.as_deref(), look).await,
        ProbeKind::Tcp { host, port } => tcp::look(host, *port, look).await,
        ProbeKind::Postgres {
            url,
            query,
            connections_above,
        } => postgres::look(url, query.as_deref(), *connections_above, look).await,
        ProbeKind::Redis { url, memory_above } => redis::look(url, *memory_above, look).await,
        ProbeKind::Amqp {
            url,
            management,
            queue_above,
        } => amqp::look(url, management.as_ref(), *queue_above, look).await,
        ProbeKind::SearchEngine { url } => search_engine::look(url, look).await,
        ProbeKind::OpenMetadata { url } => openmetadata::look(url, look).await,
        ProbeKind::Airflow { url } => airflow::look(url, look).await,
        ProbeKind::Process => Err(process::nobody_to_ask()),
        ProbeKind::Withheld { reason, .. } => Err(Outcome::CouldNotLook(words::quoted(reason))),
    }
}
