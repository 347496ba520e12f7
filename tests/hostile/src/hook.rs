//! The registry hook. It says what came of its requests as the reason why nothing can be pushed.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "registry-hook", generate_all });
    use super::Hostile;
    export!(Hostile);
}

use bindings::exports::wharf::plugin::metadata;
use bindings::exports::wharf::plugin::registry_preparation::{Credentials, Guest, Push};
use bindings::wharf::plugin::http::{Header, Request, RequestError, Response, send};
use bindings::wharf::plugin::settings;

use crate::misdeed;

struct Hostile;

impl metadata::Guest for Hostile {
    fn describe() -> metadata::Info {
        metadata::Info {
            name: "hostile".to_owned(),
            version: "0.0.1".to_owned(),
            description: "Misbehaves".to_owned(),
            settings_schema: String::new(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), String> {
        if crate::setting(&settings, "validate") == "ask" {
            return Err(said(&send(&get(&crate::setting(&settings, "url")))));
        }
        Ok(())
    }
}

impl Guest for Hostile {
    fn before_push(_: Push) -> Result<Option<Credentials>, String> {
        let all = settings::get();
        let (wanted, url) = (crate::setting(&all, "do"), crate::setting(&all, "url"));
        misdeed::misbehave(&wanted);
        let header = |name: &str, value: &str| {
            let header = Header { name: name.to_owned(), value: value.to_owned() };
            Request { headers: vec![header], ..get(&url) }
        };
        let request = match wanted.as_str() {
            "follow" => {
                let first = send(&get(&url));
                let location = first.as_ref().ok().and_then(|answer| location(answer));
                return Err(format!("{}; then {}", said(&first), said(&send(&get(&location.unwrap_or_default())))));
            }
            "many" => {
                let fine = (0..100).take_while(|_| send(&get(&url)).is_ok()).count();
                return Err(format!("{fine} requests; then {}", said(&send(&get(&url)))));
            }
            "hurry" => Request { timeout: Some(200), ..get(&url) },
            "inject-value" => header("x-a", "b\r\nX-Evil: yes\r\n\r\nGET /evil HTTP/1.1"),
            "inject-name" => header("x-a: b\r\nX-Evil", "yes"),
            "inject-method" => {
                Request { method: "GET /evil HTTP/1.1\r\nX-Evil: yes\r\n\r\nGET".to_owned(), ..get(&url) }
            }
            "inject-url" => get(&format!("{url} HTTP/1.1\r\nX-Evil: yes\r\n")),
            "smuggle" => header("content-length", "100"),
            "other-host" => header("host", "evil.example"),
            "large-body" => Request { method: "POST".to_owned(), body: vec![b'x'; 2 << 20], ..get(&url) },
            "many-headers" => {
                let one = Header { name: "x-a".to_owned(), value: "x".repeat(1_000) };
                Request { headers: vec![one; 50], ..get(&url) }
            }
            "odd-secret" => {
                return Ok(Some(Credentials { user: "a".to_owned(), secret: "hunter22\r\nX: y".to_owned() }));
            }
            "secret" => return Ok(Some(Credentials { user: "a".to_owned(), secret: "hunter22".to_owned() })),
            "no-secret" => return Ok(None),
            _ => get(&url),
        };
        Err(said(&send(&request)))
    }
}

fn get(url: &str) -> Request {
    Request { method: "GET".to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new(), timeout: None }
}

fn location(answer: &Response) -> Option<String> {
    answer.headers.iter().find(|header| header.name == "location").map(|header| header.value.clone())
}

fn said(answer: &Result<Response, RequestError>) -> String {
    match answer {
        Ok(answer) => format!("{} with {} bytes", answer.status, answer.body.len()),
        Err(RequestError::NotAllowed(words)) => format!("not allowed: {words}"),
        Err(RequestError::Invalid(words)) => format!("invalid: {words}"),
        Err(RequestError::TooLarge(words)) => format!("too large: {words}"),
        Err(RequestError::TimedOut) => "timed out".to_owned(),
        Err(RequestError::Failed(words)) => format!("failed: {words}"),
    }
}
