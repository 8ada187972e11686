//! The address of a server as people paste it: with or without `/api`, a trailing slash, a page.

use percent_encoding::percent_decode_str;
use url::Url;

use super::model::EntityType;

/// Where OpenMetadata is: scheme, host, port, and the path that it is mounted under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Ends with a slash.
    root: Url,
}

/// Why an address was not taken. Never quotes a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{written:?} is not the address of an OpenMetadata: {why}")]
pub struct AddressError {
    pub written: String,
    pub why: String,
}

impl Address {
    /// Reads an address: `https://host`, `http://host:8585/api`, `…/api/v1/`, the address of a
    /// page, all with or without a path in front.
    pub fn parse(written: &str) -> Result<Self, AddressError> {
        let written = written.trim().trim_matches(['"', '\'']);
        let fault = |why: String| AddressError {
            written: super::redact::message(written),
            why,
        };
        if written.is_empty() {
            return Err(fault(
                "it is empty; write http://host:8585 or https://host".into(),
            ));
        }
        if written.contains("${") {
            return Err(fault(
                "it is a placeholder that nothing filled in; write http://host:8585".into(),
            ));
        }
        if !written.contains("://") {
            // `localhost:8585` would be read as a scheme named localhost.
            return Err(fault(format!(
                "the scheme is missing; write http://{host} or https://{host}",
                host = super::redact::message(written.trim_start_matches('/'))
            )));
        }
        let mut root = Url::parse(written).map_err(|error| fault(error.to_string()))?;
        if !matches!(root.scheme(), "http" | "https") {
            return Err(fault(format!(
                "{}:// is not spoken; write http:// or https://",
                root.scheme()
            )));
        }
        if !root.username().is_empty() || root.password().is_some() {
            return Err(fault(
                "it holds a user name or password; give those as OPENMETADATA_EMAIL and \
                 OPENMETADATA_PASSWORD"
                    .into(),
            ));
        }
        let segments: Vec<&str> = path_segments(&root).collect();
        let mounted = segments[..mount_length(&segments)].join("/");
        root.set_path(&if mounted.is_empty() {
            "/".to_owned()
        } else {
            format!("/{mounted}/")
        });
        root.set_query(None);
        root.set_fragment(None);
        Ok(Self { root })
    }

    /// The root without a slash at its end, for messages.
    pub fn as_str(&self) -> &str {
        self.root.as_str().trim_end_matches('/')
    }

    pub fn root(&self) -> &Url {
        &self.root
    }

    /// An address below `/api/v1`. `path` has no leading slash and is percent-encoded. None for
    /// a path that would lead elsewhere.
    pub fn api(&self, path: &str, query: &[(&str, &str)]) -> Option<Url> {
        // `..` would be resolved away and reach another place than the one that was asked for;
        // `?` and `#` would end the path.
        let leads_astray = path.starts_with('/')
            || path.contains(['\\', '?', '#'])
            || path.split('/').any(is_dots);
        if leads_astray {
            return None;
        }
        let mut url = self.root.join(&format!("api/v1/{path}")).ok()?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Some(url)
    }
}

fn path_segments(url: &Url) -> impl Iterator<Item = &str> {
    url.path_segments()
        .into_iter()
        .flatten()
        .filter(|segment| !segment.is_empty())
}

fn is_dots(segment: &str) -> bool {
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    decoded == "." || decoded == ".."
}

/// First segments of the pages of OpenMetadata's own web site, those apart that are named as the
/// type of entity that they show.
const PAGES: &[&str] = &[
    "my-data",
    "explore",
    "signin",
    "login",
    "signup",
    "logout",
    "callback",
    "settings",
    "data-quality",
    "data-insights",
    "tags",
    "users",
    "teams",
    "service",
    "test-case",
    "test-suites",
    "observability",
    "incident-manager",
    "governance",
    "workflows",
    "customize-page",
    "tour",
    "docs",
    "swagger.html",
    "404",
];

/// How many of these segments are the path that OpenMetadata is mounted under.
fn mount_length(segments: &[&str]) -> usize {
    let api = segments.iter().position(|segment| *segment == "api");
    let page = segments.iter().position(|segment| {
        PAGES.contains(segment) || EntityType::known().any(|name| name == *segment)
    });
    match (api, page) {
        (Some(api), Some(page)) => api.min(page),
        (one, other) => one.or(other).unwrap_or(segments.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_every_form_that_people_paste() {
        for (written, root) in [
            ("http://om:8585", "http://om:8585"),
            (" http://om:8585/ ", "http://om:8585"),
            ("http://om:8585/api", "http://om:8585"),
            ("http://om:8585/api/v1/", "http://om:8585"),
            ("https://om.example/my-data", "https://om.example"),
            (
                "https://om.example/explore/tables?search=a#b",
                "https://om.example",
            ),
            (
                "http://om:8585/table/pg.db.core.bills/schema",
                "http://om:8585",
            ),
            (
                "https://data.example/catalog/",
                "https://data.example/catalog",
            ),
            (
                "https://data.example/catalog/api/v1/tables",
                "https://data.example/catalog",
            ),
            (
                "https://data.example/catalog/table/a.b.c.d",
                "https://data.example/catalog",
            ),
            ("\"http://[::1]:8585/\"", "http://[::1]:8585"),
        ] {
            assert_eq!(Address::parse(written).unwrap().as_str(), root, "{written}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_others() {
        let why = |written: &str| Address::parse(written).unwrap_err().to_string();
        assert!(why("localhost:8585").contains("write http://localhost:8585"));
        assert!(why("").contains("empty"));
        assert!(why("${OPENMETADATA_URL}").contains("placeholder"));
        assert!(why("ftp://om").contains("http://"));
        assert!(why("http://").contains("host"));
        let with_password = why("http://admin:canary@om:8585");
        assert!(with_password.contains("OPENMETADATA_PASSWORD"));
        assert!(!with_password.contains("canary"));
    }

    #[test]
    fn stays_below_the_api() {
        let address = Address::parse("http://om:8585/sub").unwrap();
        let url = address.api("tables/name/a%2Fb", &[("fields", "a,b")]);
        assert_eq!(
            url.unwrap().as_str(),
            "http://om:8585/sub/api/v1/tables/name/a%2Fb?fields=a%2Cb"
        );
        for path in [
            "../x",
            "tables/%2e%2E/x",
            "/etc",
            "tables?x=1",
            "a\\..\\b",
            "a#b",
        ] {
            assert_eq!(address.api(path, &[]), None, "{path}");
        }
    }
}
