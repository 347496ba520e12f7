//! What any component can do wrong, whatever its world.

use std::hint::black_box;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// Words that could do something to a terminal, or to a reader.
pub(crate) const UGLY: &str = "a\0b\x1b[2Jc\r\nd\u{202e}e";

/// Does it, or returns when it is none of these.
pub(crate) fn misbehave(what: &str) {
    let calls = CALLS.fetch_add(1, Ordering::SeqCst) + 1;
    match what {
        "loop" => endless(),
        "memory" => hog(),
        "panic" => lose_temper(calls),
        "unreachable" => core::arch::wasm32::unreachable(),
        "stack" => {
            black_box(fall(0));
        }
        "deep" => {
            black_box(sink(u64::from(calls)));
        }
        "exit" => {
            writeln!(std::io::stderr(), "I am leaving").expect("stderr takes all");
            std::process::exit(3)
        }
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "sleep-often" => loop {
            std::thread::sleep(Duration::from_millis(1));
        },
        "print" => {
            let line = "y".repeat(1023) + "\n";
            for _ in 0..20_000 {
                std::io::stderr().write_all(line.as_bytes()).expect("stderr takes all");
            }
        }
        _ => {}
    }
}

/// How many calls this instance has had.
#[cfg(feature = "policy")]
pub(crate) fn calls() -> u32 {
    CALLS.load(Ordering::SeqCst)
}

/// Far too much to say; none when it isn't asked for.
pub(crate) fn words(what: &str) -> Option<Vec<String>> {
    Some(match what {
        "huge-answer" => vec!["x".repeat(1 << 30)],
        "large-answer" => vec!["x".repeat(8 << 20)],
        "amplify" => same_text(1_000),
        "amplify-more" => same_text(10_000_000),
        "many-empty" => vec![String::new(); 5_000_000],
        "too-many" => vec!["x".to_owned(); 5_000],
        _ => return None,
    })
}

/// A sentence that nobody wants to read.
pub(crate) fn sentence(what: &str) -> Option<String> {
    match what {
        "ugly-words" => Some(UGLY.to_owned()),
        "long-words" => Some("x".repeat(900_000)),
        _ => None,
    }
}

/// Never ends, and can't be seen through by a compiler.
fn endless() -> ! {
    let mut number = 0u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

#[inline(never)]
fn lose_temper(calls: u32) -> ! {
    panic!("no patience with call {calls}")
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
