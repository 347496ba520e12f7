//! Certificates for a daemon behind TLS, in the files that Docker's documentation names.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A certificate authority of its own, and what it signed.
pub struct Certificates {
    ca: String,
    server: [String; 2],
    client: [String; 2],
}

impl Certificates {
    /// New ones, for a server at this address.
    ///
    /// # Panics
    /// They can't be made.
    #[must_use]
    pub fn new(server: IpAddr) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = named("wharf tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = params.self_signed(&key).expect("a certificate can be made").pem();
        let issuer = Issuer::new(params, key);
        let sign = |mut params: CertificateParams, purpose| {
            params.extended_key_usages = vec![purpose];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            let key = KeyPair::generate().expect("a key can be made");
            let certificate = params.signed_by(&key, &issuer).expect("a certificate can be made");
            [certificate.pem(), key.serialize_pem()]
        };
        let mut far = named("the far daemon");
        far.subject_alt_names = vec![SanType::IpAddress(server)];
        Self {
            ca,
            server: sign(far, ExtendedKeyUsagePurpose::ServerAuth),
            client: sign(named("a client"), ExtendedKeyUsagePurpose::ClientAuth),
        }
    }

    /// Writes what a client needs: `ca.pem`, `cert.pem` and `key.pem`.
    ///
    /// # Panics
    /// It can't be written.
    pub fn write_client(&self, folder: &Path) {
        write(folder, [("ca.pem", &self.ca), ("cert.pem", &self.client[0]), ("key.pem", &self.client[1])]);
    }

    /// Writes what the daemon needs: `ca.pem`, `server-cert.pem` and `server-key.pem`.
    ///
    /// # Panics
    /// It can't be written.
    pub fn write_server(&self, folder: &Path) {
        write(
            folder,
            [("ca.pem", &self.ca), ("server-cert.pem", &self.server[0]), ("server-key.pem", &self.server[1])],
        );
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn write(folder: &Path, files: [(&str, &String); 3]) {
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text)?;
            if name.ends_with("key.pem") {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            }
        }
        Ok(())
    };
    written().unwrap_or_else(|error| panic!("{} can't be written: {error}", folder.display()));
}
