//! A web server that does as it is told, and what cosign does to a registry.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};

/// What is answered to one request.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    Whole,
    Cut(usize),
    Stalls(usize),
    Endless,
}

impl Answer {
    pub(crate) fn ok(body: Vec<u8>) -> Self {
        Self { status: 200, headers: String::new(), body, how: How::Whole }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::ok(Vec::new()) }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// The connection ends after so many bytes.
    pub(crate) fn cut_at(self, bytes: usize) -> Self {
        Self { how: How::Cut(bytes), ..self }
    }

    /// Nothing comes after so many bytes.
    pub(crate) fn stalls_at(self, bytes: usize) -> Self {
        Self { how: How::Stalls(bytes), ..self }
    }

    /// More comes as long as somebody reads.
    pub(crate) fn endless(self) -> Self {
        Self { how: How::Endless, ..self }
    }

    fn send(&self, mut to: TcpStream) -> std::io::Result<()> {
        let length = match self.how {
            How::Endless => String::new(),
            _ => format!("Content-Length: {}\r\n", self.body.len()),
        };
        write!(to, "HTTP/1.1 {} said\r\n{length}{}Connection: close\r\n\r\n", self.status, self.headers)?;
        match self.how {
            How::Whole => to.write_all(&self.body),
            How::Cut(at) => to.write_all(&self.body[..at]),
            How::Stalls(at) => {
                to.write_all(&self.body[..at])?;
                to.flush()?;
                thread::sleep(Duration::from_secs(60));
                Ok(())
            }
            How::Endless => loop {
                to.write_all(&[0; 1 << 16])?;
            },
        }
    }
}

/// It ends with the test's process.
pub(crate) struct Server {
    port: u16,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = Arc::clone(&answer);
                thread::spawn(move || {
                    let mut stream = stream;
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                        head.push(byte[0]);
                        // Somebody who wants TLS.
                        if head[0] == 0x16 {
                            return;
                        }
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    if let Some(path) = head.split(' ').nth(1) {
                        // Who doesn't want more hangs up.
                        let _ = answer(path).send(stream);
                    }
                });
            }
        });
        Self { port }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }
}

/// A key of cosign's kind, and what `cosign sign --key` puts into a registry.
pub(crate) struct Cosign {
    key: EcdsaKeyPair,
}

impl Cosign {
    pub(crate) fn new() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { key: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap() }
    }

    pub(crate) fn public(&self) -> String {
        let header = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
        let der = [&header[..], self.key.public_key().as_ref()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    pub(crate) fn sign(&self, registry: &str, repository: &str, manifest: &str) {
        let payload = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{registry}/{repository}"}},"image":{{"docker-manifest-digest":"{manifest}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        let signature = self.key.sign(&SystemRandom::new(), payload.as_bytes()).unwrap();
        let at = format!("/v2/{repository}");
        let blob = |bytes: &[u8]| {
            let digest = sha256(bytes);
            let begun = ask(registry, "POST", &format!("{at}/blobs/uploads/"), "", b"");
            let place =
                begun.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap_or_else(|| panic!("{begun}"));
            let place = place.split_once(registry).map_or(place, |(_, path)| path);
            let put = ask(registry, "PUT", &format!("{place}&digest={digest}"), "application/octet-stream", bytes);
            assert!(put.contains(" 201 "), "{put}");
            digest
        };
        let (config, layer) = (blob(b"{}"), blob(payload.as_bytes()));
        let signatures = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"{config}"}},"layers":[{{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":{},"digest":"{layer}","annotations":{{"dev.cosignproject.cosign/signature":"{}"}}}}]}}"#,
            payload.len(),
            STANDARD.encode(signature)
        );
        let tag = format!("{at}/manifests/{}.sig", manifest.replace(':', "-"));
        let put = ask(registry, "PUT", &tag, "application/vnd.oci.image.manifest.v1+json", signatures.as_bytes());
        assert!(put.contains(" 201 "), "{put}");
    }
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn ask(registry: &str, method: &str, path: &str, kind: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(registry).unwrap();
    let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {registry}\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said.replace("\r\n", "\n")
}
