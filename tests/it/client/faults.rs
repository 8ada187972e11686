//! A slow, a dead, a lying and a failing OpenMetadata.

use std::time::{Duration, Instant};

use openpolicy_mcp::catalog::{CatalogError, Catalogs};
use serde_json::json;
use tokio::net::TcpListener;

use super::{CANARY, client, hasty_client, settings, token};
use crate::support::replay::{Answer, Replay, Version};

const VERSION: &str = "/api/v1/users/loggedInUser";

async fn error_of(server: &Replay) -> CatalogError {
    let client = client(&server.url());
    client.get("users/loggedInUser", &[]).await.unwrap_err()
}

#[tokio::test]
async fn repeats_a_read_that_a_proxy_or_a_broken_connection_lost() {
    let server = Replay::start(Version::V1_12_6).await;
    for fault in [
        Answer::json(503, &json!({"code": 503, "message": "restarting"})),
        Answer::html(502),
        Answer::dropped(),
        Answer::huge(900).cut_after(100),
    ] {
        server.answer_next(2, fault);
        let read = client(&server.url()).get("users/loggedInUser", &[]).await;
        assert_eq!(read.unwrap()["name"], "admin");
    }
    assert_eq!(server.requests_to(VERSION).len(), 4 * 3);
}

#[tokio::test]
async fn gives_up_after_a_few_repetitions_and_never_repeats_500() {
    let server = Replay::start(Version::V1_12_6).await;
    server.fail_where(
        |_| true,
        Answer::json(503, &json!({"code": 503, "message": "gone"})),
    );
    let error = error_of(&server).await;
    assert!(
        matches!(error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
    assert_eq!(server.requests_to(VERSION).len(), 4);
    server.heal();
    server.fail_where(
        |_| true,
        Answer::json(500, &json!({"code": 500, "message": "a bug"})),
    );
    let error = error_of(&server).await;
    assert!(
        matches!(error, CatalogError::BadUpstream { .. }),
        "{error:?}"
    );
    assert_eq!(server.requests_to(VERSION).len(), 5);
}

#[tokio::test]
async fn waits_as_asked_when_there_are_too_many_requests() {
    let server = Replay::start(Version::V1_12_6).await;
    server.fail_next(1, 429, &[("retry-after", "0")]);
    let read = client(&server.url()).get("users/loggedInUser", &[]).await;
    assert_eq!(read.unwrap()["name"], "admin");
    // A long wait is the caller's to decide.
    server.fail_next(1, 429, &[("retry-after", "120")]);
    match error_of(&server).await {
        CatalogError::RateLimited { retry_after } => {
            assert_eq!(retry_after, Some(Duration::from_secs(120)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_without_end() {
    let server = Replay::start(Version::V1_12_6).await;
    server.fail_where(|_| true, Answer::held());
    let started = Instant::now();
    let client = hasty_client(&server.url());
    let error = client.get("users/loggedInUser", &[]).await.unwrap_err();
    assert!(matches!(error, CatalogError::Timeout { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_dead_server_is_named_with_what_is_wrong() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(&format!("http://{address}/api/v1"))
        .get("tables", &[])
        .await
        .unwrap_err();
    assert!(
        matches!(error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("refused"),
        "{text}"
    );

    let error = client("http://openmetadata.invalid:8585")
        .get("tables", &[])
        .await
        .unwrap_err();
    assert!(
        matches!(error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("DNS"), "{error}");
}

#[test]
fn asks_the_proxy_of_the_environment_unless_told_not_to() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"version\":\"1.12.6\"}";
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let call = |no_proxy: &str| {
        std::process::Command::new(crate::support::bin())
            .args(["tools", "call", "read_openmetadata"])
            .arg("{\"path\": \"system/version\"}")
            .env_clear()
            .env("HTTP_PROXY", &proxy)
            .env("NO_PROXY", no_proxy)
            .env("OPENMETADATA_URL", "http://openmetadata.invalid:8585")
            .env("OPENMETADATA_TOKEN", "x")
            .output()
            .unwrap()
    };
    assert!(String::from_utf8_lossy(&call("").stdout).contains("1.12.6"));
    let head = asked.join().unwrap();
    let line = "GET http://openmetadata.invalid:8585/api/v1/system/version HTTP/1.1";
    assert!(head.starts_with(line), "{head}");
    let without = call("openmetadata.invalid");
    assert!(String::from_utf8_lossy(&without.stderr).contains("unavailable"));
}

#[tokio::test]
async fn refuses_what_is_too_large_whether_announced_or_not() {
    let server = Replay::start(Version::V1_12_6).await;
    server.answer_next(1, Answer::huge(300 * 1024));
    let error = error_of(&server).await;
    assert!(
        matches!(error, CatalogError::BadUpstream { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("larger than"), "{error}");
    assert_eq!(server.requests_to(VERSION).len(), 1);

    // Without a length, and without an end.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[";
        let _ = stream.write_all(head).await;
        while stream.write_all(&[b' '; 8192]).await.is_ok() {}
    });
    let error = client(&format!("http://{address}"))
        .get("tables", &[])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error:?}");
}

#[tokio::test]
async fn says_that_json_was_cut() {
    let server = Replay::start(Version::V1_12_6).await;
    let cut = Answer::empty(200)
        .with_header("content-type", "application/json")
        .with_body("{\"name\": \"adm");
    server.answer_next(1, cut);
    let error = error_of(&server).await;
    assert!(
        matches!(error, CatalogError::BadUpstream { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("cut short"), "{error}");
}

#[tokio::test]
async fn never_takes_its_token_to_another_host() {
    let server = Replay::start(Version::V1_12_6).await;
    let elsewhere = Replay::start(Version::V1_12_6).await;
    let to = format!(
        "{}/api/v1/users/loggedInUser?state={CANARY}",
        elsewhere.url()
    );
    server.answer_next(1, Answer::empty(302).with_header("location", &to));
    let error = error_of(&server).await;
    assert!(
        matches!(error, CatalogError::BadUpstream { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(&elsewhere.url()), "{error}");
    assert!(!error.to_string().contains(CANARY), "{error}");
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn an_address_or_a_ca_file_that_cannot_be_is_said_at_once() {
    for written in ["localhost:8585", "ftp://om", "", "http://"] {
        let error = Catalogs::of_openmetadata(&settings(written, token("a")))
            .err()
            .unwrap();
        assert!(matches!(error, CatalogError::Invalid { .. }), "{error:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("absent", None),
        ("empty.pem", Some("")),
        ("bad.pem", Some("no PEM")),
    ] {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let mut settings = settings("http://127.0.0.1:9", token("a"));
        settings.net.ca_file = Some(path);
        let client = super::live(
            Catalogs::of_openmetadata(&settings)
                .unwrap()
                .of(None)
                .unwrap(),
        );
        let error = client.get("tables", &[]).await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn identical_reads_at_once_are_one_request_and_writes_forget_them() {
    let server = Replay::start(Version::V1_12_6).await;
    server.canned("PUT", "/api/v1/lineage", &[], Answer::empty(200));
    let client = client(&server.url());
    let reads = (0..50).map(|_| client.get("users/loggedInUser", &[]));
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.unwrap()["name"], "admin");
    }
    assert_eq!(server.requests_to(VERSION).len(), 1);
    client.get_fresh("users/loggedInUser", &[]).await.unwrap();
    assert_eq!(server.requests_to(VERSION).len(), 2);
    client.write(super::writes::put_lineage()).await.unwrap();
    client.get("users/loggedInUser", &[]).await.unwrap();
    assert_eq!(server.requests_to(VERSION).len(), 3);
}

#[tokio::test]
async fn never_asks_for_more_than_sixteen_things_at_once() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Barrier,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    tokio::spawn(async move {
        // Answers sixteen together, so that fewer at once would never be answered.
        let sixteen = Arc::new(Barrier::new(16));
        let now = Arc::new(AtomicUsize::new(0));
        while let Ok((mut stream, _)) = listener.accept().await {
            let (sixteen, now, most) = (sixteen.clone(), now.clone(), seen.clone());
            tokio::spawn(async move {
                while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    let at_once = now.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(at_once, Ordering::SeqCst);
                    sixteen.wait().await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    let client = client(&format!("http://{address}"));
    let reads = (0..48).map(|number| {
        let client = client.clone();
        async move { client.get(&format!("tables/{number}"), &[]).await }
    });
    for read in futures::future::join_all(reads).await {
        read.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 16);
}
