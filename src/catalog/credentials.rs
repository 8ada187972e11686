//! The credential of one client: a token by value or by file, or a login that is renewed.
//!
//! Never logs in twice with a password that was refused: OpenMetadata locks an account after three
//! wrong ones (recorded: system/login-wrong-1 to -6).

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime},
};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::settings::Credential;

use super::{error::CatalogError, jwt, login, server::Server};

/// A login is renewed this long before its end.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// A token that was made because the last one was refused is not replaced again within this time:
/// a server that refuses every token would otherwise be asked for ever.
const RENEW_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How long a locked account is left alone.
const LOCKED_FOR: Duration = Duration::from_secs(600);

/// A credential with the token that is in use. Renewing is done by one, the others wait for it.
pub struct Credentials {
    credential: Credential,
    state: Mutex<State>,
    /// Counts up when the token may be someone else's.
    identity: AtomicU64,
}

#[derive(Default)]
struct State {
    token: Option<SecretString>,
    /// Time of change and length of the file when it was read.
    file: Option<(Option<SystemTime>, u64)>,
    refresh_token: Option<SecretString>,
    /// End of the login by the server's clock.
    expires: Option<jiff::Timestamp>,
    renewed_after_refusal: Option<Instant>,
    /// The login was refused, and until when that is not tried again (for ever without a time).
    refused: Option<(CatalogError, Option<Instant>)>,
}

impl Credentials {
    /// A token is taken as people paste it: with `Bearer` in front, in quotes.
    pub fn new(credential: Credential) -> Self {
        Self {
            credential: match credential {
                Credential::Token(token) => {
                    Credential::Token(jwt::pasted(token.expose_secret()).into())
                }
                other => other,
            },
            state: Mutex::default(),
            identity: AtomicU64::new(0),
        }
    }

    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Changes when the token may have become someone else's: what was read before is not theirs.
    pub fn identity(&self) -> u64 {
        self.identity.load(Ordering::Acquire)
    }

    /// The token to send now; none where there is no credential.
    pub async fn token(&self, server: &Server) -> Result<Option<SecretString>, CatalogError> {
        match &self.credential {
            Credential::None => Ok(None),
            Credential::Token(token) => Ok(Some(token.clone())),
            Credential::TokenFile(path) => {
                let mut state = self.state.lock().await;
                self.read_file(&mut state, path, false).await.map(Some)
            }
            Credential::Password { email, password } => {
                let mut state = self.state.lock().await;
                let is_fresh = state.expires.is_none_or(|end| {
                    jiff::Timestamp::now().duration_until(end).as_secs()
                        > RENEW_BEFORE.as_secs() as i64
                });
                match &state.token {
                    Some(token) if is_fresh => Ok(Some(token.clone())),
                    _ => self
                        .log_in(&mut state, server, email, password)
                        .await
                        .map(Some),
                }
            }
        }
    }

    /// Another token after this one was refused; none where there is no other.
    pub async fn renewed(
        &self,
        server: &Server,
        refused: &SecretString,
    ) -> Result<Option<SecretString>, CatalogError> {
        if matches!(self.credential, Credential::None | Credential::Token(_)) {
            return Ok(None);
        }
        let mut state = self.state.lock().await;
        // Another call has renewed it while this one waited.
        if let Some(token) = &state.token
            && token.expose_secret() != refused.expose_secret()
        {
            return Ok(Some(token.clone()));
        }
        match &self.credential {
            Credential::None | Credential::Token(_) => Ok(None),
            Credential::TokenFile(path) => {
                let token = self.read_file(&mut state, path, true).await?;
                let is_other = token.expose_secret() != refused.expose_secret();
                Ok(is_other.then_some(token))
            }
            Credential::Password { email, password } => {
                let is_too_soon = state
                    .renewed_after_refusal
                    .is_some_and(|at| at.elapsed() < RENEW_AGAIN_AFTER);
                if is_too_soon {
                    return Ok(None);
                }
                let token = self.log_in(&mut state, server, email, password).await?;
                state.renewed_after_refusal = Some(Instant::now());
                Ok(Some(token))
            }
        }
    }

    async fn read_file(
        &self,
        state: &mut State,
        path: &Path,
        must_read: bool,
    ) -> Result<SecretString, CatalogError> {
        let unreadable = |error: std::io::Error| CatalogError::Unauthorized {
            message: format!("the token file {} cannot be read: {error}", path.display()),
            advice: "check OPENMETADATA_TOKEN_FILE, and that this process may read the file".into(),
        };
        let metadata = tokio::fs::metadata(path).await.map_err(unreadable)?;
        let mark = (metadata.modified().ok(), metadata.len());
        if let Some(token) = &state.token
            && !must_read
            && state.file == Some(mark)
        {
            return Ok(token.clone());
        }
        let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
        let token = SecretString::from(jwt::pasted(&text));
        if token.expose_secret().is_empty() {
            return Err(CatalogError::Unauthorized {
                message: format!("the token file {} is empty", path.display()),
                advice: jwt::WHERE_FROM.into(),
            });
        }
        let is_other = state
            .token
            .as_ref()
            .is_some_and(|old| old.expose_secret() != token.expose_secret());
        if is_other {
            self.identity.fetch_add(1, Ordering::AcqRel);
        }
        state.file = Some(mark);
        state.token = Some(token.clone());
        Ok(token)
    }

    /// Renews a login by its refresh token, else by the password.
    async fn log_in(
        &self,
        state: &mut State,
        server: &Server,
        email: &str,
        password: &SecretString,
    ) -> Result<SecretString, CatalogError> {
        if let Some((refusal, until)) = &state.refused
            && until.is_none_or(|until| Instant::now() < until)
        {
            return Err(refusal.clone());
        }
        if let Some(refresh_token) = state.refresh_token.take() {
            match login::refresh(server, &refresh_token).await {
                Ok(session) => return Ok(state.hold(session)),
                Err(login::Failure::Refused { .. }) => {}
                Err(login::Failure::NoAnswer(error)) => {
                    state.refresh_token = Some(refresh_token);
                    return Err(error);
                }
            }
        }
        match login::log_in(server, email, password).await {
            Ok(session) => Ok(state.hold(session)),
            Err(login::Failure::NoAnswer(error)) => Err(error),
            Err(login::Failure::Refused { said, is_locked }) => {
                let until = is_locked.then(|| Instant::now() + LOCKED_FOR);
                let error = login::refusal(email, &said, is_locked);
                state.token = None;
                state.refused = Some((error.clone(), until));
                Err(error)
            }
        }
    }
}

impl State {
    fn hold(&mut self, session: login::Session) -> SecretString {
        self.token = Some(session.token.clone());
        self.refresh_token = session.refresh_token;
        self.expires = session.expires;
        self.refused = None;
        session.token
    }
}
