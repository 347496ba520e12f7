//! Who one is at a registry.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use url::Url;
use wharf_model::SecretValue;

use crate::client::{Ask, Client};
use crate::error::RegistryError;

/// The longest answer with a token.
const TOKEN: u64 = 1 << 20;

/// A login. Without a user, the secret is an identity token.
#[derive(Clone)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password or the token.
    pub secret: SecretValue,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    fn basic(&self) -> Option<HeaderValue> {
        header(&format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.secret.expose()))))
    }
}

fn header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What a registry answers to who comes without a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    bearer: bool,
    realm: String,
    service: Option<String>,
}

impl Challenge {
    /// Reads `WWW-Authenticate`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ')?;
        let bearer = scheme.eq_ignore_ascii_case("bearer");
        if !bearer && !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let (mut realm, mut service) = (String::new(), None);
        let mut rest = rest.trim();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').map_or((after, ""), |(value, after)| (value, after)),
            };
            match key.trim_matches([' ', ',']) {
                "realm" => value.clone_into(&mut realm),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = after.trim_start_matches([' ', ',']);
        }
        Some(Self { bearer, realm, service })
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// The header that answers a challenge.
pub(crate) async fn answer(
    client: &Client,
    challenge: &Challenge,
    registry: &str,
    scope: &str,
    credentials: Option<&Credentials>,
) -> Result<HeaderValue, RegistryError> {
    let denied =
        |why: &str| RegistryError::Denied { host: registry.to_owned(), what: "in".to_owned(), why: why.to_owned() };
    if !challenge.bearer {
        let credentials = credentials.ok_or_else(|| denied("it wants a login, and there is none"))?;
        return credentials.basic().ok_or_else(|| denied("the login has characters that can't be sent"));
    }
    let mut url = Url::parse(&challenge.realm).map_err(|_| denied("it names no place that gives tokens"))?;
    let mut headers = HeaderMap::new();
    let (mut method, mut body, mut authorization) = (Method::GET, Bytes::new(), None);
    let service = challenge.service.as_deref().unwrap_or_default();
    match credentials {
        Some(credentials) if credentials.user.is_empty() => {
            let form = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "refresh_token")
                .append_pair("client_id", "wharf")
                .append_pair("service", service)
                .append_pair("scope", scope)
                .append_pair("refresh_token", credentials.secret.expose())
                .finish();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            (method, body) = (Method::POST, form.into());
        }
        _ => {
            url.query_pairs_mut().append_pair("service", service).append_pair("scope", scope);
            authorization = credentials.and_then(Credentials::basic);
        }
    }
    let response = client.send(Ask { method, url, headers, authorization: authorization.as_ref(), body }).await?;
    if response.status() != StatusCode::OK {
        return Err(client.refused(response, registry.to_owned(), "in").await);
    }
    let body = client.read(response, "a token", TOKEN).await?;
    let answer: TokenAnswer =
        serde_json::from_slice(&body).map_err(|_| denied("it gives something else than a token"))?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    header(&format!("Bearer {token}")).ok_or_else(|| denied("it gives a token that can't be sent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let text = r#"Bearer realm="https://auth.example/token?a=b,c",service="reg",scope="repository:a:pull""#;
        let expected = Challenge {
            bearer: true,
            realm: "https://auth.example/token?a=b,c".to_owned(),
            service: Some("reg".to_owned()),
        };
        assert_eq!(Challenge::parse(text), Some(expected));
        assert!(!Challenge::parse("basic realm=test").unwrap().bearer);
        for odd in ["", "Bearer", "Negotiate abc", "Bearer realm=\"x"] {
            assert_eq!(Challenge::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_login_doesnt_show_its_secret() {
        let credentials = Credentials { user: "ana".to_owned(), secret: SecretValue::new("hush") };
        assert!(!format!("{credentials:?}").contains("hush"));
        assert!(!format!("{:?}", credentials.basic()).contains("YW5h"));
    }
}
