//! How a call fails, in words.

use std::time::Duration;

use wasmtime::{Trap, WasmBacktrace};

use crate::state::State;

/// How much of a component's own words an error carries.
const WORDS: usize = 1_000;
/// How many functions an error names.
const FRAMES: usize = 3;
/// How a traceback of Python begins.
const TRACEBACK: &str = "Traceback (most recent call last):\n";
/// How the runtime of componentize-py panics over an exception.
const PYTHON: &str = "Python function threw an unexpected exception";

/// A call that gave no answer. Its text follows the component's name: "… took longer than its time limit of 1 s".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It didn't end in time, be it that it computed or that it waited.
    #[error("took longer than its time limit of {} ms", .limit.as_millis())]
    TimeLimit {
        /// The limit.
        limit: Duration,
    },
    /// It asked for more memory than it may have.
    #[error("asked for more memory than its limit of {limit_mb} MB")]
    MemoryLimit {
        /// The limit.
        limit_mb: u32,
    },
    /// It tried to hand the host more than the host takes.
    #[error("handed over more than its limit of {limit_kb} KB at once")]
    AnswerTooLarge {
        /// The limit.
        limit_kb: u32,
    },
    /// It called itself too deeply.
    #[error("used up its stack{at}")]
    StackOverflow {
        /// In which functions, for a person: empty, or ` (in a, called by b)`.
        at: String,
    },
    /// Its own code gave up.
    #[error("panicked: {message}{at}")]
    Panic {
        /// What it said.
        message: String,
        /// In which functions, for a person.
        at: String,
    },
    /// Its own code raised an exception that nothing caught: Python's.
    #[error("raised {message}{at}")]
    Exception {
        /// What it said: `KeyError: 'analysts'`.
        message: String,
        /// In which functions and lines, for a person.
        at: String,
    },
    /// It ended itself instead of answering.
    #[error("ended itself with exit code {code}{words}")]
    Exit {
        /// The exit code.
        code: i32,
        /// Its last words, for a person: empty, or `, saying: …`.
        words: String,
    },
    /// It did what WebAssembly doesn't allow, or called the host wrongly.
    #[error("failed: {message}{at}{words}")]
    Trap {
        /// What it did.
        message: String,
        /// In which functions, for a person.
        at: String,
        /// Its last words, for a person.
        words: String,
    },
    /// It answered, with something that can't be.
    #[error("gave an answer that isn't valid: {field}: {problem}")]
    Invalid {
        /// The field of the answer, as `wit/` spells it, e.g. `changes[0].edit.set-resource.key`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It says that it can't do what was asked: its own sentence. The only one that isn't the component's fault.
    #[error("can't do this: {message}")]
    Refused {
        /// The sentence.
        message: String,
    },
}

/// The mark of a call whose time is over.
#[derive(Debug, thiserror::Error)]
#[error("the time limit is over")]
pub(crate) struct TimeIsUp;

/// The limits of a component, as errors name them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) time: Duration,
    pub(crate) memory_mb: u32,
    pub(crate) answer_kb: u32,
}

impl CallError {
    /// Finds words for what wasmtime says.
    pub(crate) fn explain(error: &wasmtime::Error, state: &State, bounds: Bounds) -> Self {
        if error.downcast_ref::<TimeIsUp>().is_some() {
            return Self::TimeLimit { limit: bounds.time };
        }
        let root = error.root_cause().to_string();
        // The runtime has no type for this error that could be asked for; a test holds the text.
        if root.contains("fuel allocated for hostcalls has been exhausted") {
            return Self::AnswerTooLarge { limit_kb: bounds.answer_kb };
        }
        let at = functions(error);
        let output = state.output();
        let panic = panic_message(&output);
        // Python's runtime panics over an exception, and has said before which.
        if panic.as_ref().is_none_or(|message| message.starts_with(PYTHON))
            && let Some((message, at)) = exception(&output)
        {
            return if state.memory.denied && message.starts_with("MemoryError") {
                Self::MemoryLimit { limit_mb: bounds.memory_mb }
            } else {
                Self::Exception { message, at }
            };
        }
        if let Some(message) = panic {
            // A guest that gets no memory panics over it.
            return if state.memory.denied && message.contains("memory allocation") {
                Self::MemoryLimit { limit_mb: bounds.memory_mb }
            } else {
                Self::Panic { message, at }
            };
        }
        if state.memory.denied {
            return Self::MemoryLimit { limit_mb: bounds.memory_mb };
        }
        let trap = error.downcast_ref::<Trap>();
        if trap == Some(&Trap::StackOverflow) {
            return Self::StackOverflow { at };
        }
        let words = last_words(&output);
        if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            return Self::Exit { code: exit.0, words };
        }
        let message = match trap {
            Some(Trap::UnreachableCodeReached) => "it gave up (an `unreachable` instruction)".to_owned(),
            Some(trap) => trap.to_string(),
            None => root,
        };
        Self::Trap { message: cut(&message), at, words }
    }

    pub(crate) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }
}

/// The component's own functions in which it happened, innermost first.
fn functions(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let mut names: Vec<String> = Vec::new();
    for frame in trace.frames() {
        let symbol = frame.symbols().iter().find(|symbol| symbol.name().is_some());
        let found = symbol.and_then(|symbol| symbol.name().map(readable)).or_else(|| frame.func_name().map(readable));
        let Some(name) = found else { continue };
        // The machinery of a panic, of an allocator and of generated bindings says nothing to anybody.
        let machinery = ["core::", "std::", "alloc::", "__", "_rust", "rust_", "abort", "cabi_", "dlmalloc"];
        let plain = name.trim_start_matches(['<', '_', '(', '&', '*']);
        if machinery.iter().any(|prefix| name.starts_with(prefix) || plain.starts_with(prefix))
            || names.iter().any(|other| other.split(" at ").next() == Some(&name))
        {
            continue;
        }
        // Only an engine that reads debug information knows the line.
        names.push(match symbol.and_then(|symbol| Some((symbol.file()?, symbol.line()?))) {
            Some((file, line)) => format!("{name} at {file}:{line}"),
            None => name,
        });
        if names.len() == FRAMES {
            break;
        }
    }
    if names.is_empty() { String::new() } else { cut(&format!(" (in {})", names.join(", called by "))) }
}

/// A symbol as its source spells it, without the compiler's hashes.
fn readable(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// What a panic said, from what Rust's hook (or the SDK's) wrote to standard error.
fn panic_message(output: &str) -> Option<String> {
    if let Some(start) = output.rfind("panicked at ") {
        let text = &output[start + "panicked at ".len()..];
        let (place, message) = text.split_once('\n').unwrap_or((text, ""));
        let message = message.split("\nnote: ").next().unwrap_or(message).trim();
        let place = place.trim().trim_end_matches(':');
        return Some(cut(&if message.is_empty() { place.to_owned() } else { format!("{message} ({place})") }));
    }
    let start = output.rfind("memory allocation of ")?;
    Some(cut(output[start..].lines().next().unwrap_or_default()))
}

/// What Python's last exception said, and where it was raised, from the traceback that it wrote.
fn exception(output: &str) -> Option<(String, String)> {
    let start = output.rfind(TRACEBACK)? + TRACEBACK.len();
    let traceback = output[start..].split("\nthread '").next().unwrap_or_default();
    let mut frames = Vec::new();
    let mut message = Vec::new();
    for line in traceback.lines() {
        match line.strip_prefix("  File \"").and_then(frame) {
            Some(frame) => frames.push(frame),
            // Below a frame may be its line of the source.
            None if line.starts_with("  ") && message.is_empty() => {}
            None => message.push(line),
        }
    }
    let message = message.join("\n").trim().to_owned();
    if message.is_empty() {
        return None;
    }
    frames.reverse();
    frames.truncate(FRAMES);
    let at = if frames.is_empty() { String::new() } else { cut(&format!(" (in {})", frames.join(", called by "))) };
    Some((cut(&message), at))
}

/// `FUNCTION at FILE:LINE` of `FILE", line LINE, in FUNCTION`.
fn frame(text: &str) -> Option<String> {
    let (file, rest) = text.split_once("\", line ")?;
    let (line, function) = rest.split_once(", in ")?;
    // Its compiler mounts the folders of `--python-path` by their numbers.
    let mut parts = file.trim_start_matches('/').splitn(2, '/');
    let file = match (parts.next(), parts.next()) {
        (Some(number), Some(rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => file,
    };
    Some(format!("{function} at {file}:{line}"))
}

fn last_words(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    if last.is_empty() { String::new() } else { format!(", saying: {}", cut(&last.join(" / "))) }
}

/// A component's words for a sentence: short, and without control characters.
pub(crate) fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(WORDS);
    // Besides control characters, what turns the direction of a line.
    let unseen = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut words: String = text[..end].chars().map(|c| if unseen(c) { ' ' } else { c }).collect();
    if end < text.len() {
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_say_what_and_where() {
        let output = "hello\n\nthread '<unnamed>' (1) panicked at src/lib.rs:3:5:\nno \x1b[31mgroups\nnote: run with";
        assert_eq!(panic_message(output).unwrap(), "no  [31mgroups (src/lib.rs:3:5)");
        assert_eq!(panic_message("nothing of the kind"), None);
        assert_eq!(
            panic_message("memory allocation of 99 bytes failed\n").unwrap(),
            "memory allocation of 99 bytes failed"
        );
    }

    /// As componentize-py writes it.
    const RAISED: &str = "Traceback (most recent call last):\n  File \"/0/component.py\", line 56, in look_up\n\
        KeyError: 'analysts'\n\nThe above exception was the direct cause of the following exception:\n\n\
        Traceback (most recent call last):\n  File \"/0/component.py\", line 45, in evaluate\n    look_up(group)\n  \
        File \"/0/component.py\", line 58, in look_up\nValueError: no group analysts\nin here\n\n\
        thread '<unnamed>' (1) panicked at runtime/src/lib.rs:1280:25:\nPython function threw an unexpected exception\n";

    #[test]
    fn an_exception_says_what_and_where() {
        let (message, at) = exception(RAISED).unwrap();
        assert_eq!(message, "ValueError: no group analysts in here");
        assert_eq!(at, " (in look_up at component.py:58, called by evaluate at component.py:45)");
        assert!(panic_message(RAISED).unwrap().starts_with(PYTHON));
        for no in
            ["", "Traceback", "Traceback (most recent call last):\n", "Traceback (most recent call last):\n  File \""]
        {
            assert_eq!(exception(no), None, "{no}");
        }
        assert_eq!(frame("/a/b.py\", line 1, in f").unwrap(), "f at /a/b.py:1");
    }

    #[test]
    fn symbols_are_readable() {
        assert_eq!(readable("_ZN7hostile5inner17h0123456789abcdefE"), "hostile::inner");
        assert_eq!(readable("_RNvCsfLfy6EI15iL_7___rustc12___rust_abort"), "__rustc::__rust_abort");
        assert_eq!(readable("main"), "main");
    }

    #[test]
    fn long_words_are_cut() {
        assert_eq!(cut("a\nb"), "a b");
        assert!(cut(&"é".repeat(5_000)).len() <= WORDS + 3);
    }
}
