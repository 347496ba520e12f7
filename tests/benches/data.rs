//! How fast datasets come into a container and out of it: `cargo bench -p wharf-tests --bench data`.
//!
//! A table of 340 MB as CSV, ten columns of all common types. Compared are
//! - the bare ways, CSV and Arrow and Parquet, with a copy over plain HTTP on the loopback of this machine;
//! - `Dataset.get_dataframe` with `pandas.read_csv` of a local file, and `Dataset.write_with_schema` with `to_csv` into one, in
//!   the same process.
//!
//! `WHARF_BENCH_MB` makes the table larger or smaller, and `WHARF_BENCH_TABLE` names a CSV file to be used instead, whose first column
//! of dates, if it has one, is `WHARF_BENCH_DATE`.
//!
//! Twice: in a container of the demo's image, Debian's pandas without pyarrow; and with the runner as a plain process and
//! the Python of `WHARF_BENCH_PYTHON`, by default the one that `./wharf-test` makes, with pyarrow.

#![expect(clippy::print_stdout, reason = "a benchmark's output is for people")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use wharf_exchange::{
    Exchange, FileStore, LogFile, LogReader, SessionEvent, SessionSink, SessionSpec, Ticket, TlsIdentity,
};
use wharf_model::configuration::LogSettings;
use wharf_model::protocol::{Context, ContextBinding, Task};
use wharf_model::{Binding, BindingKind, EventKind, Place};
use wharf_tests::{Home, Times, machine};

const ROUNDS: u32 = 3;
const MEGABYTES: u64 = 340;
const SCRIPT: &str = include_str!("frames.py");
/// A server that gives and takes a file in pieces, and a client that does the same to it: prints two times.
const HTTP: &str = r#"
import http.client, http.server, os, sys, threading, time
path, copy = sys.argv[1:]
PIECE = 1 << 20
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *arguments): pass
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(os.path.getsize(path)))
        self.end_headers()
        with open(path, "rb") as stream:
            while piece := stream.read(PIECE):
                self.wfile.write(piece)
    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        with open(copy, "wb") as to:
            while left:
                piece = self.rfile.read(min(PIECE, left))
                to.write(piece)
                left -= len(piece)
        self.send_response(204)
        self.end_headers()
if os.fork() == 0:
    server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    server.handle_request(); server.handle_request(); server.handle_request()
    os._exit(0)
def connect():
    for _ in range(500):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PORT"]))
            connection.connect()
            return connection
        except OSError: time.sleep(0.02)
    raise SystemExit("no server")
connect().close()
started = time.perf_counter()
connection = connect(); connection.request("GET", "/")
response = connection.getresponse()
while response.read(PIECE): pass
connection.close()
print("TIME HTTP in", time.perf_counter() - started)
started = time.perf_counter()
connection = connect()
with open(path, "rb") as stream:
    connection.request("PUT", "/", body=stream, headers={"Content-Length": str(os.path.getsize(path))})
connection.getresponse().read()
connection.close()
print("TIME HTTP out", time.perf_counter() - started)
os.wait()
"#;

fn main() {
    // Cargo's way to say that this is a benchmark and not a test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let home = Home::demo();
    // The whole machine, as the other ways have it, and room for the frames.
    home.replace("configs/docker-local.toml", "cpus = 1", "cpus = 2");
    home.replace("configs/docker-local.toml", "memory = \"2g\"", "memory = \"4g\"");
    let table = home.data("table.csv");
    let (rows, date) = match std::env::var_os("WHARF_BENCH_TABLE") {
        Some(path) => {
            fs::copy(path, &table).expect("the table can be copied");
            let lines = BufReader::new(File::open(&table).expect("it is there")).lines().count() as u64;
            (lines - 1, std::env::var("WHARF_BENCH_DATE").unwrap_or_default())
        }
        None => (write_table(&table), "at".to_owned()),
    };
    let size = fs::metadata(&table).expect("it is there").len();
    println!("A table of {rows} rows, {} MB as CSV, {ROUNDS} rounds. {}", size / 1_000_000, machine());
    let script = format!("DATE = {date:?}\n{SCRIPT}");

    let mut http = Times::default();
    for _ in 0..ROUNDS {
        let port = free_port().to_string();
        let copy = home.data("copy.csv");
        let output = Command::new("python3").args(["-c", HTTP]).args([&table, &copy]).env("PORT", port).output();
        note(&mut http, &String::from_utf8_lossy(&output.expect("python3 can be started").stdout));
    }
    let _ = fs::remove_file(home.data("copy.csv"));

    let arguments = [
        "--input",
        &home.bind("table", "table.csv"),
        "--output",
        &home.bind("out", "out.csv"),
        "--output",
        &home.bind("packed", "packed.parquet"),
    ];
    let run = home.run_python(&script, &arguments).exits(0);
    let lines = run.events().into_iter().filter_map(|event| match event.kind {
        EventKind::Log { text, .. } => Some(text),
        _ => None,
    });
    show("in a container", &lines.collect::<Vec<_>>().join("\n"), http.clone(), size);

    let cache =
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/wharf/test-python-arrow/bin/python"));
    let python = std::env::var_os("WHARF_BENCH_PYTHON").map(PathBuf::from).or(cache).filter(|python| python.is_file());
    match python {
        Some(python) => show("the runner as a plain process", &outside(&home, &python, &script), http, size),
        None => println!("\nThere is no Python with pyarrow here: set WHARF_BENCH_PYTHON."),
    }
}

fn show(title: &str, said: &str, mut times: Times, size: u64) {
    note(&mut times, said);
    println!("\n## {title}: {}\n\n{}", said.lines().next().unwrap_or_default(), times.table(size));
    for (way, base) in [
        ("csv in", "HTTP in"),
        ("arrow in", "HTTP in"),
        ("parquet in", "HTTP in"),
        ("csv out", "HTTP out"),
        ("arrow out", "HTTP out"),
        ("parquet out", "HTTP out"),
        ("get_dataframe", "read_csv"),
        ("get_dataframe", "read_csv, dates"),
        ("get_dataframe", "read_csv, pyarrow"),
        ("write_with_schema", "to_csv"),
    ] {
        if times.has(base) {
            println!("{}", times.ratio(way, base));
        }
    }
}

/// Takes the lines `TIME NAME SECONDS`.
fn note(times: &mut Times, said: &str) {
    for line in said.lines() {
        if let Some((name, seconds)) = line.strip_prefix("TIME ").and_then(|rest| rest.rsplit_once(' ')) {
            let seconds = seconds.parse().unwrap_or_else(|_| panic!("no time: {line}"));
            times.note(name, Duration::from_secs_f64(seconds));
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

fn write_table(path: &Path) -> u64 {
    const CITIES: [&str; 8] = ["Paris", "Lyon", "Marseille", "Toulouse", "\"Lille, Nord\"", "Nantes", "Nice", "Metz"];
    const WORDS: [&str; 8] = ["late", "early", "heavy rain", "crew", "de-icing", "no gate", "on time", "runway"];
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file can be made"));
    let mut write = |line: String| {
        out.write_all(line.as_bytes()).expect("the disk has room");
        line.len() as u64
    };
    let size: u64 =
        std::env::var("WHARF_BENCH_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(MEGABYTES) * 1_000_000;
    let mut written = write("id,at,price,ratio,quantity,valid,city,comment,code,amount\n".to_owned());
    let (mut rows, mut state) = (0, 1_u64);
    while written < size {
        // Xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let pick = |shift: u32, of: u64| (state >> shift) % of;
        let word = |shift: u32| WORDS[usize::try_from(pick(shift, 8)).unwrap_or(0)];
        written += write(format!(
            "{rows},2024-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z,{}.{:02},0.{},{},{},{},{} {} {},{},{}.{}\n",
            1 + pick(3, 12),
            1 + pick(7, 28),
            pick(11, 24),
            pick(13, 60),
            pick(17, 60),
            pick(19, 1000),
            pick(5, 1000),
            1 + pick(23, 99),
            1 + state % 10_000_000_000_000_000,
            pick(9, 10_000),
            pick(31, 2) == 0,
            CITIES[usize::try_from(pick(33, 8)).unwrap_or(0)],
            word(36),
            word(39),
            rows % 1000,
            100 + pick(41, 900),
            pick(27, 1_000_000),
            1 + pick(45, 9999),
        ));
        rows += 1;
    }
    out.flush().expect("the disk has room");
    rows
}

struct Deaf;

impl SessionSink for Deaf {
    fn event(&self, _: SessionEvent) {}
}

/// Runs the script with this Python, as the recipe of a runner that is a plain process. Returns what it said.
fn outside(home: &Home, python: &Path, code: &str) -> String {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let runner = std::env::current_exe()
        .expect("this is a program")
        .ancestors()
        .nth(2)
        .expect("in a folder")
        .join("wharf-runner");
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/in-container/python");
    let folder = home.data("outside");
    fs::create_dir(&folder).expect("a folder can be made");
    let script = folder.join("frames.py");
    fs::write(&script, code).expect("it can be written");
    let log = folder.join("log");
    let binding = |name: &str, file: &str| Binding {
        name: name.to_owned(),
        role: "main".to_owned(),
        kind: BindingKind::Dataset,
        place: Place { path: home.data(file) },
    };
    let inputs = vec![binding("table", "table.csv")];
    let outputs = vec![binding("out", "out-2.csv"), binding("packed", "packed-2.parquet")];
    let names = |bindings: &[Binding]| {
        let name = |it: &Binding| ContextBinding { name: it.name.clone(), role: it.role.clone(), kind: it.kind };
        bindings.iter().map(name).collect()
    };
    let context = Context { inputs: names(&inputs), outputs: names(&outputs), ..Context::default() };
    let ticket = Ticket::generate().expect("a ticket can be made");
    let status = runtime.block_on(async {
        let identity = TlsIdentity::generate().expect("an identity can be made");
        let exchange =
            Exchange::bind("127.0.0.1:0".parse().expect("an address"), &identity).await.expect("a port is free");
        let store = FileStore::open(folder.join("state")).expect("a store can be opened");
        let session = exchange.open(SessionSpec {
            run: "bench".to_owned(),
            attempt: 1,
            ticket_sha256: ticket.sha256(),
            task: Ok(Task {
                run: "bench".to_owned(),
                attempt: 1,
                argv: vec![python.display().to_string(), script.display().to_string()],
                env: BTreeMap::from([("PYTHONPATH".to_owned(), library.display().to_string())]),
                secrets: BTreeMap::new(),
                files: Vec::new(),
                context,
                heartbeat_seconds: 2,
                grace_seconds: 1,
                logs: LogSettings::default(),
            }),
            inputs,
            outputs,
            output_limit: None,
            store: Arc::new(store),
            log: LogFile::open(&log).expect("a log can be made"),
            sink: Arc::new(Deaf),
        });
        let mut command = tokio::process::Command::new(&runner);
        command
            .arg("run")
            .env("WHARF_EXCHANGE", exchange.local_addr().to_string())
            .env("WHARF_FINGERPRINT", exchange.fingerprint())
            .env("WHARF_TICKET", ticket.to_hex())
            .env("TMPDIR", &folder)
            .stdin(Stdio::null());
        let status = command.status().await.expect("the runner can be started");
        session.close().await;
        status
    });
    let lines = LogReader::open(&log, 0).expect("a log").map(|line| line.expect("a line"));
    let said: Vec<String> = lines.map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect();
    assert!(status.success(), "{status}: {}", said.join("\n"));
    said.join("\n")
}
