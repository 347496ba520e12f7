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
///
/// ```no_run
/// use wharf_plugin_sdk::grants::random;
///
/// /// A name that nobody guesses.
/// fn secret_name() -> String {
///     random::bytes(16).iter().map(|byte| format!("{byte:02x}")).collect()
/// }
/// ```
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
///
/// ```no_run
/// use wharf_plugin_sdk::grants::http;
///
/// /// Whether a site's own service knows a user.
/// fn knows(user: &str) -> Result<bool, String> {
///     let answer = http::send(&http::Request::new("GET", format!("https://people.example.com/users/{user}")))
///         .map_err(|error| format!("the directory can't be asked: {}", error.sentence()))?;
///     match answer.status {
///         200 => Ok(true),
///         404 => Ok(false),
///         status => Err(format!("the directory answers {status}")),
///     }
/// }
/// ```
pub mod http {
    pub use crate::bindings::shared::wharf::plugin::http::{Header, Request, RequestError, Response, send};

    impl Request {
        /// A request without headers and body.
        ///
        /// ```
        /// use wharf_plugin_sdk::grants::http::Request;
        ///
        /// let request = Request::new("GET", "https://people.example.com/users/ana");
        /// assert!(request.headers.is_empty() && request.body.is_empty());
        /// ```
        #[must_use]
        pub fn new(method: &str, url: impl Into<String>) -> Self {
            Self { method: method.to_owned(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
        }

        /// The same with one more header.
        ///
        /// ```
        /// use wharf_plugin_sdk::grants::http::Request;
        ///
        /// let request = Request::new("GET", "https://people.example.com/me").header("authorization", "Bearer k1");
        /// assert_eq!(request.headers[0].name, "authorization");
        /// ```
        #[must_use]
        pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
            self.headers.push(Header { name: name.to_owned(), value: value.into() });
            self
        }

        /// The same with a body.
        ///
        /// ```
        /// use wharf_plugin_sdk::grants::http::Request;
        ///
        /// let request = Request::new("POST", "https://people.example.com/ask").body(r#"{"user": "ana"}"#);
        /// assert_eq!(request.body.len(), 15);
        /// ```
        #[must_use]
        pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
            self.body = body.into();
            self
        }
    }

    impl Response {
        /// The value of a header; the first, when there are several.
        ///
        /// ```
        /// use wharf_plugin_sdk::grants::http::{Header, Response};
        ///
        /// let headers = vec![Header { name: "Location".to_owned(), value: "/v2".to_owned() }];
        /// let moved = Response { status: 301, headers, body: Vec::new() };
        /// assert_eq!(moved.header("location"), Some("/v2"));
        /// ```
        #[must_use]
        pub fn header(&self, name: &str) -> Option<&str> {
            let found = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| header.value.as_str())
        }

        /// Whether the server says that it went well: a status of 200 to 299.
        ///
        /// ```
        /// use wharf_plugin_sdk::grants::http::Response;
        ///
        /// let created = Response { status: 201, headers: Vec::new(), body: Vec::new() };
        /// assert!(created.is_success());
        /// ```
        #[must_use]
        pub fn is_success(&self) -> bool {
            (200..300).contains(&self.status)
        }
    }

    impl RequestError {
        /// In words, for an error.
        ///
        /// ```
        /// use wharf_plugin_sdk::grants::http::RequestError;
        ///
        /// assert_eq!(RequestError::TimedOut.sentence(), "there was no answer in time");
        /// ```
        #[must_use]
        pub fn sentence(&self) -> &str {
            match self {
                Self::NotAllowed(words) | Self::Invalid(words) | Self::TooLarge(words) | Self::Failed(words) => words,
                Self::TimedOut => "there was no answer in time",
            }
        }
    }
}
