//! Where the snapshot of a catalog lies: one folder for each server and identity.
//!
//! A snapshot shows what the credential may see that it was taken with, so another identity never
//! finds it.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    catalog::{address::Address, jwt},
    digest,
    settings::{Credential, OpenMetadataSettings},
    store::{StateError, StateFolder},
};

/// The folder of one snapshot, made where it was missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
    url: String,
    identity: String,
}

/// Why there is no place for a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Address(#[from] crate::catalog::address::AddressError),
    #[error("the token file {path} cannot be read: {error}")]
    TokenFile { path: String, error: std::io::Error },
}

impl Place {
    /// `<state>/catalog/<key>`. The key is the first 16 hex digits of SHA-256 over the address of
    /// the server and the identity of our own credential. A token file is read for it.
    pub fn of(state: &StateFolder, settings: &OpenMetadataSettings) -> Result<Self, PlaceError> {
        let address = Address::parse(&settings.url)?;
        let identity = identity(&settings.credential)?;
        let key = key(address.as_str(), &identity);
        state.folder("catalog")?;
        Ok(Self {
            folder: state.folder(&format!("catalog/{key}"))?,
            url: address.as_str().to_owned(),
            identity,
        })
    }

    /// The finished copy, if there is one. Replaced as a whole by a rename, never written to.
    pub fn snapshot(&self) -> PathBuf {
        self.folder.join("snapshot.sqlite")
    }

    /// The copy that is being made, or that was interrupted.
    pub fn unfinished(&self) -> PathBuf {
        self.folder.join("unfinished.sqlite")
    }

    /// Held by the process that copies, while it copies.
    pub fn lock(&self) -> PathBuf {
        self.folder.join("sync.lock")
    }

    /// Who holds the lock, in words for the next.
    pub fn holder(&self) -> PathBuf {
        self.folder.join("sync.holder")
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The normalised address, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whose credential it is: a user or bot by name or e-mail, or `anonymous`.
    pub fn identity(&self) -> &str {
        &self.identity
    }
}

/// Whose credential it is, as far as it tells by itself.
fn identity(credential: &Credential) -> Result<String, PlaceError> {
    Ok(match credential {
        Credential::None => "anonymous".to_owned(),
        Credential::Password { email, .. } => email.trim().to_lowercase(),
        Credential::Token(token) => of_token(token),
        Credential::TokenFile(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| PlaceError::TokenFile {
                path: path.display().to_string(),
                error,
            })?;
            of_token(&text.into())
        }
    })
}

/// The subject of a token outlives the token; one without a subject is known by its hash.
fn of_token(token: &SecretString) -> String {
    let token = jwt::pasted(token.expose_secret());
    match jwt::Token::look(token) {
        jwt::Token::Jwt(jwt::Claims {
            subject: Some(subject),
            ..
        }) => subject,
        _ => format!("token {}", digest::short(token, 16)),
    }
}

fn key(url: &str, identity: &str) -> String {
    // A line break stands in neither.
    digest::short(format!("{url}\n{identity}"), 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, credential: Credential) -> OpenMetadataSettings {
        OpenMetadataSettings {
            url: url.into(),
            credential,
            ca_file: None,
            identity: crate::settings::Identity::Server,
        }
    }

    fn email(email: &str) -> Credential {
        Credential::Password {
            email: email.into(),
            password: "canary".into(),
        }
    }

    #[test]
    fn is_one_for_each_server_and_identity() {
        let above = tempfile::tempdir().expect("a folder");
        let state = StateFolder::at(above.path()).expect("a state folder");
        let of = |url: &str, credential| Place::of(&state, &settings(url, credential)).unwrap();
        let one = of("http://om:8585/api/", email("a@b.example"));
        assert_eq!(one, of("http://om:8585", email("A@b.example ")));
        assert_eq!(one.url(), "http://om:8585");
        for other in [
            of("http://om:8586", email("a@b.example")),
            of("http://om:8585", email("c@b.example")),
            of("http://om:8585", Credential::None),
            of("http://om:8585", Credential::Token("not a jwt".into())),
        ] {
            assert_ne!(one.folder(), other.folder());
        }
        assert!(one.folder().is_dir());
        assert_eq!(one.snapshot().file_name().unwrap(), "snapshot.sqlite");
    }

    #[test]
    fn a_token_that_is_no_jwt_is_known_by_its_hash_alone() {
        let identity = of_token(&"Bearer canary".into());
        assert!(!identity.contains("canary"), "{identity}");
        assert_eq!(identity, of_token(&"canary".into()));
    }

    #[test]
    fn a_token_file_that_is_not_there_is_named() {
        let error = identity(&Credential::TokenFile("/nowhere/token".into())).unwrap_err();
        assert!(error.to_string().contains("/nowhere/token"));
    }
}
