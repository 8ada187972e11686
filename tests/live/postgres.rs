//! The PostgreSQL probe against a real PostgreSQL.

use std::time::Duration;

use openpolicy_mcp::health::{
    Outcome,
    probe::{Surroundings, look},
};
use openpolicy_mcp::platform::{Percent, ProbeKind};
use secrecy::{ExposeSecret as _, SecretString};

use crate::engines::{
    assert_failed, assert_impaired, assert_not_looked, assert_passed, fact, impatient,
    postgres::{PASSWORD, Postgres},
    probe, seen, wait_for,
};
use crate::local::Authority;

/// One server for all that can be asked of it, as each takes seconds to make.
#[tokio::test]
async fn everything_that_a_postgres_can_say() {
    let authority = Authority::new();
    let mut server = Postgres::start(&authority).await;

    let up = seen(server.kind()).await;
    assert_passed(&up);
    assert!(!fact(&up, "version").is_empty());
    assert!(fact(&up, "connections").ends_with(" of 10"), "{up:?}");

    let wrong = seen(server.with("postgres", "wrong-password", "postgres")).await;
    assert_not_looked(&wrong, "refuses the password");
    assert!(wrong.response.is_some(), "it answered: {wrong:?}");
    assert!(!format!("{wrong:?}").contains("wrong-password"));
    let absent = seen(server.with("postgres", PASSWORD, "openmetadata_db")).await;
    assert_failed(&absent, "openmetadata_db");

    asked(&server).await;
    over_tls(&server, &authority).await;
    full(&server).await;

    // Stopped: the system still takes connections, and nobody answers.
    server.engine.signal("STOP");
    let hanging = look(&impatient(server.kind()), &Surroundings::default()).await;
    assert_failed(&hanging, "gave no answer within 300 ms");
    server.engine.signal("CONT");
    let kind = server.kind();
    wait_for(&kind, &mut server.engine, |outcome| {
        *outcome == Outcome::Passed
    })
    .await;
    drop(server);
    assert_failed(&seen(kind).await, "refuses connections");
}

async fn asked(server: &Postgres) {
    assert_passed(&seen(server.asking("SELECT count(*) FROM pg_class")).await);
    let missing = seen(server.asking("SELECT 1 FROM core.bills")).await;
    assert_failed(&missing, "core.bills");
    assert_not_looked(&seen(server.asking("SELEC 1")).await, "syntax error");
    let writing = seen(server.asking("CREATE TABLE probes (id int)")).await;
    assert_not_looked(&writing, "must only read");

    let mut slow = probe(server.asking("SELECT pg_sleep(0.2)"));
    slow.slow_above = Some(Duration::from_millis(100));
    let slow = look(&slow, &Surroundings::default()).await;
    assert_impaired(&slow, "slower than 100 ms");
    let hanging = impatient(server.asking("SELECT pg_sleep(60)"));
    assert_failed(
        &look(&hanging, &Surroundings::default()).await,
        "gave no answer within 300 ms",
    );
}

async fn over_tls(server: &Postgres, authority: &Authority) {
    let demanding = server.with("postgres", PASSWORD, "postgres?sslmode=require");
    assert_not_looked(&seen(demanding.clone()).await, "`ca_file`");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    let trusting = Surroundings::new(Some(path));
    assert_passed(&look(&probe(demanding), &trusting).await);
    // Without TLS at all, and in the words of SQLAlchemy.
    let plain = server.with("postgres", PASSWORD, "postgres?sslmode=disable");
    assert_passed(&seen(plain).await);
    let ProbeKind::Postgres { url, .. } = server.kind() else {
        unreachable!()
    };
    let url = url
        .expose_secret()
        .replace("postgresql:", "postgresql+psycopg2:");
    let kind = ProbeKind::Postgres {
        url: SecretString::from(url),
        query: None,
        connections_above: None,
    };
    assert_passed(&seen(kind).await);
}

/// Takes connections until there are none left.
async fn full(server: &Postgres) {
    let bounded = |percent: f64| {
        let mut kind = server.kind();
        if let ProbeKind::Postgres {
            connections_above, ..
        } = &mut kind
        {
            *connections_above = Some(Percent(percent));
        }
        kind
    };
    assert_passed(&seen(bounded(90.0)).await);
    let mut config = tokio_postgres::Config::new();
    config
        .user("postgres")
        .password(PASSWORD)
        .dbname("postgres");
    let mut held = Vec::new();
    for _ in 0..8 {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
            .await
            .unwrap();
        let both = config
            .connect_raw(stream, tokio_postgres::NoTls)
            .await
            .unwrap();
        held.push((both.0, tokio::spawn(both.1)));
    }
    assert_impaired(&seen(bounded(50.0)).await, "connections are in use");
    for _ in 0..2 {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port))
            .await
            .unwrap();
        if let Ok(both) = config.connect_raw(stream, tokio_postgres::NoTls).await {
            held.push((both.0, tokio::spawn(both.1)));
        }
    }
    assert_failed(&seen(server.kind()).await, "all its connections are taken");
    for (_, connection) in held {
        connection.abort();
    }
}
