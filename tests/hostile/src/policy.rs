//! The policy.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "policy", generate_all });
    use super::Hostile;
    export!(Hostile);
}

use std::time::Duration;

use bindings::exports::wharf::plugin::policy_evaluation::{
    Acceptance, Change, Decision, Edit, Guest, Plan, PolicyRole, Usage,
};
use bindings::wharf::plugin::types::{KeyValue, Limit, Quantity, Reason, Resource, WhenFull};
use bindings::wharf::plugin::{log, settings};

use crate::misdeed;

struct Hostile;

crate::metadata!(bindings, Hostile);

impl Guest for Hostile {
    fn role() -> PolicyRole {
        match crate::setting(&settings::get(), "role").as_str() {
            "mutating" => PolicyRole::Mutating,
            _ => PolicyRole::Validating,
        }
    }

    fn evaluate(plan: Plan, _usage: Usage) -> Decision {
        let wanted = crate::setting(&settings::get(), "do");
        misdeed::misbehave(&wanted);
        if let Some(words) = misdeed::words(&wanted) {
            return warn(words);
        }
        if let Some(message) = misdeed::sentence(&wanted) {
            return Decision::Reject(vec![reason("no", message)]);
        }
        match wanted.as_str() {
            "count" => warn(vec![misdeed::calls().to_string()]),
            // Not a misdeed: it tells which settings it has.
            "echo" => warn(vec![crate::setting(&settings::get(), "echo")]),
            "nap" => {
                std::thread::sleep(Duration::from_millis(300));
                warn(vec!["rested".to_owned()])
            }
            "flood" => {
                for line in 0..100_000 {
                    log::log(log::Level::Info, &format!("line {line} \x1b[2J"));
                }
                warn(Vec::new())
            }
            "long-line" => {
                log::log(log::Level::Info, &"x".repeat(10 << 20));
                warn(Vec::new())
            }
            "world" => warn(look_around(&crate::setting(&settings::get(), "port"))),
            "settings" => warn(vec![settings::get()]),
            "no-reasons" => Decision::Reject(Vec::new()),
            "reject" => Decision::Reject(vec![Reason {
                field: Some("resources.memory".to_owned()),
                ..reason("no", format!("{} is {}", plan.requester.user, plan.engine_object.unwrap_or_default()))
            }]),
            "odd-rule" => Decision::Reject(vec![reason("Odd Rule\n", "no".to_owned())]),
            "many-reasons" => Decision::Reject(vec![reason("no", "x".repeat(400)); 1_500]),
            "odd-counter" => {
                let limit = Limit {
                    scope: "all".to_owned(),
                    counter: "sheep".to_owned(),
                    maximum: 0,
                    when_full: WhenFull::Wait,
                };
                Decision::Accept(Acceptance { changes: Vec::new(), limits: vec![limit], warnings: Vec::new() })
            }
            "equals-sign" => change(Edit::SetEnv(KeyValue { key: "A=B".to_owned(), value: String::new() })),
            "dots" => change(Edit::SetHostMounts(vec!["/data/../etc:/etc".to_owned()])),
            "unknown-key" => change(Edit::SetResource(resource("warp-speed", Quantity::Count(9)))),
            "below-nothing" => change(Edit::SetResource(resource("memory", Quantity::Count(-1)))),
            "absurd-amount" => change(Edit::SetResource(resource("pids-limit", Quantity::Count(-7)))),
            "nowhere" => change(Edit::SetExecutionConfiguration("no-such-configuration".to_owned())),
            "change" => change(Edit::SetLabel(KeyValue { key: "team".to_owned(), value: "a".to_owned() })),
            "open" => changes(openings()),
            "take-secret" => change(Edit::RemoveEnv("TOKEN".to_owned())),
            "replace-secret" => change(Edit::SetEnv(KeyValue { key: "TOKEN".to_owned(), value: "public".to_owned() })),
            // Not a misdeed: it puts the hostile runner into the containers of one configuration.
            "mount" if plan.execution_configuration.name != "hostile" => warn(Vec::new()),
            "mount" => change(Edit::SetHostMounts(vec![crate::setting(&settings::get(), "mount")])),
            "own-label" => change(Edit::SetLabel(KeyValue { key: "wharf.run".to_owned(), value: "a".to_owned() })),
            #[cfg(feature = "clock")]
            "clock" => warn(vec![bindings::wharf::plugin::clock::now().to_string()]),
            #[cfg(feature = "clock")]
            "wait-by-clock" => {
                let until = bindings::wharf::plugin::clock::now() + 3_600_000;
                while bindings::wharf::plugin::clock::now() < until {}
                warn(Vec::new())
            }
            #[cfg(feature = "grants")]
            "random" => warn(vec![bindings::wharf::plugin::random::bytes(1 << 30).len().to_string()]),
            #[cfg(feature = "grants")]
            "folder" => warn(
                [
                    "inside",
                    "link",
                    "absolute",
                    "../secret",
                    "/etc/passwd",
                    "pipe",
                    "null",
                    "large",
                    "folder",
                    "a\0b",
                    "nothing",
                ]
                .iter()
                .map(|path| match bindings::wharf::plugin::folder::read(path) {
                    Ok(bytes) => format!("{path}: {} bytes", bytes.len()),
                    Err(error) => format!("{path}: {error:?}"),
                })
                .collect(),
            ),
            _ => warn(Vec::new()),
        }
    }
}

fn warn(warnings: Vec<String>) -> Decision {
    Decision::Accept(Acceptance { changes: Vec::new(), limits: Vec::new(), warnings })
}

fn change(edit: Edit) -> Decision {
    changes(vec![edit])
}

fn changes(edits: Vec<Edit>) -> Decision {
    let change = |edit| Change { edit, rule: "because".to_owned(), reason: "I can.".to_owned() };
    let changes = edits.into_iter().map(change).collect();
    Decision::Accept(Acceptance { changes, limits: Vec::new(), warnings: Vec::new() })
}

/// Every door of a container.
fn openings() -> Vec<Edit> {
    vec![
        Edit::SetUser("0:0".to_owned()),
        Edit::SetPrivileged(true),
        Edit::SetNoNewPrivileges(false),
        Edit::SetReadOnlyRoot(true),
        Edit::SetDropCapabilities(Vec::new()),
        Edit::SetAddCapabilities(vec!["NET_ADMIN".to_owned()]),
        Edit::SetHostMounts(vec!["/srv:/srv:ro".to_owned()]),
        Edit::SetNetwork("host".to_owned()),
    ]
}

fn reason(rule: &str, message: String) -> Reason {
    Reason { rule: rule.to_owned(), message, field: None }
}

fn resource(key: &str, value: Quantity) -> Resource {
    Resource { key: key.to_owned(), value }
}

/// Tries all that standard WASI has. Somebody listens at the port, on the machine of the host.
fn look_around(port: &str) -> Vec<String> {
    use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
    let here = format!("127.0.0.1:{port}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let instant = std::time::Instant::now();
    // The order of a hash map comes from WASI's random numbers.
    let map: std::collections::HashSet<u32> = (0..20).collect();
    let order: Vec<u32> = map.into_iter().collect();
    vec![
        format!("env {}", std::env::vars().count()),
        format!("args {}", std::env::args().count()),
        format!("now {}", now.as_secs()),
        format!("elapsed {}", instant.elapsed().as_nanos()),
        format!("order {order:?}"),
        format!("read {}", std::fs::read("/etc/passwd").is_ok()),
        format!("write {}", std::fs::write("/tmp/hostile", "x").is_ok()),
        format!("list {}", std::fs::read_dir("/").is_ok()),
        format!("link {}", std::fs::hard_link("/etc/passwd", "/tmp/hostile").is_ok()),
        format!("above {}", std::fs::read("../../../../../../etc/passwd").is_ok()),
        format!("connect {}", TcpStream::connect(&here).is_ok()),
        format!("connect to metadata {}", TcpStream::connect("169.254.169.254:80").is_ok()),
        format!("look up a name {}", ("localhost", 80).to_socket_addrs().is_ok()),
        format!("send a datagram {}", UdpSocket::bind("0.0.0.0:0").is_ok_and(|s| s.send_to(b"x", &here).is_ok())),
        format!("listen {}", TcpListener::bind("127.0.0.1:0").is_ok()),
        format!("datagram {}", UdpSocket::bind("127.0.0.1:0").is_ok()),
        format!("stdin {}", std::io::read_to_string(std::io::stdin()).unwrap_or_default().len()),
    ]
}
