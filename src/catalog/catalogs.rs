//! Every catalog that this server has, and the rule who sees which.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::{
    net,
    settings::{Credential, Identity, OpenMetadataSettings},
};

use super::{Catalog, CatalogError, Client, Snapshot, address::Address, jwt, server::Server};

/// How a live OpenMetadata is reached.
#[derive(Clone, Default)]
pub struct Settings {
    /// As the user wrote it; see `address`.
    pub url: String,
    /// The server's own credential.
    pub credential: Credential,
    pub identity: Identity,
    pub net: net::Settings,
}

impl From<&OpenMetadataSettings> for Settings {
    fn from(settings: &OpenMetadataSettings) -> Self {
        Self {
            url: settings.url.clone(),
            credential: settings.credential.clone(),
            identity: settings.identity,
            net: net::Settings {
                ca_file: settings.ca_file.clone(),
                ..net::Settings::default()
            },
        }
    }
}

/// Callers with a token of their own that are remembered, the least used forgotten first.
const CALLERS: u64 = 256;

/// A caller who asks nothing for this long is forgotten, token and all.
const CALLER_IDLE: Duration = Duration::from_secs(15 * 60);

/// Longer than any token that OpenMetadata signs; a header cannot be longer either.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Every catalog that this server has, and the rule who sees which.
#[derive(Default)]
pub struct Catalogs {
    snapshot: Option<Arc<Snapshot>>,
    is_snapshot_for_everyone: bool,
    live: Option<Live>,
}

struct Live {
    server: Arc<Server>,
    own: Arc<Client>,
    identity: Identity,
    /// By the hash of the token: a memory dump of this map tells no token that is not in use.
    callers: Cache<[u8; 32], Arc<Client>>,
}

impl Catalogs {
    /// A server that answers from one snapshot: whoever brings no token of their own, as it was
    /// taken with one credential and shows what that one may see.
    pub fn of_snapshot(snapshot: Snapshot) -> Self {
        Self {
            snapshot: Some(Arc::new(snapshot)),
            ..Self::default()
        }
    }

    /// The operator says that the snapshot is for everyone, also for callers with a token.
    pub fn for_everyone(mut self) -> Self {
        self.is_snapshot_for_everyone = true;
        self
    }

    /// A server that answers from a running OpenMetadata. Nothing is sent yet.
    pub fn of_openmetadata(settings: &Settings) -> Result<Self, CatalogError> {
        let address = Address::parse(&settings.url).map_err(|error| CatalogError::Invalid {
            argument: Some("OPENMETADATA_URL".into()),
            message: error.to_string(),
        })?;
        let server = Arc::new(Server::new(address, settings.net.clone()));
        let own = Client::new(Arc::clone(&server), settings.credential.clone());
        Ok(Self {
            live: Some(Live {
                server,
                own: Arc::new(own),
                identity: settings.identity,
                callers: Cache::builder()
                    .max_capacity(CALLERS)
                    .time_to_idle(CALLER_IDLE)
                    .build(),
            }),
            ..Self::default()
        })
    }

    /// The catalog as the caller with this token sees it; without one as the server's own
    /// credential sees it, unless each caller has to bring a token.
    pub fn of(&self, token: Option<&SecretString>) -> Result<Catalog, CatalogError> {
        match (&self.live, &self.snapshot) {
            (Some(live), _) => live.of(token).map(Catalog::Live),
            (None, Some(snapshot)) => {
                if token.is_some() && !self.is_snapshot_for_everyone {
                    return Err(CatalogError::Forbidden {
                        message:
                            "the catalog is a snapshot taken with another credential; it does \
                                  not answer callers with an OpenMetadata token of their own"
                                .into(),
                    });
                }
                Ok(Catalog::Snapshot(Arc::clone(snapshot)))
            }
            (None, None) => Err(CatalogError::Unavailable {
                message:
                    "no catalog is configured: set OPENMETADATA_URL and OPENMETADATA_TOKEN, or \
                     run `openpolicy-mcp demo`"
                        .into(),
            }),
        }
    }

    /// The client with the server's own credential, for `doctor` and readiness.
    pub fn own_client(&self) -> Option<&Arc<Client>> {
        self.live.as_ref().map(|live| &live.own)
    }
}

impl Live {
    fn of(&self, token: Option<&SecretString>) -> Result<Arc<Client>, CatalogError> {
        let Some(token) = token else {
            return match self.identity {
                Identity::Server => Ok(Arc::clone(&self.own)),
                Identity::Caller => Err(CatalogError::Unauthorized {
                    message: "this server reads the catalog as its caller, and this call came \
                              without an OpenMetadata token"
                        .into(),
                    advice: "send your own token in the header X-OpenMetadata-Token (set it in \
                             the configuration of the MCP client)"
                        .into(),
                }),
            };
        };
        let pasted = jwt::pasted(token.expose_secret());
        // A variable that nothing filled in must not give its caller the rights of the server.
        if pasted.is_empty() || pasted.len() > LONGEST_TOKEN {
            return Err(CatalogError::Unauthorized {
                message: format!(
                    "the header X-OpenMetadata-Token is {}",
                    if pasted.is_empty() {
                        "empty"
                    } else {
                        "longer than any token"
                    }
                ),
                advice: jwt::WHERE_FROM.into(),
            });
        }
        let hash: [u8; 32] = Sha256::digest(pasted.as_bytes()).into();
        Ok(self.callers.get_with(hash, || {
            let credential = Credential::Token(pasted.into());
            Arc::new(Client::new(Arc::clone(&self.server), credential))
        }))
    }
}
