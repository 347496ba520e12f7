use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http_body_util::{BodyExt, BodyStream, Limited};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use wharf_model::protocol::frame;
use wharf_model::protocol::{Advance, HeartbeatAck, LogAck, Received, RunnerResult, Schema, Started, Usage};
use wharf_model::{Binding, BindingKind};

use crate::answer::{self, Body, Held, Refused};
use crate::exchange::{Attempts, Shown};
use crate::route::Route;
use crate::session::{Attempt, SessionEvent};
use crate::store::{ByteStream, Format, StoreError, Token};
use crate::strangers::Stranger;
use crate::ticket::Ticket;

/// The largest JSON that a runner says of itself.
const SMALL: usize = 64 << 10;
/// The largest result: it may cite why a command didn't start.
const MEDIUM: usize = 256 << 10;
/// The largest schema.
const LARGE: usize = 4 << 20;
/// The most log frames in one request.
const LOGS: usize = 64 << 20;
/// How many bytes of log frames are gathered before they are written.
const LOG_BATCH: usize = 1 << 20;
/// The longest sentence that a runner says of its end.
const SENTENCE: usize = 1_000;
/// More than any machine has computed.
const CPU_SECONDS: f64 = 1e12;
/// How long an answer that ends a connection has to reach the other side.
const FAREWELL: Duration = Duration::from_millis(500);

/// One connection: a stranger until a request shows a ticket, and that attempt's from then on.
pub(crate) struct Connection {
    attempts: Arc<Attempts>,
    stranger: Mutex<Option<Stranger>>,
    known: OnceLock<(Arc<Attempt>, OwnedSemaphorePermit)>,
    shown: CancellationToken,
    failed: CancellationToken,
}

impl Connection {
    pub(crate) fn new(attempts: Arc<Attempts>, stranger: Option<Stranger>) -> Self {
        Self {
            attempts,
            stranger: Mutex::new(stranger),
            known: OnceLock::new(),
            shown: CancellationToken::new(),
            failed: CancellationToken::new(),
        }
    }

    /// Returns when the connection has to end: its attempt is closed, or it showed no good ticket in time.
    pub(crate) async fn over(&self, patience: Duration) {
        tokio::select! {
            () = self.shown.cancelled() => {}
            () = self.failed.cancelled() => return tokio::time::sleep(FAREWELL).await,
            () = tokio::time::sleep(patience) => return,
        }
        if let Some((attempt, _)) = self.known.get() {
            tokio::select! {
                () = attempt.closed.cancelled() => {}
                () = self.failed.cancelled() => tokio::time::sleep(FAREWELL).await,
            }
        }
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let attempt = match self.attempt(&request).await {
            Ok(Some(attempt)) => attempt,
            Ok(None) => {
                let reason = "this host was started again, and doesn't go on with this run yet";
                return Refused::new(StatusCode::SERVICE_UNAVAILABLE, "not-yet", reason).answer();
            }
            Err(refused) => {
                // One guess a connection.
                self.failed.cancel();
                return refused.answer();
            }
        };
        attempt.hear();
        let handled = attempt.requests.track_future(handle(Arc::clone(&attempt), request));
        let result = tokio::select! {
            biased;
            result = handled => result,
            () = attempt.closed.cancelled() => Err(closed()),
        };
        result.unwrap_or_else(|refused| refused.answer())
    }

    /// The attempt of the ticket that is shown; none of one that this host will go on with, and doesn't yet.
    async fn attempt(&self, request: &Request<Incoming>) -> Result<Option<Arc<Attempt>>, Refused> {
        let hash = request.headers().get(AUTHORIZATION).and_then(|value| Ticket::hash_of_header(value.as_bytes()));
        let shown = match hash {
            Some(hash) => self.attempts.shown(&hash).await,
            None => Shown::Stranger,
        };
        let attempt = match shown {
            Shown::Run(attempt) => attempt,
            Shown::NotYet => return Ok(None),
            Shown::Stranger => {
                let reason = "the ticket is not good for any run that is going on";
                return Err(Refused::new(StatusCode::UNAUTHORIZED, "bad-ticket", reason));
            }
        };
        if let Some((known, _)) = self.known.get() {
            return if Arc::ptr_eq(known, &attempt) {
                Ok(Some(attempt))
            } else {
                Err(Refused::new(StatusCode::UNAUTHORIZED, "bad-ticket", "this connection belongs to another ticket"))
            };
        }
        let place = Arc::clone(&attempt.connections).try_acquire_owned().map_err(|_| {
            Refused::new(StatusCode::TOO_MANY_REQUESTS, "too-many-connections", "this run has too many connections")
        })?;
        // Two first requests at once: the second one's place is given back here.
        let _ = self.known.set((Arc::clone(&attempt), place));
        self.stranger.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shown.cancel();
        Ok(Some(attempt))
    }
}

fn closed() -> Refused {
    Refused::new(StatusCode::GONE, "closed", "the host has closed this run")
}

async fn handle(attempt: Arc<Attempt>, request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    let route = Route::parse(request.method(), request.uri())?;
    let body = request.into_body();
    match route {
        Route::Ready => Ok(answer::nothing()),
        Route::Task => match &attempt.task {
            Ok(task) => Ok(answer::json(task)),
            Err(reason) => Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "no-task", reason)),
        },
        Route::Started => {
            let started: Started = read_json(body, SMALL).await?;
            attempt.sink.event(SessionEvent::Started(started));
            Ok(answer::nothing())
        }
        Route::Logs { base } => take_logs(&attempt, base, body).await,
        Route::Heartbeat => {
            let usage = sound(read_json(body, SMALL).await?);
            attempt.sink.event(SessionEvent::Usage(usage));
            Ok(answer::json(&HeartbeatAck { stop: attempt.stop_requested() }))
        }
        Route::Progress => {
            let advance: Advance = read_json(body, SMALL).await?;
            attempt.sink.event(SessionEvent::Advanced(Advance { text: sentence(&advance.text), ..advance }));
            Ok(answer::nothing())
        }
        Route::Result => {
            let mut result: RunnerResult = read_json(body, MEDIUM).await?;
            result.start_error = result.start_error.as_deref().map(sentence);
            result.usage = sound(result.usage);
            // Sent again when its answer was lost. No await between the event and the answer: the host may close at once.
            if !attempt.end() {
                attempt.sink.event(SessionEvent::Result(result));
            }
            Ok(answer::nothing())
        }
        data => tokio::select! {
            biased;
            () = attempt.over.cancelled() => Err(over()),
            moved = move_data(&attempt, data, body) => moved.map_err(|refused| attempt.conceal(refused)),
        },
    }
}

fn over() -> Refused {
    Refused::new(StatusCode::CONFLICT, "closed", "this run has ended; nothing can be written")
}

async fn move_data(attempt: &Arc<Attempt>, route: Route, body: Incoming) -> Result<Response<Body>, Refused> {
    let held = Held {
        _place: Arc::clone(&attempt.data).acquire_owned().await.map_err(|_| closed())?,
        _request: attempt.requests.token(),
    };
    let store = &attempt.store;
    match route {
        Route::GetSchema { dataset } => {
            let (binding, token) = attempt.readable(&dataset, BindingKind::Dataset)?;
            Ok(answer::json_held(&store.schema(binding, token).await?, held))
        }
        Route::PutSchema { dataset } => {
            let binding = attempt.writable(&dataset, BindingKind::Dataset)?;
            let schema: Schema = read_json(body, LARGE).await?;
            store.stage_schema(&attempt.token, binding, &schema).await?;
            Ok(answer::nothing())
        }
        Route::GetData { dataset, request } => {
            let (binding, token) = attempt.readable(&dataset, BindingKind::Dataset)?;
            let content_type = match request.format {
                Format::Csv => "text/csv; charset=utf-8",
                Format::Arrow => "application/vnd.apache.arrow.stream",
            };
            answer::stream(store.read(binding, request, token).await?, content_type, held).await
        }
        Route::PutData { dataset, format } => {
            let binding = attempt.writable(&dataset, BindingKind::Dataset)?;
            let (rows, counted) = counted(body, dataset);
            let staged = store.stage_rows(&attempt.token, binding, format, rows).await?;
            Ok(answer::json(&counted.received(Some(staged.rows))))
        }
        Route::ListFiles { folder } => {
            let (binding, token) = attempt.readable(&folder, BindingKind::Folder)?;
            Ok(answer::json_held(&store.list(binding, token).await?, held))
        }
        Route::GetFile { folder, path } => {
            let (binding, token) = attempt.readable(&folder, BindingKind::Folder)?;
            let bytes = store.read_file(binding, &path, token).await?;
            answer::stream(bytes, "application/octet-stream", held).await
        }
        Route::PutFile { folder, path } => {
            let binding = attempt.writable(&folder, BindingKind::Folder)?;
            let (bytes, counted) = counted(body, path.to_string());
            store.stage_file(&attempt.token, binding, &path, bytes).await?;
            Ok(answer::json(&counted.received(None)))
        }
        Route::DeleteFile { folder, path } => {
            let binding = attempt.writable(&folder, BindingKind::Folder)?;
            store.stage_delete(&attempt.token, binding, &path).await?;
            Ok(answer::nothing())
        }
        Route::Ready
        | Route::Task
        | Route::Started
        | Route::Logs { .. }
        | Route::Heartbeat
        | Route::Progress
        | Route::Result => Err(Refused::new(StatusCode::NOT_FOUND, "unknown-request", "this request moves no data")),
    }
}

impl Attempt {
    /// The refusal as the container may read it: with the names of datasets and folders where the store's sentence has paths of
    /// the host. The host's log has the sentence as it was.
    fn conceal(&self, mut refused: Refused) -> Refused {
        let shown = self.bindings().fold(refused.refusal.message.clone(), |message, binding| {
            let path = binding.place.path.display().to_string();
            let parent = binding.place.path.parent().filter(|parent| parent.file_name().is_some());
            let message = message.replace(&path, &binding.name);
            match parent {
                Some(parent) => message.replace(&format!("{}/", parent.display()), ""),
                None => message,
            }
        });
        if shown != refused.refusal.message {
            tracing::debug!(run = %self.token, sentence = refused.refusal.message, "a request was refused");
            refused.refusal.message = shown;
        }
        refused
    }

    /// A binding that may be read; an output is read as this run has staged it.
    fn readable(&self, name: &str, kind: BindingKind) -> Result<(&Binding, Option<&Token>), Refused> {
        if let Some(binding) = self.input(name, kind) {
            return Ok((binding, None));
        }
        if let Some(binding) = self.output(name, kind) {
            return Ok((binding, Some(&self.token)));
        }
        let (word, code) = kind_words(kind);
        let names = self.names(kind, false);
        Err(Refused::new(
            StatusCode::NOT_FOUND,
            code,
            format!("this run has no {word} {name:?}; its {word}s are: {names}"),
        ))
    }

    fn writable(&self, name: &str, kind: BindingKind) -> Result<&Binding, Refused> {
        if let Some(binding) = self.output(name, kind) {
            return Ok(binding);
        }
        let (word, code) = kind_words(kind);
        let names = self.names(kind, true);
        Err(if self.input(name, kind).is_some() {
            Refused::new(
                StatusCode::FORBIDDEN,
                "not-an-output",
                format!("the {word} {name:?} is an input of this run, not an output; its output {word}s are: {names}"),
            )
        } else {
            Refused::new(
                StatusCode::NOT_FOUND,
                code,
                format!("this run has no output {word} {name:?}; its output {word}s are: {names}"),
            )
        })
    }
}

fn kind_words(kind: BindingKind) -> (&'static str, &'static str) {
    match kind {
        BindingKind::Dataset => ("dataset", "unknown-dataset"),
        BindingKind::Folder => ("folder", "unknown-folder"),
    }
}

/// A runner's own words for an outcome: not endless, and on one line.
fn sentence(text: &str) -> String {
    text.chars().take(SENTENCE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A usage that can be shown.
fn sound(mut usage: Usage) -> Usage {
    if !(0.0..CPU_SECONDS).contains(&usage.cpu_seconds) {
        usage.cpu_seconds = 0.0;
    }
    usage
}

async fn take_logs(attempt: &Arc<Attempt>, base: u64, mut body: Incoming) -> Result<Response<Body>, Refused> {
    // What is gathered before it is written takes memory.
    let _place = attempt.log_requests.acquire().await.map_err(|_| closed())?;
    let bad = |message: &str| Refused::bad_request("bad-frames", message);
    let mut buffer = BytesMut::new();
    let mut total = 0;
    let mut next = None;
    loop {
        let frame = body.frame().await.transpose().map_err(|_| bad("the log frames broke off"))?;
        let last = frame.is_none();
        let chunk = frame.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        total += chunk.len();
        if total > LOGS {
            return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "more than 64 MiB of log frames"));
        }
        buffer.extend_from_slice(&chunk);
        if buffer.len() >= LOG_BATCH || last {
            let whole = frame::whole(&buffer).map_err(|error| bad(&error.to_string()))?;
            if whole > 0 || next.is_none() {
                next = Some(keep(attempt, base, buffer.split_to(whole).freeze()).await?);
            }
        }
        if last {
            break;
        }
    }
    if !buffer.is_empty() {
        return Err(bad("the last log frame is cut off"));
    }
    Ok(answer::json(&LogAck { next: next.unwrap_or(0) }))
}

async fn keep(attempt: &Arc<Attempt>, base: u64, frames: Bytes) -> Result<u64, Refused> {
    let attempt = Arc::clone(attempt);
    let kept = tokio::task::spawn_blocking(move || {
        let mut log = attempt.log();
        let fresh = log.append(&frames, base)?;
        // Under the lock, so that the sink gets them in their order.
        if !fresh.is_empty() {
            attempt.sink.event(SessionEvent::Logs(fresh));
        }
        Ok::<_, crate::log_file::LogError>(log.next())
    });
    let fault = || Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "host-fault", "the host cannot keep the log");
    kept.await.map_err(|_| fault())?.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a log cannot be kept");
        fault()
    })
}

async fn read_json<T: DeserializeOwned>(body: Incoming, limit: usize) -> Result<T, Refused> {
    let bytes = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("the body is larger than {limit} bytes"))
        } else {
            Refused::bad_request("broken-upload", "the request's body broke off")
        }
    })?;
    serde_json::from_slice(&bytes.to_bytes())
        .map_err(|error| Refused::bad_request("bad-json", format!("the request's body is not understood: {error}")))
}

/// Counts and hashes what goes by.
struct Counted(Arc<Mutex<(Sha256, u64)>>);

impl Counted {
    fn received(&self, rows: Option<u64>) -> Received {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Received { bytes: counted.1, sha256: hex::encode(counted.0.clone().finalize()), rows }
    }
}

fn counted(body: Incoming, object: String) -> (ByteStream, Counted) {
    let state = Arc::new(Mutex::new((Sha256::new(), 0)));
    let counted = Counted(Arc::clone(&state));
    let bytes = BodyStream::new(body).map(move |frame| match frame {
        Ok(frame) => {
            let bytes = frame.into_data().unwrap_or_default();
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0.update(&bytes);
            state.1 += bytes.len() as u64;
            Ok(bytes)
        }
        Err(error) => Err(StoreError::Broken { object: object.clone(), source: std::io::Error::other(error) }),
    });
    (bytes.boxed(), counted)
}
