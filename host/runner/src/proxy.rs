use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use wharf_model::protocol::{Context, Received, Refusal};

use crate::link::{Body, BoxError, Link, LinkError};
use crate::work_folder::private_folder;

/// The largest word of a recipe on how far it has come.
const MAX_ADVANCE: usize = 16 << 10;
/// The largest answer to an upload.
const MAX_ANSWER: usize = 64 << 10;
/// An upload up to this size is kept until it has been answered, and sent again when the connection breaks.
const KEPT: usize = 1 << 20;
/// How often a request is tried again, over a line that breaks each time: for about a quarter of a minute.
const TRIES: u32 = 8;

/// Listens for the recipe, on a socket in a private folder, and passes its requests on to the host.
pub(crate) fn listen(link: Rc<Link>, context: Context) -> Result<PathBuf, String> {
    let path = private_folder("socket")?.join("socket");
    let listener = UnixListener::bind(&path)
        .map_err(|error| format!("cannot listen for the recipe on {}: {error}", path.display()))?;
    let context = Rc::new(context);
    tokio::task::spawn_local(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::task::spawn_local(serve(stream, Rc::clone(&link), Rc::clone(&context)));
                }
                // Out of file descriptors, mostly: it passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(path)
}

async fn serve(stream: UnixStream, link: Rc<Link>, context: Rc<Context>) {
    let service = hyper::service::service_fn(|request| {
        let (link, context) = (Rc::clone(&link), Rc::clone(&context));
        async move { Ok::<_, std::convert::Infallible>(answer(&link, &context, request).await) }
    });
    // A recipe that closes its connection is no event.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(link: &Link, context: &Context, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let method = request.method().clone();
    if method == Method::GET && path == "/v1/context" {
        return json(StatusCode::OK, context);
    }
    if method == Method::POST && path == "/v1/progress" {
        return advance(link, &path, request.into_body()).await;
    }
    if !path.starts_with("/v1/datasets/") && !path.starts_with("/v1/folders/") {
        return refuse(StatusCode::NOT_FOUND, "unknown-request", format!("there is no request {method} {path}"));
    }
    if method == Method::PUT {
        return upload(link, &path, request.into_body()).await;
    }
    // Asking twice changes nothing; deleting twice finds nothing the second time.
    let mut tries = pauses(if method == Method::GET { TRIES } else { 0 });
    loop {
        let sent = match link.ready().await {
            Ok(()) => link.send(&method, &path, full(Bytes::new())).await,
            Err(error) => break unreachable(&error),
        };
        match (sent, tries.next()) {
            (Ok(response), _) => {
                let (mut parts, body) = response.into_parts();
                parts.version = hyper::Version::HTTP_11;
                break Response::from_parts(parts, body.map_err(BoxError::from).boxed_unsync());
            }
            (Err(error), None) => break unreachable(&error),
            // The host went away, or the connection was dead for a while: once more, over a new one.
            (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
        }
    }
}

/// Passes on how far the recipe has come. Once: what comes later says more.
async fn advance(link: &Link, path: &str, body: Incoming) -> Response<Body> {
    let Ok(body) = Limited::new(body, MAX_ADVANCE).collect().await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("it may have {MAX_ADVANCE} bytes"));
    };
    if let Err(error) = link.ready().await {
        return unreachable(&error);
    }
    match link.send(&Method::POST, path, full(body.to_bytes())).await {
        Ok(response) => {
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            raw_json(status, body.map(|body| body.to_bytes()).unwrap_or_default())
        }
        Err(error) => unreachable(&error),
    }
}

/// Passes an upload on, and compares what the host received with what the recipe sent.
async fn upload(link: &Link, path: &str, mut body: Incoming) -> Response<Body> {
    if let Err(error) = link.ready().await {
        return unreachable(&error);
    }
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(4);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        let item = receiver.recv().await?;
        Some((item, receiver))
    });
    let pump = async move {
        let mut hash = Sha256::new();
        let mut whole = true;
        let mut kept = Some(BytesMut::new());
        while let Some(frame) = body.frame().await {
            let item = match frame.map(Frame::into_data) {
                Ok(Ok(bytes)) => {
                    hash.update(&bytes);
                    kept = kept.filter(|kept| kept.len() + bytes.len() <= KEPT);
                    if let Some(kept) = &mut kept {
                        kept.extend_from_slice(&bytes);
                    }
                    Ok(Frame::data(bytes))
                }
                Ok(Err(_)) => continue,
                Err(error) => {
                    whole = false;
                    Err(error.into())
                }
            };
            // A host that has refused takes no more; the recipe is heard to its end all the same, for it reads its
            // answer only then.
            let _ = sender.send(item).await;
        }
        (hex::encode(hash.finalize()), kept.filter(|_| whole).map(BytesMut::freeze), whole)
    };
    let (mut sent, (sha256, kept, whole)) = tokio::join!(put(link, path, StreamBody::new(stream).boxed_unsync()), pump);
    // Writing it again is the same as writing it once: each upload takes the place of the one before.
    if let Some(kept) = kept {
        for pause in pauses(TRIES) {
            if sent.is_ok() {
                break;
            }
            tokio::time::sleep(pause).await;
            if let Err(error) = link.ready().await {
                return unreachable(&error);
            }
            sent = put(link, path, full(kept.clone())).await;
        }
    }
    let broken = |why: String| {
        refuse(StatusCode::BAD_GATEWAY, "upload-broken", format!("the upload did not reach the host whole: {why}"))
    };
    match sent {
        Ok(_) if !whole => broken("the recipe stopped sending before the end".to_owned()),
        Err(why) => broken(why),
        Ok((StatusCode::OK, answer)) => match serde_json::from_slice::<Received>(&answer) {
            Ok(received) if received.sha256 == sha256 => raw_json(StatusCode::OK, answer),
            Ok(_) => broken("the host received other bytes than were sent; write it again".to_owned()),
            Err(error) => broken(format!("its answer is not understood: {error}")),
        },
        Ok((status, answer)) => raw_json(status, answer),
    }
}

/// The pauses before so many tries: 0.1 s, and then longer ones.
fn pauses(tries: u32) -> impl Iterator<Item = Duration> {
    (0..tries).map(|tried| Duration::from_millis(100 << tried).min(Duration::from_secs(5)))
}

/// Sends an upload once and gathers the answer. The error is a sentence.
async fn put(link: &Link, path: &str, body: Body) -> Result<(StatusCode, Bytes), String> {
    let response = link.send(&Method::PUT, path, body).await.map_err(|error| error.to_string())?;
    let status = response.status();
    match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => Ok((status, body.to_bytes())),
        Err(error) => Err(format!("its answer broke off: {error}")),
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn unreachable(error: &LinkError) -> Response<Body> {
    refuse(StatusCode::BAD_GATEWAY, "host-unreachable", error.to_string())
}

fn refuse(status: StatusCode, code: &str, message: String) -> Response<Body> {
    json(status, &Refusal { code: code.to_owned(), message })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    raw_json(status, serde_json::to_vec(value).unwrap_or_default().into())
}

fn raw_json(status: StatusCode, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
