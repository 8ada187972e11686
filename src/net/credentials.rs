//! Credentials that stand in an address, taken out of it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

/// The address without user and password, and what they are as a header (`Authorization`).
pub fn split_credentials(mut url: Url) -> (Url, Option<HeaderValue>) {
    if url.username().is_empty() && url.password().is_none() {
        return (url, None);
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decoded(url.username());
    let password = decoded(url.password().unwrap_or_default());
    let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let header = HeaderValue::try_from(format!("Basic {encoded}")).ok();
    let header = header.map(|mut header| {
        header.set_sensitive(true);
        header
    });
    // Neither fails for an address that had them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (url, header)
}
