//! A server that repeats what it was sent: no secret comes back, whatever form it has.

use base64::{Engine, engine::general_purpose::STANDARD};
use openpolicy_mcp::settings::Credential;
use serde_json::json;

use super::{call, server, writes};
use crate::support::{
    calls::reads,
    replay::{Answer, Replay, Version},
    wire::Seen,
};

/// No JWT, and full of what texts escape.
const TOKEN: &str = "plain/token+of=the caller";
const PASSWORD: &str = "pass/word \"of\" the=login";

fn answers(seen: &Seen) -> Vec<Answer> {
    let header = seen.header("authorization").unwrap_or_default();
    let token = seen.bearer().unwrap_or_default();
    let address: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let entity = json!({
        "id": "5bb0f1f5-2f0e-4f5c-93f4-111111111111",
        "name": token, "fullyQualifiedName": "a.b.c.d", "entityType": "table",
        "description": format!("you sent {header} and {address}"),
        token: token,
    });
    let mut answers = vec![
        Answer::json(
            200,
            &json!({
                "hits": {"total": {"value": 1}, "hits": [{"_source": entity}]},
                "data": [entity], "paging": {"total": 1}, "reason": header,
                "fullyQualifiedName": "a.b.c.d", "name": "d", "description": header,
            }),
        ),
        Answer::json(200, &json!(format!("hello {token}"))),
        Answer::json(
            200,
            &json!({"data": [json!({"inner": header}).to_string()]}),
        ),
        Answer::empty(302)
            .with_header(
                "location",
                &format!("http://u:{PASSWORD}@h/{address}?token={address}"),
            )
            .with_header("content-length", "0"),
    ];
    for status in [400, 401, 403, 404, 409, 500, 501] {
        let message = format!("refused {header}, again {token}, {address}");
        answers.push(Answer::json(
            status,
            &json!({"code": status, "message": message}),
        ));
        answers.push(
            Answer::empty(status)
                .with_header("content-type", "text/plain")
                .with_body(format!("{{\"token\": {}", json!(token))),
        );
        answers.push(
            Answer::empty(status)
                .with_header("content-type", "text/html")
                .with_body(format!("<html>{token}</html>")),
        );
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_in_use_never_comes_back() {
    let probe = Seen {
        method: "GET".into(),
        path: String::new(),
        target: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    for number in 0..answers(&probe).len() {
        let echo = Replay::start(Version::V1_12_6).await;
        echo.allow_unmatched();
        echo.change_answers(move |seen, answer| {
            if seen.path.contains("/system/version") {
                return answer;
            }
            answers(seen).swap_remove(number)
        });
        let server = server(&echo.url(), Credential::Token(TOKEN.into()));
        for (tool, arguments) in reads().into_iter().chain(writes()) {
            let told = call(&server, tool, arguments).await.to_string();
            for piece in ["plain/token", "plain%2Ftoken", "the caller", "pass/word"] {
                assert!(!told.contains(piece), "{tool}, answer {number}: {told}");
            }
        }
        assert!(
            echo.requests()
                .iter()
                .any(|seen| seen.bearer() == Some(TOKEN))
        );
    }
}

#[tokio::test]
async fn the_password_of_a_login_never_comes_back() {
    for said in [
        PASSWORD.to_owned(),
        format!("no user for {}", STANDARD.encode(PASSWORD)),
        json!({"sent": PASSWORD}).to_string(),
    ] {
        let echo = Replay::start(Version::V1_12_6).await;
        let refusal = json!({"code": 401, "message": format!("cannot sign in: {said}")});
        echo.canned(
            "POST",
            "/api/v1/users/login",
            &[],
            Answer::json(401, &refusal),
        );
        let credential = Credential::Password {
            email: "a@example.org".into(),
            password: PASSWORD.into(),
        };
        let server = server(&echo.url(), credential);
        let told = call(
            &server,
            "get_entity",
            json!({"entities": ["table:a.b.c.d"]}),
        )
        .await;
        let told = told.to_string();
        assert!(told.contains("cannot sign in: "), "{told}");
        let encoded = STANDARD.encode(PASSWORD);
        for piece in ["pass/word", "the=login", encoded.as_str()] {
            assert!(!told.contains(piece), "{told}");
        }
    }
}
