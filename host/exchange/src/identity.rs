use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// The certificate and key that an exchange shows.
///
/// Runners know it by its fingerprint and trust nothing else, so names and dates in it mean nothing. It is kept as long as
/// its home, for runners must recognise a host that was started again.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate, PEM.
    pub cert_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
}

/// A certificate or key that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Making one failed.
    #[error("cannot make the exchange's certificate")]
    Generate {
        /// The generator's words.
        source: rcgen::Error,
    },
    /// It isn't PEM.
    #[error("the exchange's {part} is not readable as PEM; remove it from the home to have a new one made")]
    Pem {
        /// `certificate` or `key`.
        part: &'static str,
        /// The parser's words.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key can't be used together.
    #[error("the exchange's certificate and key are not usable; remove both from the home to have new ones made")]
    Tls {
        /// The TLS library's words.
        source: rustls::Error,
    },
}

impl TlsIdentity {
    /// A new one.
    ///
    /// # Errors
    /// The key or the certificate could not be made.
    pub fn generate() -> Result<Self, IdentityError> {
        let made = rcgen::generate_simple_self_signed(vec!["wharf-exchange".to_owned()])
            .map_err(|source| IdentityError::Generate { source })?;
        Ok(Self { cert_pem: made.cert.pem(), key_pem: made.signing_key.serialize_pem() })
    }

    /// SHA-256 of the certificate (DER), in hex: what the runner is told to expect.
    ///
    /// # Errors
    /// The certificate isn't PEM.
    pub fn fingerprint(&self) -> Result<String, IdentityError> {
        Ok(hex::encode(Sha256::digest(self.certificate()?.as_ref())))
    }

    pub(crate) fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, IdentityError> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map_err(|source| IdentityError::Pem { part: "key", source })?;
        // The provider is given here: an embedding process may have set another one for itself.
        let mut config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(|source| IdentityError::Tls { source })?
                .with_no_client_auth()
                .with_single_cert(vec![self.certificate()?], key)
                .map_err(|source| IdentityError::Tls { source })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    fn certificate(&self) -> Result<CertificateDer<'static>, IdentityError> {
        CertificateDer::from_pem_slice(self.cert_pem.as_bytes())
            .map_err(|source| IdentityError::Pem { part: "certificate", source })
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("cert_pem", &self.cert_pem).field("key_pem", &"***").finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_identity_serves_and_is_told_apart() {
        let one = TlsIdentity::generate().unwrap();
        one.server_config().unwrap();
        assert_eq!(one.fingerprint().unwrap().len(), 64);
        assert_ne!(one.fingerprint().unwrap(), TlsIdentity::generate().unwrap().fingerprint().unwrap());
        assert!(!format!("{one:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let other = TlsIdentity::generate().unwrap();
        let mixed = TlsIdentity { key_pem: other.key_pem, ..TlsIdentity::generate().unwrap() };
        assert!(matches!(mixed.server_config(), Err(IdentityError::Tls { .. })));
        let broken = TlsIdentity { cert_pem: String::new(), ..mixed };
        assert!(matches!(broken.fingerprint(), Err(IdentityError::Pem { part: "certificate", .. })));
    }
}
