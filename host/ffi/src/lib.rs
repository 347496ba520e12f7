//! The host as a C library.
//!
//! A process of another language loads `libwharf_ffi.so` and holds hosts by number. What is said to a host, and what it answers, are
//! the messages of its socket, as JSON: this interface only carries them, so it stays small while they grow.
//!
//! - **One queue per host.** [`wharf_host_call`] starts a call; the replies of all calls come out of [`wharf_host_next`], each with
//!   the number of its call, or are announced by [`wharf_host_fd`]. One thread of the caller's serves any number of calls.
//! - **Demand.** A call delivers as many replies as were asked for, and then waits: a caller that is slow, or gone, costs no
//!   memory, and holds no other call up.
//! - **Owners.** Whatever is passed in stays the caller's, and is copied. Every text that comes out belongs to the caller, who
//!   gives it back to [`wharf_text_free`]; only [`wharf_version`] returns one that is never freed.
//! - **Errors are values**: a function that can fail returns null, or a fault as a JSON object: `code`, `message`, `hint`.
//!   Whatever fails inside of a function is such a value, too; no panic crosses the border.
//! - **Numbers, not pointers.** A host that was closed, twice or while others use it, and a number that never was one, are
//!   errors. Numbers are not used again.
//! - **Every function may be called from any thread**, at any time.
//!
//! Nothing is changed in the process that loads the library: no signal handler, no environment variable, no global logger.

#![expect(
    unsafe_code,
    reason = "C passes pointers: each is used in `text.rs` or written to once, beside the reason why that is sound"
)]

mod datasets;
mod host;
mod log;
mod options;
mod queue;
mod text;

use std::ffi::{c_char, c_void};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use wharf::message::Reply;
use wharf::model::Fault;

use crate::datasets::CallerStore;
use crate::host::{Embedded, Message};
use crate::options::Options;
use crate::queue::Next;
use crate::text::{give, take};

/// Raised by one whenever a function is added, or changes so that callers of before would fail.
pub const WHARF_ABI_VERSION: u32 = 2;

/// A reply was taken.
pub const WHARF_NEXT_REPLY: i32 = 1;
/// None came in the given time.
pub const WHARF_NEXT_NOTHING: i32 = 0;
/// The host is closed, and all its replies are taken; or there is no such host.
pub const WHARF_NEXT_CLOSED: i32 = -1;

/// The stream of data has ended.
pub const WHARF_DATA_END: i64 = 0;
/// Nobody wants the data any more, or its sender broke off: whatever was made of it must go.
pub const WHARF_DATA_GONE: i64 = -1;

/// Everything has ended.
pub const WHARF_CLOSED: i32 = 0;
/// Runs go on in their containers; whoever opens the home next finds them.
pub const WHARF_CLOSED_RUNS_GO_ON: i32 = 1;
/// There is no such host, or it was closed before.
pub const WHARF_CLOSED_BEFORE: i32 = -1;

/// What the library calls with one line of its log, a JSON object: `context`, and the line, which is gone when the function returns.
///
/// It is called from the library's own threads, from several at once, and must call no function of this library.
#[expect(non_camel_case_types, reason = "the name that it has in C")]
pub type wharf_log_fn = Option<unsafe extern "C" fn(context: *mut c_void, line: *const c_char)>;

/// The version of this interface: `WHARF_ABI_VERSION` of the library that was loaded.
#[unsafe(no_mangle)]
pub extern "C" fn wharf_abi_version() -> u32 {
    WHARF_ABI_VERSION
}

/// The library's own version, such as `0.1.0`. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn wharf_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Frees a text that a function of this library gave. Null is fine.
///
/// # Safety
/// It is null, or a text of this library that wasn't freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wharf_text_free(text: *mut c_char) {
    // SAFETY: as this function's callers promise.
    unsafe { text::free(text) };
}

/// Opens a home for this process, and takes over the runs in it that an earlier process left.
///
/// `home` is the path of its folder. `options` is null or a JSON object:
/// - `threads`: how many threads work for this host; 2 by default.
/// - `log_level`: `error`, `warn` (the default), `info`, `debug` or `trace`, for what `log` gets.
/// - `docker_config`: the path of a Docker `config.json` with logins for registries. None by default.
/// - `datasets`: `files` (the default), or `caller`: the caller serves them, see [`wharf_data_answer`].
/// - `signals_based_traps`: whether components may use the signals of this process, which is faster. Never in a JVM. False by default.
///
/// `log` may be null; `context` is passed to it as it is. `host` gets the host's number.
///
/// Returns null, or a fault: `home-not-found`, `home-busy` (another process has it), `store-damaged`, `usage` and others.
///
/// # Safety
/// `home` is a text that ends with a zero byte, `options` is null or one, and `host` can be written to. `log` may be called with `context` until
/// `wharf_host_close` has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wharf_host_open(
    home: *const c_char,
    options: *const c_char,
    log: wharf_log_fn,
    context: *mut c_void,
    host: *mut u64,
) -> *mut c_char {
    fault_of(|| {
        // SAFETY: as this function's callers promise.
        let (home, options) =
            unsafe { (take(home, "home")?, if options.is_null() { "{}" } else { take(options, "options")? }) };
        let log = log::Sink::new(log, context);
        let number = Embedded::open(home, Options::parse(options)?, log)?;
        // SAFETY: as this function's callers promise.
        unsafe { write(host, number, "host") }
    })
}

/// Starts a call: sends a message to a host.
///
/// `request` is the message, one JSON object. `demand` says how many replies may come before [`wharf_call_demand`] asks for more. `call`
/// gets the number under which they come out of [`wharf_host_next`]. It is written before the first of them can be taken.
///
/// The last reply of a call is `"end"` or an object with the key `fault`; a message that can't be understood is answered so, too.
///
/// Returns null, or a fault: `host-closed` when there is no such host, or `usage`.
///
/// # Safety
/// `request` is a text that ends with a zero byte, and `call` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wharf_host_call(
    host: u64,
    request: *const c_char,
    demand: u32,
    call: *mut u64,
) -> *mut c_char {
    fault_of(|| {
        let host = Embedded::find(host)?;
        // SAFETY: as this function's callers promise.
        let request = unsafe { take(request, "request")? };
        host.call(Message::parse(request), demand, |number| {
            // SAFETY: as this function's callers promise.
            unsafe { write(call, number, "call") }
        })
    })
}

/// Asks for so many more replies of a call. One that has ended, or was cancelled, is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn wharf_call_demand(host: u64, call: u64, more: u32) {
    quietly(|| Embedded::closing(host).map(|host| host.queue.demand(call, more)));
}

/// Ends a call: none of its replies comes out of [`wharf_host_next`] after this has returned.
///
/// What the call began goes on: a run is stopped by the message `stop`. Only the making of images ends with its call.
#[unsafe(no_mangle)]
pub extern "C" fn wharf_call_cancel(host: u64, call: u64) {
    quietly(|| Embedded::closing(host).map(|host| host.queue.cancel(call)));
}

/// Takes the next reply of any call of a host, in the order in which they came.
///
/// Waits at most `milliseconds` for one; a negative number waits for ever, which [`wharf_host_close`] ends. Writes the call's number
/// and the reply, a JSON text that is the caller's.
///
/// Returns `WHARF_NEXT_REPLY`, `WHARF_NEXT_NOTHING` or `WHARF_NEXT_CLOSED`; for the last two, nothing is written.
///
/// # Safety
/// `call` and `reply` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wharf_host_next(host: u64, milliseconds: i64, call: *mut u64, reply: *mut *mut c_char) -> i32 {
    if call.is_null() || reply.is_null() {
        return WHARF_NEXT_CLOSED;
    }
    let wait = u64::try_from(milliseconds).ok().map(Duration::from_millis);
    let next = std::panic::catch_unwind(|| Embedded::closing(host).map_or(Next::Closed, |host| host.queue.next(wait)));
    match next {
        Ok(Next::Reply(number, text)) => {
            // SAFETY: neither is null, and as this function's callers promise.
            unsafe {
                call.write(number);
                reply.write(give(text));
            }
            WHARF_NEXT_REPLY
        }
        Ok(Next::Nothing) => WHARF_NEXT_NOTHING,
        Ok(Next::Closed) | Err(_) => WHARF_NEXT_CLOSED,
    }
}

/// A file descriptor that can be read from while a reply waits, or when the host is closed: for `poll` and event loops.
///
/// It stays the library's: don't read, write or close it. It is closed by [`wharf_host_close`]. Returns -1 if there is no such host.
#[unsafe(no_mangle)]
pub extern "C" fn wharf_host_fd(host: u64) -> i32 {
    std::panic::catch_unwind(|| Embedded::closing(host).map_or(-1, |host| host.queue.fd())).unwrap_or(-1)
}

/// Reads what a container sends to the caller's datasets: the bytes of an ask whose `stream` is `read`.
///
/// Waits until some are there, and writes at most `capacity` of them to `buffer`, which stays the caller's. Returns how many,
/// `WHARF_DATA_END` at the end, or `WHARF_DATA_GONE`: then the caller throws away what it made of those before, and answers with a
/// fault.
///
/// # Safety
/// `capacity` bytes can be written to `buffer`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wharf_data_read(host: u64, ask: u64, buffer: *mut u8, capacity: usize) -> i64 {
    if buffer.is_null() || capacity == 0 {
        return WHARF_DATA_GONE;
    }
    let Some(bytes) = of_datasets(host, |datasets| datasets.read(ask, capacity)) else { return WHARF_DATA_GONE };
    // SAFETY: it isn't null, `read` gives at most `capacity` bytes, and as this function's callers promise.
    unsafe { buffer.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    i64::try_from(bytes.len()).unwrap_or(WHARF_DATA_GONE)
}

/// Writes what a container asked of the caller's datasets: the bytes of an ask whose `stream` is `write`. They are copied.
///
/// Waits until there is room, so a container that reads slowly costs no memory. Returns `length`, or `WHARF_DATA_GONE` when nobody
/// wants more.
///
/// # Safety
/// `length` bytes can be read from `bytes`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wharf_data_write(host: u64, ask: u64, bytes: *const u8, length: usize) -> i64 {
    if bytes.is_null() || length == 0 {
        return if length == 0 { 0 } else { WHARF_DATA_GONE };
    }
    // SAFETY: it isn't null, and as this function's callers promise.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, length) };
    let taken = of_datasets(host, |datasets| datasets.write(ask, bytes));
    taken.and_then(|()| i64::try_from(length).ok()).unwrap_or(WHARF_DATA_GONE)
}

/// Answers what the host asked of the caller's datasets.
///
/// A host that was opened with `"datasets": "caller"` asks for all that concerns data. The call `{"request": "serve-datasets"}` has
/// what it asks for as its values, under its demand; there may be one such call at a time, and one that is cancelled fails what
/// it gave out. Each value has `ask`, a number `id`, and what belongs to it:
/// - `check`: `binding`, `access` (`read`, `write`). Whether a run that wants this may begin. Answer null.
/// - `schema`: `binding`. Answer `{"columns": [{"name": ..., "type": ...}]}`, of the data in place.
/// - `read`: `binding`, `token` or null. All rows as CSV through [`wharf_data_write`]: those in place, or, with a token, those that it
///   staged, else those in place. Answer null when all are written.
/// - `staged-schema`: `token`, `binding`. Answer the schema that the token staged, or null.
/// - `stage`: `token`, `binding`, `schema`, `limit`. The rows as CSV from [`wharf_data_read`], in place of those that the token staged before.
///   Answer how many.
/// - `list`: `binding`, `token` or null. Answer `[{"path", "size", "modified"}]`.
/// - `read-file`: `binding`, `path`, `token` or null. The bytes through [`wharf_data_write`]; answer null.
/// - `stage-file`: `token`, `binding`, `path`, `limit`. The bytes from [`wharf_data_read`]; answer null.
/// - `stage-delete`: `token`, `binding`, `path`. Answer null.
/// - `commit`: `token`. All or nothing; again, if it was cut off or done already. Answer `{"bindings": [names], "changes": n}`.
/// - `abort`: `token`. Answer null.
/// - `status`: `token`. Answer `unknown`, `staged`, `committing` or `committed`.
/// - `forget`: `token`. The outcome is in the record. Answer null.
///
/// A token, `{"run": ..., "attempt": ...}`, is what all outputs of an attempt are committed under. What was staged must still be there in
/// another process, under its token. `limit` is how many bytes a token may have staged, or null.
///
/// The CSV is UTF-8 with a header line, commas and double quotes; an empty field is null, and `""` the empty text. `stream` says
/// whether an ask has bytes: `read`, `write`, or null. Such asks wait for containers: each wants a thread of the caller's, of which
/// it needs 32, and others must not wait for them.
///
/// `answer` is `{"value": ...}` or `{"fault": {"code", "message"}}`, with the codes `not-found` (the message names what), `unusable`,
/// `bad-rows`, `full`, `closed` or another. Returns null, or a fault: `usage`. An answer that nobody waits for any more is fine.
///
/// # Safety
/// `answer` is a text that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wharf_data_answer(host: u64, ask: u64, answer: *const c_char) -> *mut c_char {
    fault_of(|| {
        // SAFETY: as this function's callers promise.
        let answer = unsafe { take(answer, "answer")? };
        let answer = match serde_json::from_str(answer) {
            Ok(Reply::Value(value)) => Ok(value),
            Ok(Reply::Fault(fault)) => Err(fault),
            Ok(_) => return Err(Fault::new("usage", "an answer is `value` or `fault`")),
            Err(error) => return Err(Fault::new("usage", format!("that isn't an answer: {error}"))),
        };
        let _ = of_datasets(host, |datasets| {
            datasets.answer(ask, answer);
            Some(())
        });
        Ok(())
    })
}

/// Gives a home up. Another process can open it when this has returned.
///
/// Waits at most `milliseconds` for the runs to end; a negative number waits for all of them. Those that haven't ended go on in their
/// containers, and whoever opens the home next goes on with them. New calls are refused from the beginning of the wait on.
///
/// Returns `WHARF_CLOSED`, `WHARF_CLOSED_RUNS_GO_ON` or `WHARF_CLOSED_BEFORE`.
#[unsafe(no_mangle)]
pub extern "C" fn wharf_host_close(host: u64, milliseconds: i64) -> i32 {
    let wait = u64::try_from(milliseconds).ok().map(Duration::from_millis);
    match std::panic::catch_unwind(|| Embedded::close(host, wait)) {
        Ok(Some(true)) => WHARF_CLOSED,
        Ok(Some(false)) => WHARF_CLOSED_RUNS_GO_ON,
        Ok(None) | Err(_) => WHARF_CLOSED_BEFORE,
    }
}

/// Null, or what failed.
fn fault_of(work: impl FnOnce() -> Result<(), Fault>) -> *mut c_char {
    let fault = match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return std::ptr::null_mut(),
        Ok(Err(fault)) => fault,
        Err(_) => Fault::new("host-fault", "the library failed; its log has the details"),
    };
    give(
        serde_json::to_string(&fault)
            .unwrap_or_else(|_| r#"{"code":"host-fault","message":"a fault can't be written"}"#.to_owned()),
    )
}

/// Asks the datasets of a host, if the caller serves them.
fn of_datasets<T>(host: u64, work: impl FnOnce(&CallerStore) -> Option<T>) -> Option<T> {
    let datasets = std::panic::catch_unwind(|| Embedded::closing(host)).ok().flatten()?.datasets?;
    std::panic::catch_unwind(AssertUnwindSafe(|| work(&datasets))).ok().flatten()
}

/// For what has nothing to say.
fn quietly<T>(work: impl FnOnce() -> T) {
    let _ = std::panic::catch_unwind(AssertUnwindSafe(work));
}

/// Writes a number to where the caller wants it.
///
/// # Safety
/// `to` is null or can be written to.
unsafe fn write(to: *mut u64, number: u64, name: &str) -> Result<(), Fault> {
    if to.is_null() {
        return Err(Fault::new("usage", format!("`{name}` is null: there is nowhere to write the number to")));
    }
    // SAFETY: it isn't null, and as this function's callers promise.
    unsafe { to.write(number) };
    Ok(())
}

/// A reply as the text that crosses the border.
fn to_text(reply: &Reply) -> String {
    serde_json::to_string(reply)
        .unwrap_or_else(|_| r#"{"fault":{"code":"host-fault","message":"an answer can't be written"}}"#.to_owned())
}
