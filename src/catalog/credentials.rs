//! The credential of one client: a token by value or by file, or a login that is renewed.

use secrecy::SecretString;

use super::error::CatalogError;

/// What proves to OpenMetadata who asks.
#[derive(Clone, Default)]
pub enum Credential {
    /// None: only the version and the login page answer.
    #[default]
    None,
    Token(SecretString),
}

/// A credential with what has been learned about it.
pub struct Credentials {
    credential: Credential,
}

impl Credentials {
    pub fn new(credential: Credential) -> Self {
        Self { credential }
    }

    /// The token to send now.
    pub async fn token(&self) -> Result<Option<SecretString>, CatalogError> {
        match &self.credential {
            Credential::None => Ok(None),
            Credential::Token(token) => Ok(Some(token.clone())),
        }
    }
}
