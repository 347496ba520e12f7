//! Requests to one repository of one registry.

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode};
use url::Url;

use crate::auth::{self, Challenge, Credentials};
use crate::client::{Ask, Client, is_this_machine};
use crate::error::RegistryError;
use crate::reference::Reference;

/// A repository, and what is known of how to speak to it.
pub(crate) struct Session<'a> {
    pub(crate) client: &'a Client,
    pub(crate) registry: String,
    root: Url,
    repository: String,
    scope: String,
    credentials: Option<Credentials>,
    token: Option<HeaderValue>,
}

impl<'a> Session<'a> {
    /// Finds out how the registry is spoken to: with TLS, and on this machine without where it doesn't know TLS.
    pub(crate) async fn open(
        client: &'a Client,
        reference: &Reference,
        credentials: Option<Credentials>,
        actions: &str,
    ) -> Result<Self, RegistryError> {
        let url = |scheme: &str| {
            Url::parse(&format!("{scheme}://{}/v2/", reference.registry)).map_err(|error| RegistryError::Invalid {
                text: reference.to_string(),
                why: format!("its host isn't one: {error}"),
            })
        };
        let mut session = Self {
            client,
            registry: reference.registry.clone(),
            root: url("https")?,
            repository: reference.repository.clone(),
            scope: format!("repository:{}:{actions}", reference.repository),
            credentials,
            token: None,
        };
        if is_this_machine(&session.root) {
            let hello = session.ask(Method::GET, session.root.clone(), HeaderMap::new(), Bytes::new());
            if let Err(RegistryError::Unreachable { .. }) = client.send(hello).await {
                session.root = url("http")?;
            }
        }
        Ok(session)
    }

    fn ask(&self, method: Method, url: Url, headers: HeaderMap, body: Bytes) -> Ask<'_> {
        // A token is for this registry alone.
        let ours = url.origin() == self.root.origin();
        Ask { method, url, headers, authorization: self.token.as_ref().filter(|_| ours), body }
    }

    /// The URL of something in the repository: `manifests/latest`.
    pub(crate) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        self.root
            .join(&format!("{}/{path}", self.repository))
            .map_err(|error| RegistryError::Invalid { text: path.to_owned(), why: error.to_string() })
    }

    /// Asks, and logs in when that is wanted.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, RegistryError> {
        let response = self.client.send(self.ask(method.clone(), url.clone(), headers.clone(), body.clone())).await?;
        let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|header| header.to_str().ok());
        match challenge.and_then(Challenge::parse) {
            Some(challenge) if response.status() == StatusCode::UNAUTHORIZED && self.token.is_none() => {
                let credentials = self.credentials.as_ref();
                self.token =
                    Some(auth::answer(self.client, &challenge, &self.registry, &self.scope, credentials).await?);
                self.client.send(self.ask(method, url, headers, body)).await
            }
            _ => Ok(response),
        }
    }

    /// The error for an answer that isn't the one that was hoped for.
    pub(crate) async fn refused(&self, response: Response<Incoming>, what: &str) -> RegistryError {
        self.client.refused(response, self.registry.clone(), what).await
    }
}
