//! Where entities come from: a live OpenMetadata or a local snapshot, behind one set of questions.
//!
//! Both sides hand out the answers of OpenMetadata's REST API, so that `wire` parses each form
//! once, whichever side it came from. Everything that leaves this room is free of credentials.

pub mod address;
pub mod catalogs;
pub mod changes;
pub mod client;
pub mod client_cache;
pub mod columns;
pub mod credentials;
pub mod difference;
pub mod doctor;
pub mod entities;
pub mod error;
pub mod facts;
pub mod fqn;
pub mod graph;
pub mod heard;
pub mod ingestion;
pub mod jwt;
pub mod lineage;
pub mod listing;
mod login;
pub mod lookup;
pub mod model;
pub mod near;
mod outage;
pub mod quality;
pub mod reading;
pub mod redact;
pub mod reference;
pub mod responses;
pub mod root_cause;
pub mod scope;
pub mod search;
pub mod sections;
pub mod sent;
pub mod server;
pub mod snapshot;
pub mod sync;
pub mod version;
pub mod wire;
pub mod writes;

use std::sync::Arc;

pub use catalogs::{Catalogs, Settings, Sources, Spare};
pub use client::Client;
pub use error::CatalogError;
pub use heard::{Heard, Lost};
pub use model::{EntitySummary, EntityType, Reference};
pub use snapshot::Snapshot;

pub use crate::settings::{Credential, Identity};

/// One catalog as one caller sees it. Cheap to clone.
#[derive(Clone)]
pub enum Catalog {
    /// A running OpenMetadata, with the credential of this caller.
    Live(Arc<Client>),
    /// A local copy.
    Snapshot(Arc<Snapshot>),
}

impl Catalog {
    /// `openmetadata` or `snapshot`, as answers name it.
    pub fn source(&self) -> &'static str {
        match self {
            Self::Live(_) => "openmetadata",
            Self::Snapshot(_) => "snapshot",
        }
    }

    /// The same catalog, for one call that wants to know whether the server answers.
    pub fn heard_by(&self, heard: &Arc<Heard>) -> Self {
        match self {
            Self::Live(client) => Self::Live(Arc::new(client.heard_by(heard))),
            Self::Snapshot(snapshot) => Self::Snapshot(Arc::clone(snapshot)),
        }
    }

    /// The same catalog without answers of a moment ago: for calls that change something, which
    /// have to compare with what is now.
    pub fn fresh(&self) -> Self {
        match self {
            Self::Live(client) => Self::Live(Arc::new(client.fresh())),
            Self::Snapshot(snapshot) => Self::Snapshot(Arc::clone(snapshot)),
        }
    }

    /// When what this catalog answers was true, where that is not now: RFC 3339.
    pub fn as_of(&self) -> Option<String> {
        match self {
            Self::Live(_) => None,
            Self::Snapshot(snapshot) => Some(snapshot.as_of().to_string()),
        }
    }
}
