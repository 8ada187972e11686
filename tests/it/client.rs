//! The OpenMetadata client: transport, credentials, errors, redaction.

use openpolicy_mcp::catalog::{Catalog, CatalogError, Catalogs, Credential, Settings};
use secrecy::SecretString;
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

const TOKEN: &str = "a.test.token";

/// A client on this address with a token of the operator's.
fn client(url: &str) -> std::sync::Arc<openpolicy_mcp::catalog::Client> {
    let settings = Settings {
        url: url.to_owned(),
        credential: Credential::Token(SecretString::from(TOKEN)),
        ..Settings::default()
    };
    match Catalogs::of_openmetadata(&settings)
        .unwrap()
        .of(None)
        .unwrap()
    {
        Catalog::Live(client) => client,
        Catalog::Snapshot(_) => unreachable!("a live catalog"),
    }
}

#[tokio::test]
async fn reads_with_its_token_and_tells_what_is_missing() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/v1/tables/name/a.b"))
        .and(header("authorization", "Bearer a.test.token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"name": "b"})))
        .mount(&server)
        .await;
    Mock::given(path("/api/v1/tables/name/a.c"))
        .respond_with(
            ResponseTemplate::new(404)
                .set_body_json(json!({"code": 404, "message": "table instance for a.c not found"})),
        )
        .mount(&server)
        .await;
    let client = client(&server.uri());
    assert_eq!(
        client.get("tables/name/a.b", &[]).await.unwrap(),
        json!({"name": "b"})
    );
    let error = client.get("tables/name/a.c", &[]).await.unwrap_err();
    assert!(matches!(error, CatalogError::NotFound { .. }), "{error:?}");
    assert_eq!(error.to_string(), "table instance for a.c was not found");
}
