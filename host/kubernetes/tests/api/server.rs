//! An API server that a test plays: it keeps objects as a real one does, and fails as the test wants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use wharf_kubernetes::KubernetesBackend;
use wharf_model::kubernetes::Cluster;

/// What is wrong with an answer.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is done, and the connection closed before the answer.
    LoseAnswer,
    /// Nothing is done, and the connection is closed.
    Close,
    /// Nothing is done, and nothing answered, ever.
    Silence,
    /// Nothing is done, and this is answered.
    Answer(u16, Value),
    /// Nothing is done, and these bytes are the body of a 200.
    Garbage(&'static str),
    /// It is done after a while.
    Late(Duration),
}

/// A no, as an API server has it.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
}

#[derive(Default)]
struct State {
    /// By path.
    objects: BTreeMap<String, Value>,
    version: u64,
    /// What was changed: version, collection, kind of change, and the object.
    changes: Vec<(u64, String, &'static str, Value)>,
    /// Versions up to this one are forgotten.
    forgotten: u64,
    /// Method, a part of the path, what is wrong, and how often.
    faults: Vec<(&'static str, String, Fault, usize)>,
    /// Method and path of what was asked.
    heard: Vec<(String, String)>,
    /// The bodies of what was posted and deleted.
    bodies: Vec<(String, String, Value)>,
    /// After how long each watch is cut.
    cut: Option<Duration>,
    token: Option<String>,
}

/// The server.
pub(crate) struct Server {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
    news: Arc<watch::Sender<u64>>,
    folder: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { version: 100, ..State::default() }));
        let news = Arc::new(watch::Sender::new(0));
        let task = tokio::spawn(accept(listener, Arc::clone(&state), Arc::clone(&news)));
        let server = Self { port, state, news, folder: tempfile::tempdir().unwrap(), task };
        server.write_kubeconfig("first");
        server
    }

    /// Whoever shows no such token isn't known.
    pub(crate) fn wants_token(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    pub(crate) fn write_kubeconfig(&self, token: &str) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: s, user: u}}\nclusters:\n- name: \
             s\n  cluster: {{server: \"http://127.0.0.1:{}\"}}\nusers:\n- name: u\n  user: {{token: {token}}}\n",
            self.port
        );
        std::fs::write(self.folder.path().join("config"), text).unwrap();
    }

    pub(crate) fn backend(&self) -> Arc<KubernetesBackend> {
        let cluster = Cluster { kubeconfig: Some(self.folder.path().join("config")), context: Some("c".to_owned()) };
        Arc::new(KubernetesBackend::connect(&cluster))
    }

    /// The next requests of a method to a path with these words in it go wrong.
    pub(crate) fn fails(&self, method: &'static str, path: &str, fault: Fault, times: usize) {
        self.state.lock().unwrap().faults.push((method, path.to_owned(), fault, times));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heals(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    pub(crate) fn cuts_watches(&self, after: Option<Duration>) {
        self.state.lock().unwrap().cut = after;
    }

    /// Forgets all versions up to now, and ends all watches, as a restart does.
    pub(crate) fn forgets(&self) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        state.forgotten = state.version;
        state.changes.clear();
        drop(state);
        self.news.send_modify(|number| *number += 1_000_000);
    }

    /// How often a method was asked of a path with these words in it.
    pub(crate) fn count(&self, method: &str, words: &str) -> usize {
        self.state.lock().unwrap().heard.iter().filter(|(of, path)| of == method && path.contains(words)).count()
    }

    pub(crate) fn bodies(&self, method: &str, words: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        let bodies = state.bodies.iter().filter(|(of, path, _)| of == method && path.contains(words));
        bodies.map(|(_, _, body)| body.clone()).collect()
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// The paths of all objects of a collection.
    pub(crate) fn paths(&self, collection: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.objects.keys().filter(|path| collection_of(path) == collection).cloned().collect()
    }

    /// Puts an object there, or another in its place.
    pub(crate) fn put(&self, path: &str, object: Value) {
        put(&mut self.state.lock().unwrap(), path, object);
        self.news.send_modify(|number| *number += 1);
    }

    /// Sets the status of an object.
    pub(crate) fn set(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.object(path).unwrap();
        change(&mut object);
        self.put(path, object);
    }

    pub(crate) fn delete(&self, path: &str) {
        delete(&mut self.state.lock().unwrap(), path);
        self.news.send_modify(|number| *number += 1);
    }

    /// Sends a line of nonsense to all watches, by way of a change.
    pub(crate) fn says_nonsense(&self, collection: &str, object: Value) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = state.version;
        state.changes.push((version, collection.to_owned(), "MODIFIED", object));
        drop(state);
        self.news.send_modify(|number| *number += 1);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, news: Arc<watch::Sender<u64>>) {
    let mut serving = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let (state, news) = (Arc::clone(&state), Arc::clone(&news));
        serving.spawn(async move { drop(serve(stream, &state, &news).await) });
    }
}

fn collection_of(path: &str) -> String {
    path.rsplit_once('/').map(|(collection, _)| collection.to_owned()).unwrap_or_default()
}

fn put(state: &mut State, path: &str, mut object: Value) {
    state.version += 1;
    let version = state.version;
    object["metadata"]["resourceVersion"] = version.to_string().into();
    let kind = if state.objects.insert(path.to_owned(), object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
    state.changes.push((version, collection_of(path), kind, object));
}

fn delete(state: &mut State, path: &str) -> bool {
    let Some(mut object) = state.objects.remove(path) else { return false };
    state.version += 1;
    let version = state.version;
    object["metadata"]["resourceVersion"] = version.to_string().into();
    let uid = object["metadata"]["uid"].clone();
    state.changes.push((version, collection_of(path), "DELETED", object));
    // What belongs to it goes with it; of pods a test decides.
    state
        .objects
        .retain(|path, object| !path.contains("/secrets/") || object["metadata"]["ownerReferences"][0]["uid"] != uid);
    true
}

fn query(path: &str) -> (String, BTreeMap<String, String>) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    (path.to_owned(), pairs.map(|(key, value)| (key.to_owned(), decode(value))).collect())
}

/// Whether an object has the labels of a selector; an event, whether it is about the object.
fn is_selected(object: &Value, query: &BTreeMap<String, String>) -> bool {
    let label = query.get("labelSelector").filter(|text| !text.is_empty()).is_none_or(|selector| {
        selector.split(',').all(|part| {
            let (key, value) = part.split_once('=').unwrap();
            object["metadata"]["labels"][key] == value
        })
    });
    let field = query.get("fieldSelector").is_none_or(|selector| {
        let (_, uid) = selector.split_once("involvedObject.uid=").unwrap();
        object["involvedObject"]["uid"] == uid
    });
    label && field
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>, news: &watch::Sender<u64>) -> std::io::Result<()> {
    loop {
        let Some((method, path, head, body)) = request(&mut stream).await? else { return Ok(()) };
        let fault = {
            let mut state = state.lock().unwrap();
            state.heard.push((method.clone(), path.clone()));
            if !body.is_null() {
                state.bodies.push((method.clone(), path.clone(), body.clone()));
            }
            let of = state
                .faults
                .iter()
                .position(|(of, words, _, times)| *of == method && path.contains(words) && *times > 0);
            of.map(|at| {
                state.faults[at].3 -= 1;
                state.faults[at].2.clone()
            })
        };
        let mut lose = false;
        match fault {
            None => {}
            Some(Fault::LoseAnswer) => lose = true,
            Some(Fault::Close) => return Ok(()),
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::Late(time)) => tokio::time::sleep(time).await,
            Some(Fault::Answer(code, body)) => {
                answer(&mut stream, code, &body.to_string()).await?;
                continue;
            }
            Some(Fault::Garbage(text)) => {
                answer(&mut stream, 200, text).await?;
                continue;
            }
        }
        let token = state.lock().unwrap().token.clone();
        if token.is_some_and(|token| !head.contains(&format!("Bearer {token}"))) {
            answer(&mut stream, 401, &status(401, "Unauthorized", "Unauthorized").to_string()).await?;
            continue;
        }
        let (path, query) = query(&path);
        if query.contains_key("watch") {
            return follow(stream, state, news, &path, &query).await;
        }
        let (code, body) = done(&mut state.lock().unwrap(), &method, &path, &query, body);
        news.send_modify(|number| *number += 1);
        if lose {
            return Ok(());
        }
        let text = if let Value::String(text) = &body { text.clone() } else { body.to_string() };
        answer(&mut stream, code, &text).await?;
    }
}

fn done(
    state: &mut State,
    method: &str,
    path: &str,
    query: &BTreeMap<String, String>,
    mut body: Value,
) -> (u16, Value) {
    let not_found = || (404, status(404, "NotFound", &format!("{path} not found")));
    match method {
        "GET" if path == "/version" => (200, json!({"gitVersion": "v1.34.2", "platform": "linux/amd64"})),
        "GET" if path.ends_with("/log") => (200, Value::String("a line\nanother\n".to_owned())),
        "GET" => {
            if let Some(object) = state.objects.get(path) {
                return (200, object.clone());
            }
            let last = path.rsplit('/').next().unwrap();
            if !["jobs", "pods", "secrets", "events", "nodes", "runtimeclasses"].contains(&last) {
                return not_found();
            }
            let of = |known: &String| match path {
                // In all namespaces.
                "/apis/batch/v1/jobs" => collection_of(known).ends_with("/jobs"),
                path => collection_of(known) == path,
            };
            let mut items: Vec<Value> = state
                .objects
                .iter()
                .filter(|(known, object)| of(known) && is_selected(object, query))
                .map(|(_, o)| o.clone())
                .collect();
            let start: usize = query.get("continue").map_or(0, |text| text.parse().unwrap());
            let limit: usize = query.get("limit").map_or(usize::MAX, |text| text.parse().unwrap());
            let more = items.len() > start + limit;
            items = items.into_iter().skip(start).take(limit).collect();
            let mut metadata = json!({"resourceVersion": state.version.to_string()});
            if more {
                metadata["continue"] = (start + limit).to_string().into();
            }
            (200, json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
        }
        "POST" => {
            let name = body["metadata"]["name"].as_str().unwrap().to_owned();
            let path = format!("{path}/{name}");
            if state.objects.contains_key(&path) {
                return (409, status(409, "AlreadyExists", &format!("{name} already exists")));
            }
            body["metadata"]["uid"] = format!("uid-{}", state.version).into();
            put(state, &path, body);
            (201, state.objects[&path].clone())
        }
        "PATCH" => {
            put(state, path, body.clone());
            (200, state.objects[path].clone())
        }
        "DELETE" => {
            let Some(object) = state.objects.get(path) else { return not_found() };
            let wanted = body["preconditions"]["uid"].as_str();
            if wanted.is_some_and(|uid| object["metadata"]["uid"] != uid) {
                return (409, status(409, "Conflict", "the UID in the precondition does not match"));
            }
            delete(state, path);
            (200, json!({"kind": "Status", "status": "Success"}))
        }
        _ => (405, status(405, "MethodNotAllowed", "no")),
    }
}

async fn follow(
    mut stream: TcpStream,
    state: &Mutex<State>,
    news: &watch::Sender<u64>,
    path: &str,
    query: &BTreeMap<String, String>,
) -> std::io::Result<()> {
    let mut from: u64 = query["resourceVersion"].parse().unwrap();
    let mut news = news.subscribe();
    let restart = *news.borrow() / 1_000_000;
    let cut = state.lock().unwrap().cut;
    if from < state.lock().unwrap().forgotten {
        return answer(&mut stream, 410, &status(410, "Expired", "too old resource version").to_string()).await;
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await?;
    let sending = async {
        loop {
            let changes: Vec<(u64, &'static str, Value)> = {
                let state = state.lock().unwrap();
                let new = state.changes.iter().filter(|(version, of, _, object)| {
                    *version > from && of == path && (is_selected(object, query) || object.is_string())
                });
                new.map(|(version, _, kind, object)| (*version, *kind, object.clone())).collect()
            };
            for (version, kind, object) in changes {
                let line = match &object {
                    Value::String(nonsense) => format!("{nonsense}\n"),
                    object => format!("{}\n", json!({"type": kind, "object": object})),
                };
                stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await?;
                from = version;
            }
            if news.changed().await.is_err() || *news.borrow() / 1_000_000 != restart {
                return Ok(());
            }
        }
    };
    match cut {
        Some(after) => tokio::time::timeout(after, sending).await.unwrap_or(Ok(())),
        None => sending.await,
    }
}

async fn answer(stream: &mut TcpStream, code: u16, body: &str) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 {code} Some\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.flush().await
}

/// Method, path, head and body of the next request.
async fn request(stream: &mut TcpStream) -> std::io::Result<Option<(String, String, String, Value)>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) if head.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    Ok(Some((method, path, head, body)))
}
