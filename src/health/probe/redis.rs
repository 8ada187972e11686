//! Redis: PING, the password, memory in use.
//!
//! Four commands of its protocol (RESP 2) by hand: the crate `redis` would add a connection layer
//! of its own, which hides at which stage a connection failed. The password is sent only to what
//! has answered PING as Redis does.

use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::{
    super::observation::Outcome,
    Findings, Look, Looked,
    target::{Form, Target},
    words,
};
use crate::{
    net::{Obstacle, Stream},
    platform::{Bytes, Percent},
};

const FORM: Form = Form {
    schemes: &[("redis", 6379), ("rediss", 6379)],
    example: "redis://:password@host:6379/0",
};

const PROTOCOL: &str = "Redis's protocol";

/// The longest answer that is read, in bytes; INFO has some 6,000.
const LONGEST: usize = 256 * 1024;

/// One answer of Redis.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Error(String),
}

/// A connection to something that may be Redis.
struct Redis {
    stream: BufReader<Stream>,
    place: String,
}

pub(super) async fn look(
    address: &SecretString,
    memory_above: Option<Percent>,
    look: &Look<'_>,
) -> Looked {
    let target = Target::of(address, &FORM)?;
    let place = target.place();
    let stream = look.dialer.dial(&target.host, target.port, &look.reached);
    let obstacle = |obstacle| words::of_obstacle(obstacle, &place);
    let stream = stream.await.map_err(obstacle)?;
    let stream: Stream = if target.url.scheme().starts_with("rediss") {
        let secured = look.dialer.secure(stream, &target.host, &look.reached);
        secured.await.map_err(obstacle)?
    } else {
        Box::new(stream)
    };
    let mut redis = Redis {
        stream: BufReader::new(stream),
        place: place.clone(),
    };
    let greeting = redis.ask(&["PING"]).await?;
    let wants_password = match &greeting {
        Said::Error(error) if error.starts_with("NOAUTH") => true,
        Said::Error(error) => return Ok(of_error(error, &place)),
        Said::Text(text) if text == "PONG" => false,
        Said::Text(_) => return Err(words::other_protocol(PROTOCOL, &place)),
    };
    let mut findings = Findings::passed();
    if let Some(password) = &target.password {
        let password = password.expose_secret();
        let answer = match &target.user {
            Some(user) => redis.ask(&["AUTH", user, password]).await?,
            None => redis.ask(&["AUTH", password]).await?,
        };
        match answer {
            // "AUTH <password> called without any password configured", "no password is set".
            Said::Error(error)
                if error.contains("without any password")
                    || error.contains("no password is set") =>
            {
                findings.impair(
                    "it takes everyone in without a password, though the probe has one: set \
                     `requirepass`, or take the password out of its clients",
                );
            }
            Said::Error(error) => return Ok(of_error(&error, &place)),
            Said::Text(_) => {}
        }
    } else if wants_password {
        return Ok(Findings::refused_us(format!(
            "{place} answers, and asks for a password that the probe does not have"
        )));
    }
    if wants_password {
        match redis.ask(&["PING"]).await? {
            Said::Error(error) => return Ok(of_error(&error, &place)),
            Said::Text(text) if text == "PONG" => {}
            Said::Text(_) => return Err(words::other_protocol(PROTOCOL, &place)),
        }
    }
    if let Some(database) = target.first_part().filter(|database| database != "0")
        && let Said::Error(error) = redis.ask(&["SELECT", &database]).await?
    {
        return Ok(of_error(&error, &place));
    }
    let info = look.besides(redis.ask(&["INFO"])).await;
    match info {
        Some(Ok(Said::Text(info))) => of_info(&info, memory_above, &mut findings),
        _ => {
            findings.fact("memory", "could not be read");
            if memory_above.is_some() {
                findings.impair(
                    "it answers, and its memory could not be read: may the user of the probe run \
                     INFO?",
                );
            }
        }
    }
    Ok(findings)
}

impl Redis {
    async fn ask(&mut self, command: &[&str]) -> Result<Said, Outcome> {
        let mut request = format!("*{}\r\n", command.len());
        for part in command {
            request.push_str(&format!("${}\r\n{part}\r\n", part.len()));
        }
        let sent = self.stream.get_mut().write_all(request.as_bytes()).await;
        sent.map_err(|error| self.broken(&error))?;
        let flushed = self.stream.get_mut().flush().await;
        flushed.map_err(|error| self.broken(&error))?;
        let line = self.line().await?;
        let other = || words::other_protocol(PROTOCOL, &self.place);
        let (kind, rest) = line.split_at_checked(1).ok_or_else(other)?;
        match kind {
            "+" => Ok(Said::Text(rest.to_owned())),
            "-" => Ok(Said::Error(rest.to_owned())),
            "$" => {
                let length: usize = rest.parse().map_err(|_| other())?;
                if length > LONGEST {
                    return Err(other());
                }
                let mut text = vec![0; length + 2];
                let read = self.stream.read_exact(&mut text).await;
                read.map_err(|error| self.broken(&error))?;
                text.truncate(length);
                Ok(Said::Text(String::from_utf8_lossy(&text).into_owned()))
            }
            _ => Err(other()),
        }
    }

    /// A line without its end. What is no line of Redis does not have to end.
    async fn line(&mut self) -> Result<String, Outcome> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(1024);
        let read = limited.read_until(b'\n', &mut line).await;
        let read = read.map_err(|error| self.broken(&error))?;
        if read == 0 {
            return Err(words::hung_up(&self.place));
        }
        let line = String::from_utf8_lossy(&line);
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(words::other_protocol(PROTOCOL, &self.place)),
        }
    }

    fn broken(&self, error: &std::io::Error) -> Outcome {
        words::of_obstacle(Obstacle::of_io(error), &self.place)
    }
}

fn of_error(error: &str, place: &str) -> Findings {
    let said = words::quoted(error);
    let word = error.split_whitespace().next().unwrap_or_default();
    match word {
        "WRONGPASS" => Findings::refused_us(format!(
            "{place} answers, and refuses the password of the probe: correct it to learn more"
        )),
        // Redis before 6.
        "ERR" if error.contains("invalid password") => Findings::refused_us(format!(
            "{place} answers, and refuses the password of the probe: correct it to learn more"
        )),
        "NOAUTH" | "NOPERM" | "DENIED" => Findings::refused_us(format!(
            "{place} answers, and does not let the probe look ({said})"
        )),
        "LOADING" => Findings::failed("it loads its data from disk and serves nobody yet"),
        "ERR" if error.contains("max number of clients") => {
            Findings::failed("all its connections are taken (maxclients): look for who holds them")
        }
        _ => Findings::failed(format!("it answers with an error: {said}")),
    }
}

fn of_info(info: &str, memory_above: Option<Percent>, findings: &mut Findings) {
    let value = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    };
    let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok());
    if let Some(version) = value("redis_version") {
        findings.fact("version", words::quoted(version));
    }
    if let Some(role) = value("role") {
        findings.fact("role", words::quoted(role));
    }
    if let Some(clients) = number("connected_clients") {
        findings.fact("clients", clients);
    }
    if value("rdb_last_bgsave_status") == Some("err") {
        findings.impair(
            "its last save to disk failed, and by default it then refuses writes: look at its disk",
        );
    }
    let Some(used) = number("used_memory") else {
        return;
    };
    match number("maxmemory").filter(|most| *most > 0) {
        Some(most) => {
            findings.fact("memory", format!("{} of {}", Bytes(used), Bytes(most)));
            let share = Percent::of(used as f64, most as f64);
            if let Some(above) = memory_above
                && share > above
            {
                findings.impair(format!(
                    "{share} of its memory is in use ({} of {}), above {above}",
                    Bytes(used),
                    Bytes(most)
                ));
            }
        }
        None => {
            findings.fact("memory", format!("{} (no limit set)", Bytes(used)));
            if memory_above.is_some() {
                findings.impair(
                    "no share of memory can be told as it has no `maxmemory`: set it, or drop the \
                     bound",
                );
            }
        }
    }
}
