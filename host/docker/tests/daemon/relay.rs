//! Other ways to the real daemon: relays that lead to its socket.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use wharf_docker::DockerBackend;
use wharf_model::configuration::Daemon;

use crate::authority::{Authority, acceptor, fill};
use crate::fixture::{address, socket};

/// A way to the daemon, and what it needs to stay open.
pub(crate) struct Relay {
    pub(crate) name: &'static str,
    daemon: Daemon,
    folder: tempfile::TempDir,
    port: u16,
    task: Option<JoinHandle<()>>,
}

impl Relay {
    /// All the ways.
    pub(crate) async fn all() -> Vec<Self> {
        vec![Self::unix(), Self::tcp().await, Self::tls().await, Self::ssh()]
    }

    fn new(name: &'static str, daemon: Daemon) -> Self {
        Self { name, daemon, folder: tempfile::tempdir().unwrap(), port: 0, task: None }
    }

    pub(crate) fn unix() -> Self {
        Self::new("unix", Daemon::at(address()))
    }

    pub(crate) async fn tcp() -> Self {
        Self::listening("tcp", None).await
    }

    /// As a daemon with `--tlsverify`.
    pub(crate) async fn tls() -> Self {
        let authority = Authority::new("wharf-test");
        let tls = acceptor(&authority.daemon(&["127.0.0.1"]), Some(&authority));
        let mut relay = Self::listening("tls", Some(tls)).await;
        fill(relay.folder.path(), &authority, Some(&authority.client()));
        relay.daemon.cert_path = Some(relay.folder.path().to_owned());
        relay
    }

    /// With a script in the place of `ssh`, which writes down its process id and what it was asked for.
    pub(crate) fn ssh() -> Self {
        let relay = Self::new("ssh", Daemon::at("ssh://ana@build:2222"));
        let script = format!(
            "#!/bin/sh\necho $$ \"$@\" >> '{}'\nexec docker --host unix://{} system dial-stdio\n",
            relay.folder.path().join("logins").display(),
            socket().display()
        );
        std::fs::write(relay.program(), script).unwrap();
        std::fs::set_permissions(relay.program(), std::fs::Permissions::from_mode(0o755)).unwrap();
        relay
    }

    async fn listening(name: &'static str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut relay = Self::new(name, Daemon::at(format!("tcp://127.0.0.1:{port}")));
        relay.port = port;
        relay.task = Some(tokio::spawn(accept(listener, tls)));
        relay
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("ssh")
    }

    pub(crate) fn backend(&self) -> DockerBackend {
        DockerBackend::connect_with_ssh(&self.daemon, &self.program()).unwrap()
    }

    /// The process id and the arguments of each login so far.
    pub(crate) fn logins(&self) -> Vec<(u32, String)> {
        let text = std::fs::read_to_string(self.folder.path().join("logins")).unwrap_or_default();
        text.lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(id, arguments)| (id.parse().unwrap(), arguments.to_owned()))
            .collect()
    }

    /// Cuts all connections, and takes no new one.
    pub(crate) async fn down(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        let _ = task.await;
    }

    /// Comes back at the same port.
    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.task = Some(tokio::spawn(accept(listener, None)));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Ends with all its connections.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>) {
    let mut relaying = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        relaying.spawn(async move {
            match tls {
                None => relay(stream).await,
                Some(tls) => relay(tls.accept(stream).await?).await,
            }
        });
    }
}

async fn relay(mut client: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut daemon = UnixStream::connect(socket()).await?;
    tokio::io::copy_bidirectional(&mut client, &mut daemon).await.map(drop)
}
