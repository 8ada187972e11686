//! Probes: exactly one kind, its keys, and addresses that wait for variables or trust.

use std::{path::Path, time::Duration};

use secrecy::SecretString;
use url::Url;

use super::{endpoints, positive, text, value};
use crate::platform::{
    described::HealthCheck,
    model::{Probe, ProbeKind},
    problem::quoted,
    raw::{ProbeOrNone, RawProbe, RawTimes},
    read::{Placed, Reader},
    variables::{Expanded, NoValue},
};

/// Each kind of probe that takes an address, with the schemes of its address.
const ADDRESSED: [(&str, &[&str]); 8] = [
    ("http", &["http", "https"]),
    ("page", &["http", "https"]),
    ("postgres", &["postgresql", "postgres"]),
    ("redis", &["redis", "rediss"]),
    ("amqp", &["amqp", "amqps"]),
    ("search_engine", &["http", "https"]),
    ("openmetadata", &["http", "https"]),
    ("airflow", &["http", "https"]),
];

/// The longest that a look may take. DESIGN: a call ends within 50 s.
const LONGEST_LOOK: Duration = Duration::from_secs(45);

/// The probe of a service; what a runtime looks at itself where the platform file does not say.
pub fn probe(
    written: Option<&Placed<ProbeOrNone>>,
    described: Option<&Placed<HealthCheck>>,
    times: &RawTimes,
    folder: &Path,
    reader: &mut Reader<'_>,
) -> Option<Probe> {
    let raw = match written.map(|written| &written.value) {
        Some(ProbeOrNone::None) => return None,
        Some(ProbeOrNone::Probe(raw)) => raw,
        None => {
            let check = &described?.value;
            let mut probe = Probe::of(ProbeKind::Process);
            probe.timeout = check.timeout.unwrap_or(probe.timeout);
            probe.interval = check.interval.unwrap_or(probe.interval);
            probe.retries = check.retries.unwrap_or(probe.retries);
            probe.start_period = check.start_period.unwrap_or(probe.start_period);
            return Some(probe);
        }
    };
    let kind = kind(raw, folder, reader)?;
    let default = Probe::of(ProbeKind::Process);
    let nearest = |own: &Option<Placed<Duration>>, shared: &Option<Placed<Duration>>| {
        own.clone().or_else(|| shared.clone())
    };
    let timeout = nearest(&raw.timeout, &times.timeout);
    if let Some(timeout) = timeout
        .as_ref()
        .filter(|timeout| timeout.value > LONGEST_LOOK)
    {
        reader.problem(
            timeout.place,
            format!("one look may take {} s at most", LONGEST_LOOK.as_secs()),
            "write a shorter time-out, and `retries` or `start_period` for patience",
        );
    }
    let interval = nearest(&raw.interval, &times.interval);
    let start_period = nearest(&raw.start_period, &times.start_period);
    let mut count = |own: &Option<Placed<u32>>, shared: &Option<Placed<u32>>, default: u32| {
        let written = own.as_ref().or(shared.as_ref());
        match written {
            Some(written) if written.value == 0 => {
                reader.problem(
                    written.place,
                    "at least one look is needed",
                    "write 1 or more",
                );
                default
            }
            Some(written) => written.value,
            None => default,
        }
    };
    let retries = count(&raw.retries, &times.retries, default.retries);
    let successes = count(&raw.successes, &times.successes, default.successes);
    Some(Probe {
        kind,
        timeout: positive(&timeout, default.timeout, reader),
        interval: positive(&interval, default.interval, reader),
        retries,
        successes,
        start_period: value(&start_period).unwrap_or(default.start_period),
        slow_above: value(&raw.slow_above),
    })
}

fn kind(raw: &RawProbe, folder: &Path, reader: &mut Reader<'_>) -> Option<ProbeKind> {
    let addresses = [
        &raw.http,
        &raw.page,
        &raw.postgres,
        &raw.redis,
        &raw.amqp,
        &raw.search_engine,
        &raw.openmetadata,
        &raw.airflow,
    ];
    let mut given: Vec<&'static str> = ADDRESSED
        .iter()
        .zip(addresses)
        .filter(|(_, address)| address.is_some())
        .map(|((kind, _), _)| *kind)
        .collect();
    if raw.tcp.is_some() {
        given.push("tcp");
    }
    if raw.process.as_ref().is_some_and(|process| process.value) {
        given.push("process");
    }
    let [kind] = given.as_slice() else {
        let (wrong, right) = if given.is_empty() {
            (
                "the probe does not say what it looks at".to_owned(),
                "write one of http, page, tcp, postgres, redis, amqp, search_engine, openmetadata, \
                 airflow, process"
                    .to_owned(),
            )
        } else {
            (
                format!(
                    "a probe has one kind, and {} stand here",
                    given.join(" and ")
                ),
                "keep one of them".to_owned(),
            )
        };
        reader.problem(raw.place, wrong, right);
        return None;
    };
    check_keys(raw, kind, reader);
    match *kind {
        "process" => return Some(ProbeKind::Process),
        "tcp" => return tcp(raw, reader),
        _ => {}
    }
    let (schemes, written) = ADDRESSED
        .iter()
        .zip(addresses)
        .find(|((name, _), _)| name == kind)
        .and_then(|((_, schemes), address)| Some((*schemes, address.as_ref()?)))?;
    let address = Address {
        raw,
        folder,
        schemes,
    };
    let url = match address.url(written, reader) {
        Ok(url) => url?,
        Err(reason) => return Some(ProbeKind::Withheld { kind, reason }),
    };
    Some(match *kind {
        "page" => ProbeKind::Page {
            url,
            title: text(&raw.title),
        },
        "postgres" => ProbeKind::Postgres {
            url,
            query: text(&raw.query),
            connections_above: value(&raw.connections_above),
        },
        "redis" => ProbeKind::Redis {
            url,
            memory_above: value(&raw.memory_above),
        },
        "amqp" => {
            let management = match &raw.management {
                None => None,
                Some(written) => {
                    let address = Address {
                        schemes: &["http", "https"],
                        ..address
                    };
                    match address.url(written, reader) {
                        Ok(url) => url,
                        Err(reason) => return Some(ProbeKind::Withheld { kind, reason }),
                    }
                }
            };
            ProbeKind::Amqp {
                url,
                management,
                queue_above: value(&raw.queue_above),
            }
        }
        "search_engine" => ProbeKind::SearchEngine { url },
        "openmetadata" => ProbeKind::OpenMetadata { url },
        "airflow" => ProbeKind::Airflow { url },
        _ => match headers(raw, reader) {
            Err(reason) => ProbeKind::Withheld { kind, reason },
            Ok(headers) => ProbeKind::Http {
                url,
                status: match &raw.status {
                    Some(status) => status
                        .value
                        .iter()
                        .map(|range| (range.0, range.1))
                        .collect(),
                    None => vec![(200, 299)],
                },
                json: raw
                    .json
                    .iter()
                    .flat_map(|json| &json.value.0)
                    .map(|(pointer, value)| (pointer.value.clone(), value.0.clone()))
                    .collect(),
                body: text(&raw.body),
                headers,
            },
        },
    })
}

/// Keys that belong to other kinds.
fn check_keys(raw: &RawProbe, kind: &str, reader: &mut Reader<'_>) {
    let credentials = &[
        "postgres",
        "redis",
        "amqp",
        "search_engine",
        "http",
        "airflow",
    ];
    let keys = [
        (
            "status",
            raw.status.as_ref().map(|key| key.place),
            ["http"].as_slice(),
        ),
        ("json", raw.json.as_ref().map(|key| key.place), &["http"]),
        ("body", raw.body.as_ref().map(|key| key.place), &["http"]),
        (
            "headers",
            raw.headers.as_ref().map(|key| key.place),
            &["http"],
        ),
        ("title", raw.title.as_ref().map(|key| key.place), &["page"]),
        (
            "query",
            raw.query.as_ref().map(|key| key.place),
            &["postgres"],
        ),
        (
            "connections_above",
            raw.connections_above.as_ref().map(|key| key.place),
            &["postgres"],
        ),
        (
            "memory_above",
            raw.memory_above.as_ref().map(|key| key.place),
            &["redis"],
        ),
        (
            "management",
            raw.management.as_ref().map(|key| key.place),
            &["amqp"],
        ),
        (
            "queue_above",
            raw.queue_above.as_ref().map(|key| key.place),
            &["amqp"],
        ),
        ("user", raw.user.as_ref().map(|key| key.place), credentials),
        (
            "password",
            raw.password.as_ref().map(|key| key.place),
            credentials,
        ),
        (
            "password_file",
            raw.password_file.as_ref().map(|key| key.place),
            credentials,
        ),
    ];
    for (key, place, kinds) in keys {
        if let Some(place) = place
            && !kinds.contains(&kind)
        {
            reader.problem(
                place,
                format!("`{key}` belongs to probes of kind {}", kinds.join(", ")),
                format!("leave it away: this one is of kind {kind}"),
            );
        }
    }
    let pointers = raw.json.iter().flat_map(|json| &json.value.0);
    for (pointer, _) in pointers {
        if !pointer.value.is_empty() && !pointer.value.starts_with('/') {
            reader.problem(
                pointer.place,
                format!("{} is no JSON pointer", quoted(&pointer.value)),
                format!("write `/{}`", pointer.value.replace('.', "/")),
            );
        }
    }
}

fn tcp(raw: &RawProbe, reader: &mut Reader<'_>) -> Option<ProbeKind> {
    let written = raw.tcp.as_ref()?;
    let address = match &written.value.value {
        Ok(address) => address.trim_start_matches("tcp://"),
        Err(reason) => {
            return Some(ProbeKind::Withheld {
                kind: "tcp",
                reason: why(reason),
            });
        }
    };
    let parts = address.rsplit_once(':').and_then(|(host, port)| {
        let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty() && !host.contains(['/', '@', ' '])).then(|| (host.to_owned(), port))
    });
    let Some((host, port)) = parts else {
        reader.problem(
            written.place,
            format!("{} is no `host:port`", quoted(&written.value.written)),
            "write it like `localhost:5432`",
        );
        return None;
    };
    Some(ProbeKind::Tcp { host, port })
}

/// Where an address gets its user and password from.
#[derive(Clone, Copy)]
struct Address<'a> {
    raw: &'a RawProbe,
    folder: &'a Path,
    schemes: &'a [&'a str],
}

impl Address<'_> {
    /// The address with user and password; `Ok(None)` after a problem, `Err` why it cannot look.
    fn url(
        &self,
        written: &Placed<Expanded>,
        reader: &mut Reader<'_>,
    ) -> Result<Option<SecretString>, String> {
        endpoints::check_no_literal_password(written, reader);
        if let Some(password) = &self.raw.password {
            endpoints::check_no_literal(password, "password", reader);
            if let Some(file) = &self.raw.password_file {
                reader.problem(
                    file.place,
                    "`password` and `password_file` both stand here",
                    "keep one of them",
                );
            }
        }
        let known = |text: &Option<Placed<Expanded>>| match text {
            None => Ok(None),
            Some(text) => match &text.value.value {
                Ok(value) => Ok(Some(value.clone())),
                Err(reason) => Err(why(reason)),
            },
        };
        let user = known(&self.raw.user)?;
        let mut password = known(&self.raw.password)?;
        let file = known(&self.raw.password_file)?;
        let address = match &written.value.value {
            Ok(address) => address,
            Err(reason) => return Err(why(reason)),
        };
        let Some(mut url) = endpoints::check_url(written, address, self.schemes, reader) else {
            return Ok(None);
        };
        if let Some(file) = file {
            reader.sends.push((
                written.place,
                written.value.written.clone(),
                vec![format!("what stands in the file {}", quoted(&file))],
            ));
            if !reader.is_trusted {
                return Err(NOT_TRUSTED.to_owned());
            }
            let path = self.folder.join(&file);
            match endpoints::read_secret(&path) {
                Ok(secret) => password = Some(secret),
                Err(reason) => return Err(format!("{} {reason}", quoted(&file))),
            }
        }
        if let Some(password) = password {
            set_credentials(&mut url, user.as_deref(), &password);
        } else if let Some(user) = user {
            // A host stands in it, so this cannot fail.
            let _ = url.set_username(&user);
        }
        Ok(Some(SecretString::from(String::from(url))))
    }
}

/// Both are encoded as addresses want it; a host stands in the address, so neither can fail.
fn set_credentials(url: &mut Url, user: Option<&str>, password: &str) {
    if let Some(user) = user {
        let _ = url.set_username(user);
    }
    let _ = url.set_password(Some(password));
}

fn headers(raw: &RawProbe, reader: &mut Reader<'_>) -> Result<Vec<(String, SecretString)>, String> {
    /// Headers that hold nothing but secrets.
    const SECRET: [&str; 5] = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
        "x-auth-token",
    ];
    let mut headers = Vec::new();
    for (name, written) in raw.headers.iter().flat_map(|headers| &headers.value.0) {
        let is_secret = SECRET.contains(&name.value.to_ascii_lowercase().as_str());
        if is_secret && !written.written.contains("${") {
            reader.problem(
                name.place,
                format!(
                    "the value of {} stands in the file itself",
                    quoted(&name.value)
                ),
                "put it into the environment: `${VAR}`",
            );
        }
        match &written.value {
            Ok(value) => headers.push((name.value.clone(), SecretString::from(value.clone()))),
            Err(reason) => return Err(why(reason)),
        }
    }
    Ok(headers)
}

const NOT_TRUSTED: &str =
    "it would send a secret, and the platform file is not trusted: `openpolicy-mcp trust FILE`";

/// Why a text has no value.
pub fn why(reason: &NoValue) -> String {
    match reason {
        NoValue::Missing { name, message } => {
            let message = message.as_deref().map(|text| format!(": {}", quoted(text)));
            format!(
                "the variable {name} is not set{}",
                message.unwrap_or_default()
            )
        }
        NoValue::Withheld(name) => format!(
            "it would get the variable {name}, and the platform file is not trusted: \
             `openpolicy-mcp trust FILE`"
        ),
        NoValue::Own(name) => format!("the variable {name} is a credential of this server"),
    }
}
