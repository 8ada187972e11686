//! Every catalog that this server has, and the rule who sees which.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::{
    net,
    settings::{CatalogMode, Credential, Identity, OpenMetadataSettings, SnapshotUse},
};

use super::{
    Catalog, CatalogError, Client, Snapshot,
    address::Address,
    jwt, outage,
    server::Server,
    snapshot::{Held, SnapshotFile},
};

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
    /// The snapshot of `live`, and when it answers.
    copy: Option<(Arc<SnapshotFile>, SnapshotUse)>,
    /// Why there is no catalog although one is named.
    withheld: Option<String>,
}

/// Who answers a call.
pub struct Sources {
    /// Who is asked first, or why nobody is.
    pub first: Result<Catalog, CatalogError>,
    pub spare: Spare,
}

/// Who answers where a live catalog does not.
pub enum Spare {
    /// Nobody: there is no snapshot, or not for this caller.
    None,
    /// A snapshot is there that cannot be used, and why.
    Unusable(String),
    Snapshot {
        snapshot: Arc<Snapshot>,
        /// How long the live catalog may be silent before.
        patience: Duration,
    },
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

    /// A server that may not ask the catalog that is named, or cannot, for this reason.
    pub fn withheld(why: String) -> Self {
        Self {
            withheld: Some(why),
            ..Self::default()
        }
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

    /// The snapshot of the live catalog, for the calls that may see it.
    pub fn with_snapshot(mut self, file: SnapshotFile, how: SnapshotUse) -> Self {
        self.copy = Some((Arc::new(file), how));
        self
    }

    /// Who answers a call that reads, to the caller with this token.
    pub async fn sources(&self, token: Option<&SecretString>) -> Sources {
        let Some((file, how)) = &self.copy else {
            return Sources {
                first: self.of(token),
                spare: Spare::None,
            };
        };
        let first = match how.answers {
            CatalogMode::Live | CatalogMode::Auto => self.of(token),
            CatalogMode::Snapshot => {
                return Sources {
                    first: self.only_snapshot(token, file.look().await),
                    spare: Spare::None,
                };
            }
        };
        let is_spared =
            first.is_ok() && how.answers == CatalogMode::Auto && self.may_see_copy(token);
        let spare = match is_spared {
            false => Spare::None,
            true => match file.look().await {
                Held::Absent => Spare::None,
                Held::Unusable(why) => Spare::Unusable(why),
                Held::Open(snapshot) => Spare::Snapshot {
                    snapshot,
                    patience: how.patience,
                },
            },
        };
        Sources { first, spare }
    }

    /// A snapshot shows what the server's own credential may see: never to a caller who brings
    /// another, unless the operator says so, and to nobody where each has to bring one.
    fn may_see_copy(&self, token: Option<&SecretString>) -> bool {
        let is_for_everyone = self.copy.as_ref().is_some_and(|(_, how)| how.for_everyone);
        let identity = self.live.as_ref().map(|live| live.identity);
        identity == Some(Identity::Server) && (token.is_none() || is_for_everyone)
    }

    /// The snapshot alone, as it was asked for.
    fn only_snapshot(
        &self,
        token: Option<&SecretString>,
        held: Held,
    ) -> Result<Catalog, CatalogError> {
        if !self.may_see_copy(token) {
            return Err(not_for_callers());
        }
        match held {
            Held::Open(snapshot) => Ok(Catalog::Snapshot(snapshot)),
            Held::Unusable(message) => Err(CatalogError::Unavailable { message }),
            Held::Absent => Err(CatalogError::Unavailable {
                message: "this server answers from the snapshot alone (--catalog snapshot), and \
                          none was taken of this OpenMetadata with this credential: run \
                          `openpolicy-mcp sync`"
                    .into(),
            }),
        }
    }

    /// Why the live catalog is not asked now; it is looked for in the background.
    pub fn outage(&self) -> Option<String> {
        self.live.as_ref()?.server.outage().why()
    }

    /// Remembers for a moment that the live catalog is away, or too slow for what it is asked.
    pub fn is_away(&self, why: String, is_slow: bool) {
        if let Some(live) = &self.live {
            outage::begins(&live.server, why, is_slow);
        }
    }

    /// What stands at the place of the snapshot of the live catalog.
    pub async fn copy(&self) -> Option<Held> {
        match &self.copy {
            Some((file, _)) => Some(file.look().await),
            None => None,
        }
    }

    /// The catalog as the caller with this token sees it; without one as the server's own
    /// credential sees it, unless each caller has to bring a token.
    pub fn of(&self, token: Option<&SecretString>) -> Result<Catalog, CatalogError> {
        match (&self.live, &self.snapshot) {
            (Some(live), _) => live.of(token).map(Catalog::Live),
            (None, Some(snapshot)) => {
                if token.is_some() && !self.is_snapshot_for_everyone {
                    return Err(not_for_callers());
                }
                Ok(Catalog::Snapshot(Arc::clone(snapshot)))
            }
            (None, None) => Err(CatalogError::Unavailable {
                message: self.withheld.clone().unwrap_or_else(|| {
                    "no catalog is configured: set OPENMETADATA_URL and OPENMETADATA_TOKEN, or \
                     run `openpolicy-mcp demo`"
                        .into()
                }),
            }),
        }
    }

    /// The client with the server's own credential, for `doctor` and readiness.
    pub fn own_client(&self) -> Option<&Arc<Client>> {
        self.live.as_ref().map(|live| &live.own)
    }
}

fn not_for_callers() -> CatalogError {
    CatalogError::Forbidden {
        message: "the catalog is a snapshot taken with another credential; it does not answer \
                  callers with an OpenMetadata token of their own"
            .into(),
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
