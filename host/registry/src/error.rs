//! What goes wrong with a registry or a download.

use std::io;

/// What goes wrong with a registry or a download.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A reference or a URL isn't one.
    #[error("\"{text}\" isn't a place that a component can be in: {why}")]
    Invalid {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers, or the connection broke.
    #[error("{host} can't be reached: {why}")]
    Unreachable {
        /// `HOST[:PORT]`.
        host: String,
        /// What the system, or TLS, says.
        why: String,
    },
    /// The other side is too slow.
    #[error("{what} took longer than {seconds} s")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// It isn't there.
    #[error("{what} isn't there")]
    NotFound {
        /// What.
        what: String,
    },
    /// One has to log in, or may not.
    #[error("{host} doesn't let this host {what}: {why}")]
    Denied {
        /// `HOST[:PORT]`.
        host: String,
        /// What was tried.
        what: String,
        /// Its words.
        why: String,
    },
    /// Any other answer than the one that was hoped for.
    #[error("{host} answered {status} to {what}: {words}")]
    Refused {
        /// `HOST[:PORT]`.
        host: String,
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// Its words.
        words: String,
    },
    /// It is larger than anything of its kind.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// What came isn't what was named.
    #[error("{what} isn't what was named: expected {expected}, got {got}")]
    Altered {
        /// What.
        what: String,
        /// What should have come.
        expected: String,
        /// What came.
        got: String,
    },
    /// It is there, and isn't a component.
    #[error("{what} isn't a component: {why}")]
    NotAComponent {
        /// What.
        what: String,
        /// What it is instead.
        why: String,
    },
    /// A file here can't be written.
    #[error("what comes can't be written")]
    Io {
        /// What the system says.
        #[from]
        source: io::Error,
    },
}
