use hyper::{Method, StatusCode, Uri};

use crate::answer::Refused;
use crate::folder_path::FolderPath;
use crate::store::{Format, ReadRequest};

/// Longer names are nobody's.
const MAX_NAME: usize = 1024;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Ready,
    Task,
    Started,
    Logs { base: u64 },
    Heartbeat,
    Progress,
    Result,
    GetSchema { dataset: String },
    PutSchema { dataset: String },
    GetData { dataset: String, request: ReadRequest },
    PutData { dataset: String, format: Format },
    ListFiles { folder: String },
    GetFile { folder: String, path: FolderPath },
    PutFile { folder: String, path: FolderPath },
    DeleteFile { folder: String, path: FolderPath },
}

impl Route {
    pub(crate) fn parse(method: &Method, uri: &Uri) -> Result<Self, Refused> {
        let query = Query(uri.query().unwrap_or(""));
        let elements: Vec<&str> = uri.path().split('/').skip(1).collect();
        match (method, elements.as_slice()) {
            (&Method::GET, ["v1", "ready"]) => Ok(Self::Ready),
            (&Method::GET, ["v1", "task"]) => Ok(Self::Task),
            (&Method::POST, ["v1", "started"]) => Ok(Self::Started),
            (&Method::POST, ["v1", "logs"]) => Ok(Self::Logs { base: query.number("base")?.unwrap_or(0) }),
            (&Method::POST, ["v1", "heartbeat"]) => Ok(Self::Heartbeat),
            (&Method::POST, ["v1", "progress"]) => Ok(Self::Progress),
            (&Method::POST, ["v1", "result"]) => Ok(Self::Result),
            (&Method::GET, ["v1", "datasets", name, "schema"]) => Ok(Self::GetSchema { dataset: decode_name(name)? }),
            (&Method::PUT, ["v1", "datasets", name, "schema"]) => Ok(Self::PutSchema { dataset: decode_name(name)? }),
            (&Method::GET, ["v1", "datasets", name, "data"]) => Ok(Self::GetData {
                dataset: decode_name(name)?,
                request: ReadRequest {
                    format: query.format()?,
                    columns: query.columns()?,
                    limit: query.number("limit")?,
                },
            }),
            (&Method::PUT, ["v1", "datasets", name, "data"]) => {
                Ok(Self::PutData { dataset: decode_name(name)?, format: query.format()? })
            }
            (&Method::GET, ["v1", "folders", name, "files"]) => Ok(Self::ListFiles { folder: decode_name(name)? }),
            (method, ["v1", "folders", name, "files", path @ ..]) if !path.is_empty() => {
                let folder = decode_name(name)?;
                let path = decode_path(path)?;
                match *method {
                    Method::GET => Ok(Self::GetFile { folder, path }),
                    Method::PUT => Ok(Self::PutFile { folder, path }),
                    Method::DELETE => Ok(Self::DeleteFile { folder, path }),
                    _ => Err(no_such_request(method, uri)),
                }
            }
            _ => Err(no_such_request(method, uri)),
        }
    }
}

fn no_such_request(method: &Method, uri: &Uri) -> Refused {
    let path: String = uri.path().chars().take(200).collect();
    Refused::new(StatusCode::NOT_FOUND, "unknown-request", format!("there is no request {method} {path}"))
}

fn decode_name(name: &str) -> Result<String, Refused> {
    let name = percent_decode(name)?;
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Refused::bad_request("bad-name", "a name is empty, too long or contains a control character"));
    }
    Ok(name)
}

fn decode_path(elements: &[&str]) -> Result<FolderPath, Refused> {
    let mut path = String::new();
    for (index, element) in elements.iter().enumerate() {
        let element = percent_decode(element)?;
        if element.contains('/') {
            return Err(Refused::bad_request("bad-path", "an element of the path contains a `/` that is encoded"));
        }
        if index > 0 {
            path.push('/');
        }
        path.push_str(&element);
    }
    FolderPath::new(&path).map_err(|bad| Refused::bad_request("bad-path", bad.to_string()))
}

fn percent_decode(text: &str) -> Result<String, Refused> {
    let bad = || Refused::bad_request("bad-request", "the request's path or query is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let (digits, tail) = tail.split_at_checked(2).ok_or_else(bad)?;
            let mut decoded = [0];
            hex::decode_to_slice(digits, &mut decoded).map_err(|_| bad())?;
            bytes.push(decoded[0]);
            rest = tail;
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The value of a key, still encoded.
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key)).map(|(_, value)| value)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Refused> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value
            .parse()
            .map(Some)
            .map_err(|_| Refused::bad_request("bad-request", format!("`{key}` must be a number that isn't negative")))
    }

    fn format(&self) -> Result<Format, Refused> {
        match self.get("format") {
            Some("csv") => Ok(Format::Csv),
            Some("arrow") => Ok(Format::Arrow),
            _ => Err(Refused::bad_request("bad-request", "`format` must be csv or arrow")),
        }
    }

    fn columns(&self) -> Result<Option<Vec<String>>, Refused> {
        let Some(value) = self.get("columns").filter(|value| !value.is_empty()) else { return Ok(None) };
        // Split first: a comma that belongs to a name is encoded.
        value.split(',').map(|name| percent_decode(&name.replace('+', " "))).collect::<Result<_, _>>().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, uri: &str) -> Result<Route, Refused> {
        Route::parse(&Method::from_bytes(method.as_bytes()).unwrap(), &uri.parse().unwrap())
    }

    #[test]
    fn requests_are_understood() {
        assert_eq!(parse("GET", "/v1/task").unwrap(), Route::Task);
        assert_eq!(parse("POST", "/v1/logs?base=7").unwrap(), Route::Logs { base: 7 });
        assert_eq!(
            parse("GET", "/v1/datasets/caf%C3%A9%20x/data?format=csv&columns=a%2Cb,c+d,%2B&limit=3").unwrap(),
            Route::GetData {
                dataset: "café x".to_owned(),
                request: ReadRequest {
                    format: Format::Csv,
                    columns: Some(vec!["a,b".to_owned(), "c d".to_owned(), "+".to_owned()]),
                    limit: Some(3),
                },
            }
        );
        let Route::PutFile { folder, path } = parse("PUT", "/v1/folders/f/files/a/b%20c").unwrap() else { panic!() };
        assert_eq!((folder.as_str(), path.as_str()), ("f", "a/b c"));
    }

    #[test]
    fn ways_out_of_a_folder_are_refused() {
        for path in [
            "..", "a/../b", "%2e%2e/x", "a%2Fb", "..%2Fx", "%2Fetc", "a//b", "a/", "a%00b", "a%0Ab", "a%5Cb", "%FF",
            "%zz", "%",
        ] {
            let refused = parse("GET", &format!("/v1/folders/f/files/{path}")).unwrap_err();
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
        }
    }

    #[test]
    fn other_requests_are_refused() {
        for (method, uri) in [
            ("GET", "/"),
            ("GET", "/v2/task"),
            ("POST", "/v1/task"),
            ("GET", "/v1/datasets/x"),
            ("POST", "/v1/folders/f/files/x"),
            ("DELETE", "/v1/folders/f/files"),
        ] {
            assert_eq!(parse(method, uri).unwrap_err().status, StatusCode::NOT_FOUND, "{method} {uri}");
        }
        for uri in [
            "/v1/datasets/x/data",
            "/v1/datasets/x/data?format=xml",
            "/v1/datasets/x/data?format=csv&limit=-1",
            "/v1/datasets//data?format=csv",
            "/v1/datasets/a%0A/schema",
        ] {
            assert_eq!(parse("GET", uri).unwrap_err().status, StatusCode::BAD_REQUEST, "{uri}");
        }
    }
}
