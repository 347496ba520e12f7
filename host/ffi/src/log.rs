//! The library's own words, on their way to the caller's function.
//!
//! There is no global subscriber: the process may have one of its own, and may have two hosts. Each host's threads have theirs.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_void};
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::MakeWriter;

use crate::wharf_log_fn;

/// The caller's function, with what it gets; none once the host is closed, whatever thread still says something.
#[derive(Clone)]
pub(crate) struct Sink {
    target: Arc<RwLock<Option<Target>>>,
}

#[derive(Clone, Copy)]
struct Target {
    function: unsafe extern "C" fn(*mut c_void, *const c_char),
    context: *mut c_void,
}

// SAFETY: the context is only passed on; `wharf_host_open` says that it is from several threads at once.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Sink {
    pub(crate) fn new(function: wharf_log_fn, context: *mut c_void) -> Self {
        Self { target: Arc::new(RwLock::new(function.map(|function| Target { function, context }))) }
    }

    /// Where a thread's words go; none when nobody wants them.
    pub(crate) fn dispatch(&self, level: Level) -> Option<Dispatch> {
        (*self.target()).as_ref()?;
        let subscriber = tracing_subscriber::fmt().json().with_max_level(level).with_writer(self.clone()).finish();
        Some(Dispatch::new(subscriber))
    }

    /// Waits for whoever is in the caller's function; nobody calls it again.
    pub(crate) fn close(&self) {
        *self.target.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn target(&self) -> RwLockReadGuard<'_, Option<Target>> {
        self.target.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MakeWriter<'_> for Sink {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { sink: self.clone(), bytes: Vec::new() }
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
        if let (Some(target), Ok(line)) = (&*self.sink.target(), CString::new(bytes)) {
            // SAFETY: who opened the host promised that it may be called with this context until the host is closed, and
            // that waits for this.
            unsafe { (target.function)(target.context, line.as_ptr()) };
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
