//! The OpenMetadata client: transport, credentials, errors, redaction.

mod answers;
mod credentials;
mod doctor;
mod faults;
mod read_tool;
mod tls;
mod writes;

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openpolicy_mcp::{
    catalog::{Catalog, Catalogs, Client, Credential, Settings},
    net,
};
use secrecy::SecretString;

/// Searched for in everything that comes out.
const CANARY: &str = "canary-51c0ffee";

/// Small bounds, and hardly a pause before a read is repeated.
fn settings(url: &str, credential: Credential) -> Settings {
    Settings {
        url: url.to_owned(),
        credential,
        net: net::Settings {
            longest_body: 256 * 1024,
            first_pause: Duration::from_millis(1),
            ..net::Settings::default()
        },
        ..Settings::default()
    }
}

fn live(catalog: Catalog) -> Arc<Client> {
    match catalog {
        Catalog::Live(client) => client,
        Catalog::Snapshot(_) => panic!("a snapshot answers"),
    }
}

fn client_with(url: &str, credential: Credential) -> Arc<Client> {
    let catalogs = Catalogs::of_openmetadata(&settings(url, credential)).unwrap();
    live(catalogs.of(None).unwrap())
}

fn client(url: &str) -> Arc<Client> {
    client_with(url, token(&jwt("{\"sub\":\"admin\"}")))
}

fn token(text: &str) -> Credential {
    Credential::Token(SecretString::from(text))
}

/// A client that does not wait, for servers that never answer.
fn hasty_client(url: &str) -> Arc<Client> {
    let mut settings = settings(url, token("admin"));
    settings.net.request_timeout = Duration::from_millis(200);
    live(
        Catalogs::of_openmetadata(&settings)
            .unwrap()
            .of(None)
            .unwrap(),
    )
}

/// A token that is signed by nobody.
fn jwt(claims: &str) -> String {
    format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode("{\"alg\":\"RS256\"}"),
        URL_SAFE_NO_PAD.encode(claims),
        URL_SAFE_NO_PAD.encode(CANARY)
    )
}
