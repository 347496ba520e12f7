//! TLS to a daemon, with the certificates of a folder in Docker's own layout.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The authority that signed the daemon's certificate.
const AUTHORITY: &str = "ca.pem";
/// Our certificate, and its key.
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// A folder with `ca.pem`, and with `cert.pem` and `key.pem` where the daemon demands a client's certificate: what
/// `DOCKER_CERT_PATH` names. It is read anew for each connection, so that a renewed certificate needs no restart.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Makes a connection one of TLS 1.3, which every daemon that speaks API 1.41 has. The daemon's certificate must be
    /// signed by the folder's authority and be for this host.
    pub(crate) async fn wrap(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let own = self.clone();
        let config = tokio::task::spawn_blocking(move || own.config()).await;
        let config = config.map_err(|error| format!("its certificates can't be read: {error}"))??;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("\"{host}\" isn't a name that a certificate can have: correct `host`"))?;
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        connected.map_err(|error| {
            self.sentence(host, &error).unwrap_or_else(|| format!("the TLS connection couldn't be made: {error}"))
        })
    }

    fn config(&self) -> Result<ClientConfig, String> {
        let folder = self.folder.display();
        if !self.folder.is_dir() {
            return Err(format!("`cert_path` is {folder}, and there is no such folder: correct it"));
        }
        let roots = self.authorities()?;
        // The provider is given here: an embedding process may have set another one for itself.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| format!("TLS can't be used: {error}"))?
            .with_root_certificates(roots);
        let (certificate, key) = (self.folder.join(CERTIFICATE), self.folder.join(KEY));
        match (certificate.exists(), key.exists()) {
            (false, false) => Ok(config.with_no_client_auth()),
            (true, false) => Err(format!(
                "{folder} has {CERTIFICATE} without {KEY}: put the key of that certificate there, or take \
                 {CERTIFICATE} away"
            )),
            (false, true) => Err(format!(
                "{folder} has {KEY} without {CERTIFICATE}: put the certificate of that key there, or take {KEY} away"
            )),
            (true, true) => {
                let chain = certificates(&certificate)?;
                let private = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|_| {
                    format!(
                        "{} has no private key in PEM (one with a passphrase can't be used): put the key of \
                         {CERTIFICATE} there",
                        key.display()
                    )
                })?;
                config.with_client_auth_cert(chain, private).map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => format!(
                        "{} isn't the key of {}: put the two that belong together there",
                        key.display(),
                        certificate.display()
                    ),
                    error => {
                        format!("{} and {} can't be used: {error}; make new ones", certificate.display(), key.display())
                    }
                })
            }
        }
    }

    fn authorities(&self) -> Result<RootCertStore, String> {
        let file = self.folder.join(AUTHORITY);
        if !file.exists() {
            return Err(format!(
                "there is no {}: put the certificate of the authority that signed the daemon's there",
                file.display()
            ));
        }
        let mut roots = RootCertStore::empty();
        for authority in certificates(&file)? {
            roots.add(authority).map_err(|error| {
                format!("{} has a certificate that can't be used: {error}; make a new one", file.display())
            })?;
        }
        Ok(roots)
    }

    /// What an error of an encrypted connection means; `None` for one that has nothing to do with TLS. A daemon that
    /// doesn't like our certificate says so after the handshake, when the first answer is read.
    pub(crate) fn sentence(&self, host: &str, error: &io::Error) -> Option<String> {
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let ca = self.folder.join(AUTHORITY);
        let ca = ca.display();
        let own = self.folder.join(CERTIFICATE);
        Some(match error {
            rustls::Error::InvalidCertificate(error) => match error {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                    "its certificate isn't signed by the authority in {ca}: put the certificate of the authority that \
                     signed the daemon's there"
                ),
                CertificateError::NotValidForName => format!(
                    "its certificate isn't for {host}: give the daemon one with that name or address among its \
                     subjectAltName, or write another one in `host`"
                ),
                CertificateError::NotValidForNameContext { presented, .. } => format!(
                    "its certificate is for {}, not for {host}: give the daemon one with that name or address among \
                     its subjectAltName, or write another one in `host`",
                    if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") }
                ),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "its certificate has expired: give the daemon a new one".to_owned()
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "its certificate isn't valid yet: look at the clocks of both machines".to_owned()
                }
                error if error.to_string().contains("CaUsedAsEndEntity") => {
                    "its certificate is an authority's own: give the daemon one of its own, signed by that authority"
                        .to_owned()
                }
                error => format!("its certificate can't be used: {error}; give the daemon another one"),
            },
            rustls::Error::AlertReceived(alert) => match alert {
                AlertDescription::ProtocolVersion => {
                    "it speaks no TLS 1.3: update it, or what stands before it".to_owned()
                }
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::HandshakeFailure
                    if !own.exists() =>
                {
                    format!(
                        "it demands a client's certificate: put {CERTIFICATE} and {KEY} into {}",
                        self.folder.display()
                    )
                }
                AlertDescription::CertificateExpired => {
                    format!("it says that {} has expired: make a new one", own.display())
                }
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError => format!(
                    "it refuses {} ({alert:?}): make one that is signed by the authority which the daemon was given \
                     with --tlscacert, and is for clients (extendedKeyUsage clientAuth)",
                    own.display()
                ),
                alert => format!("it ended the TLS connection: {alert:?}"),
            },
            rustls::Error::InvalidMessage(_) => {
                "it doesn't speak TLS: correct the port, or start the daemon with --tlsverify; without TLS, leave \
                 `cert_path` out"
                    .to_owned()
            }
            error => format!("the TLS connection couldn't be made: {error}"),
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{} can't be read: let the user that runs wharf read it", file.display())
        }
        _ => format!("{} can't be read: {error}", file.display()),
    })
}

/// The certificates of a file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("{} has no certificate in PEM: put one there", file.display())),
    }
}
