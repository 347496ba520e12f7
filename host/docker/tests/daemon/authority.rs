//! Certificates as Docker's guide has them made: an authority, a daemon's and a client's.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

pub(crate) struct Authority {
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, names: &[&str], usage: ExtendedKeyUsagePurpose, until: i32) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn daemon(&self, names: &[&str]) -> Pair {
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, 2100)
    }

    pub(crate) fn expired_daemon(&self, names: &[&str]) -> Pair {
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, 2001)
    }

    pub(crate) fn client(&self) -> Pair {
        self.sign(&["client"], ExtendedKeyUsagePurpose::ClientAuth, 2100)
    }

    pub(crate) fn expired_client(&self) -> Pair {
        self.sign(&["client"], ExtendedKeyUsagePurpose::ClientAuth, 2001)
    }
}

/// Fills a folder as `DOCKER_CERT_PATH` has it.
pub(crate) fn fill(folder: &Path, authority: &Authority, client: Option<&Pair>) {
    std::fs::write(folder.join("ca.pem"), &authority.certificate).unwrap();
    if let Some(client) = client {
        std::fs::write(folder.join("cert.pem"), &client.certificate).unwrap();
        std::fs::write(folder.join("key.pem"), &client.key).unwrap();
    }
}

/// The TLS of a daemon; with `--tlsverify` if there is an authority of its clients.
pub(crate) fn acceptor(own: &Pair, clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap();
    let config = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
            config.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            )
        }
        None => config.with_no_client_auth(),
    };
    let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
}
