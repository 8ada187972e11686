//! Local servers that do one thing: say something, nothing, or the wrong thing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(parameters, key).unwrap(),
        }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Certificate and key for `name`, in PEM.
    pub fn certificate(&self, name: &str) -> (String, String) {
        self.signed(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// One that ended in 2001, and one that begins in 2900.
    pub fn untimely(&self, name: &str, is_expired: bool) -> (String, String) {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let (from, to) = if is_expired {
            (2000, 2001)
        } else {
            (2900, 2901)
        };
        parameters.not_before = date_time_ymd(from, 1, 1);
        parameters.not_after = date_time_ymd(to, 1, 1);
        self.signed(parameters)
    }

    fn signed(&self, parameters: CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// What a server does with each connection.
#[derive(Clone)]
pub enum Manner {
    /// Takes it and says nothing.
    Hang,
    /// Closes it at once.
    HangUp,
    /// Says this at once, then waits.
    Say(&'static str),
    /// Answers each piece that comes with what this makes of it.
    Answer(Arc<dyn Fn(&str) -> String + Send + Sync>),
}

/// A server on a port of its own; it ends with the test.
pub struct Local {
    pub port: u16,
    /// Connections that were taken.
    pub connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Local {
    pub async fn start(manner: Manner) -> Self {
        Self::over(manner, None).await
    }

    /// Over TLS, with a certificate and a key.
    pub async fn secure(manner: Manner, (certificate, key): (String, String)) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::over(manner, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    /// Answers HTTP: a path to status, content type and body.
    pub async fn http(
        answer: impl Fn(&str) -> (u16, &'static str, String) + Send + Sync + 'static,
    ) -> Self {
        Self::start(Manner::http(answer)).await
    }

    async fn over(manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                taken.fetch_add(1, Ordering::SeqCst);
                let manner = manner.clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, manner).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, manner).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            connections,
            task,
        }
    }

    pub fn url(&self, path: &str) -> secrecy::SecretString {
        format!("http://127.0.0.1:{}{path}", self.port).into()
    }

    pub fn taken(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Manner {
    pub fn http(
        answer: impl Fn(&str) -> (u16, &'static str, String) + Send + Sync + 'static,
    ) -> Self {
        Self::Answer(Arc::new(move |request| {
            let path = request.split_whitespace().nth(1).unwrap_or_default();
            let (status, kind, body) = answer(path);
            format!(
                "HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{body}",
                body.len()
            )
        }))
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner) {
    let mut read = vec![0; 16 * 1024];
    match manner {
        Manner::HangUp => {}
        Manner::Hang => std::future::pending().await,
        Manner::Say(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.flush().await;
            std::future::pending().await
        }
        Manner::Answer(answer) => {
            while let Ok(length) = stream.read(&mut read).await
                && length > 0
            {
                let said = answer(&String::from_utf8_lossy(&read[..length]));
                if stream.write_all(said.as_bytes()).await.is_err() {
                    return;
                }
                let _ = stream.flush().await;
            }
        }
    }
}
