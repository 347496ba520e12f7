//! The way in, for a host that reaches into the container because the container can't reach the host.
//!
//! The first process listens on a Unix socket. The host starts `wharf-runner attach` in the container through the engine; it
//! connects to that socket, and passes on what comes and goes at its standard input and output. It holds no secret and is
//! trusted with nothing: the recipe runs under the same user and could stand in its place, on either side. What passes is TLS
//! between the first process and the host, as over the network.
//!
//! An engine that has no way to start a process without the container's secrets in its environment connects the host with a port
//! of the container's own loopback instead. What is true of the socket is true of the port.

use std::cell::RefCell;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use wharf_model::protocol::variables;

use crate::settings::Exchange;
use crate::{UNREACHABLE, complain};

/// How long the first process may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the first process, while it waits for the host, looks whether its socket is still there.
const LOOK: Duration = Duration::from_secs(1);
/// The pause between two tries to connect to it.
const PAUSE: Duration = Duration::from_millis(10);

/// Where the first process listens. The name is the attempt's own, since containers may share their temporary folder.
fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wharf-{name}")).join("host")
}

/// Where the host comes in.
pub(crate) struct Entrance {
    path: PathBuf,
    open: RefCell<Open>,
}

struct Open {
    listener: Rc<UnixListener>,
    /// Device and inode of its socket.
    file: (u64, u64),
}

impl Entrance {
    /// Listens for the host; the error is a sentence.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let path = socket(name);
        match listen(&path) {
            Ok(open) => Ok(Self { path, open: RefCell::new(open) }),
            Err(error) => Err(format!(
                "cannot listen for the host on {}: {error}; give the container a writable /tmp",
                path.display()
            )),
        }
    }

    /// The next stream of somebody who came in.
    pub(crate) async fn accept(&self) -> io::Result<tokio::net::UnixStream> {
        loop {
            // A recipe that tidies its temporary folder up shuts nobody out.
            if file(&self.path).ok() != Some(self.open.borrow().file)
                && let Ok(open) = listen(&self.path)
            {
                self.open.replace(open);
            }
            let listener = Rc::clone(&self.open.borrow().listener);
            tokio::select! {
                accepted = listener.accept() => return accepted.map(|(stream, _)| stream),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

fn listen(path: &Path) -> io::Result<Open> {
    match DirBuilder::new().mode(0o700).create(path.parent().unwrap_or(path)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Of this container, when it was started once before.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = Rc::new(UnixListener::bind(path)?);
    Ok(Open { listener, file: file(path)? })
}

fn file(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Listens on a port for the host; the error is a sentence.
pub(crate) fn port(port: u16) -> Result<tokio::net::TcpListener, String> {
    let listen = || {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    listen().map_err(|error| {
        format!("cannot listen for the host on port {port}: {error}; a pod that shares its node's network can't be reached so")
    })
}

/// Connects the host, which is at standard input and output, with the first process of this container, until either ends.
pub(crate) fn attach() -> u8 {
    let name = match std::env::var(variables::EXCHANGE).map(|text| Exchange::parse(&text)) {
        Ok(Ok(Exchange::Attach(name))) => name,
        _ => {
            complain(&format!("`attach` works in a container whose {} says so", variables::EXCHANGE));
            return 2;
        }
    };
    let passed = connect(&socket(&name)).and_then(pass);
    if let Err(error) = passed {
        complain(&format!("cannot connect the host with the first process of this container: {error}"));
        return UNREACHABLE;
    }
    0
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let since = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Err(_) if since.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
}

fn pass(from_runner: UnixStream) -> io::Result<()> {
    let to_runner = from_runner.try_clone()?;
    // Without the buffers of the standard streams: what came is passed on at once.
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    std::thread::Builder::new().spawn(move || {
        // How it broke is nobody's news: both ends see that it did.
        let _ = copy(from_runner, stdout);
        std::process::exit(0);
    })?;
    let _ = copy(stdin, to_runner);
    Ok(())
}

/// Not `io::copy`: that has the kernel move the bytes between pipes and sockets by itself, and a reader of the pipe may not be
/// woken for what came that way.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
