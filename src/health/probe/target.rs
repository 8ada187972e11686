//! Where a probe goes: an address taken apart, its password kept secret.

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::super::observation::Outcome;
use crate::platform::ProbeKind;

/// What an address of one kind looks like.
pub(super) struct Form {
    /// Schemes with their ports.
    pub(super) schemes: &'static [(&'static str, u16)],
    pub(super) example: &'static str,
}

/// Of everything that speaks HTTP.
pub(super) const WEB: Form = Form {
    schemes: &[("http", 80), ("https", 443)],
    example: "http://host:port/path",
};

/// An address taken apart.
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretString>,
}

impl Target {
    pub(super) fn of(address: &SecretString, form: &Form) -> Result<Self, Outcome> {
        let written = address.expose_secret().trim();
        if written.is_empty() || written.contains("${") {
            return Err(Outcome::CouldNotLook(
                "its address is not set: set the environment variable that the platform file \
                 names"
                    .into(),
            ));
        }
        let unreadable = || {
            Outcome::CouldNotLook(format!(
                "the address of its probe cannot be read: it should look like {}",
                form.example
            ))
        };
        let url = Url::parse(written).map_err(|_| unreadable())?;
        // SQLAlchemy writes `postgresql+psycopg2://`.
        let scheme = url.scheme().split('+').next().unwrap_or_default();
        let known = form.schemes.iter().find(|(known, _)| *known == scheme);
        let (_, usual_port) = known.ok_or_else(unreadable)?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(unreadable)?.to_owned();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Ok(Self {
            port: url.port().unwrap_or(*usual_port),
            user: Some(url.username())
                .filter(|user| !user.is_empty())
                .map(decoded),
            password: url.password().map(decoded).map(SecretString::from),
            host,
            url,
        })
    }

    /// `host:port`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The first part of the path, decoded: a database, a virtual host.
    pub(super) fn first_part(&self) -> Option<String> {
        let path = self.url.path().strip_prefix('/')?;
        let decoded = percent_decode_str(path).decode_utf8_lossy().into_owned();
        Some(decoded).filter(|part| !part.is_empty())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.url.query_pairs();
        let found = pairs.find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned())
    }
}

/// `host:port` of any probe, for sentences.
pub(super) fn place(kind: &ProbeKind) -> String {
    let of = |address: &SecretString, port: u16| {
        let url = Url::parse(address.expose_secret().trim()).ok();
        url.and_then(|url| {
            let port = url.port_or_known_default().unwrap_or(port);
            Some(format!("{}:{port}", url.host_str()?))
        })
        .unwrap_or_else(|| "its address".into())
    };
    match kind {
        ProbeKind::Http { url, .. }
        | ProbeKind::Page { url, .. }
        | ProbeKind::SearchEngine { url }
        | ProbeKind::OpenMetadata { url }
        | ProbeKind::Airflow { url } => of(url, 80),
        ProbeKind::Tcp { host, port } => format!("{host}:{port}"),
        ProbeKind::Postgres { url, .. } => of(url, 5432),
        ProbeKind::Redis { url, .. } => of(url, 6379),
        ProbeKind::Amqp { url, .. } => of(url, 5672),
        ProbeKind::Process => "its process".into(),
        ProbeKind::Withheld { .. } => "its address".into(),
    }
}
