//! A web server of one test: answers what the test says, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a server does with a request.
pub enum Reply {
    /// Answers.
    Answer {
        /// The status.
        status: u16,
        /// Lines of its head, each `name: value`.
        headers: Vec<String>,
        /// The body.
        body: String,
    },
    /// Sends a body without an end, as fast as it is taken.
    Endless,
    /// Sends a body without an end, a byte every 20 ms.
    Drip,
    /// Sends a head without an end.
    EndlessHead,
    /// Says nothing, for as long as the client waits.
    Silence,
}

impl Reply {
    /// An answer without headers.
    #[must_use]
    pub fn text(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.to_owned() }
    }
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET /x`
    pub line: String,
    /// The lines of the head after the first one.
    pub head: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A web server on a port of this machine.
pub struct Web {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
}

impl Web {
    /// One that answers so.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens");
        let (asked, ended) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let web = Self { address, asked: Arc::clone(&asked), ended: Arc::clone(&ended) };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (asked, ended, answer) = (Arc::clone(&asked), Arc::clone(&ended), Arc::clone(&answer));
                std::thread::spawn(move || {
                    // A client that goes away in the middle is what some tests are about.
                    let _ = serve(&stream, &asked, &ended, &*answer);
                });
            }
        });
        web
    }

    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All that it was asked.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: &TcpStream,
    asked: &Mutex<Vec<Asked>>,
    ended: &AtomicBool,
    answer: &dyn Fn(&Asked) -> Reply,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(());
    }
    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let length = head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let request = Asked { line, head, body };
    let reply = answer(&request);
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    let mut writer = stream;
    match reply {
        Reply::Answer { status, headers, body } => {
            let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
            let length = body.len();
            write!(
                writer,
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{lines}\r\n{body}"
            )?;
        }
        Reply::Endless | Reply::Drip => {
            write!(writer, "HTTP/1.1 200 OK\r\n\r\n")?;
            let (piece, pause) = match reply {
                Reply::Drip => (&b"x"[..], Duration::from_millis(20)),
                _ => (&[b'x'; 16 * 1024][..], Duration::ZERO),
            };
            while !ended.load(Ordering::Relaxed) {
                writer.write_all(piece)?;
                std::thread::sleep(pause);
            }
        }
        Reply::EndlessHead => {
            write!(writer, "HTTP/1.1 200 OK\r\n")?;
            while !ended.load(Ordering::Relaxed) {
                write!(writer, "x-a: {}\r\n", "x".repeat(1_000))?;
            }
        }
        Reply::Silence => {
            // Until the client goes.
            let _ = reader.read(&mut [0])?;
        }
    }
    writer.flush()
}
