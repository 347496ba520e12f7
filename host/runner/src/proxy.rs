use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;
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

use crate::link::{Body, BoxError, Link};
use crate::work_folder::private_folder;

/// The largest answer to an upload.
const MAX_ANSWER: usize = 64 << 10;

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
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
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
    if !path.starts_with("/v1/datasets/") && !path.starts_with("/v1/folders/") {
        return refuse(StatusCode::NOT_FOUND, "unknown-request", format!("there is no request {method} {path}"));
    }
    if let Err(error) = link.ready().await {
        return refuse(StatusCode::BAD_GATEWAY, "host-unreachable", error.to_string());
    }
    if method == Method::PUT {
        return upload(link, &path, request.into_body()).await;
    }
    let sent = link.send(&method, &path, empty()).await;
    let sent = match sent {
        // The connection may have been dead for a while: once more, over a new one.
        Err(_) if method == Method::GET => link.send(&method, &path, empty()).await,
        sent => sent,
    };
    match sent {
        Ok(response) => {
            let (mut parts, body) = response.into_parts();
            parts.version = hyper::Version::HTTP_11;
            Response::from_parts(parts, body.map_err(BoxError::from).boxed_unsync())
        }
        Err(error) => refuse(StatusCode::BAD_GATEWAY, "host-unreachable", error.to_string()),
    }
}

/// Passes an upload on, and compares what the host received with what the recipe sent.
async fn upload(link: &Link, path: &str, mut body: Incoming) -> Response<Body> {
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(4);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        let item = receiver.recv().await?;
        Some((item, receiver))
    });
    let pump = async move {
        let mut hash = Sha256::new();
        let mut whole = true;
        while let Some(frame) = body.frame().await {
            let item = match frame.map(Frame::into_data) {
                Ok(Ok(bytes)) => {
                    hash.update(&bytes);
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
        (hex::encode(hash.finalize()), whole)
    };
    let send = async {
        let response = link.send(&Method::PUT, path, StreamBody::new(stream).boxed_unsync()).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok::<_, crate::link::LinkError>((status, body.map(|body| body.to_bytes())))
    };
    let (sent, (sha256, whole)) = tokio::join!(send, pump);
    let broken = |why: String| {
        refuse(StatusCode::BAD_GATEWAY, "upload-broken", format!("the upload did not reach the host whole: {why}"))
    };
    match sent {
        Err(error) => broken(error.to_string()),
        Ok(_) if !whole => broken("the recipe stopped sending before the end".to_owned()),
        Ok((_, Err(error))) => broken(format!("its answer broke off: {error}")),
        Ok((StatusCode::OK, Ok(answer))) => match serde_json::from_slice::<Received>(&answer) {
            Ok(received) if received.sha256 == sha256 => raw_json(StatusCode::OK, answer),
            Ok(_) => broken("the host received other bytes than were sent; write it again".to_owned()),
            Err(error) => broken(format!("its answer is not understood: {error}")),
        },
        Ok((status, Ok(answer))) => raw_json(status, answer),
    }
}

fn empty() -> Body {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
}

fn refuse(status: StatusCode, code: &str, message: String) -> Response<Body> {
    json(status, &Refusal { code: code.to_owned(), message })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    raw_json(status, serde_json::to_vec(value).unwrap_or_default().into())
}

fn raw_json(status: StatusCode, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
