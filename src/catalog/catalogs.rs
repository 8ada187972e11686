//! Every catalog that this server has, and the rule who sees which.

use std::sync::Arc;

use secrecy::SecretString;

use crate::net;

use super::{
    Catalog, CatalogError, Client, Snapshot, address::Address, credentials::Credential,
    server::Server,
};

/// How a live OpenMetadata is reached.
#[derive(Clone, Default)]
pub struct Settings {
    /// As the user wrote it; see `address`.
    pub url: String,
    /// The server's own credential.
    pub credential: Credential,
    pub net: net::Settings,
}

/// Every catalog that this server has, and the rule who sees which.
#[derive(Default)]
pub struct Catalogs {
    snapshot: Option<Arc<Snapshot>>,
    live: Option<Live>,
}

struct Live {
    server: Arc<Server>,
    own: Arc<Client>,
}

impl Catalogs {
    /// A server that answers everyone from one snapshot.
    pub fn of_snapshot(snapshot: Snapshot) -> Self {
        Self {
            snapshot: Some(Arc::new(snapshot)),
            live: None,
        }
    }

    /// A server that answers from a running OpenMetadata. Nothing is sent yet.
    pub fn of_openmetadata(settings: &Settings) -> Result<Self, CatalogError> {
        let address = Address::parse(&settings.url).map_err(|error| CatalogError::Invalid {
            argument: Some("OPENMETADATA_URL".into()),
            message: error.to_string(),
        })?;
        let server = Arc::new(Server::new(address, settings.net.clone()));
        let own = Arc::new(Client::new(
            Arc::clone(&server),
            settings.credential.clone(),
        ));
        Ok(Self {
            snapshot: None,
            live: Some(Live { server, own }),
        })
    }

    /// The catalog as the caller with this token sees it; the server's own credential without one.
    pub fn of(&self, token: Option<&SecretString>) -> Result<Catalog, CatalogError> {
        if let Some(live) = &self.live {
            return Ok(Catalog::Live(match token {
                Some(token) => Arc::new(Client::new(
                    Arc::clone(&live.server),
                    Credential::Token(token.clone()),
                )),
                None => Arc::clone(&live.own),
            }));
        }
        match &self.snapshot {
            Some(snapshot) => Ok(Catalog::Snapshot(Arc::clone(snapshot))),
            None => Err(CatalogError::Unavailable {
                message:
                    "no catalog is configured: set OPENMETADATA_URL and OPENMETADATA_TOKEN, or \
                          run `openpolicy-mcp demo`"
                        .into(),
            }),
        }
    }
}
