//! PostgreSQL: it lets us in, answers a query, and has connections left.

use std::error::Error as _;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::{
    Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow,
    config::SslMode,
    error::{DbError, SqlState},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::observation::Outcome,
    Findings, Look, Looked,
    target::{Form, Target},
    words,
};
use crate::{
    net::{Obstacle, Stream, TlsFault},
    platform::Percent,
};

const FORM: Form = Form {
    schemes: &[("postgresql", 5432), ("postgres", 5432)],
    example: "postgresql://user:password@host:5432/database",
};

const PROTOCOL: &str = "PostgreSQL's protocol";

/// The request for TLS (PostgreSQL documentation, "Message Formats", SSLRequest): its length, then
/// a number that is no version.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// `pg_stat_database` counts for everyone; `pg_stat_activity` hides what others do.
const FACTS: &str = "SELECT current_setting('server_version'), \
                     current_setting('max_connections'), \
                     (SELECT sum(numbackends) FROM pg_stat_database), \
                     pg_is_in_recovery()";

pub(super) async fn look(
    address: &SecretString,
    query: Option<&str>,
    connections_above: Option<Percent>,
    look: &Look<'_>,
) -> Looked {
    let target = Target::of(address, &FORM)?;
    let place = target.place();
    let stream = connected(&target, look).await?;
    let connection = config(&target).connect_raw(stream, NoTls).await;
    let (client, connection) = match connection {
        Ok(both) => both,
        Err(error) => return of_login(&error, &target),
    };
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    if let Err(error) = run(&client, query, look).await {
        return match error.as_db_error() {
            Some(error) => Ok(of_query(error)),
            None => Err(words::hung_up(&place)),
        };
    }
    let mut findings = Findings::passed();
    count(&client, connections_above, &mut findings, look).await;
    Ok(findings)
}

/// A connection with TLS where the address wants it and, unless it forbids it, where the server
/// has it. As with libpq, `prefer` (the default) goes on without TLS where TLS cannot be agreed
/// on; other than with libpq, a certificate is always checked.
async fn connected(target: &Target, look: &Look<'_>) -> Result<Stream, Outcome> {
    let place = target.place();
    let mode = target.parameter("sslmode");
    let mode = mode.as_deref().unwrap_or("prefer");
    let dial = || async {
        let stream = look.dialer.dial(&target.host, target.port, &look.reached);
        let stream = stream.await;
        stream.map_err(|obstacle| words::of_obstacle(obstacle, &place))
    };
    if mode == "disable" || mode == "allow" {
        return Ok(Box::new(dial().await?));
    }
    let is_must = mode != "prefer";
    let mut stream = dial().await?;
    let mut answer = [0; 1];
    let asked = async {
        stream.write_all(&TLS_REQUEST).await?;
        stream.read_exact(&mut answer).await
    };
    if let Err(error) = asked.await {
        let obstacle = Obstacle::of_io(&error);
        return Err(words::of_obstacle(obstacle, &place));
    }
    match &answer {
        b"S" => {
            let secured = look.dialer.secure(stream, &target.host, &look.reached);
            match secured.await {
                Ok(stream) => Ok(stream),
                Err(Obstacle::Tls(TlsFault::NotTls) | Obstacle::Closed) => {
                    Err(words::other_protocol(PROTOCOL, &place))
                }
                Err(Obstacle::Tls(_)) if !is_must => Ok(Box::new(dial().await?)),
                Err(obstacle) => Err(words::of_obstacle(obstacle, &place)),
            }
        }
        b"N" if is_must => Err(Outcome::Failed(format!(
            "{place} has no TLS, and the address demands it (sslmode={mode}): switch `ssl` on \
             there, or change the address"
        ))),
        b"N" => Ok(Box::new(stream)),
        _ => Err(words::other_protocol(PROTOCOL, &place)),
    }
}

fn config(target: &Target) -> Config {
    let mut config = Config::new();
    config
        // TLS is done already where it is done.
        .ssl_mode(SslMode::Disable)
        .application_name("openpolicy-mcp")
        .user(target.user.as_deref().unwrap_or("postgres"));
    if let Some(password) = &target.password {
        config.password(password.expose_secret());
    }
    if let Some(database) = target.first_part() {
        config.dbname(database);
    }
    config
}

/// Runs the query, which must not write, and which the server ends when nobody waits any more.
async fn run(
    client: &Client,
    query: Option<&str>,
    look: &Look<'_>,
) -> Result<(), tokio_postgres::Error> {
    let Some(query) = query else {
        client.simple_query("SELECT 1").await?;
        return Ok(());
    };
    let milliseconds = look.timeout.as_millis().max(1);
    let around = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {milliseconds}");
    client.simple_query(&around).await?;
    client.simple_query(query).await?;
    client.simple_query("ROLLBACK").await?;
    Ok(())
}

fn of_login(error: &tokio_postgres::Error, target: &Target) -> Looked {
    let place = target.place();
    let Some(database) = error.as_db_error() else {
        let source = error.source().map(ToString::to_string);
        return if source.is_some_and(|why| why.contains("password missing")) {
            Ok(Findings::refused_us(format!(
                "{place} answers, and asks for a password that the probe does not have"
            )))
        } else if error.is_closed() {
            Err(words::hung_up(&place))
        } else {
            let io = error.source().and_then(|source| source.downcast_ref());
            match io.map(Obstacle::of_io) {
                Some(Obstacle::Closed) => Err(words::hung_up(&place)),
                _ => Err(words::other_protocol(PROTOCOL, &place)),
            }
        };
    };
    let said = words::quoted(database.message());
    let code = database.code();
    let outcome = if *code == SqlState::INVALID_PASSWORD {
        Outcome::CouldNotLook(format!(
            "{place} answers, and refuses the password of the probe ({said}): correct it to learn \
             more"
        ))
    } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        Outcome::CouldNotLook(format!(
            "{place} answers, and does not let the probe in ({said}): look at its user and at \
             pg_hba.conf"
        ))
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        Outcome::Failed(format!("{said}: was it created?"))
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        Outcome::CouldNotLook(format!("the probe may not connect there ({said})"))
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        Outcome::Failed(format!(
            "all its connections are taken ({said}): look for who holds them"
        ))
    } else if *code == SqlState::CANNOT_CONNECT_NOW {
        Outcome::Failed(format!("it takes no connections yet or any more ({said})"))
    } else {
        Outcome::Failed(format!("it does not let anyone in ({said})"))
    };
    Ok(Findings::of(outcome))
}

fn of_query(error: &DbError) -> Findings {
    let said = words::quoted(error.message());
    let code = error.code();
    let is_ours = *code == SqlState::SYNTAX_ERROR
        || *code == SqlState::INSUFFICIENT_PRIVILEGE
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION;
    if is_ours {
        return Findings::refused_us(format!(
            "it answers, and does not run the query of the probe ({said}): correct the query, \
             which must only read"
        ));
    }
    Findings::failed(format!("the query of the probe fails: {said}"))
}

/// Version and connections, beside the answer that counts.
async fn count(client: &Client, above: Option<Percent>, findings: &mut Findings, look: &Look<'_>) {
    let answer = look.besides(client.simple_query(FACTS)).await;
    let rows = answer.and_then(Result::ok).unwrap_or_default();
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let column = |row: &SimpleQueryRow, at| row.try_get(at).ok().flatten().map(str::to_owned);
    if let Some(version) = row.and_then(|row| column(row, 0)) {
        findings.fact("version", words::quoted(&version));
    }
    if row.and_then(|row| column(row, 3)).as_deref() == Some("t") {
        findings.fact("role", "standby");
    }
    let number = |at| row.and_then(|row| column(row, at)?.parse::<f64>().ok());
    let (Some(allowed), Some(used)) = (number(1), number(2)) else {
        findings.fact("connections", "could not be read");
        if above.is_some() {
            findings.impair("it answers, and its connections could not be counted");
        }
        return;
    };
    findings.fact("connections", format!("{used} of {allowed}"));
    let share = Percent::of(used, allowed);
    if let Some(above) = above
        && share > above
    {
        findings.impair(format!(
            "{used} of {allowed} connections are in use ({share}, above {above}): look for who \
             holds them"
        ));
    }
}
