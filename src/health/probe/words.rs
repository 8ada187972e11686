//! What each obstacle means for a service, in the words of the one who has to mend it.

use std::time::Duration;

use super::super::observation::Outcome;
use crate::{
    answer::clean,
    net::{NoAnswer, Obstacle, Stage, TlsFault},
};

/// Characters of another's text that a reason may quote.
const LONGEST_QUOTE: usize = 160;

/// What another side said, safe to repeat: one line, cleaned, cut.
pub(super) fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    clean::text(&line, LONGEST_QUOTE)
}

/// `850 ms`, `3.2 s`.
pub(super) fn spoken(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        let tenths = (duration.as_secs_f64() * 10.0).round() / 10.0;
        format!("{tenths} s")
    }
}

/// `place` is `host:port`, here and below.
pub(super) fn of_obstacle(obstacle: Obstacle, place: &str) -> Outcome {
    match obstacle {
        Obstacle::Name => Outcome::CouldNotLook(format!(
            "no address is known here for the name in {place}: is the name right, and does DNS \
             answer on this machine?"
        )),
        Obstacle::Refused => Outcome::Failed(format!(
            "{place} refuses connections: is it running, and is this its port?"
        )),
        Obstacle::NoHost => Outcome::Failed(format!(
            "the host of {place} does not answer: is the machine or container running?"
        )),
        Obstacle::NoNetwork => Outcome::CouldNotLook(format!(
            "this machine has no network route to {place}: look at its network first"
        )),
        Obstacle::Local(words) => Outcome::CouldNotLook(format!(
            "this process cannot open a connection to {place} ({}): look at its permissions, \
             ports and open files",
            quoted(&words)
        )),
        Obstacle::Closed => hung_up(place),
        Obstacle::Setup(words) => Outcome::CouldNotLook(quoted(&words)),
        Obstacle::Other(words) => Outcome::CouldNotLook(format!(
            "no connection to {place} could be tried ({})",
            quoted(&words)
        )),
        Obstacle::Tls(fault) => of_tls(fault, place),
    }
}

fn of_tls(fault: TlsFault, place: &str) -> Outcome {
    match fault {
        TlsFault::Expired => Outcome::Failed(format!(
            "the certificate of {place} has expired: renew it (or correct the clock here)"
        )),
        TlsFault::NotTls => Outcome::Failed(format!(
            "{place} does not speak TLS: is the address one for a plain connection?"
        )),
        TlsFault::Untrusted => Outcome::CouldNotLook(format!(
            "{place} answers with a certificate that nobody trusted here vouches for: add its \
             authority to `ca_file`"
        )),
        TlsFault::OtherName => Outcome::CouldNotLook(format!(
            "{place} answers with a certificate for another name: use a name of the certificate \
             in the address"
        )),
        TlsFault::NotYetValid => Outcome::CouldNotLook(format!(
            "the certificate of {place} is not valid yet: compare the clocks here and there"
        )),
        TlsFault::WantsCertificate => Outcome::CouldNotLook(format!(
            "{place} wants a client certificate, which probes do not have: probe another port"
        )),
        TlsFault::Other(words) => Outcome::CouldNotLook(format!(
            "TLS with {place} came to no agreement ({}): compare versions and ciphers",
            quoted(&words)
        )),
    }
}

/// The connection ended without the answer.
pub(super) fn hung_up(place: &str) -> Outcome {
    Outcome::Failed(format!(
        "{place} accepts connections and hangs up without an answer: look at its log"
    ))
}

/// Something else answers there. `protocol` is what was expected.
pub(super) fn other_protocol(protocol: &str, place: &str) -> Outcome {
    Outcome::Failed(format!(
        "what answers at {place} does not speak {protocol}: is another service on this port?"
    ))
}

pub(super) fn of_no_answer(none: NoAnswer, place: &str) -> Outcome {
    match none {
        NoAnswer::Connection(obstacle) => of_obstacle(obstacle, place),
        NoAnswer::NotHttp => Outcome::Failed(format!(
            "what answers at {place} does not speak HTTP: is another service on this port, or is \
             it https?"
        )),
        NoAnswer::HungUp => hung_up(place),
    }
}

pub(super) fn out_of_time(stage: Stage, place: &str, timeout: Duration) -> Outcome {
    let timeout = spoken(timeout);
    match stage {
        Stage::Name => Outcome::CouldNotLook(format!(
            "no name server answered for {place} within {timeout}: look at DNS on this machine"
        )),
        Stage::Connection => Outcome::Failed(format!(
            "no connection to {place} within {timeout}: the host is gone, or a firewall drops it"
        )),
        Stage::Tls => Outcome::Failed(format!(
            "{place} accepts connections, and TLS was not agreed on within {timeout}: it hangs, \
             or speaks no TLS"
        )),
        Stage::Answer => Outcome::Failed(format!(
            "{place} accepts connections, and gave no answer within {timeout}: it hangs or is \
             overloaded"
        )),
    }
}
