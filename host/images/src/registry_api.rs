//! What the host itself asks a registry, beside the engines: how large a manifest's image is, and to delete it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use wharf_fetch::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use wharf_fetch::http::{Method, StatusCode, Uri};
use wharf_fetch::{Bounds, FetchError, Reach, Request, Response, Roots, reach};

use crate::engine::Login;
use crate::error::ImageError;
use crate::images::locked;
use crate::sources::{Logins, registry_of};

/// What one request may take. A registry may have to look into a bucket of objects.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(30), body: 4 << 20 };
/// The manifests of one image.
const MANIFESTS: &str =
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
/// How much of a registry's words is shown.
const SHOWN: usize = 300;

/// Asks registries by their own API.
pub struct RegistryApi {
    logins: Arc<dyn Logins>,
    roots: Roots,
    /// Registries of this machine that don't speak TLS.
    plain: Mutex<HashMap<String, bool>>,
    /// What let the host in, by repository.
    passes: Mutex<HashMap<String, HeaderValue>>,
}

/// The part of a manifest that says how large its image is.
#[derive(Deserialize)]
struct Manifest {
    config: Blob,
    layers: Vec<Blob>,
}

#[derive(Deserialize)]
struct Blob {
    size: u64,
}

/// What a registry says when it refuses.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<RegistryError>,
}

#[derive(Deserialize)]
struct RegistryError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a server of tokens answers.
#[derive(Deserialize)]
struct Token {
    #[serde(alias = "access_token")]
    token: String,
}

/// How a registry wants to be told who asks.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl RegistryApi {
    /// With these logins; `roots` are whom it trusts.
    #[must_use]
    pub fn new(logins: Arc<dyn Logins>, roots: Roots) -> Self {
        Self { logins, roots, plain: Mutex::default(), passes: Mutex::default() }
    }

    /// The size of the image under a digest (`sha256:...`) of a repository (`registry.example.com/data/wharf-run/python-r`):
    /// bytes, as they were sent. `None` when the registry doesn't have it.
    ///
    /// # Errors
    /// The registry doesn't answer, doesn't let the host in, or answers something else than a manifest.
    pub async fn size(&self, repository: &str, digest: &str) -> Result<Option<u64>, ImageError> {
        let answer = self.manifest(Method::GET, repository, digest).await?;
        match answer.status {
            StatusCode::OK => {
                let manifest: Manifest = serde_json::from_slice(&answer.body)
                    .map_err(|_| refused(repository, "show a manifest", "it answers something else than one"))?;
                let sizes = std::iter::once(&manifest.config).chain(&manifest.layers).map(|blob| blob.size);
                Ok(Some(sizes.fold(0, u64::saturating_add)))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refused(repository, "show a manifest", &said(&answer))),
        }
    }

    /// Deletes the manifest under a digest, and with it all tags that lead to it. Not an error when it is gone. What its layers
    /// take is free when the registry has collected its garbage.
    ///
    /// # Errors
    /// The registry doesn't answer, doesn't let the host in, or doesn't delete.
    pub async fn delete(&self, repository: &str, digest: &str) -> Result<(), ImageError> {
        let answer = self.manifest(Method::DELETE, repository, digest).await?;
        match answer.status {
            StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            StatusCode::METHOD_NOT_ALLOWED => Err(refused(
                repository,
                "delete a manifest",
                "it deletes nothing; whoever runs it can allow that (Docker's: `storage.delete.enabled: true` in its \
                 configuration, or REGISTRY_STORAGE_DELETE_ENABLED=true)",
            )),
            _ => Err(refused(repository, "delete a manifest", &said(&answer))),
        }
    }

    /// Asks about one manifest, as whom the registry wants.
    async fn manifest(&self, method: Method, repository: &str, digest: &str) -> Result<Response, ImageError> {
        let registry = registry_of(repository);
        let path = repository.strip_prefix(registry).unwrap_or(repository).trim_start_matches('/');
        let path = format!("/v2/{path}/manifests/{digest}");
        let pass = locked(&self.passes).get(repository).cloned();
        let answer = self.ask(registry, method.clone(), &path, pass).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return self.let_in(registry, answer, None);
        }
        let login = self.logins.login(registry).await?;
        let pass = self.pass(repository, registry, &answer, login.as_ref()).await?;
        locked(&self.passes).insert(repository.to_owned(), pass.clone());
        let answer = self.ask(registry, method, &path, Some(pass)).await?;
        self.let_in(registry, answer, login.as_ref())
    }

    fn let_in(&self, registry: &str, answer: Response, login: Option<&Login>) -> Result<Response, ImageError> {
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(not_let_in(registry, login, said(&answer)));
        }
        Ok(answer)
    }

    /// By TLS; a registry of this machine that doesn't speak it is asked without, as Docker does.
    async fn ask(
        &self,
        registry: &str,
        method: Method,
        path: &str,
        pass: Option<HeaderValue>,
    ) -> Result<Response, ImageError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        if let Some(pass) = pass {
            headers.insert(AUTHORIZATION, pass);
        }
        let plain = locked(&self.plain).get(registry).copied().unwrap_or(false);
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let request = |scheme: &str| -> Result<Request, ImageError> {
            let url: Result<Uri, _> = format!("{scheme}://{host}{path}").parse();
            let url = url.map_err(|_| refused(registry, "be asked", &format!("{host}{path} isn't an address")))?;
            Ok(Request { method: method.clone(), url, headers: headers.clone(), body: Bytes::new() })
        };
        let sent = send(request(if plain { "http" } else { "https" })?, &self.roots).await;
        let sent = match sent {
            Err(FetchError::Tls { .. }) if !plain && is_this_machine(registry) => {
                let answer = send(request("http")?, &self.roots).await;
                if answer.is_ok() {
                    locked(&self.plain).insert(registry.to_owned(), true);
                }
                answer
            }
            other => other,
        };
        sent.map_err(|error| unreachable(registry, &error))
    }

    /// What to show the registry so that it lets the host in.
    async fn pass(
        &self,
        repository: &str,
        registry: &str,
        answer: &Response,
        login: Option<&Login>,
    ) -> Result<HeaderValue, ImageError> {
        let challenges = answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenges.filter_map(Challenge::read).next() else {
            return Err(not_let_in(registry, login, said(answer)));
        };
        match (challenge, login) {
            (Challenge::Basic, Some(login)) => basic(login),
            (Challenge::Basic, None) => Err(not_let_in(registry, None, said(answer))),
            (Challenge::Bearer { realm, service }, login) => {
                self.token(repository, registry, &realm, service.as_deref(), login).await
            }
        }
    }

    /// Gets a token for one repository from the server that the registry names.
    async fn token(
        &self,
        repository: &str,
        registry: &str,
        realm: &str,
        service: Option<&str>,
        login: Option<&Login>,
    ) -> Result<HeaderValue, ImageError> {
        let plain = locked(&self.plain).get(registry).copied().unwrap_or(false);
        if !(realm.starts_with("https://") || plain && realm.starts_with("http://")) {
            return Err(refused(registry, "be asked", "it sends whoever logs in to a place without TLS"));
        }
        let path = repository.strip_prefix(registry).unwrap_or(repository).trim_start_matches('/');
        let mut query = format!("scope={}", escaped(&format!("repository:{path}:pull,delete")));
        if let Some(service) = service {
            query.push_str(&format!("&service={}", escaped(service)));
        }
        let mut headers = HeaderMap::new();
        let (method, url, body) = match login {
            // An identity token is exchanged for another one.
            Some(login) if login.user.is_empty() => {
                let token = escaped(login.secret.expose());
                let body = format!("grant_type=refresh_token&client_id=wharf&refresh_token={token}&{query}");
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                (Method::POST, realm.to_owned(), body)
            }
            login => {
                if let Some(login) = login {
                    headers.insert(AUTHORIZATION, basic(login)?);
                }
                let sign = if realm.contains('?') { '&' } else { '?' };
                (Method::GET, format!("{realm}{sign}{query}"), String::new())
            }
        };
        let url = url.parse().map_err(|_| refused(registry, "be asked", "it names no place to log in at"))?;
        let sent = send(Request { method, url, headers, body: body.into() }, &self.roots).await;
        let answer = sent.map_err(|error| unreachable(registry, &error))?;
        if !answer.status.is_success() {
            return Err(not_let_in(registry, login, said(&answer)));
        }
        let token: Token = serde_json::from_slice(&answer.body)
            .map_err(|_| not_let_in(registry, login, "its server of tokens answers something else".to_owned()))?;
        secret_header(registry, format!("Bearer {}", token.token))
    }
}

async fn send(request: Request, roots: &Roots) -> Result<Response, FetchError> {
    wharf_fetch::send(request, BOUNDS, roots, |address| reach(address) != Reach::Never).await
}

fn is_this_machine(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn basic(login: &Login) -> Result<HeaderValue, ImageError> {
    secret_header(
        &login.registry,
        format!("Basic {}", STANDARD.encode(format!("{}:{}", login.user, login.secret.expose()))),
    )
}

fn secret_header(registry: &str, text: String) -> Result<HeaderValue, ImageError> {
    let mut header = HeaderValue::try_from(text).map_err(|_| ImageError::NoCredentials {
        registry: registry.to_owned(),
        reason: "they have a control character in them".to_owned(),
    })?;
    header.set_sensitive(true);
    Ok(header)
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn unreachable(registry: &str, error: &FetchError) -> ImageError {
    ImageError::RegistryUnreachable { registry: registry.to_owned(), reason: error.to_string() }
}

fn refused(repository: &str, operation: &str, reason: &str) -> ImageError {
    ImageError::RegistryRefused {
        registry: registry_of(repository).to_owned(),
        operation: operation.to_owned(),
        reason: reason.to_owned(),
    }
}

fn not_let_in(registry: &str, login: Option<&Login>, reason: String) -> ImageError {
    let who = match login {
        None => "somebody without a login".to_owned(),
        Some(login) if login.user.is_empty() => "the owner of an identity token".to_owned(),
        Some(login) => login.user.clone(),
    };
    ImageError::LoginRefused { registry: registry.to_owned(), who, reason }
}

/// A registry's own words; its status when it has none.
fn said(answer: &Response) -> String {
    let errors = serde_json::from_slice::<Errors>(&answer.body).map(|said| said.errors).unwrap_or_default();
    let words = errors.first().map(|error| if error.message.is_empty() { &error.code } else { &error.message });
    match words {
        Some(words) if !words.is_empty() => {
            words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
        }
        _ => format!("it answers {}", answer.status),
    }
}

impl Challenge {
    /// Reads `Bearer realm="https://...",service="..."` or `Basic realm="..."`.
    fn read(text: &str) -> Option<Self> {
        let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut values = HashMap::new();
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"')?;
            values.insert(name.trim_matches([' ', ',']).to_ascii_lowercase(), value.to_owned());
            rest = after;
        }
        Some(Self::Bearer { realm: values.remove("realm")?, service: values.remove("service") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let text = "Bearer realm=\"https://auth.example/token\", service=\"r.example\",scope=\"repository:a:pull\"";
        let bearer =
            Challenge::Bearer { realm: "https://auth.example/token".to_owned(), service: Some("r.example".to_owned()) };
        assert_eq!(Challenge::read(text), Some(bearer));
        assert_eq!(Challenge::read("Basic realm=\"x\""), Some(Challenge::Basic));
        for odd in ["Bearer", "Bearer realm=\"x", "Negotiate", ""] {
            assert_eq!(Challenge::read(odd), None, "{odd}");
        }
        assert_eq!(escaped("repository:a/b:pull,delete"), "repository%3Aa%2Fb%3Apull%2Cdelete");
    }

    #[test]
    fn only_registries_of_this_machine_are_asked_without_tls() {
        for (registry, here) in [
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("localhost", true),
            ("10.0.0.1:5000", false),
            ("localhost.example:5000", false),
        ] {
            assert_eq!(is_this_machine(registry), here, "{registry}");
        }
    }
}
