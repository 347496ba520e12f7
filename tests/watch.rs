//! Every container of the tests' homes, looked at as the daemon creates it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::Daemon;

/// How long the daemon may take until it tells what happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// `{"type":["container"],"event":["create"],"label":["wharf.host"]}`
const EVENTS: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22create%22%5D%2C\
                      %22label%22%3A%5B%22wharf.host%22%5D%7D";

/// What was created, by the home's id.
type Created = HashMap<String, Vec<Value>>;

/// Watches the daemon, once a test process.
pub(crate) fn start(daemon: &Daemon) {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let (listening, ready) = channel();
        let daemon = daemon.clone();
        std::thread::spawn(move || watch(&daemon, &listening));
        // Without a daemon there are no containers, and tests that need one say so themselves.
        let _ = ready.recv_timeout(PATIENCE);
    });
}

/// The daemon's answers to inspect, of all containers that a home had so far, as they were when they were created.
pub(crate) fn created(home: &str) -> Vec<Value> {
    all().lock().unwrap_or_else(PoisonError::into_inner).get(home).cloned().unwrap_or_default()
}

fn all() -> &'static Mutex<Created> {
    static ALL: OnceLock<Mutex<Created>> = OnceLock::new();
    ALL.get_or_init(Mutex::default)
}

fn watch(daemon: &Daemon, listening: &Sender<()>) {
    let Ok(mut stream) = UnixStream::connect(daemon.socket()) else { return };
    if write!(stream, "GET {EVENTS} HTTP/1.0\r\nHost: docker\r\n\r\n").is_err() {
        return;
    }
    // The daemon sends its answer's head as soon as it listens.
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut in_head = true;
    for line in lines {
        if in_head {
            if line.trim().is_empty() {
                in_head = false;
                let _ = listening.send(());
            }
            continue;
        }
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (home, id) = (text("/Actor/Attributes/wharf.host"), text("/Actor/ID"));
        // Another process's test may have removed one of its own at once; that says nothing.
        let (status, body) = daemon.ask("GET", &format!("/containers/{id}/json"), None);
        if status == 200 {
            let container = serde_json::from_slice(&body).unwrap_or_default();
            all().lock().unwrap_or_else(PoisonError::into_inner).entry(home).or_default().push(container);
        }
    }
}

/// Where a container, as the daemon inspects it, is less strict than every container is unless an administrator says
/// otherwise. Network and amounts aren't judged: tests have reasons to change those.
#[must_use]
pub fn openings(container: &Value) -> Vec<String> {
    let (nothing, none, empty) = (Value::Null, json!([]), json!(""));
    let expected: &[(&str, &[Value])] = &[
        ("/Config/User", &[json!("1000:1000")]),
        ("/HostConfig/Privileged", &[json!(false)]),
        // And no `seccomp=unconfined`, `apparmor=unconfined`, `label=disable`.
        ("/HostConfig/SecurityOpt", &[json!(["no-new-privileges"])]),
        ("/HostConfig/CapDrop", &[json!(["ALL"])]),
        ("/HostConfig/CapAdd", &[nothing.clone(), none.clone()]),
        ("/HostConfig/Binds", &[nothing.clone(), none.clone()]),
        ("/HostConfig/Mounts", &[nothing.clone(), none.clone()]),
        ("/HostConfig/VolumesFrom", &[nothing.clone(), none.clone()]),
        ("/Mounts", std::slice::from_ref(&none)),
        ("/HostConfig/Devices", &[nothing.clone(), none.clone()]),
        ("/HostConfig/DeviceCgroupRules", &[nothing.clone(), none.clone()]),
        ("/HostConfig/DeviceRequests", &[nothing.clone(), none.clone()]),
        ("/HostConfig/GroupAdd", &[nothing.clone(), none.clone()]),
        ("/HostConfig/PidMode", std::slice::from_ref(&empty)),
        ("/HostConfig/UTSMode", std::slice::from_ref(&empty)),
        // Empty is the daemon's own, which is private where it has user namespaces at all.
        ("/HostConfig/UsernsMode", std::slice::from_ref(&empty)),
        ("/HostConfig/IpcMode", &[json!("private")]),
        ("/HostConfig/CgroupnsMode", &[json!("private")]),
        ("/HostConfig/Cgroup", std::slice::from_ref(&empty)),
        ("/HostConfig/CgroupParent", std::slice::from_ref(&empty)),
        ("/HostConfig/PublishAllPorts", &[json!(false)]),
        ("/HostConfig/PortBindings", &[nothing.clone(), json!({})]),
        ("/HostConfig/Sysctls", &[nothing.clone(), json!({})]),
        ("/HostConfig/OomKillDisable", &[nothing.clone(), json!(false)]),
        ("/HostConfig/RestartPolicy/Name", &[empty.clone(), json!("no")]),
        ("/HostConfig/AutoRemove", &[json!(false)]),
        ("/HostConfig/Init", &[json!(false)]),
        ("/HostConfig/LogConfig/Type", &[json!("json-file")]),
        ("/HostConfig/LogConfig/Config", &[json!({ "max-size": "10m", "max-file": "1" })]),
    ];
    let mut found = Vec::new();
    for (path, allowed) in expected {
        let value = container.pointer(path).unwrap_or(&nothing);
        if !allowed.contains(value) {
            found.push(format!("{path} is {value}"));
        }
    }
    for (path, part) in [("/HostConfig/MaskedPaths", "/proc/kcore"), ("/HostConfig/ReadonlyPaths", "/proc/sys")] {
        let paths = container.pointer(path).and_then(Value::as_array);
        if !paths.is_some_and(|paths| paths.contains(&json!(part))) {
            found.push(format!("{path} lacks {part}"));
        }
    }
    if container.pointer("/HostConfig/PidsLimit").and_then(Value::as_i64).is_none_or(|limit| limit <= 0) {
        found.push("/HostConfig/PidsLimit is no limit".to_owned());
    }
    found
}
