//! AMQP: the handshake with credentials, and the depth of queues where the management API is given.
//!
//! By hand, as the handshake is four frames and the crate `lapin` some forty dependencies.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    super::observation::Outcome,
    Findings, Look, Looked, amqp_wire as wire,
    amqp_wire::Said,
    target::{Form, Target},
    web,
    web::Site,
    words,
};
use crate::net::{Obstacle, Stream};

const FORM: Form = Form {
    schemes: &[("amqp", 5672), ("amqps", 5671)],
    example: "amqp://user:password@host:5672/vhost",
};

const PROTOCOL: &str = "AMQP 0-9-1";

/// A connection to something that may be a broker.
struct Broker {
    stream: Stream,
    place: String,
}

pub(super) async fn look(
    address: &SecretString,
    management: Option<&SecretString>,
    queue_above: Option<u64>,
    look: &Look<'_>,
) -> Looked {
    let target = Target::of(address, &FORM)?;
    let mut findings = handshake(&target, look).await?;
    if findings.outcome != Outcome::Passed {
        return Ok(findings);
    }
    if let Some(management) = management {
        let asked = look.besides(depth(management, queue_above, &mut findings, look));
        let why = match asked.await {
            Some(Ok(())) => return Ok(findings),
            Some(Err(why)) => why,
            None => "it gives no answer in time".into(),
        };
        findings.fact("queues", "could not be read");
        findings.impair(format!(
            "it answers, and its queues could not be counted as the management API says nothing \
             ({why})"
        ));
    } else if queue_above.is_some() {
        findings.impair(
            "it answers, and its queues are not counted: give the address of its management API",
        );
    }
    Ok(findings)
}

async fn handshake(target: &Target, look: &Look<'_>) -> Looked {
    let place = target.place();
    let stream = look.dialer.dial(&target.host, target.port, &look.reached);
    let obstacle = |obstacle| words::of_obstacle(obstacle, &place);
    let stream = stream.await.map_err(obstacle)?;
    let stream: Stream = if target.url.scheme() == "amqps" {
        let secured = look.dialer.secure(stream, &target.host, &look.reached);
        secured.await.map_err(obstacle)?
    } else {
        Box::new(stream)
    };
    let mut broker = Broker {
        stream,
        place: place.clone(),
    };
    broker.send(&wire::HEADER).await?;
    let mut findings = Findings::passed();
    match broker.read().await? {
        Said::Start { product, version } => {
            for (name, value) in [("product", product), ("version", version)] {
                if let Some(value) = value {
                    findings.fact(name, words::quoted(&value));
                }
            }
        }
        _ => return Err(words::other_protocol(PROTOCOL, &place)),
    }
    // The default of the AMQP URI specification.
    let (user, password) = match (&target.user, &target.password) {
        (None, None) => ("guest", "guest"),
        (user, password) => (
            user.as_deref().unwrap_or_default(),
            password
                .as_ref()
                .map_or("", |password| password.expose_secret()),
        ),
    };
    broker.send(&wire::start_ok(user, password)).await?;
    let refused = || {
        format!("{place} answers, and refuses the password of the probe: correct it to learn more")
    };
    match broker.read().await {
        Ok(Said::Tune(channels, frame, heartbeat)) => {
            broker
                .send(&wire::tune_ok(channels, frame, heartbeat))
                .await?;
        }
        Ok(Said::Close(code, text)) => return Ok(findings.ended(of_close(code, &text, &place))),
        Ok(_) => return Err(words::other_protocol(PROTOCOL, &place)),
        // The specification has a broker hang up on a wrong password.
        Err(Outcome::Failed(_)) => return Ok(Findings::refused_us(refused())),
        Err(other) => return Err(other),
    }
    // `amqp://host` is the virtual host `/`, and so is what most people mean by `amqp://host/`.
    let virtual_host = target.first_part().unwrap_or_else(|| "/".into());
    broker.send(&wire::open(&virtual_host)).await?;
    match broker.read().await? {
        Said::OpenOk => {}
        Said::Close(code, text) => return Ok(findings.ended(of_close(code, &text, &place))),
        _ => return Err(words::other_protocol(PROTOCOL, &place)),
    }
    // Whether it says goodbye too is no matter.
    let _ = broker.send(&wire::close()).await;
    Ok(findings)
}

impl Findings {
    fn ended(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }
}

impl Broker {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Outcome> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let sent = sent.await;
        sent.map_err(|error| words::of_obstacle(Obstacle::of_io(&error), &self.place))
    }

    /// The next method; heartbeats are passed over.
    async fn read(&mut self) -> Result<Said, Outcome> {
        loop {
            let mut head = [0; 7];
            self.fill(&mut head).await?;
            // A broker that speaks another version answers with the header of that one.
            if head.starts_with(b"AMQP") {
                return Err(words::other_protocol(PROTOCOL, &self.place));
            }
            let place = self.place.clone();
            let other = || words::other_protocol(PROTOCOL, &place);
            let (kind, length) = wire::frame_head(head).ok_or_else(other)?;
            let mut payload = vec![0; length + 1];
            self.fill(&mut payload).await?;
            if kind == 1 {
                return wire::said(&payload).ok_or_else(other);
            }
        }
    }

    /// Something short that hangs up speaks another protocol; nothing at all is a hang-up.
    async fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Outcome> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.stream.read(rest).await {
                Ok(0) if filled == 0 => return Err(words::hung_up(&self.place)),
                Ok(0) => return Err(words::other_protocol(PROTOCOL, &self.place)),
                Ok(read) => filled += read,
                Err(error) => {
                    return Err(words::of_obstacle(Obstacle::of_io(&error), &self.place));
                }
            }
        }
        Ok(())
    }
}

/// Codes of the specification: 403 access refused, 530 not allowed.
fn of_close(code: u16, text: &str, place: &str) -> Outcome {
    let said = words::quoted(text);
    match code {
        403 => Outcome::CouldNotLook(format!(
            "{place} answers, and refuses the user or password of the probe ({said}): correct it \
             to learn more"
        )),
        530 if text.contains("not found") => Outcome::Failed(format!(
            "it has no such virtual host ({said}): was it created?"
        )),
        530 if text.contains("refused") => Outcome::CouldNotLook(format!(
            "{place} answers, and does not let the probe into the virtual host ({said})"
        )),
        _ => Outcome::Failed(format!("it ends the connection with {code} ({said})")),
    }
}

/// Alarms and the deepest queue. An error is why the API says nothing.
async fn depth(
    management: &SecretString,
    above: Option<u64>,
    findings: &mut Findings,
    look: &Look<'_>,
) -> Result<(), String> {
    let why = |outcome: Outcome| match outcome {
        Outcome::Failed(why) | Outcome::CouldNotLook(why) | Outcome::Impaired(why) => why,
        Outcome::Passed => String::new(),
    };
    let site = Site::of(management, &[]).map_err(why)?;
    let ask = async |path: &str, query: &str| {
        let mut url = site.below(path);
        url.set_query(Some(query));
        let answer = site.get(url, look).await.map_err(why)?;
        if let Some(refused) = site.refusal(&answer.reply) {
            return Err(why(refused.outcome));
        }
        if answer.reply.status != 200 {
            return Err(format!("HTTP {}", answer.reply.status));
        }
        web::json(&answer).map_err(|found| format!("it answers {found}"))
    };
    let nodes = ask("/api/nodes", "columns=name,mem_alarm,disk_free_alarm").await?;
    for node in nodes.as_array().into_iter().flatten() {
        let name = node.get("name").and_then(Value::as_str).unwrap_or_default();
        for (alarm, of) in [("mem_alarm", "memory"), ("disk_free_alarm", "disk")] {
            if node.get(alarm).and_then(Value::as_bool) == Some(true) {
                findings.fact("alarm", of);
                findings.impair(format!(
                    "its node {} has a {of} alarm, and nobody can publish until it has room",
                    words::quoted(name)
                ));
            }
        }
    }
    // The deepest comes first, so that one page is enough.
    let query = "page=1&page_size=1&sort=messages&sort_reverse=true&columns=name,vhost,messages";
    let queues = ask("/api/queues", query).await?;
    let total = queues.get("total_count").and_then(Value::as_u64);
    let Some(total) = total else {
        return Err("its list of queues cannot be read".into());
    };
    findings.fact("queues", total);
    let Some(deepest) = queues.pointer("/items/0") else {
        return Ok(());
    };
    let name = deepest
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let name = words::quoted(name);
    // Absent until the broker has counted for the first time.
    let Some(messages) = deepest.get("messages").and_then(Value::as_u64) else {
        findings.fact("deepest_queue", "not counted yet");
        return Ok(());
    };
    findings.fact("deepest_queue", format!("{name}: {messages}"));
    if let Some(above) = above
        && messages > above
    {
        findings.impair(format!(
            "{messages} messages wait in its queue {name}, more than {above}: look at who should \
             take them"
        ));
    }
    Ok(())
}
