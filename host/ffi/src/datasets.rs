//! Datasets that the caller has: what the host asks of them, and the bytes of both ways.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wharf::datasets::{
    Access, ByteStream, Committed, CsvRows, DatasetStore, FileInfo, FolderPath, Format, ReadRequest, Schema,
    StagedRows, StoreError, Token, TokenStatus,
};
use wharf::message::Reply;
use wharf::model::{Binding, BindingKind, Fault};

/// Asks that wait to be taken. More wait where they come from.
const ASKS: usize = 64;
/// Streams of bytes at once: a thread of the caller's each.
const STREAMS: usize = 32;
/// Pieces of a stream that are on their way, and the size of each.
const IN_FLIGHT: usize = 4;
const PIECE: usize = 256 << 10;

/// The message that asks for what the host asks.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub(crate) enum ServeDatasets {
    ServeDatasets,
}

/// The store that the caller is.
pub(crate) struct CallerStore {
    shared: Arc<Shared>,
    rows: CsvRows,
    asks: mpsc::Sender<Value>,
    served: Arc<tokio::sync::Mutex<mpsc::Receiver<Value>>>,
    streams: Arc<Semaphore>,
    runtime: Handle,
}

/// What both sides know of the asks.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    last: u64,
    open: HashMap<u64, Arc<Open>>,
    limits: HashMap<Token, u64>,
    /// Datasets whose schema was set, and didn't come with their rows.
    set: HashSet<(Token, String)>,
}

/// An ask that isn't answered.
struct Open {
    answer: Mutex<Option<oneshot::Sender<Result<Value, Fault>>>>,
    /// Bytes for the caller.
    up: Option<Mutex<Up>>,
    /// Bytes from the caller.
    down: Mutex<Option<mpsc::Sender<Bytes>>>,
    /// Nobody waits for it any more.
    gone: CancellationToken,
}

struct Up {
    stream: ByteStream,
    current: Bytes,
    ended: bool,
    broken: Option<StoreError>,
}

/// Whoever waits for an answer. Dropped, it waits no longer.
struct Asked {
    shared: Arc<Shared>,
    id: u64,
    open: Arc<Open>,
    answer: oneshot::Receiver<Result<Value, Fault>>,
}

/// What is asked, for the sentence about what fails.
#[derive(Clone)]
struct About {
    operation: &'static str,
    object: String,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn open(&self, id: u64) -> Option<Arc<Open>> {
        self.state().open.get(&id).map(Arc::clone)
    }
}

impl CallerStore {
    pub(crate) fn new(runtime: Handle) -> Arc<Self> {
        let (asks, served) = mpsc::channel(ASKS);
        Arc::new(Self {
            shared: Arc::default(),
            rows: CsvRows::default(),
            asks,
            served: Arc::new(tokio::sync::Mutex::new(served)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            runtime,
        })
    }

    /// What the host asks, as it asks it.
    pub(crate) fn serve(self: Arc<Self>) -> BoxStream<'static, Reply> {
        let Ok(served) = Arc::clone(&self.served).try_lock_owned() else {
            let fault = Fault::new("usage", "the datasets of this host are served by another call")
                .hint("cancel that one first, or take more from it");
            return futures_util::stream::iter([Reply::Fault(fault)]).boxed();
        };
        let served = Served { asks: served, shared: Arc::clone(&self.shared) };
        futures_util::stream::unfold(served, |mut served| async move {
            let ask = served.asks.recv().await?;
            Some((Reply::Value(ask), served))
        })
        .boxed()
    }

    /// From now on nothing fails because nobody serves it: the home is being given up, and the next owner asks again.
    pub(crate) fn close(&self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        for open in self.shared.state().open.values() {
            open.gone.cancel();
        }
    }

    /// At most so many bytes for the caller; none at the end.
    pub(crate) fn read(&self, id: u64, capacity: usize) -> Option<Bytes> {
        let open = self.shared.open(id)?;
        let mut up = lock(open.up.as_ref()?);
        while up.current.is_empty() {
            if up.ended {
                return Some(Bytes::new());
            }
            if up.broken.is_some() {
                return None;
            }
            let next = self.runtime.block_on(open.gone.run_until_cancelled(up.stream.next()))?;
            match next {
                Some(Ok(bytes)) => up.current = bytes,
                Some(Err(error)) => up.broken = Some(error),
                None => up.ended = true,
            }
        }
        let len = capacity.min(up.current.len());
        Some(up.current.split_to(len))
    }

    /// Takes bytes of the caller's, once there is room for them.
    pub(crate) fn write(&self, id: u64, bytes: &[u8]) -> Option<()> {
        let open = self.shared.open(id)?;
        let down = lock(&open.down).clone()?;
        for piece in bytes.chunks(PIECE) {
            let piece = Bytes::copy_from_slice(piece);
            self.runtime.block_on(open.gone.run_until_cancelled(down.send(piece)))?.ok()?;
        }
        Some(())
    }

    pub(crate) fn answer(&self, id: u64, answer: Result<Value, Fault>) {
        let Some(open) = self.shared.state().open.remove(&id) else { return };
        open.settle(answer);
    }

    async fn begin(
        &self,
        mut ask: Map<String, Value>,
        up: Option<ByteStream>,
        down: Option<mpsc::Sender<Bytes>>,
    ) -> Asked {
        let (sender, answer) = oneshot::channel();
        ask.insert(
            "stream".to_owned(),
            match (&up, &down) {
                (Some(_), _) => json!("read"),
                (_, Some(_)) => json!("write"),
                _ => Value::Null,
            },
        );
        let open = Arc::new(Open {
            answer: Mutex::new(Some(sender)),
            up: up.map(|stream| Mutex::new(Up { stream, current: Bytes::new(), ended: false, broken: None })),
            down: Mutex::new(down),
            gone: CancellationToken::new(),
        });
        let id = {
            let mut state = self.shared.state();
            state.last += 1;
            let id = state.last;
            state.open.insert(id, Arc::clone(&open));
            id
        };
        let asked = Asked { shared: Arc::clone(&self.shared), id, open, answer };
        ask.insert("id".to_owned(), id.into());
        // The receiver is in `self`, so it is there.
        let _ = self.asks.send(Value::Object(ask)).await;
        asked
    }

    async fn ask<T: DeserializeOwned>(&self, about: &About, ask: Map<String, Value>) -> Result<T, StoreError> {
        let asked = self.begin(ask, None, None).await;
        about.read(asked.answered(about).await?)
    }

    /// Asks for bytes.
    async fn fetch(&self, about: About, ask: Map<String, Value>) -> Result<ByteStream, StoreError> {
        let place = self.place().await?;
        let (sender, mut bytes) = mpsc::channel(IN_FLIGHT);
        let asked = self.begin(ask, None, Some(sender)).await;
        // What fails at once is an error of the asking.
        let Some(first) = bytes.recv().await else {
            asked.answered(&about).await?;
            return Ok(futures_util::stream::empty().boxed());
        };
        let rest = Fetched { bytes, asked, about, _place: place };
        let rest = futures_util::stream::unfold(Some(rest), |rest| async {
            let mut rest = rest?;
            match rest.bytes.recv().await {
                Some(bytes) => Some((Ok(bytes), Some(rest))),
                None => rest.asked.answered(&rest.about).await.err().map(|error| (Err(error), None)),
            }
        });
        Ok(futures_util::stream::iter([Ok(first)]).chain(rest).boxed())
    }

    /// Sends bytes.
    async fn send<T: DeserializeOwned>(
        &self,
        about: &About,
        mut ask: Map<String, Value>,
        token: &Token,
        bytes: ByteStream,
    ) -> Result<T, StoreError> {
        let place = self.place().await?;
        let limit = self.shared.state().limits.get(token).copied();
        ask.insert("limit".to_owned(), limit.into());
        let asked = self.begin(ask, Some(bounded(bytes, limit, about.object.clone())), None).await;
        let open = Arc::clone(&asked.open);
        let answered = asked.answered(about).await;
        drop(place);
        if let Some(up) = &open.up {
            let mut up = lock(up);
            if let Some(broken) = up.broken.take() {
                return Err(broken);
            }
            if answered.is_ok() && !up.ended {
                return Err(about.error("the store answered before it had read to the end".to_owned()));
            }
        }
        about.read(answered?)
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let place = Arc::clone(&self.streams).acquire_owned().await;
        place.map_err(|error| StoreError::Other { operation: "move", object: "data".to_owned(), source: error.into() })
    }

    async fn staged_schema(&self, token: &Token, binding: &Binding) -> Result<Option<Schema>, StoreError> {
        let ask = asking("staged-schema", json!({"token": of(token), "binding": binding}));
        self.ask(&About::of("find out the staged schema of", binding), ask).await
    }

    async fn stage(
        &self,
        token: &Token,
        binding: &Binding,
        schema: &Schema,
        csv: ByteStream,
    ) -> Result<u64, StoreError> {
        let ask = asking("stage", json!({"token": of(token), "binding": binding, "schema": schema}));
        self.send(&About::of("write", binding), ask, token, csv).await
    }

    async fn of_token<T: DeserializeOwned>(
        &self,
        ask: &str,
        operation: &'static str,
        token: &Token,
    ) -> Result<T, StoreError> {
        let about = About { operation, object: format!("the outputs of {token}") };
        self.ask(&about, asking(ask, json!({"token": of(token)}))).await
    }
}

#[async_trait]
impl DatasetStore for CallerStore {
    async fn check(&self, binding: &Binding, access: Access) -> Result<(), StoreError> {
        let access = match access {
            Access::Read => "read",
            Access::Write => "write",
        };
        let ask = asking("check", json!({"binding": binding, "access": access}));
        self.ask::<Value>(&About::of("use", binding), ask).await.map(drop)
    }

    fn limit(&self, token: &Token, bytes: Option<u64>) {
        let limits = &mut self.shared.state().limits;
        match bytes {
            Some(bytes) => drop(limits.insert(token.clone(), bytes)),
            None => drop(limits.remove(token)),
        }
    }

    async fn schema(&self, binding: &Binding, token: Option<&Token>) -> Result<Schema, StoreError> {
        if let Some(token) = token
            && let Some(schema) = self.staged_schema(token, binding).await?
        {
            return Ok(schema);
        }
        self.ask(&About::of("find out the schema of", binding), asking("schema", json!({"binding": binding}))).await
    }

    async fn read(
        &self,
        binding: &Binding,
        request: ReadRequest,
        token: Option<&Token>,
    ) -> Result<ByteStream, StoreError> {
        let schema = match request.format {
            Format::Arrow => self.schema(binding, token).await?,
            Format::Csv => Schema::default(),
        };
        let ask = asking("read", json!({"binding": binding, "token": token.map(of)}));
        let csv = self.fetch(About::of("read", binding), ask).await?;
        self.rows.send(binding, schema, request, csv)
    }

    async fn list(&self, binding: &Binding, token: Option<&Token>) -> Result<Vec<FileInfo>, StoreError> {
        let ask = asking("list", json!({"binding": binding, "token": token.map(of)}));
        self.ask(&About::of("list", binding), ask).await
    }

    async fn read_file(
        &self,
        binding: &Binding,
        path: &FolderPath,
        token: Option<&Token>,
    ) -> Result<ByteStream, StoreError> {
        let ask = asking("read-file", json!({"binding": binding, "path": path.as_str(), "token": token.map(of)}));
        self.fetch(About::of_file("read", path), ask).await
    }

    async fn stage_schema(&self, token: &Token, binding: &Binding, schema: &Schema) -> Result<(), StoreError> {
        let key = (token.clone(), binding.name.clone());
        if self.staged_schema(token, binding).await?.as_ref() != Some(schema) {
            let names = schema.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>();
            let header = Bytes::from(names.join(",") + "\n");
            let no_rows = futures_util::stream::iter([Ok(header)]).boxed();
            self.stage(token, binding, schema, no_rows).await?;
        }
        self.shared.state().set.insert(key);
        Ok(())
    }

    async fn stage_rows(
        &self,
        token: &Token,
        binding: &Binding,
        format: Format,
        rows: ByteStream,
    ) -> Result<StagedRows, StoreError> {
        let set = self.shared.state().set.contains(&(token.clone(), binding.name.clone()));
        let schema = if set { self.staged_schema(token, binding).await? } else { None };
        let received = self.rows.receive(token, binding, format, schema, rows).await?;
        Ok(StagedRows { rows: self.stage(token, binding, &received.schema, received.csv).await? })
    }

    async fn stage_file(
        &self,
        token: &Token,
        binding: &Binding,
        path: &FolderPath,
        bytes: ByteStream,
    ) -> Result<(), StoreError> {
        let ask = asking("stage-file", json!({"token": of(token), "binding": binding, "path": path.as_str()}));
        self.send::<Value>(&About::of_file("write", path), ask, token, bytes).await.map(drop)
    }

    async fn stage_delete(&self, token: &Token, binding: &Binding, path: &FolderPath) -> Result<(), StoreError> {
        let ask = asking("stage-delete", json!({"token": of(token), "binding": binding, "path": path.as_str()}));
        self.ask::<Value>(&About::of_file("remove", path), ask).await.map(drop)
    }

    async fn commit(&self, token: &Token) -> Result<Committed, StoreError> {
        self.of_token("commit", "put in place", token).await
    }

    async fn abort(&self, token: &Token) -> Result<(), StoreError> {
        self.of_token::<Value>("abort", "throw away", token).await.map(drop)
    }

    async fn status(&self, token: &Token) -> Result<TokenStatus, StoreError> {
        let status: String = self.of_token("status", "find out the state of", token).await?;
        match status.as_str() {
            "unknown" => Ok(TokenStatus::Unknown),
            "staged" => Ok(TokenStatus::Staged),
            "committing" => Ok(TokenStatus::Committing),
            "committed" => Ok(TokenStatus::Committed),
            other => Err(About { operation: "find out the state of", object: format!("the outputs of {token}") }
                .error(format!("the store answered {other:?}"))),
        }
    }

    async fn forget(&self, token: &Token) -> Result<(), StoreError> {
        {
            let mut state = self.shared.state();
            state.limits.remove(token);
            state.set.retain(|(of, _)| of != token);
        }
        self.of_token::<Value>("forget", "forget", token).await.map(drop)
    }
}

impl fmt::Debug for CallerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerStore")
    }
}

/// A call that serves. When it is cancelled, what it gave out fails, for nobody may ever answer it.
struct Served {
    asks: tokio::sync::OwnedMutexGuard<mpsc::Receiver<Value>>,
    shared: Arc<Shared>,
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let open = std::mem::take(&mut self.shared.state().open);
        for open in open.into_values() {
            open.settle(Err(Fault::new("unusable", "the process that has the datasets serves them no longer")));
        }
        // What waited in line was among them.
        while self.asks.try_recv().is_ok() {}
    }
}

struct Fetched {
    bytes: mpsc::Receiver<Bytes>,
    asked: Asked,
    about: About,
    _place: OwnedSemaphorePermit,
}

impl Open {
    fn settle(&self, answer: Result<Value, Fault>) {
        if let Some(waiting) = lock(&self.answer).take() {
            let _ = waiting.send(answer);
        }
        lock(&self.down).take();
        self.gone.cancel();
    }
}

impl Asked {
    async fn answered(mut self, about: &About) -> Result<Value, StoreError> {
        match (&mut self.answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(fault)) => Err(about.fault(fault)),
            Err(_) => Err(about.error("nobody answered".to_owned())),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.shared.state().open.remove(&self.id);
        self.open.gone.cancel();
    }
}

impl About {
    fn of(operation: &'static str, binding: &Binding) -> Self {
        let kind = match binding.kind {
            BindingKind::Dataset => "dataset",
            BindingKind::Folder => "folder",
        };
        Self { operation, object: format!("{kind} {:?}", binding.name) }
    }

    fn of_file(operation: &'static str, path: &FolderPath) -> Self {
        Self { operation, object: format!("the file {:?}", path.as_str()) }
    }

    fn error(&self, reason: String) -> StoreError {
        StoreError::Other { operation: self.operation, object: self.object.clone(), source: reason.into() }
    }

    fn fault(&self, fault: Fault) -> StoreError {
        let (object, reason) = (self.object.clone(), fault.message);
        match fault.code.as_str() {
            "not-found" => StoreError::NotFound { object: reason },
            "unusable" => StoreError::Unusable { object, reason },
            "bad-rows" => StoreError::BadRows { object, reason },
            "full" => StoreError::Full { object, source: io::Error::new(io::ErrorKind::StorageFull, reason) },
            "closed" => StoreError::Closed { token: object },
            _ => self.error(reason),
        }
    }

    fn read<T: DeserializeOwned>(&self, value: Value) -> Result<T, StoreError> {
        serde_json::from_value(value).map_err(|error| self.error(format!("the store's answer can't be read: {error}")))
    }
}

fn asking(ask: &str, with: Value) -> Map<String, Value> {
    let mut map = match with {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    map.insert("ask".to_owned(), ask.into());
    map
}

fn of(token: &Token) -> Value {
    json!({"run": token.run(), "attempt": token.attempt()})
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Breaks off what is longer than a run may stage.
fn bounded(bytes: ByteStream, limit: Option<u64>, object: String) -> ByteStream {
    let Some(limit) = limit else { return bytes };
    let mut left = limit;
    bytes
        .map(move |piece| {
            let piece = piece?;
            match left.checked_sub(piece.len() as u64) {
                Some(less) => left = less,
                None => {
                    let reason = format!("a run may write {limit} bytes");
                    let source = io::Error::new(io::ErrorKind::QuotaExceeded, reason);
                    return Err(StoreError::Full { object: object.clone(), source });
                }
            }
            Ok(piece)
        })
        .boxed()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
