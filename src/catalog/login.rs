//! Signing in with e-mail and password: `POST /users/login` and `/users/refresh`.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::net;

use super::{error::CatalogError, responses, sent::Sent, server::Server};

/// What a login gives.
pub struct Session {
    pub token: SecretString,
    pub refresh_token: Option<SecretString>,
    /// `expiryDuration` of the answer: an absolute time in milliseconds, whatever its name says.
    pub expires: Option<jiff::Timestamp>,
}

/// Why there is none.
pub enum Failure {
    /// The server looked at it and said no.
    Refused {
        said: String,
        is_locked: bool,
    },
    NoAnswer(CatalogError),
}

/// Asks once. A wrong password must not be sent again.
pub async fn log_in(
    server: &Server,
    email: &str,
    password: &SecretString,
) -> Result<Session, Failure> {
    // Base64, as OpenMetadata wants it (recorded: system/login-plain-password is refused).
    let encoded = SecretString::from(STANDARD.encode(password.expose_secret()));
    let body = json!({"email": email, "password": encoded.expose_secret()});
    let sent = Sent::these([password, &encoded]);
    session(server, "users/login", &body, &sent).await
}

pub async fn refresh(server: &Server, refresh_token: &SecretString) -> Result<Session, Failure> {
    let body = json!({"refreshToken": refresh_token.expose_secret()});
    let sent = Sent::these([refresh_token]);
    session(server, "users/refresh", &body, &sent).await
}

async fn session(
    server: &Server,
    path: &str,
    body: &Value,
    sent: &Sent,
) -> Result<Session, Failure> {
    let asked = responses::asked("POST", path);
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let request = net::Request {
        method: http::Method::POST,
        url: server.url(path, &[]).map_err(Failure::NoAnswer)?,
        headers,
        body: Some(body.to_string().into_bytes()),
    };
    let reply = server
        .send(request)
        .await
        .map_err(|error| Failure::NoAnswer(server.unreachable(&error)))?;
    // 400 on 1.2.0, 401 on newer ones; 404 for a refresh token that is none.
    if matches!(reply.status, 400 | 401 | 403 | 404) {
        let said = responses::said(&reply, sent).unwrap_or_default();
        // An address that is not OpenMetadata's has refused nothing.
        if !said.is_empty() && !said.contains("HTTP 404") {
            let is_locked = said.contains("Attempts Exceeded");
            return Err(Failure::Refused { said, is_locked });
        }
    }
    // The one answer that is read without redaction: its tokens go no further than `Session`.
    let answer = responses::read_as_sent(&reply, &asked, sent).map_err(Failure::NoAnswer)?;
    let text = |name: &str| Some(SecretString::from(answer.get(name)?.as_str()?));
    Ok(Session {
        token: text("accessToken").ok_or_else(|| {
            Failure::NoAnswer(CatalogError::BadUpstream {
                message: format!("{asked} was answered without a token"),
            })
        })?,
        refresh_token: text("refreshToken"),
        expires: answer
            .get("expiryDuration")
            .and_then(Value::as_i64)
            .and_then(|milliseconds| jiff::Timestamp::from_millisecond(milliseconds).ok()),
    })
}

/// What a user is told of a refused login.
pub fn refusal(email: &str, said: &str, is_locked: bool) -> CatalogError {
    let email = crate::answer::clean::text(email, 80);
    CatalogError::Unauthorized {
        message: format!("OpenMetadata refuses to sign in {email}: {said}"),
        advice: if is_locked {
            "the account is locked for a while after wrong passwords: wait ten minutes, and check \
             OPENMETADATA_PASSWORD before then"
        } else {
            "check OPENMETADATA_EMAIL and OPENMETADATA_PASSWORD and restart; it is not tried again, \
             because OpenMetadata locks an account after three wrong passwords. A server with single \
             sign-on takes no passwords: use a token (Settings > Bots, or Access Tokens in your profile)"
        }
        .into(),
    }
}
