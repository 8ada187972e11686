//! Which certificates are trusted: the compiled-in roots and those of an own CA file.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::NetError;

pub(super) async fn config(ca_file: Option<&Path>) -> Result<ClientConfig, NetError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = ca_file {
        let pem = tokio::fs::read(path)
            .await
            .map_err(|error| NetError::Setup {
                why: format!("the CA file {} cannot be read: {error}", path.display()),
            })?;
        add(&mut roots, &pem).map_err(|why| NetError::Setup {
            why: format!("the CA file {} {why}", path.display()),
        })?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| NetError::Setup {
            why: format!("TLS cannot be set up: {error}"),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("is not valid PEM: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
        added += 1;
    }
    if added == 0 {
        return Err("holds no certificate (PEM, `-----BEGIN CERTIFICATE-----`)".into());
    }
    Ok(())
}
