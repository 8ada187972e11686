//! Tokens, token files, logins and callers.

use openpolicy_mcp::catalog::{CatalogError, Catalogs, Credential, Identity, Snapshot};
use secrecy::SecretString;
use serde_json::json;

use super::{CANARY, client_with, jwt, live, settings, token};
use crate::support::replay::{Answer, Identity as Role, Replay, Version};

/// Message and advice of a refused credential.
fn unauthorized(error: CatalogError) -> String {
    match error {
        CatalogError::Unauthorized { message, advice } => format!("{message} | {advice}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn explains_a_token_that_is_refused_without_showing_it() {
    let server = Replay::start(Version::V1_12_6).await;
    server.expect_token("another");
    let explained = async |text: &str| {
        let client = client_with(&server.url(), token(text));
        let error = client.get("tables", &[("limit", "1")]).await.unwrap_err();
        let text = unauthorized(error);
        assert!(!text.contains(CANARY) && !text.contains("eyJh"), "{text}");
        text
    };
    let admin = explained("admin").await;
    assert!(
        admin.contains("is not a JWT") && admin.contains("5 characters"),
        "{admin}"
    );
    assert!(admin.contains("Settings > Bots"), "{admin}");
    let placeholder = explained("${env:OPENMETADATA_TOKEN}").await;
    assert!(placeholder.contains("placeholder"), "{placeholder}");
    let expired = explained(&jwt("{\"sub\":\"bot\",\"exp\":1700000000}")).await;
    assert!(expired.contains("expired at 2023-11-14"), "{expired}");
    let foreign = explained(&jwt("{\"sub\":\"bot\",\"exp\":null}")).await;
    assert!(foreign.contains("another OpenMetadata"), "{foreign}");
    let nothing = client_with(&server.url(), Credential::None);
    let error = nothing.get("system/status", &[]).await.unwrap_err();
    assert!(unauthorized(error).contains("no token was sent"));
}

#[tokio::test]
async fn a_token_file_is_read_again_when_it_changes_and_after_a_refusal() {
    let server = Replay::start(Version::V1_12_6).await;
    server.expect_token("first");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "Bearer first\n").unwrap();
    let client = client_with(&server.url(), Credential::TokenFile(path.clone()));
    let who = || client.get("users/loggedInUser", &[]);
    assert_eq!(who().await.unwrap()["name"], "admin");
    // Same length, perhaps the same second: only the refusal shows that it changed.
    server.expect_token("other");
    std::fs::write(&path, "Bearer other\n").unwrap();
    assert_eq!(who().await.unwrap()["name"], "admin");
    server.expect_token("third-token");
    std::fs::write(&path, "third-token").unwrap();
    assert_eq!(who().await.unwrap()["name"], "admin");
    let refused = server.requests().len();
    server.expect_token("fourth");
    let error = client.get("tables", &[("limit", "1")]).await.unwrap_err();
    assert!(unauthorized(error).contains("is not a JWT"));
    assert_eq!(
        server.requests().len(),
        refused + 1,
        "the same token is not sent twice"
    );
    std::fs::remove_file(&path).unwrap();
    let error = client.get("tables", &[("limit", "1")]).await.unwrap_err();
    assert!(unauthorized(error).contains("cannot be read"));
}

fn login(email: &str, password: &str) -> Credential {
    Credential::Password {
        email: email.into(),
        password: SecretString::from(password),
    }
}

/// A server that hands out these tokens, one a login or refresh, each good until `expires`.
fn hands_out(server: &Replay, path: &str, access: &str, expires: i64) {
    let session = json!({
        "accessToken": access, "refreshToken": format!("refresh-{CANARY}"),
        "tokenType": "Bearer", "expiryDuration": expires,
    });
    server.canned("POST", path, &[], Answer::json(200, &session));
}

const LOGIN: &str = "/api/v1/users/login";
const REFRESH: &str = "/api/v1/users/refresh";

/// Milliseconds since 1970 of a time from now.
fn in_seconds(seconds: i64) -> i64 {
    jiff::Timestamp::now().as_millisecond() + seconds * 1000
}

#[tokio::test]
async fn signs_in_once_for_many_and_renews_before_the_end() {
    let server = Replay::start(Version::V1_12_6).await;
    hands_out(&server, LOGIN, "first", in_seconds(30));
    hands_out(&server, REFRESH, "second", in_seconds(3600));
    server.expect_token("first");
    let client = client_with(&server.url(), login("admin@open-metadata.org", "admin"));
    client.get("users/loggedInUser", &[]).await.unwrap();
    let body = server.requests_to(LOGIN)[0].body_value();
    assert_eq!(body["password"], "YWRtaW4=");
    // Less than a minute left: renewed by the refresh token, without the password.
    server.expect_token("second");
    let reads = (0..20).map(|limit| {
        let (client, limit) = (client.clone(), (limit % 2 + 1).to_string());
        async move { client.get("tables", &[("limit", &limit)]).await.map(drop) }
    });
    server.canned(
        "GET",
        "/api/v1/tables",
        &[],
        Answer::json(200, &json!({"data": []})),
    );
    for read in futures::future::join_all(reads).await {
        read.unwrap();
    }
    assert_eq!(server.requests_to(LOGIN).len(), 1);
    assert_eq!(server.requests_to(REFRESH).len(), 1);
}

#[tokio::test]
async fn a_login_that_ends_in_mid_session_is_renewed_once() {
    let server = Replay::start(Version::V1_12_6).await;
    hands_out(&server, LOGIN, "first", in_seconds(3600));
    hands_out(&server, REFRESH, "second", in_seconds(3600));
    let client = client_with(&server.url(), login("admin@open-metadata.org", "admin"));
    server.expect_token("first");
    client.get("users/loggedInUser", &[]).await.unwrap();
    // Revoked before its time.
    server.expect_token("second");
    client.get_fresh("users/loggedInUser", &[]).await.unwrap();
    assert_eq!(server.requests_to(LOGIN).len(), 1);
    assert_eq!(server.requests_to(REFRESH).len(), 1);
    // A server that takes none of its own tokens is not asked for ever.
    server.expect_token("none of them");
    for _ in 0..5 {
        let error = client
            .get_fresh("users/loggedInUser", &[])
            .await
            .unwrap_err();
        assert!(matches!(error, CatalogError::Unauthorized { .. }));
    }
    assert_eq!(server.requests_to(REFRESH).len(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_ran_out_falls_back_to_the_password() {
    let server = Replay::start(Version::V1_12_6).await;
    hands_out(&server, LOGIN, "first", in_seconds(10));
    let gone = json!({"code": 404, "message": "Invalid Request Token. Please check your Token"});
    server.canned("POST", REFRESH, &[], Answer::json(404, &gone));
    let client = client_with(&server.url(), login("admin@open-metadata.org", "admin"));
    client.get_fresh("users/loggedInUser", &[]).await.unwrap();
    client.get_fresh("users/loggedInUser", &[]).await.unwrap();
    assert_eq!(server.requests_to(LOGIN).len(), 2);
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_and_never_again() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let server = Replay::start(version).await;
        // The recorded wrong password.
        let client = client_with(
            &server.url(),
            login("plain.reader@openpolicy.example", "nope"),
        );
        for _ in 0..5 {
            let error = client.get("users/loggedInUser", &[]).await.unwrap_err();
            let text = unauthorized(error);
            assert!(text.contains("invalid username or password"), "{text}");
            assert!(text.contains("locks an account"), "{text}");
        }
        assert_eq!(server.requests_to(LOGIN).len(), 1);
    }
}

#[tokio::test]
async fn a_locked_account_is_named_as_such() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let server = Replay::start(version).await;
        let mut said = Vec::new();
        // Somebody starts us again and again with the wrong password.
        for _ in 0..4 {
            let wrong = login("plain.reader@openpolicy.example", "nope");
            let error = client_with(&server.url(), wrong).get("tables", &[]).await;
            said.push(unauthorized(error.unwrap_err()));
        }
        assert!(said[2].contains("invalid username or password"), "{said:?}");
        assert!(said[3].contains("Attempts Exceeded"), "{said:?}");
        assert!(said[3].contains("locked for a while"), "{said:?}");
    }
}

#[tokio::test]
async fn callers_see_what_their_own_token_sees() {
    let server = Replay::start(Version::V1_12_6).await;
    server.token_identity("bot", Role::Bot);
    let catalogs = Catalogs::of_openmetadata(&settings(&server.url(), token("own"))).unwrap();
    let of = |token: &str| live(catalogs.of(Some(&SecretString::from(token))).unwrap());
    let own = live(catalogs.of(None).unwrap());
    let name = async |client: &openpolicy_mcp::catalog::Client| {
        client.get("users/loggedInUser", &[]).await.unwrap()["name"].clone()
    };
    // The same read by each: nobody gets what was read for another.
    assert_eq!(name(&own).await, "admin");
    assert_eq!(name(&of("bot")).await, "ingestion-bot");
    assert_eq!(name(&own).await, "admin");
    // A caller who comes again is the same, with what was read a moment ago.
    assert_eq!(name(&of(" Bearer bot\n")).await, "ingestion-bot");
    assert_eq!(server.requests_to("/api/v1/users/loggedInUser").len(), 2);
    // The version is known for all.
    own.version().await.unwrap();
    of("bot").version().await.unwrap();
    assert_eq!(server.requests_to("/api/v1/system/version").len(), 1);
}

#[tokio::test]
async fn nobody_falls_back_to_the_rights_of_the_server() {
    let server = Replay::start(Version::V1_12_6).await;
    let mut wanted = settings(&server.url(), token("own"));
    let catalogs = Catalogs::of_openmetadata(&wanted).unwrap();
    for empty in ["", "  ", "Bearer "] {
        let refused = catalogs.of(Some(&SecretString::from(empty))).err().unwrap();
        assert!(unauthorized(refused).contains("X-OpenMetadata-Token is empty"));
    }
    wanted.identity = Identity::Caller;
    let catalogs = Catalogs::of_openmetadata(&wanted).unwrap();
    let refused = catalogs.of(None).err().unwrap();
    assert!(unauthorized(refused).contains("X-OpenMetadata-Token"));
    live(catalogs.of(Some(&SecretString::from("mine"))).unwrap());
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_snapshot_is_for_the_one_who_took_it() {
    let snapshot = || Snapshot::from_json_lines("{\"as_of\": \"2026-01-01T00:00:00Z\"}").unwrap();
    let mine = SecretString::from("mine");
    let catalogs = Catalogs::of_snapshot(snapshot());
    assert!(catalogs.of(None).is_ok());
    let refused = catalogs.of(Some(&mine)).err().unwrap();
    assert!(
        matches!(refused, CatalogError::Forbidden { .. }),
        "{refused:?}"
    );
    assert!(catalogs.for_everyone().of(Some(&mine)).is_ok());
}

#[tokio::test]
async fn a_fresh_view_sees_nothing_of_a_moment_ago_and_signs_in_no_second_time() {
    let server = Replay::start(Version::V1_12_6).await;
    hands_out(&server, LOGIN, "first", in_seconds(3600));
    let client = client_with(&server.url(), login("admin@open-metadata.org", "admin"));
    client.get("users/loggedInUser", &[]).await.unwrap();
    let fresh = client.fresh();
    fresh.get("users/loggedInUser", &[]).await.unwrap();
    fresh.get("users/loggedInUser", &[]).await.unwrap();
    assert_eq!(server.requests_to("/api/v1/users/loggedInUser").len(), 2);
    assert_eq!(server.requests_to(LOGIN).len(), 1);
}
