//! TLS: an own certificate authority, and a server that none vouches for.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
};

use openpolicy_mcp::catalog::{
    CatalogError, Catalogs,
    doctor::{Check, State, Surroundings, checks},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::{live, settings, token};

/// A server that answers its version over TLS, and the PEM of the authority that signed it.
fn serve(name: &str) -> (String, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            // A client that does not trust us hangs up here.
            if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                let body = "{\"version\": \"1.12.6\"}";
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.flush();
            }
        }
    });
    (format!("https://127.0.0.1:{port}"), authority.pem())
}

#[tokio::test]
async fn trusts_an_own_authority_and_no_stranger() {
    let (url, authority) = serve("127.0.0.1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, authority).unwrap();
    let mut trusting = settings(&url, token("a"));
    trusting.net.ca_file = Some(path.clone());
    let client = live(
        Catalogs::of_openmetadata(&trusting)
            .unwrap()
            .of(None)
            .unwrap(),
    );
    assert_eq!(client.version().await.unwrap().to_string(), "1.12.6");

    let strange = settings(&url, token("a"));
    let client = live(
        Catalogs::of_openmetadata(&strange)
            .unwrap()
            .of(None)
            .unwrap(),
    );
    let error = client.version().await.unwrap_err();
    assert!(
        matches!(error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
    let found = checks(&strange, &Surroundings::default()).await;
    let advice = first_advice(&found);
    assert!(advice.contains("OPENMETADATA_CA_FILE"), "{found:?}");

    // Signed by the authority, for another name.
    let (url, authority) = serve("openmetadata.example");
    std::fs::write(&path, authority).unwrap();
    let mut misnamed = settings(&url, token("a"));
    misnamed.net.ca_file = Some(path);
    let found = checks(&misnamed, &Surroundings::default()).await;
    let advice = first_advice(&found);
    assert!(advice.contains("another name"), "{found:?}");
}

/// Of the first check that failed: what stands behind it was not looked at.
fn first_advice(checks: &[Check]) -> &str {
    let failed = checks.iter().find(|check| check.state == State::Failed);
    failed.and_then(|check| check.advice.as_deref()).unwrap()
}
