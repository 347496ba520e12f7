//! The library's own words, on their way to the caller's function.
//!
//! There is no global subscriber: the process may have one of its own, and may have two hosts. Each host's threads have theirs.

use std::cell::RefCell;
use std::ffi::{CString, c_void};
use std::io;

use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::MakeWriter;

use crate::wharf_log_fn;

/// The caller's function, with what it gets.
#[derive(Clone, Copy)]
pub(crate) struct Sink {
    function: wharf_log_fn,
    context: *mut c_void,
}

// SAFETY: the context is only passed on; `wharf_host_open` says that it is from several threads at once.
unsafe impl Send for Sink {}
// SAFETY: as above.
unsafe impl Sync for Sink {}

impl Sink {
    pub(crate) fn new(function: wharf_log_fn, context: *mut c_void) -> Self {
        Self { function, context }
    }

    /// Where a thread's words go; none when nobody wants them.
    pub(crate) fn dispatch(self, level: Level) -> Option<Dispatch> {
        self.function?;
        let subscriber = tracing_subscriber::fmt().json().with_max_level(level).with_writer(self).finish();
        Some(Dispatch::new(subscriber))
    }
}

impl MakeWriter<'_> for Sink {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { sink: *self, bytes: Vec::new() }
    }
}

/// One line: collected, and passed on whole.
pub(crate) struct Line {
    sink: Sink,
    bytes: Vec<u8>,
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.retain(|&byte| byte != 0 && byte != b'\n');
        if let (Some(function), Ok(line)) = (self.sink.function, CString::new(bytes)) {
            // SAFETY: who opened the host promised that it may be called with this context until the host is closed.
            unsafe { function(self.sink.context, line.as_ptr()) };
        }
    }
}

thread_local! {
    static GUARD: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// From now on, what this thread says goes there.
pub(crate) fn begin(dispatch: &Dispatch) {
    GUARD.with(|guard| *guard.borrow_mut() = Some(tracing::dispatcher::set_default(dispatch)));
}

/// The thread ends.
pub(crate) fn end() {
    GUARD.with(|guard| guard.borrow_mut().take());
}
