//! The policy.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "policy", generate_all });
    use super::Hostile;
    export!(Hostile);
}

use std::hint::black_box;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bindings::exports::wharf::plugin::policy_evaluation::{
    Acceptance, Change, Decision, Edit, Guest, Plan, PolicyRole, Usage,
};
use bindings::wharf::plugin::types::{KeyValue, Reason};
use bindings::wharf::plugin::{log, settings};

struct Hostile;

crate::metadata!(bindings, Hostile);

static CALLS: AtomicU32 = AtomicU32::new(0);

impl Guest for Hostile {
    fn role() -> PolicyRole {
        match crate::setting(&settings::get(), "role").as_str() {
            "mutating" => PolicyRole::Mutating,
            _ => PolicyRole::Validating,
        }
    }

    fn evaluate(plan: Plan, _usage: Usage) -> Decision {
        let calls = CALLS.fetch_add(1, Ordering::SeqCst) + 1;
        match crate::setting(&settings::get(), "do").as_str() {
            "count" => warn(vec![calls.to_string()]),
            "loop" => crate::endless(),
            "memory" => hog(),
            "panic" => lose_temper(&plan.run_id),
            "unreachable" => core::arch::wasm32::unreachable(),
            "stack" => warn(vec![fall(0).to_string()]),
            "deep" => warn(vec![sink(u64::from(calls)).to_string()]),
            "exit" => {
                writeln!(std::io::stderr(), "I am leaving").expect("stderr takes all");
                std::process::exit(3)
            }
            "sleep" => {
                std::thread::sleep(Duration::from_secs(3600));
                warn(vec!["well rested".to_owned()])
            }
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
            "print" => {
                let line = "y".repeat(1023) + "\n";
                for _ in 0..20_000 {
                    std::io::stderr().write_all(line.as_bytes()).expect("stderr takes all");
                }
                warn(Vec::new())
            }
            "huge-answer" => warn(vec!["x".repeat(1 << 30)]),
            "large-answer" => warn(vec!["x".repeat(8 << 20)]),
            "amplify" => warn(same_text(1_000)),
            "amplify-more" => warn(same_text(10_000_000)),
            "many-empty" => warn(vec![String::new(); 5_000_000]),
            "world" => warn(look_around()),
            "no-reasons" => Decision::Reject(Vec::new()),
            "reject" => Decision::Reject(vec![Reason {
                rule: "no".to_owned(),
                message: format!("{} is {}", plan.requester.user, plan.engine_object.unwrap_or_default()),
                field: Some("resources.memory".to_owned()),
            }]),
            "change" => change(Edit::SetLabel(KeyValue { key: "team".to_owned(), value: "a".to_owned() })),
            "own-label" => change(Edit::SetLabel(KeyValue { key: "wharf.run".to_owned(), value: "a".to_owned() })),
            #[cfg(feature = "clock")]
            "clock" => warn(vec![bindings::wharf::plugin::clock::now().to_string()]),
            _ => warn(Vec::new()),
        }
    }
}

fn warn(warnings: Vec<String>) -> Decision {
    Decision::Accept(Acceptance { changes: Vec::new(), limits: Vec::new(), warnings })
}

fn change(edit: Edit) -> Decision {
    let change = Change { edit, rule: "because".to_owned(), reason: "I can.".to_owned() };
    Decision::Accept(Acceptance { changes: vec![change], limits: Vec::new(), warnings: Vec::new() })
}

#[inline(never)]
fn lose_temper(run: &str) -> ! {
    panic!("no patience with {run}")
}

fn hog() -> ! {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(vec![1; 1 << 20]);
        black_box(&all);
    }
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "that is the point")]
fn fall(depth: u64) -> u64 {
    let local = black_box([depth; 64]);
    black_box(fall(depth + 1)) + local[3]
}

/// Needs no stack in its own memory, only that of its host.
#[inline(never)]
fn sink(depth: u64) -> u64 {
    if CALLS.load(Ordering::SeqCst) == 0 {
        return depth;
    }
    sink(depth + 1).rotate_left(3).wrapping_mul(depth | 1)
}

/// Many texts that are one: little here, much for a host that copies each.
fn same_text(count: usize) -> Vec<String> {
    let text = std::mem::ManuallyDrop::new("z".repeat(1 << 20));
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        // SAFETY: None at all; the host takes the list, or ends this instance, before anything is freed twice.
        list.push(unsafe { String::from_raw_parts(text.as_ptr().cast_mut(), text.len(), text.len()) });
    }
    list
}

/// Tries all that standard WASI has.
fn look_around() -> Vec<String> {
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
        format!("connect {}", std::net::TcpStream::connect("127.0.0.1:22").is_ok()),
        format!("listen {}", std::net::TcpListener::bind("127.0.0.1:0").is_ok()),
        format!("datagram {}", std::net::UdpSocket::bind("127.0.0.1:0").is_ok()),
        format!("stdin {}", std::io::read_to_string(std::io::stdin()).unwrap_or_default().len()),
    ]
}
