//! The address of a server as people paste it: with or without `/api`, a trailing slash, a page.

use url::Url;

/// Where OpenMetadata is: scheme, host, port, and the path that it is mounted under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Ends with a slash.
    root: Url,
}

/// Why an address was not taken.
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
        let fault = |why: &str| AddressError {
            written: written.trim().to_owned(),
            why: why.to_owned(),
        };
        let mut root = Url::parse(written.trim()).map_err(|error| fault(&error.to_string()))?;
        if !matches!(root.scheme(), "http" | "https") {
            return Err(fault("it has to begin with http:// or https://"));
        }
        let kept: Vec<String> = root
            .path_segments()
            .into_iter()
            .flatten()
            .take_while(|segment| *segment != "api")
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned)
            .collect();
        let path = if kept.is_empty() {
            "/".to_owned()
        } else {
            format!("/{}/", kept.join("/"))
        };
        root.set_path(&path);
        root.set_query(None);
        root.set_fragment(None);
        Ok(Self { root })
    }

    /// The root, for messages: without a path below it.
    pub fn as_str(&self) -> &str {
        self.root.as_str().trim_end_matches('/')
    }

    pub fn root(&self) -> &Url {
        &self.root
    }

    /// An address below `/api/v1`. `path` has no leading slash and is percent-encoded.
    pub fn api(&self, path: &str, query: &[(&str, &str)]) -> Option<Url> {
        // `..` would be resolved away and reach another place than the one that was asked for.
        if path.split('/').any(is_dots) {
            return None;
        }
        let mut url = self.root.join(&format!("api/v1/{path}")).ok()?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Some(url)
    }
}

fn is_dots(segment: &str) -> bool {
    let segment = segment.to_lowercase().replace("%2e", ".");
    segment == "." || segment == ".."
}
