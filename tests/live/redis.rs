//! The Redis probe against a real Redis.

use openpolicy_mcp::health::{
    Outcome,
    probe::{Surroundings, look},
};

use crate::engines::{
    assert_failed, assert_impaired, assert_not_looked, assert_passed, fact, impatient, probe,
    redis::{PASSWORD, Redis},
    seen, wait_for,
};
use crate::local::Authority;

#[tokio::test]
async fn everything_that_a_redis_with_a_password_can_say() {
    let authority = Authority::new();
    let mut server = Redis::start(&authority, &["--requirepass", PASSWORD]).await;
    let right = format!("redis://:{PASSWORD}@");

    let up = seen(server.with(&right, server.port)).await;
    assert_passed(&up);
    assert!(fact(&up, "memory").ends_with(" of 16Mi"), "{up:?}");
    assert_eq!(fact(&up, "role"), "master");

    let wrong = seen(server.with("redis://:wrong-password@", server.port)).await;
    assert_not_looked(&wrong, "refuses the password");
    assert!(wrong.response.is_some() && !format!("{wrong:?}").contains("wrong-password"));
    let none = seen(server.with("redis://", server.port)).await;
    assert_not_looked(&none, "a password that the probe does not have");

    assert_impaired(
        &seen(server.memory_above(&right, 0.1)).await,
        "of its memory is in use",
    );
    assert_passed(&seen(server.memory_above(&right, 90.0)).await);
    // May PING and nothing else.
    let blind = "redis://blind:blind-password@";
    assert_passed(&seen(server.with(blind, server.port)).await);
    assert_impaired(&seen(server.memory_above(blind, 90.0)).await, "INFO");

    let secure = server.with(&format!("rediss://:{PASSWORD}@"), server.tls_port);
    assert_not_looked(&seen(secure.clone()).await, "`ca_file`");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    let trusting = Surroundings::new(Some(path));
    assert_passed(&look(&probe(secure), &trusting).await);
    // Plain where TLS is spoken.
    let crossed = server.with(&right, server.tls_port);
    assert!(matches!(seen(crossed).await.outcome, Outcome::Failed(_)));

    let kind = server.with(&right, server.port);
    let mut slow = probe(kind.clone());
    slow.slow_above = Some(std::time::Duration::ZERO);
    let slow = look(&slow, &Surroundings::default()).await;
    assert_impaired(&slow, "slower than 0 ms");
    server.engine.signal("STOP");
    let hanging = look(&impatient(kind.clone()), &Surroundings::default()).await;
    assert_failed(&hanging, "gave no answer within 300 ms");
    server.engine.signal("CONT");
    wait_for(&kind, &mut server.engine, |outcome| {
        *outcome == Outcome::Passed
    })
    .await;
    drop(server);
    assert_failed(&seen(kind).await, "refuses connections");
}

#[tokio::test]
async fn a_redis_without_a_password_is_told() {
    let server = Redis::start(&Authority::new(), &[]).await;
    assert_passed(&seen(server.with("redis://", server.port)).await);
    let open = seen(server.with("redis://:some-password@", server.port)).await;
    assert_impaired(&open, "takes everyone in");
    let database = seen(server.with("redis://", server.port)).await;
    assert_passed(&database);
}
