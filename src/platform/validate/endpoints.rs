//! Addresses of other systems with their credentials, and where the credentials may come from.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

use crate::platform::{
    model::{CatalogSource, Endpoint},
    problem::quoted,
    raw::{RawEndpoint, RawOpenMetadataKeys, RawPlatform},
    read::{Placed, Reader},
    variables::{Expanded, NoValue},
};

/// Bytes of a file that holds one secret.
const LONGEST_SECRET: u64 = 64 * 1024;

/// Prometheus or Alertmanager. One that waits for trust is absent.
pub fn endpoint(
    raw: Option<&Placed<RawEndpoint>>,
    folder: &Path,
    reader: &mut Reader<'_>,
) -> Option<Endpoint> {
    let Placed { place, value: raw } = raw?;
    let Some(written) = &raw.url else {
        reader.problem(*place, "`url` is missing", "write where it is");
        return None;
    };
    let url = reader.value_of(written)?;
    check_url(written, &url, &["http", "https"], reader);
    if let Some(token) = &raw.token {
        check_no_literal(token, "token", reader);
    }
    let token = match (&raw.token, &raw.token_file) {
        (Some(token), _) => Some(reader.value_of(token)?),
        (None, Some(file)) => Some(secret_in(file, folder, reader)?),
        (None, None) => None,
    };
    Some(Endpoint {
        url: SecretString::from(url),
        token: token.map(SecretString::from),
    })
}

/// Where the catalog is.
pub fn catalog(raw: &RawPlatform, folder: &Path, reader: &mut Reader<'_>) -> CatalogSource {
    let Some(raw) = raw
        .catalog
        .as_ref()
        .and_then(|catalog| catalog.value.openmetadata.as_ref())
    else {
        return CatalogSource::Environment;
    };
    let RawOpenMetadataKeys {
        url,
        token,
        token_file,
        ca_file,
        ..
    } = &raw.value.0;
    let Some(url) = url else {
        reader.problem(
            raw.place,
            "`url` is missing",
            "write `url: \"${OPENMETADATA_URL}\"`, or the address itself",
        );
        return CatalogSource::Environment;
    };
    if let Some(token) = token {
        check_no_literal(token, "token", reader);
    }
    // These are what this server reads anyway; there the credential meets its own address.
    let names = |text: &Placed<Expanded>, variable: &str| text.value.written.trim() == variable;
    let is_own_token = |token: &Placed<Expanded>| names(token, "${OPENMETADATA_TOKEN}");
    if names(url, "${OPENMETADATA_URL}")
        && token.as_ref().is_none_or(is_own_token)
        && token_file.is_none()
        && ca_file.is_none()
    {
        return CatalogSource::Environment;
    }
    let withheld = |text: &Placed<Expanded>| matches!(text.value.value, Err(NoValue::Withheld(_)));
    let all = [
        Some(url),
        token.as_ref(),
        token_file.as_ref(),
        ca_file.as_ref(),
    ];
    if all.into_iter().flatten().any(withheld) || (token_file.is_some() && !reader.is_trusted) {
        return CatalogSource::Withheld;
    }
    let Some(address) = reader.value_of(url) else {
        return CatalogSource::Environment;
    };
    check_url(url, &address, &["http", "https"], reader);
    let mut path = |text: &Option<Placed<Expanded>>| -> Option<PathBuf> {
        let text = text.as_ref()?;
        reader.value_of(text).map(|path| folder.join(path))
    };
    let token_file = path(token_file);
    let ca_file = path(ca_file);
    CatalogSource::OpenMetadata {
        url: address,
        token: token
            .as_ref()
            .and_then(|token| reader.value_of(token))
            .map(SecretString::from),
        token_file,
        ca_file,
    }
}

/// Where several servers keep their state together; absent while it waits for trust.
pub fn store(raw: &RawPlatform, reader: &mut Reader<'_>) -> Option<SecretString> {
    let written = raw.store.as_ref()?;
    check_no_literal_password(written, reader);
    let url = reader.value_of(written)?;
    check_url(written, &url, &["postgres", "postgresql"], reader);
    Some(SecretString::from(url))
}

/// The secret that stands in a file; nothing while the platform file is not trusted.
pub fn secret_in(
    written: &Placed<Expanded>,
    folder: &Path,
    reader: &mut Reader<'_>,
) -> Option<String> {
    let path = reader.value_of(written)?;
    if !reader.is_trusted {
        return None;
    }
    match read_secret(&folder.join(&path)) {
        Ok(secret) => Some(secret),
        Err(reason) => {
            reader.problem(written.place, format!("{} {reason}", quoted(&path)), "");
            None
        }
    }
}

/// The trimmed text of a small file.
pub fn read_secret(path: &Path) -> Result<String, String> {
    let fault = |error: std::io::Error| format!("cannot be read: {error}");
    let length = std::fs::metadata(path).map_err(fault)?.len();
    if length > LONGEST_SECRET {
        return Err(format!(
            "has {length} bytes; a secret has at most {LONGEST_SECRET}"
        ));
    }
    let text = std::fs::read_to_string(path).map_err(fault)?;
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text.to_owned())
}

/// A secret that stands in the file itself is a problem.
pub fn check_no_literal(text: &Placed<Expanded>, what: &str, reader: &mut Reader<'_>) {
    if !text.value.written.contains("${") {
        reader.problem(
            text.place,
            format!("a {what} stands in the file itself"),
            format!("put it into the environment (`${{VAR}}`) or a file (`{what}_file`)"),
        );
    }
}

/// The same for a password in an address.
pub fn check_no_literal_password(text: &Placed<Expanded>, reader: &mut Reader<'_>) {
    let written = &text.value.written;
    let Some((_, rest)) = written.split_once("://") else {
        return;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // `${VAR:-a@b}` may hold both characters.
    let Some((user, _)) = authority.rsplit_once('@') else {
        return;
    };
    let is_literal = match user.split_once(':') {
        Some((name, password)) => {
            !name.contains("${") && !password.is_empty() && !password.contains("${")
        }
        None => false,
    };
    if is_literal {
        reader.problem(
            text.place,
            "a password stands in the file itself",
            "put it into the environment (`${VAR}`), or use `password` or `password_file`",
        );
    }
}

/// The address, where it is one of these schemes with a host.
pub fn check_url(
    text: &Placed<Expanded>,
    url: &str,
    schemes: &[&str],
    reader: &mut Reader<'_>,
) -> Option<Url> {
    let parsed = Url::parse(url).ok().filter(|parsed| {
        schemes.contains(&parsed.scheme()) && parsed.host_str().is_some_and(|host| !host.is_empty())
    });
    if parsed.is_none() {
        reader.problem(
            text.place,
            format!(
                "{} is no address",
                quoted(&without_user(&text.value.written))
            ),
            format!(
                "write `{}://host:port/…`",
                schemes.first().unwrap_or(&"http")
            ),
        );
    }
    parsed
}

/// An address as it is written, without what stands before `@`.
fn without_user(written: &str) -> String {
    match (written.split_once("://"), written.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => written.to_owned(),
    }
}
