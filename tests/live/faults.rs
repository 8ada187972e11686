//! What can be wrong at an address, told apart by every kind of probe; needs no engine.

use std::{sync::Arc, time::Duration};

use openpolicy_mcp::health::probe::{Surroundings, check, check_all, look};
use openpolicy_mcp::health::{Observation, Outcome};
use openpolicy_mcp::platform::{Probe, ProbeKind};
use tokio::time::Instant;

use crate::engines::{
    assert_failed, assert_impaired, assert_not_looked, assert_passed, free_port, impatient, probe,
    seen,
};
use crate::local::{Authority, Local, Manner};

const SECRET: &str = "hunter2-hunter2";

/// Every kind that speaks a protocol, at one place, with a secret in its address.
fn kinds(place: &str) -> Vec<ProbeKind> {
    let url = |scheme: &str, path: &str| {
        secrecy::SecretString::from(format!("{scheme}://probe:{SECRET}@{place}{path}"))
    };
    vec![
        ProbeKind::Http {
            url: url("http", "/health"),
            status: Vec::new(),
            json: Vec::new(),
            body: None,
            headers: Vec::new(),
        },
        ProbeKind::Page {
            url: url("http", "/"),
            title: None,
        },
        ProbeKind::Postgres {
            url: url("postgresql", "/openpolicy"),
            query: None,
            connections_above: None,
        },
        ProbeKind::Redis {
            url: url("redis", ""),
            memory_above: None,
        },
        ProbeKind::Amqp {
            url: url("amqp", "/"),
            management: None,
            queue_above: None,
        },
        ProbeKind::SearchEngine {
            url: url("http", ""),
        },
        ProbeKind::OpenMetadata {
            url: url("http", ""),
        },
        ProbeKind::Airflow {
            url: url("http", ""),
        },
    ]
}

fn over_tls(place: &str) -> Vec<ProbeKind> {
    let mut kinds = kinds(place);
    for kind in &mut kinds {
        let (ProbeKind::Http { url, .. }
        | ProbeKind::Page { url, .. }
        | ProbeKind::Postgres { url, .. }
        | ProbeKind::Redis { url, .. }
        | ProbeKind::Amqp { url, .. }
        | ProbeKind::SearchEngine { url }
        | ProbeKind::OpenMetadata { url }
        | ProbeKind::Airflow { url }) = kind
        else {
            continue;
        };
        use secrecy::ExposeSecret as _;
        let text = url.expose_secret();
        let secure = text
            .replacen("http:", "https:", 1)
            .replacen("redis:", "rediss:", 1)
            .replacen("amqp:", "amqps:", 1);
        *url = secure.into();
    }
    // PostgreSQL asks for TLS in its own words: `postgres.rs` looks at a real one.
    kinds.retain(|kind| !matches!(kind, ProbeKind::Postgres { .. }));
    kinds
}

fn reason(observation: &Observation) -> &str {
    match &observation.outcome {
        Outcome::Passed => "",
        Outcome::Impaired(why) | Outcome::Failed(why) | Outcome::CouldNotLook(why) => why,
    }
}

#[track_caller]
fn assert_no_secret(observation: &Observation) {
    let all = format!("{observation:?}");
    assert!(!all.contains(SECRET), "{all}");
    assert!(!reason(observation).contains('\n'), "one sentence: {all}");
}

#[tokio::test]
async fn nothing_listens() {
    for kind in kinds(&format!("127.0.0.1:{}", free_port())) {
        let name = kind.name();
        let observation = seen(kind).await;
        assert_failed(&observation, "refuses connections");
        assert_eq!(observation.response, None, "{name}");
        assert_no_secret(&observation);
    }
}

#[tokio::test]
async fn what_hangs_is_failed_at_the_time_out_of_the_probe() {
    let server = Local::start(Manner::Hang).await;
    for kind in kinds(&format!("127.0.0.1:{}", server.port)) {
        let observation = look(&impatient(kind), &Surroundings::default()).await;
        assert_failed(&observation, "gave no answer within 300 ms");
        assert_no_secret(&observation);
    }
    for kind in over_tls(&format!("127.0.0.1:{}", server.port)) {
        let observation = look(&impatient(kind), &Surroundings::default()).await;
        assert_failed(&observation, "TLS was not agreed on within 300 ms");
    }
}

#[tokio::test]
async fn what_hangs_up_is_failed() {
    let server = Local::start(Manner::HangUp).await;
    for kind in kinds(&format!("127.0.0.1:{}", server.port)) {
        let name = kind.name();
        let observation = seen(kind).await;
        assert_failed(&observation, "hangs up without an answer");
        assert_eq!(observation.response, None, "{name}");
    }
}

#[tokio::test]
async fn another_protocol_is_told() {
    let server = Local::start(Manner::Say("SSH-2.0-OpenSSH_9.2\r\n")).await;
    for kind in kinds(&format!("127.0.0.1:{}", server.port)) {
        let observation = seen(kind).await;
        assert_failed(&observation, "does not speak");
        assert_no_secret(&observation);
    }
    for kind in over_tls(&format!("127.0.0.1:{}", server.port)) {
        assert_failed(&seen(kind).await, "does not speak TLS");
    }
}

/// A server that repeats everything must not get our secrets into an answer.
#[tokio::test]
async fn an_echo_repeats_no_secret() {
    let server = Local::start(Manner::Answer(Arc::new(|said| {
        format!("-ERR {said}\r\n{said}")
    })))
    .await;
    for kind in kinds(&format!("127.0.0.1:{}", server.port)) {
        let observation = seen(kind).await;
        assert!(
            matches!(observation.outcome, Outcome::Failed(_)),
            "{observation:?}"
        );
        assert_no_secret(&observation);
    }
    let server = Local::start(Manner::Answer(Arc::new(|said| {
        let body = serde_json::json!({"status": said}).to_string();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    })))
    .await;
    for kind in kinds(&format!("127.0.0.1:{}", server.port)) {
        assert_no_secret(&seen(kind).await);
    }
}

/// The password of Redis goes only to Redis.
#[tokio::test]
async fn a_stranger_gets_no_password() {
    let heard = Arc::new(std::sync::Mutex::new(String::new()));
    let hears = Arc::clone(&heard);
    let server = Local::start(Manner::Answer(Arc::new(move |said| {
        hears.lock().unwrap().push_str(said);
        "hello\r\n".into()
    })))
    .await;
    for kind in kinds(&format!("127.0.0.1:{}", server.port)) {
        if matches!(
            kind,
            ProbeKind::Redis { .. } | ProbeKind::Postgres { .. } | ProbeKind::Amqp { .. }
        ) {
            assert_failed(&seen(kind).await, "does not speak");
        }
    }
    let heard = heard.lock().unwrap();
    assert!(!heard.is_empty() && !heard.contains(SECRET), "{heard}");
}

#[tokio::test]
async fn faults_of_certificates_are_told_apart() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    let trusting = Surroundings::new(Some(path));
    let well = || Manner::http(|_| (200, "text/plain", "OK".into()));
    let probe_of = |server: &Local| {
        let place = format!("127.0.0.1:{}", server.port);
        probe(over_tls(&place).swap_remove(0))
    };

    let server = Local::secure(well(), authority.certificate("127.0.0.1")).await;
    assert_passed(&look(&probe_of(&server), &trusting).await);
    for kind in over_tls(&format!("127.0.0.1:{}", server.port)) {
        assert_not_looked(&seen(kind).await, "`ca_file`");
    }
    let server = Local::secure(well(), authority.certificate("redis.example")).await;
    assert_not_looked(&look(&probe_of(&server), &trusting).await, "another name");
    let server = Local::secure(well(), authority.untimely("127.0.0.1", true)).await;
    assert_failed(&look(&probe_of(&server), &trusting).await, "has expired");
    let server = Local::secure(well(), authority.untimely("127.0.0.1", false)).await;
    assert_not_looked(&look(&probe_of(&server), &trusting).await, "not valid yet");
    let absent = Surroundings::new(Some(folder.path().join("absent.pem")));
    assert_not_looked(&look(&probe_of(&server), &absent).await, "absent.pem");
    // Plain HTTP where TLS answers.
    let kind = kinds(&format!("127.0.0.1:{}", server.port)).swap_remove(0);
    assert_failed(&seen(kind).await, "is it https?");
}

#[tokio::test]
async fn a_name_without_address_says_nothing_of_the_service() {
    // RFC 6761: `.invalid` never has an address.
    for kind in kinds("openpolicy.invalid:1234") {
        let observation = seen(kind).await;
        assert_not_looked(&observation, "no address is known here");
        assert_no_secret(&observation);
    }
    let tcp = ProbeKind::Tcp {
        host: "openpolicy.invalid".into(),
        port: 1,
    };
    assert_not_looked(&seen(tcp).await, "DNS");
}

#[tokio::test]
async fn an_address_that_is_not_set_or_no_address_says_so() {
    for (written, words) in [
        ("${DATABASE_URL}", "is not set"),
        ("", "is not set"),
        (
            "mysql://localhost/db",
            "postgresql://user:password@host:5432/database",
        ),
        ("postgresql:///db", "should look like"),
    ] {
        let kind = ProbeKind::Postgres {
            url: written.to_owned().into(),
            query: None,
            connections_above: None,
        };
        assert_not_looked(&seen(kind).await, words);
    }
}

#[tokio::test]
async fn a_port_is_open_or_not() {
    let server = Local::start(Manner::Hang).await;
    let tcp = |port| ProbeKind::Tcp {
        host: "localhost".into(),
        port,
    };
    assert_passed(&seen(tcp(server.port)).await);
    assert_failed(&seen(tcp(free_port())).await, "refuses connections");
}

#[tokio::test]
async fn slow_is_impaired_and_says_how_slow() {
    let server = Local::http(|_| (200, "text/plain", "OK".into())).await;
    let mut probe = probe(kinds(&format!("127.0.0.1:{}", server.port)).swap_remove(0));
    probe.slow_above = Some(Duration::ZERO);
    let observation = look(&probe, &Surroundings::default()).await;
    assert_impaired(&observation, "slower than 0 ms");
    assert!(observation.response.is_some());
}

/// Whoever refuses our credential answers, and says nothing of its health.
#[tokio::test]
async fn a_wrong_password_over_http_is_not_down() {
    let server = Local::http(|_| (401, "application/json", "{}".into())).await;
    let mut looked = 0;
    for kind in kinds(&format!("127.0.0.1:{}", server.port)) {
        if matches!(
            kind,
            ProbeKind::Postgres { .. } | ProbeKind::Redis { .. } | ProbeKind::Amqp { .. }
        ) {
            continue;
        }
        let observation = seen(kind).await;
        assert_not_looked(&observation, "HTTP 401");
        assert!(
            observation.response.is_some(),
            "it answers: {observation:?}"
        );
        assert_no_secret(&observation);
        looked += 1;
    }
    assert_eq!(looked, 5);
}

#[tokio::test]
async fn a_redirect_is_told_and_a_page_follows_it_within_its_host() {
    let server = Local::start(Manner::Answer(Arc::new(|request| {
        let path = request.split_whitespace().nth(1).unwrap_or_default();
        match path {
            "/" | "/health" => "HTTP/1.1 302 Found\r\nlocation: /login?session=1\r\ncontent-length: 0\r\n\r\n".into(),
            "/away" => "HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/x\r\ncontent-length: 0\r\n\r\n".into(),
            "/loop" => "HTTP/1.1 302 Found\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n".into(),
            _ => {
                let page = "<!DOCTYPE html><html><title>Sign in</title></html>";
                format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}", page.len())
            }
        }
    })))
    .await;
    let health = ProbeKind::Http {
        url: server.url("/health"),
        status: Vec::new(),
        json: Vec::new(),
        body: None,
        headers: Vec::new(),
    };
    let observation = seen(health).await;
    assert_failed(&observation, "/login");
    assert!(!reason(&observation).contains("session"), "{observation:?}");
    let page = |path: &str, title: Option<&str>| ProbeKind::Page {
        url: server.url(path),
        title: title.map(str::to_owned),
    };
    assert_passed(&seen(page("/", Some("sign in"))).await);
    assert_failed(&seen(page("/away", None)).await, "elsewhere.example");
    assert_failed(&seen(page("/loop", None)).await, "redirects more than");
    assert_failed(&seen(page("/x", Some("Grafana"))).await, "`Sign in`");
}

#[tokio::test]
async fn an_answer_without_end_is_read_in_part() {
    let server = Local::start(Manner::Answer(Arc::new(|_| {
        let mut text = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nalive ".to_owned();
        text.push_str(&"x".repeat(3 * 1024 * 1024));
        text
    })))
    .await;
    let kind = |pattern: &str| ProbeKind::Http {
        url: server.url("/health"),
        status: Vec::new(),
        json: Vec::new(),
        body: Some(pattern.to_owned()),
        headers: Vec::new(),
    };
    assert_passed(&seen(kind("^alive ")).await);
    assert_failed(&seen(kind("never there")).await, "the first 1 MiB");
}

/// Fails twice, then answers: seen as such, and not called down.
#[tokio::test]
async fn what_flaps_is_looked_at_again() {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Local::start(Manner::http(move |_| {
        match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 | 1 => (503, "text/plain", "not yet".into()),
            _ => (200, "text/plain", "OK".into()),
        }
    }))
    .await;
    let mut probe = probe(kinds(&format!("127.0.0.1:{}", server.port)).swap_remove(0));
    probe.interval = Duration::from_millis(1);
    let until = Instant::now() + Duration::from_secs(30);
    let seen = check(&probe, &Surroundings::default(), until).await;
    let outcomes: Vec<_> = seen
        .looks
        .iter()
        .map(|look| look.outcome == Outcome::Passed)
        .collect();
    assert_eq!(outcomes, [false, false, true]);
    assert!(!seen.failed_enough());
    assert_eq!(server.taken(), 3);

    let absent = kinds(&format!("127.0.0.1:{}", free_port())).swap_remove(0);
    probe = Probe {
        kind: absent,
        ..probe
    };
    let seen = check(&probe, &Surroundings::default(), until).await;
    assert_eq!((seen.looks.len(), seen.failed_enough()), (3, true));
}

/// What could not be looked at for lack of time is not called down.
#[tokio::test]
async fn the_callers_deadline_wins() {
    let server = Local::start(Manner::Hang).await;
    let probe = probe(kinds(&format!("127.0.0.1:{}", server.port)).swap_remove(0));
    let until = Instant::now() + Duration::from_millis(200);
    let seen = check(&probe, &Surroundings::default(), until).await;
    assert_eq!(seen.looks.len(), 1);
    assert_not_looked(&seen.looks[0], "the time of this call ended");
}

/// 100 that hang cannot keep one that answers from being seen.
#[tokio::test]
async fn the_quick_do_not_wait_for_the_slow() {
    let hanging = Local::start(Manner::Hang).await;
    let quick = Local::http(|_| (200, "text/plain", "OK".into())).await;
    let mut probes = vec![];
    for _ in 0..100 {
        probes.push(probe(
            kinds(&format!("127.0.0.1:{}", hanging.port)).swap_remove(0),
        ));
    }
    probes.push(probe(
        kinds(&format!("127.0.0.1:{}", quick.port)).swap_remove(0),
    ));
    let surroundings = Arc::new(Surroundings::default());
    let until = Instant::now() + Duration::from_secs(30);
    let mut checks = check_all(probes, &surroundings, until);
    let (position, check) = checks.next().await.expect("an answer");
    assert_eq!(position, 100);
    assert_passed(check.last().expect("a look"));
}
