//! What a component may use only when its TOML grants it.
//!
//! A component that calls one of these imports it, and the host loads it only with the grant. Outside a component, as in a
//! native unit test, they panic.

/// The real time: needs `clock = true` under `[grants]`.
///
/// ```no_run
/// use wharf_plugin_sdk::grants::clock;
///
/// /// Whether it is Saturday or Sunday, by UTC.
/// fn is_weekend() -> bool {
///     let days = clock::now() / 86_400_000;
///     // 1970 began on a Thursday.
///     matches!((days + 4) % 7, 0 | 6)
/// }
/// ```
pub mod clock {
    pub use crate::bindings::shared::wharf::plugin::clock::now;
}

/// Real randomness: needs `random = true` under `[grants]`.
pub mod random {
    pub use crate::bindings::shared::wharf::plugin::random::bytes;
}

/// One folder to read: needs `folder = "PATH"` under `[grants]`.
///
/// ```no_run
/// use wharf_plugin_sdk::grants::folder::{self, ReadError};
///
/// /// The users that may do everything: a line each, in a file that may be missing.
/// fn trusted() -> Result<Vec<String>, String> {
///     match folder::read("trusted.txt") {
///         Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()),
///         Err(ReadError::NotFound) => Ok(Vec::new()),
///         Err(error) => Err(format!("trusted.txt can't be read: {error:?}")),
///     }
/// }
/// ```
pub mod folder {
    pub use crate::bindings::shared::wharf::plugin::folder::{ReadError, entries, read};
}

/// HTTP requests to listed places: needs `http = ["HOST:PORT", "https://HOST/PATH", ...]` under `[grants]`.
pub mod http {
    pub use crate::bindings::shared::wharf::plugin::http::{Header, Request, RequestError, Response, send};

    impl Request {
        /// A request without headers and body.
        #[must_use]
        pub fn new(method: &str, url: impl Into<String>) -> Self {
            Self { method: method.to_owned(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
        }

        /// The same with one more header.
        #[must_use]
        pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
            self.headers.push(Header { name: name.to_owned(), value: value.into() });
            self
        }

        /// The same with a body.
        #[must_use]
        pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
            self.body = body.into();
            self
        }
    }

    impl Response {
        /// The value of a header; the first, when there are several.
        #[must_use]
        pub fn header(&self, name: &str) -> Option<&str> {
            let found = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| header.value.as_str())
        }

        /// Whether the server says that it went well: a status of 200 to 299.
        #[must_use]
        pub fn is_success(&self) -> bool {
            (200..300).contains(&self.status)
        }
    }

    impl RequestError {
        /// In words, for an error.
        #[must_use]
        pub fn sentence(&self) -> &str {
            match self {
                Self::NotAllowed(words) | Self::Invalid(words) | Self::TooLarge(words) | Self::Failed(words) => words,
                Self::TimedOut => "there was no answer in time",
            }
        }
    }
}
