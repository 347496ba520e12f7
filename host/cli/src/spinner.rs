//! The one line that moves while one waits.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The one line that moves while one waits: what for, and how long already. Clones are the same line.
///
/// It also writes to standard error in its own way: whole lines above the moving one.
#[derive(Clone)]
pub(crate) struct Spinner {
    bar: Option<Arc<Mutex<ProgressBar>>>,
    colour: bool,
}

impl Spinner {
    /// One that a person sees.
    pub(crate) fn shown(colour: bool) -> Self {
        Self { bar: Some(Arc::new(Mutex::new(ProgressBar::hidden()))), colour }
    }

    /// None at all.
    pub(crate) fn none() -> Self {
        Self { bar: None, colour: false }
    }

    /// Begins to wait for something.
    pub(crate) fn start(&self, text: &str) {
        self.resume(text, Duration::ZERO);
    }

    /// Goes on to wait for something that has taken so long already.
    pub(crate) fn resume(&self, text: &str, elapsed: Duration) {
        self.with(|bar| {
            bar.finish_and_clear();
            let fresh = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_elapsed(elapsed);
            let template = if self.colour {
                "{spinner:.cyan} {wide_msg} {elapsed:.dim}"
            } else {
                "{spinner} {wide_msg} {elapsed}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                fresh.set_style(style);
            }
            fresh.set_message(text.to_owned());
            fresh.enable_steady_tick(Duration::from_millis(100));
            *bar = fresh;
        });
    }

    /// Says more of what one waits for.
    pub(crate) fn say(&self, text: &str) {
        self.with(|bar| bar.set_message(text.to_owned()));
    }

    /// Nothing to wait for any more.
    pub(crate) fn clear(&self) {
        self.with(|bar| bar.finish_and_clear());
    }

    /// Takes the line away while something else is written.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.lock().unwrap_or_else(PoisonError::into_inner).suspend(write),
            None => write(),
        }
    }

    fn with(&self, work: impl FnOnce(&mut ProgressBar)) {
        if let Some(bar) = &self.bar {
            work(&mut bar.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Write for Spinner {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
