//! The places that a component may send HTTP requests to, and the requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use wharf_fetch::http::header::{HeaderMap, HeaderName, HeaderValue};
use wharf_fetch::http::{Method, Uri};
use wharf_fetch::{Bounds, FetchError, Reach, Request, Roots, reach, target};

use crate::bindings::http::{self, RequestError};
use crate::call_error::cut;
use crate::state::State;

/// How many requests a call may send.
const REQUESTS: u32 = 32;
/// The longest body of a request and of an answer.
const BODY: usize = 1 << 20;
/// The longest URL.
const URL: usize = 8 * 1024;
/// How many headers a request may have, and how many bytes they may have together.
const HEADERS: usize = 100;
const HEADER_BYTES: usize = 32 * 1024;
/// How long one request may take, its answer included.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the connection is made of: the host's own business.
const OWN_HEADERS: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "upgrade",
    "te",
    "trailer",
    "expect",
];
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The requests that a component may send.
#[derive(Clone, Debug)]
pub(crate) struct GrantedHttp {
    pub(crate) places: GrantedPlaces,
    /// Whom TLS trusts there.
    pub(crate) roots: Roots,
}

/// The places that were granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantedPlaces {
    places: Arc<[Place]>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Whether it must be TLS; none when either will do.
    tls: Option<bool>,
    /// In lower case; an IPv6 address without brackets.
    host: String,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

impl GrantedPlaces {
    /// Reads what a TOML file grants. The error names the entry by its place in the list, and says what is wrong with it.
    pub(crate) fn read(entries: &[String]) -> Result<Self, (usize, String)> {
        let read = |(at, entry): (usize, &String)| Place::read(entry).map_err(|problem| (at, problem));
        Ok(Self { places: entries.iter().enumerate().map(read).collect::<Result<_, _>>()? })
    }

    fn include(&self, tls: bool, host: &str, port: u16, path: &str) -> bool {
        self.places.iter().any(|place| {
            place.tls.is_none_or(|wanted| wanted == tls)
                && place.host.eq_ignore_ascii_case(host)
                && place.port == port
                && path.strip_prefix(&place.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Whether a connection may be made to an address that the name of a listed place led to.
    fn include_address(&self, address: IpAddr, port: u16) -> bool {
        match reach(address) {
            Reach::Public => true,
            Reach::Never => false,
            Reach::Private => {
                let listed = |place: &Place| place.port == port && place.host.parse() == Ok(address.to_canonical());
                self.places.iter().any(listed)
            }
        }
    }
}

impl Place {
    fn read(entry: &str) -> Result<Self, String> {
        let expected = "expected \"HOST:PORT\", or a URL such as \"https://api.example.com/registry\"";
        let (tls, rest) = match entry.split_once("://") {
            Some(("https", rest)) => (Some(true), rest),
            Some(("http", rest)) => (Some(false), rest),
            Some(_) => return Err(expected.to_owned()),
            None => (None, entry),
        };
        let url: Uri = format!("{}://{rest}", if tls == Some(true) { "https" } else { "http" })
            .parse()
            .map_err(|_| expected.to_owned())?;
        let (_, host, port) = target(&url).ok_or(expected)?;
        let path = url.path().trim_end_matches('/');
        if rest.contains(['@', '*', '?', '#']) || has_dots(path) {
            return Err(format!("{expected}, without a user, a pattern, a query or `..`"));
        }
        if tls.is_none() && (url.port_u16().is_none() || rest.contains('/')) {
            return Err(expected.to_owned());
        }
        if host.parse().is_ok_and(|address| reach(address) == Reach::Never) {
            return Err(format!(
                "{host} can't be granted: nothing may be asked of link-local addresses, nor where clouds keep a machine's \
                 secrets"
            ));
        }
        Ok(Self { tls, host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }
}

/// Whether a server may take it for another path: one with `.` or `..`, however they are written.
fn has_dots(path: &str) -> bool {
    let plain =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
    plain.split('/').any(|part| part == "." || part == "..")
}

impl http::Host for State {
    async fn send(&mut self, request: http::Request) -> Result<http::Response, RequestError> {
        let Some(GrantedHttp { places, roots }) = self.http.clone() else {
            return Err(RequestError::NotAllowed("nothing can be asked while a component is loaded".to_owned()));
        };
        self.http_requests = self.http_requests.saturating_add(1);
        if self.http_requests > REQUESTS {
            return Err(RequestError::NotAllowed(format!("a call may send {REQUESTS} requests")));
        }
        let time = request.timeout.map_or(PATIENCE, |millis| Duration::from_millis(millis.into()).min(PATIENCE));
        let request = checked(request, &places)?;
        let port = target(&request.url).map_or(0, |(_, _, port)| port);
        let component = &*self.component;
        // Without what comes after the path, which may have a token in it.
        tracing::debug!(component, method = %request.method, host = request.url.host(), port, path = request.url.path(), "it asks");
        let bounds = Bounds { time, body: BODY };
        let answer = wharf_fetch::send(request, bounds, &roots, |address| places.include_address(address, port)).await;
        let answer = answer.map_err(|error| refusal(&error))?;
        let header = |(name, value): (&HeaderName, &HeaderValue)| http::Header {
            name: name.to_string(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        Ok(http::Response {
            status: answer.status.as_u16(),
            headers: answer.headers.iter().map(header).collect(),
            body: answer.body.to_vec(),
        })
    }
}

fn checked(request: http::Request, places: &GrantedPlaces) -> Result<Request, RequestError> {
    let invalid = |problem: String| RequestError::Invalid(problem);
    if request.url.len() > URL {
        return Err(RequestError::TooLarge(format!("the URL is longer than {URL} bytes")));
    }
    if request.body.len() > BODY {
        return Err(RequestError::TooLarge(format!("the body is longer than {BODY} bytes")));
    }
    let bytes: usize = request.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    if request.headers.len() > HEADERS || bytes > HEADER_BYTES {
        let message = format!("there are more than {HEADERS} headers, or {HEADER_BYTES} bytes of them");
        return Err(RequestError::TooLarge(message));
    }
    let method = METHODS.into_iter().find(|method| method.as_str() == request.method);
    let method = method.ok_or_else(|| invalid(format!("{:?} isn't a method for this", cut(&request.method))))?;
    let shown = cut(&request.url);
    let url: Uri = request.url.parse().map_err(|error| invalid(format!("{shown:?} isn't a URL: {error}")))?;
    let Some((tls, host, port)) = target(&url) else {
        return Err(invalid(format!("{shown:?} isn't an http or https URL with a host")));
    };
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(invalid("a URL with a user in it; use the header `authorization`".to_owned()));
    }
    if has_dots(url.path()) {
        return Err(invalid(format!("the path of {shown:?} has `.` or `..` in it")));
    }
    if !places.include(tls, host, port, url.path()) {
        let scheme = if tls { "https" } else { "http" };
        let message = format!(
            "{scheme}://{}{} isn't granted; the grant for its host would be `http = [\"{host}:{port}\"]`",
            cut(url.authority().map_or(host, |authority| authority.as_str())),
            cut(url.path())
        );
        return Err(RequestError::NotAllowed(message));
    }
    let mut headers = HeaderMap::new();
    for http::Header { name, value } in &request.headers {
        let known: HeaderName =
            name.parse().map_err(|_| invalid(format!("{:?} can't be a header's name", cut(name))))?;
        if OWN_HEADERS.contains(&known.as_str()) {
            return Err(invalid(format!("the header {known} is the host's own")));
        }
        // Its value may be a secret: it isn't shown.
        let value = HeaderValue::from_str(value).map_err(|_| {
            invalid(format!("the value of the header {known} has a line break or another control character"))
        })?;
        headers.append(known, value);
    }
    Ok(Request { method, url, headers, body: request.body.into() })
}

fn refusal(error: &FetchError) -> RequestError {
    let message = cut(&error.to_string());
    match error {
        FetchError::TimedOut { .. } => RequestError::TimedOut,
        FetchError::TooLarge { .. } => RequestError::TooLarge(message),
        FetchError::Forbidden { .. } => RequestError::NotAllowed(message),
        FetchError::BadUrl(_) => RequestError::Invalid(message),
        FetchError::NoAddress { .. }
        | FetchError::Unreachable { .. }
        | FetchError::Tls { .. }
        | FetchError::BadAnswer { .. } => RequestError::Failed(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(entries: &[&str]) -> GrantedPlaces {
        let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
        GrantedPlaces::read(&entries).unwrap()
    }

    fn asks(places: &GrantedPlaces, url: &str) -> Result<(), RequestError> {
        let request = http::Request {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
        };
        checked(request, places).map(drop)
    }

    #[test]
    fn only_what_is_listed_may_be_asked() {
        let granted = places(&["api.example.com:8443", "https://ecr.example.com/v1/", "[::1]:80"]);
        for url in [
            "https://api.example.com:8443/",
            "http://API.example.com:8443/any?x=1",
            "https://ecr.example.com/v1",
            "https://ecr.example.com:443/v1/tokens?x=/../",
            "https://ecr.example.com/v1?x",
            "http://[::1]/x",
        ] {
            assert!(asks(&granted, url).is_ok(), "{url}: {:?}", asks(&granted, url));
        }
        for url in [
            "https://api.example.com/",
            "https://other.example.com:8443/",
            "https://api.example.com.evil.example:8443/",
            "https://ecr.example.com/v10",
            "https://ecr.example.com/",
            "http://ecr.example.com/v1",
            "http://ecr.example.com:443/v1",
            "http://[::2]/",
        ] {
            assert!(
                matches!(asks(&granted, url), Err(RequestError::NotAllowed(_))),
                "{url}: {:?}",
                asks(&granted, url)
            );
        }
        for url in [
            "https://ecr.example.com/v1/../admin",
            "https://ecr.example.com/v1/%2E%2e/admin",
            "https://ecr.example.com/v1/..%2fadmin",
            "https://ecr.example.com/v1/..\\admin",
            "https://me:secret@api.example.com:8443/",
            "https://api.example.com:8443@evil.example/",
            "https://api.example.com:8443/a b",
            "https://api.example.com:8443/a\r\nX-Evil: 1",
            "ftp://api.example.com:8443/",
            "/v1",
            "api.example.com:8443",
            "",
        ] {
            assert!(matches!(asks(&granted, url), Err(RequestError::Invalid(_))), "{url}: {:?}", asks(&granted, url));
        }
    }

    #[test]
    fn a_name_leads_to_a_private_address_only_where_that_is_listed() {
        let granted = places(&["registry.internal:5000", "10.0.0.5:5000", "https://[fd12::1]"]);
        let may = |address: &str, port| granted.include_address(address.parse().unwrap(), port);
        assert!(may("93.184.216.34", 5000) && may("10.0.0.5", 5000) && may("::ffff:10.0.0.5", 5000));
        assert!(may("fd12::1", 443));
        assert!(!may("10.0.0.5", 5001) && !may("10.0.0.6", 5000) && !may("127.0.0.1", 5000) && !may("::1", 5000));
        assert!(!may("169.254.169.254", 5000) && !may("fd00:ec2::254", 443) && !may("0.0.0.0", 5000));
    }

    #[test]
    fn a_grant_that_cannot_be_one_says_why() {
        for (entry, words) in [
            ("api.example.com", "expected"),
            ("api.example.com:80/path", "expected"),
            ("ftp://api.example.com", "expected"),
            ("https://", "expected"),
            ("", "expected"),
            ("*.example.com:443", "pattern"),
            ("https://me@api.example.com", "user"),
            ("https://api.example.com/a/../b", "`..`"),
            ("https://api.example.com/?a", "query"),
            ("169.254.169.254:80", "clouds"),
            ("http://[fe80::1]/", "link-local"),
        ] {
            let (at, problem) = GrantedPlaces::read(&["a.example:1".to_owned(), entry.to_owned()]).unwrap_err();
            assert!(at == 1 && problem.contains(words), "{entry}: {problem}");
        }
    }

    #[test]
    fn a_request_that_would_say_more_than_it_seems_is_not_sent() {
        let granted = places(&["api.example.com:443"]);
        let ask = |method: &str, name: &str, value: &str, body: usize| {
            let request = http::Request {
                method: method.to_owned(),
                url: "https://api.example.com/".to_owned(),
                headers: vec![http::Header { name: name.to_owned(), value: value.to_owned() }],
                body: vec![0; body],
                timeout: None,
            };
            checked(request, &granted)
        };
        assert!(ask("POST", "x-token", "a\tb", BODY).is_ok());
        for (method, name, value) in [
            ("GET", "x", "a\r\nHost: evil.example"),
            ("GET", "x", "a\nb"),
            ("GET", "x", "a\0b"),
            ("GET", "x\r\ny", "a"),
            ("GET", "x: y", "a"),
            ("GET", "", "a"),
            ("GET", "Host", "evil.example"),
            ("GET", "Content-Length", "0"),
            ("GET", "Transfer-Encoding", "chunked"),
            ("CONNECT", "x", "a"),
            ("TRACE", "x", "a"),
            ("get", "x", "a"),
            ("GET / HTTP/1.1\r\nX", "x", "a"),
        ] {
            let answer = ask(method, name, value, 0);
            let Err(RequestError::Invalid(message)) = &answer else {
                panic!("{method:?} {name:?} {value:?}: {answer:?}")
            };
            assert!(!message.contains("evil"), "{message}");
        }
        assert!(matches!(ask("GET", "x", "a", BODY + 1), Err(RequestError::TooLarge(_))));
        assert!(matches!(ask("GET", "x", &"a".repeat(HEADER_BYTES), 0), Err(RequestError::TooLarge(_))));
    }
}
