//! Whom TLS trusts.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Whom TLS trusts: the machine's certificate authorities, and a site's own. Clones share what was read.
#[derive(Clone, Default)]
pub struct Roots {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    own: Vec<CertificateDer<'static>>,
    settings: Mutex<Option<Arc<ClientConfig>>>,
}

impl Roots {
    /// The machine's, and those of files in PEM form.
    ///
    /// # Errors
    /// A file has no certificate, or one that can't be read: its place among them, and why.
    pub fn with_pem<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, (usize, String)> {
        let mut own = Vec::new();
        for (at, file) in files.into_iter().enumerate() {
            let before = own.len();
            for certificate in CertificateDer::pem_slice_iter(file) {
                let certificate = certificate.map_err(|error| (at, error.to_string()))?;
                RootCertStore::empty().add(certificate.clone()).map_err(|error| (at, error.to_string()))?;
                own.push(certificate);
            }
            if own.len() == before {
                return Err((at, "there is no certificate in it".to_owned()));
            }
        }
        Ok(Self { shared: Arc::new(Shared { own, settings: Mutex::default() }) })
    }

    /// The settings of a client that trusts them. The machine's are read when this is called first.
    ///
    /// # Errors
    /// There are none at all.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut settings = self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settings) = settings.as_ref() {
            return Ok(Arc::clone(settings));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.shared.own.iter().cloned());
        if roots.is_empty() {
            return Err("this machine has no root certificates; install the package ca-certificates".to_owned());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let made = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(settings.insert(Arc::new(made))))
    }

    /// The same, away from the threads that must not wait for files.
    pub(crate) async fn read(&self) -> Result<Arc<ClientConfig>, String> {
        let roots = self.clone();
        tokio::task::spawn_blocking(move || roots.client_config()).await.map_err(|error| error.to_string())?
    }
}

/// Equal when what isn't the machine's own is.
impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.shared.own == other.shared.own
    }
}

impl Eq for Roots {}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots {{ own: {} }}", self.shared.own.len())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::{Bounds, FetchError, Request, Response, send};

    /// A server of one word; its authority's certificate, and its port.
    async fn server() -> (String, u16) {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let settings = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(settings));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
                let _ = stream.shutdown().await;
            }
        });
        (authority.pem(), port)
    }

    async fn ask(port: u16, roots: &Roots) -> Result<Response, FetchError> {
        let url = format!("https://127.0.0.1:{port}/").parse().unwrap();
        let request = Request { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() };
        let bounds = Bounds { time: Duration::from_secs(10), body: 100 };
        send(request, bounds, roots, |address: IpAddr| address.is_loopback()).await
    }

    #[tokio::test]
    async fn a_sites_own_authority_is_trusted_when_it_is_named() {
        let (authority, port) = server().await;
        let own = Roots::with_pem([authority.as_bytes()]).unwrap();
        assert_eq!(ask(port, &own).await.unwrap().body, "hello");
        let (another, _) = server().await;
        for others in [Roots::default(), Roots::with_pem([another.as_bytes()]).unwrap()] {
            let refused = ask(port, &others).await.expect_err("a stranger");
            assert!(matches!(refused, FetchError::Tls { .. }), "{refused}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_said_with_its_place() {
        let broken = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let refused = Roots::with_pem([&broken[..]]).expect_err("broken");
        assert_eq!(refused.0, 0);
        assert_eq!(Roots::with_pem([&b"text"[..]]).expect_err("text"), (0, "there is no certificate in it".to_owned()));
    }
}
