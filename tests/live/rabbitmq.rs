//! The AMQP probe against a real RabbitMQ.

use std::time::Duration;

use openpolicy_mcp::health::{
    Outcome,
    probe::{Surroundings, look},
};

use openpolicy_mcp::platform::ProbeKind;

use crate::engines::{
    assert_failed, assert_impaired, assert_not_looked, assert_passed, fact, impatient, probe,
    rabbitmq::{PASSWORD, RabbitMq},
    seen, wait_for, wait_until_refused,
};
use crate::local::Authority;

#[tokio::test]
async fn everything_that_a_rabbitmq_can_say() {
    let authority = Authority::new();
    let mut server = RabbitMq::start(&authority).await;
    let plain = server.with("probe", PASSWORD, "");

    let up = seen(plain.clone()).await;
    assert_passed(&up);
    assert_eq!(fact(&up, "product"), "RabbitMQ");
    assert!(fact(&up, "version").contains('.'), "{up:?}");
    assert_passed(&seen(server.with("probe", PASSWORD, "/%2f")).await);

    let wrong = seen(server.with("probe", "wrong-password", "")).await;
    assert_not_looked(&wrong, "refuses the user or password");
    assert!(wrong.response.is_some() && !format!("{wrong:?}").contains("wrong-password"));
    let absent = seen(server.with("probe", PASSWORD, "/policies")).await;
    assert_failed(&absent, "no such virtual host");
    server.call("PUT", "/api/vhosts/policies", "{}");
    // Made by us, so ours to enter; a stranger is not.
    assert_passed(&seen(server.with("probe", PASSWORD, "/policies")).await);
    server.call(
        "PUT",
        "/api/users/guest2",
        r#"{"password": "guest2-password", "tags": ""}"#,
    );
    let stranger = seen(server.with("guest2", "guest2-password", "/policies")).await;
    assert_not_looked(&stranger, "virtual host");

    // Queues, the deepest of which decides.
    for queue in ["scrape", "publish"] {
        let path = format!("/api/queues/%2f/{queue}");
        server.call("PUT", &path, r#"{"durable": false}"#);
    }
    for _ in 0..3 {
        let message = r#"{"properties": {}, "routing_key": "scrape", "payload": "x", "payload_encoding": "string"}"#;
        server.call("POST", "/api/exchanges/%2f/amq.default/publish", message);
    }
    let counted = server.counting(PASSWORD, Some(2));
    let full = wait_for(
        &counted,
        &mut server.engine,
        |outcome| matches!(outcome, Outcome::Impaired(why) if why.contains("3 messages wait")),
    )
    .await;
    assert_eq!(fact(&full, "deepest_queue"), "scrape: 3");
    assert_eq!(fact(&full, "queues"), "2");
    assert_passed(&seen(server.counting(PASSWORD, Some(3))).await);
    let blind = seen(server.counting("wrong-password", Some(2))).await;
    assert_impaired(&blind, "could not be counted");

    // Over TLS, and plain where TLS is spoken.
    let mut secure = plain.clone();
    let mut crossed = plain.clone();
    if let (ProbeKind::Amqp { url, .. }, ProbeKind::Amqp { url: plain, .. }) =
        (&mut secure, &mut crossed)
    {
        let place = format!("probe:{PASSWORD}@127.0.0.1:{}", server.tls_port);
        *url = format!("amqps://{place}").into();
        *plain = format!("amqp://{place}").into();
    }
    assert_not_looked(&seen(secure.clone()).await, "`ca_file`");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    let trusting = Surroundings::new(Some(path));
    assert_passed(&look(&probe(secure), &trusting).await);
    assert!(matches!(seen(crossed).await.outcome, Outcome::Failed(_)));

    // Slow, as it is asked for.
    let mut slow = probe(plain.clone());
    slow.slow_above = Some(Duration::ZERO);
    let slow = look(&slow, &Surroundings::default()).await;
    assert_impaired(&slow, "slower than 0 ms");

    // The web server of the management API hangs up on what is no HTTP.
    let mut crossed = server.with("probe", PASSWORD, "");
    if let ProbeKind::Amqp { url, .. } = &mut crossed {
        *url = format!("amqp://127.0.0.1:{}", server.management).into();
    }
    assert_failed(&seen(crossed).await, "is another service on this port?");

    server.engine.signal("STOP");
    let hanging = look(&impatient(plain.clone()), &Surroundings::default()).await;
    assert_failed(&hanging, "gave no answer within 300 ms");
    server.engine.signal("CONT");
    wait_for(&plain, &mut server.engine, |outcome| {
        *outcome == Outcome::Passed
    })
    .await;
    drop(server);
    wait_until_refused(&plain).await;
}
