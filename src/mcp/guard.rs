//! Who may ask over HTTP: pure decisions on Host, Origin and the bearer token.

use std::net::{IpAddr, SocketAddr};

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use url::Url;

use crate::settings::HttpSettings;

/// What every request is checked against.
pub struct Guard {
    token: Option<SecretString>,
    hosts: Vec<Authority>,
    origins: Vec<Origin>,
    any_host: bool,
}

/// Why the server does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    #[error(
        "{0} is reachable from other machines: set OPENPOLICY_HTTP_TOKEN (or OPENPOLICY_HTTP_TOKEN_FILE) so \
         that every request needs it, or bind to 127.0.0.1"
    )]
    WideWithoutToken(SocketAddr),
    #[error("the HTTP token is shorter than {SHORTEST_TOKEN} characters; use a longer random one")]
    ShortToken,
    #[error("the HTTP token holds a character that a header cannot carry")]
    UnsendableToken,
    #[error("the allowed host `{0}` is no host name; give `name` or `name:port`, without a scheme")]
    Host(String),
    #[error("the allowed origin `{0}` is no origin; give `https://host` or `https://host:port`")]
    Origin(String),
}

const SHORTEST_TOKEN: usize = 16;

/// Host and, where it is said, port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

/// Scheme and host; no port means every port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    authority: Authority,
}

/// What a request is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Host,
    Origin,
    NoToken,
    WrongToken,
}

impl Guard {
    /// The guard of these settings; refuses an address that others can reach without a token.
    pub fn new(settings: &HttpSettings) -> Result<Self, GuardError> {
        match &settings.token {
            None if !settings.address.ip().is_loopback() => {
                return Err(GuardError::WideWithoutToken(settings.address));
            }
            Some(token) if token.expose_secret().len() < SHORTEST_TOKEN => {
                return Err(GuardError::ShortToken);
            }
            Some(token)
                if !token
                    .expose_secret()
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic()) =>
            {
                return Err(GuardError::UnsendableToken);
            }
            _ => {}
        }
        let mut hosts: Vec<Authority> = ["localhost", "127.0.0.1", "::1"]
            .into_iter()
            .map(|host| Authority {
                host: host.into(),
                port: None,
            })
            .collect();
        let mut any_host = false;
        for host in &settings.allowed_hosts {
            if host.trim() == "*" {
                any_host = true;
            } else {
                hosts.push(authority(host).ok_or_else(|| GuardError::Host(host.clone()))?);
            }
        }
        let origins = settings.allowed_origins.iter();
        Ok(Self {
            token: settings.token.clone(),
            hosts,
            origins: origins
                .map(|written| origin(written).ok_or_else(|| GuardError::Origin(written.clone())))
                .collect::<Result<_, _>>()?,
            any_host,
        })
    }

    /// Whether the Host of a request is one of ours. Without this check, a page on the web could
    /// let its own name resolve to this machine and ask with the user's browser.
    ///
    /// An address instead of a name cannot be such a page's doing: the one that the request came in
    /// on (`local`) is fine.
    pub fn host(&self, host: Option<&str>, local: Option<IpAddr>) -> Result<(), Refusal> {
        if self.any_host {
            return Ok(());
        }
        let asked = host.and_then(authority).ok_or(Refusal::Host)?;
        let is_local = || {
            let address: Option<IpAddr> = asked.host.parse().ok();
            address.is_some() && address == local.map(|local| local.to_canonical())
        };
        let is_listed = self.hosts.iter().any(|known| {
            known.host == asked.host && (known.port.is_none() || known.port == asked.port)
        });
        (is_listed || is_local()).then_some(()).ok_or(Refusal::Host)
    }

    /// Whether a browser may ask on behalf of this origin. Programs send none.
    pub fn origin(&self, written: Option<&str>) -> Result<(), Refusal> {
        let Some(written) = written else {
            return Ok(());
        };
        let asked = origin(written).ok_or(Refusal::Origin)?;
        let is_loopback = matches!(
            asked.authority.host.as_str(),
            "localhost" | "127.0.0.1" | "::1"
        );
        let is_listed = self.origins.iter().any(|known| {
            known.scheme == asked.scheme
                && known.authority.host == asked.authority.host
                && (known.authority.port.is_none() || known.authority.port == asked.authority.port)
        });
        (is_loopback || is_listed)
            .then_some(())
            .ok_or(Refusal::Origin)
    }

    pub fn wants_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether `Authorization` carries the token, compared in constant time.
    pub fn token(&self, authorization: Option<&[u8]>) -> Result<(), Refusal> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let sent = authorization
            .and_then(|value| value.split_at_checked(7))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, sent)| sent.trim_ascii())
            .ok_or(Refusal::NoToken)?;
        bool::from(sent.ct_eq(token.expose_secret().as_bytes()))
            .then_some(())
            .ok_or(Refusal::WrongToken)
    }
}

/// `name`, `name:port`, `[::1]:port`.
fn authority(written: &str) -> Option<Authority> {
    let written = written.trim();
    // An IPv6 address without brackets would be read as a name and a port.
    let written = match written.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => written.to_owned(),
    };
    if written.is_empty() || written.contains(['/', '@', '?', '#', '\\']) {
        return None;
    }
    let url = Url::parse(&format!("http://{written}/")).ok()?;
    // `Url` drops the port 80; it is said all the same.
    let is_80 = written.ends_with(":80");
    Some(Authority {
        host: host_of(&url)?,
        port: url.port().or(is_80.then_some(80)),
    })
}

fn origin(written: &str) -> Option<Origin> {
    let written = written.trim();
    let any_port = written.strip_suffix(":*");
    let url = Url::parse(any_port.unwrap_or(written)).ok()?;
    let is_plain =
        matches!(url.path(), "" | "/") && url.query().is_none() && url.username().is_empty();
    if !is_plain {
        return None;
    }
    Some(Origin {
        scheme: url.scheme().to_owned(),
        authority: Authority {
            host: host_of(&url)?,
            port: match any_port {
                Some(_) => None,
                None => url.port_or_known_default(),
            },
        },
    })
}

fn host_of(url: &Url) -> Option<String> {
    Some(match url.host()? {
        url::Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        url::Host::Ipv4(address) => address.to_string(),
        url::Host::Ipv6(address) => address.to_canonical().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(address: &str) -> HttpSettings {
        HttpSettings::new(address.parse().unwrap())
    }

    fn guard() -> Guard {
        let mut settings = settings("127.0.0.1:0");
        settings.allowed_hosts = vec!["mcp.example.org".into(), "other:8443".into()];
        settings.allowed_origins = vec![
            "https://app.example.org".into(),
            "http://dev.example.org:*".into(),
        ];
        Guard::new(&settings).unwrap()
    }

    #[test]
    fn a_wide_address_needs_a_token() {
        for address in ["0.0.0.0:80", "[::]:80", "192.168.1.5:80"] {
            let mut settings = settings(address);
            let refused = Guard::new(&settings).err().unwrap();
            assert!(matches!(refused, GuardError::WideWithoutToken(_)));
            settings.token = Some("0123456789abcdef".into());
            assert!(Guard::new(&settings).is_ok());
        }
        let mut short = settings("127.0.0.1:0");
        short.token = Some("short".into());
        assert_eq!(Guard::new(&short).err(), Some(GuardError::ShortToken));
    }

    #[test]
    fn hosts() {
        for (host, is_allowed) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1:1", true),
            ("[::1]:8080", true),
            ("mcp.example.org", true),
            ("mcp.example.org.:99", true),
            ("other:8443", true),
            ("other", false),
            ("other:80", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("localhost@evil.example", false),
            ("10.0.0.7:8080", true),
            ("10.0.0.8:8080", false),
            ("", false),
        ] {
            let local = Some("10.0.0.7".parse().unwrap());
            assert_eq!(
                guard().host(Some(host), local).is_ok(),
                is_allowed,
                "{host}"
            );
        }
        assert_eq!(guard().host(None, None), Err(Refusal::Host));
    }

    #[test]
    fn origins() {
        for (origin, is_allowed) in [
            ("http://localhost:6274", true),
            ("http://127.0.0.1", true),
            ("https://app.example.org", true),
            ("https://app.example.org:8443", false),
            ("http://app.example.org", false),
            ("http://dev.example.org:3000", true),
            ("https://evil.example", false),
            ("https://app.example.org.evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(guard().origin(Some(origin)).is_ok(), is_allowed, "{origin}");
        }
        assert_eq!(guard().origin(None), Ok(()));
    }

    #[test]
    fn tokens() {
        let mut settings = settings("127.0.0.1:0");
        settings.token = Some("0123456789abcdef".into());
        let guard = Guard::new(&settings).unwrap();
        assert_eq!(guard.token(None), Err(Refusal::NoToken));
        assert_eq!(guard.token(Some(b"Basic xyz")), Err(Refusal::NoToken));
        assert_eq!(
            guard.token(Some(b"Bearer 0123456789abcdeX")),
            Err(Refusal::WrongToken)
        );
        assert_eq!(guard.token(Some(b"bearer 0123456789abcdef")), Ok(()));
    }

    #[test]
    fn what_is_no_host_or_origin_is_refused_at_the_start() {
        let mut with = settings("127.0.0.1:0");
        with.allowed_hosts = vec!["https://mcp.example.org".into()];
        assert!(matches!(Guard::new(&with).err(), Some(GuardError::Host(_))));
        let mut with = settings("127.0.0.1:0");
        with.allowed_origins = vec!["app.example.org".into()];
        assert!(matches!(
            Guard::new(&with).err(),
            Some(GuardError::Origin(_))
        ));
    }
}
