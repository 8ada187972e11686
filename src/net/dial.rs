//! One connection at a time, whose every way of failing is told apart.
//!
//! A `Dialer` waits without end: the caller sets the time, and learns from `Reached` how far it
//! came. It uses no proxy.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use rustls::{AlertDescription, CertificateError, ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OnceCell,
};
use tokio_rustls::TlsConnector;

use super::tls;

/// What both ends of a connection do, with or without TLS.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<Connection: AsyncRead + AsyncWrite + Send + Unpin> Duplex for Connection {}

/// A connection that stands.
pub type Stream = Box<dyn Duplex>;

/// What kept a connection from standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// No address is known for the name, or nobody answers for names.
    Name,
    /// Nothing listens there, or something between refuses.
    Refused,
    /// The network is there, the host is not (EHOSTUNREACH).
    NoHost,
    /// This machine has no way there (ENETUNREACH).
    NoNetwork,
    /// This process may not, or has no ports or files left: the words of the system.
    Local(String),
    /// The connection ended in the middle.
    Closed,
    Tls(TlsFault),
    /// Our own TLS cannot be set up: a CA file that cannot be read.
    Setup(String),
    /// Anything else, in the words of the system.
    Other(String),
}

/// What is wrong with the TLS of the other side, or with ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFault {
    /// Nobody whom we trust vouches for its certificate.
    Untrusted,
    /// Its certificate is for another name.
    OtherName,
    Expired,
    /// Not valid yet: one of two clocks is wrong.
    NotYetValid,
    /// It does not answer as TLS does.
    NotTls,
    /// It wants a certificate of ours.
    WantsCertificate,
    /// Anything else, in the words of the TLS library.
    Other(String),
}

/// How far a look came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Name,
    Connection,
    Tls,
    Answer,
}

/// Where the stage of a look is left, for whoever ends it.
#[derive(Debug, Default)]
pub struct Reached(AtomicU8);

impl Reached {
    pub fn stage(&self) -> Stage {
        match self.0.load(Ordering::Relaxed) {
            0 => Stage::Name,
            1 => Stage::Connection,
            2 => Stage::Tls,
            _ => Stage::Answer,
        }
    }

    fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Relaxed);
    }
}

/// Makes connections. The TLS configuration is made when it is first needed.
#[derive(Debug, Default)]
pub struct Dialer {
    ca_file: Option<PathBuf>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Dialer {
    /// `ca_file`: certificates (PEM) that are trusted beside the compiled-in ones.
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Self {
            ca_file,
            config: OnceCell::new(),
        }
    }

    /// A TCP connection to any address of a host. The addresses are tried one after the other;
    /// told is the failure of the last.
    pub async fn dial(
        &self,
        host: &str,
        port: u16,
        reached: &Reached,
    ) -> Result<TcpStream, Obstacle> {
        reached.set(Stage::Name);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = tokio::net::lookup_host((host, port))
            .await
            .map_err(|_| Obstacle::Name)?;
        reached.set(Stage::Connection);
        let mut obstacle = Obstacle::Name;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    reached.set(Stage::Answer);
                    // A setting that a socket refuses costs milliseconds, no more.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => obstacle = Obstacle::of_io(&error),
            }
        }
        Err(obstacle)
    }

    /// TLS over a connection that stands.
    pub async fn secure(
        &self,
        stream: TcpStream,
        host: &str,
        reached: &Reached,
    ) -> Result<Stream, Obstacle> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Obstacle::Name)?;
        let config = self.config().await?;
        reached.set(Stage::Tls);
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| match Obstacle::of_io(&error) {
                Obstacle::Other(why) => Obstacle::Tls(TlsFault::Other(why)),
                other => other,
            })?;
        reached.set(Stage::Answer);
        Ok(Box::new(stream))
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, Obstacle> {
        let config = self.config.get_or_try_init(|| async {
            let config = tls::config(self.ca_file.as_deref()).await;
            config
                .map(Arc::new)
                .map_err(|error| Obstacle::Setup(error.to_string()))
        });
        config.await.cloned()
    }
}

impl Obstacle {
    /// What an error of a connection means. TLS faults arrive inside of errors of the system.
    pub fn of_io(error: &io::Error) -> Self {
        if let Some(tls) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return Self::Tls(TlsFault::of(tls));
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable => Self::NoHost,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Self::NoNetwork,
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::AddrInUse
            | io::ErrorKind::OutOfMemory => Self::Local(words(error)),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Closed,
            // EMFILE and ENFILE (Linux, macOS) have no kind yet.
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => Self::Local(words(error)),
            _ => Self::Other(words(error)),
        }
    }
}

/// What the system says, without its number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

impl TlsFault {
    fn of(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(fault) => match fault {
                CertificateError::UnknownIssuer
                | CertificateError::BadSignature
                | CertificateError::InvalidPurpose
                | CertificateError::InvalidPurposeContext { .. } => Self::Untrusted,
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::OtherName,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                // `openssl req -x509` makes these: a certificate that vouches for itself.
                CertificateError::Other(_) => Self::Untrusted,
                other => Self::Other(other.to_string()),
            },
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA,
            ) => Self::WantsCertificate,
            other => Self::Other(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a system error means must not drift: it decides between 'down' and 'could not look'.
    #[test]
    fn errors_of_the_system_are_told_apart() {
        #[rustfmt::skip]
        let cases = [
            (io::ErrorKind::ConnectionRefused, Obstacle::Refused),
            (io::ErrorKind::HostUnreachable, Obstacle::NoHost),
            (io::ErrorKind::NetworkUnreachable, Obstacle::NoNetwork),
            (io::ErrorKind::ConnectionReset, Obstacle::Closed),
            (io::ErrorKind::UnexpectedEof, Obstacle::Closed),
        ];
        for (kind, expected) in cases {
            assert_eq!(Obstacle::of_io(&kind.into()), expected, "{kind:?}");
        }
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::AddrNotAvailable,
        ] {
            assert!(matches!(Obstacle::of_io(&kind.into()), Obstacle::Local(_)));
        }
        let no_files_left = io::Error::from_raw_os_error(24);
        assert!(matches!(
            Obstacle::of_io(&no_files_left),
            Obstacle::Local(_)
        ));
    }
}
