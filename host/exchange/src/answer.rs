use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::task_tracker::TaskTrackerToken;
use wharf_model::protocol::Refusal;

use crate::store::{ByteStream, StoreError};

pub(crate) type Body = UnsyncBoxBody<Bytes, StoreError>;

/// A request that isn't granted: status, code and sentence.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) refusal: Refusal,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, refusal: Refusal { code: code.to_owned(), message: message.into() } }
    }

    pub(crate) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn answer(&self) -> Response<Body> {
        let mut response = json(&self.refusal);
        *response.status_mut() = self.status;
        response
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        let (status, code) = match &error {
            StoreError::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found"),
            StoreError::Unusable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unusable"),
            StoreError::BadRows { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad-rows"),
            StoreError::BadPath(_) => (StatusCode::BAD_REQUEST, "bad-path"),
            StoreError::Full { .. } => (StatusCode::INSUFFICIENT_STORAGE, "no-room"),
            StoreError::NameTaken { .. } => (StatusCode::CONFLICT, "name-taken"),
            StoreError::NoSuchColumn { .. } => (StatusCode::BAD_REQUEST, "unknown-column"),
            StoreError::Closed { .. } => (StatusCode::CONFLICT, "closed"),
            StoreError::Broken { .. } => (StatusCode::BAD_REQUEST, "broken-upload"),
            // Paths and addresses of the host are for its own log, not for the container.
            StoreError::Io { operation, path, source } => {
                tracing::warn!(operation, path = %path.display(), error = %source, "the store failed");
                let message = format!("the host cannot {operation} the data: {source}");
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "host-fault", message);
            }
            StoreError::Other { operation, object, source } => {
                tracing::warn!(operation, object, error = %source, "the store failed");
                let message = format!("the host cannot {operation} {object}: {source}");
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "host-fault", message);
            }
        };
        Self::new(status, code, error.to_string())
    }
}

pub(crate) fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Full::new(Bytes::from(bytes)).map_err(never).boxed_unsync());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            let mut response = nothing();
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// An answer that may be large: it holds its place until it is sent.
pub(crate) fn json_held(value: &impl Serialize, held: Held) -> Response<Body> {
    json(value).map(|body| {
        let frames = Box::pin(BodyStream::new(body));
        BodyExt::boxed_unsync(StreamBody::new(Holding { frames, _held: held }))
    })
}

pub(crate) fn nothing() -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(never).boxed_unsync());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// What a body holds on to until it is sent: its place among the session's data requests, and the session's end.
pub(crate) struct Held {
    pub(crate) _place: OwnedSemaphorePermit,
    pub(crate) _request: TaskTrackerToken,
}

/// Streams bytes. The first of them are awaited, so that an error at the beginning is a refusal with a sentence and not
/// a broken stream.
pub(crate) async fn stream(
    mut bytes: ByteStream,
    content_type: &'static str,
    held: Held,
) -> Result<Response<Body>, Refused> {
    let first = bytes.next().await.transpose()?;
    let frames = futures_util::stream::iter(first.map(Ok))
        .chain(bytes)
        .map(|item| item.map(Frame::data).inspect_err(|error| tracing::warn!(%error, "a stream to a container broke")));
    let body = BodyExt::boxed_unsync(StreamBody::new(Holding { frames: Box::pin(frames), _held: held }));
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

struct Holding<S> {
    frames: S,
    _held: Held,
}

impl<S: Stream + Unpin> Stream for Holding<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.frames).poll_next(cx)
    }
}

fn never(never: Infallible) -> StoreError {
    match never {}
}
