//! A daemon behind ssh: the `ssh` program's standard input and output are the connection.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{Semaphore, oneshot};

use crate::address::bracketed;
use crate::dialler::{DialError, Silence, Wire, greet};

/// The most logins at once: an sshd refuses some at random when more than ten are under way (`MaxStartups`).
const LOGINS: usize = 4;
/// Pauses before a login that the sshd turned away is tried again.
const AGAIN: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3)];
/// How much of what ssh says is kept.
const WORDS: usize = 8 * 1024;
/// How long ssh may take to end after its connection has, and to say its last words.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Starts `ssh` as Docker's own client does. The user's configuration, keys and agent apply.
pub(crate) struct Ssh {
    program: PathBuf,
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// What ssh reads instead of the user's own configuration.
    config: Option<PathBuf>,
    logins: Semaphore,
}

impl Ssh {
    pub(crate) fn new(user: Option<String>, host: String, port: Option<u16>, config: Option<PathBuf>) -> Self {
        Self { program: PathBuf::from("ssh"), user, host, port, config, logins: Semaphore::new(LOGINS) }
    }

    /// Another program that is started as `ssh` would be.
    pub(crate) fn with_program(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        if let Some(config) = &self.config {
            add(&["-F", &config.to_string_lossy()]);
        }
        // Nobody is there to answer a question. A connection that is silently dead ends within a minute. Forwardings
        // of the user's configuration are for one login, and would fail in the second.
        for option in ["BatchMode=yes", "ConnectTimeout=30", "ServerAliveInterval=15", "ClearAllForwardings=yes"] {
            add(&["-o", option]);
        }
        add(&["-T"]);
        if let Some(user) = &self.user {
            add(&["-l", user]);
        }
        if let Some(port) = self.port {
            add(&["-p", &port.to_string()]);
        }
        add(&["--", &self.host, "docker", "system", "dial-stdio"]);
        arguments
    }

    /// A connection on which the daemon has answered.
    pub(crate) async fn dial(&self, limit: Duration) -> Result<Wire, DialError> {
        let mut pauses = AGAIN.into_iter();
        loop {
            let outcome = {
                // Never closed.
                let _login = self.logins.acquire().await;
                self.login(limit).await
            };
            match (outcome, pauses.next()) {
                (Err(error), Some(pause)) if error.passing => {
                    tracing::debug!(host = self.host, %error, "the login failed; trying again");
                    tokio::time::sleep(pause).await;
                }
                (outcome, _) => return outcome,
            }
        }
    }

    async fn login(&self, limit: Duration) -> Result<Wire, DialError> {
        let mut session = Session::start(&self.program, &self.arguments()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                "there is no program `ssh` on this machine: install OpenSSH's client (package openssh-client)"
                    .to_owned()
            }
            _ => format!("the program `ssh` can't be started: {error}"),
        })?;
        let mut wire = Wire(Box::new(session.pipes.take().ok_or_else(|| "ssh has no pipes".to_owned())?));
        match tokio::time::timeout(limit, greet(&mut wire)).await {
            Ok(Ok(())) => Ok(wire),
            Ok(Err(silence)) => {
                let (code, words) = session.last_words().await;
                Err(self.sentence(code, &words, &silence))
            }
            Err(_) => {
                let words = said(&session.words());
                let words = if words.is_empty() { String::new() } else { format!(" (it says: {words})") };
                Err(format!(
                    "ssh brought no answer of the daemon within {} seconds{words}: try `{}`",
                    limit.as_secs(),
                    self.by_hand()
                )
                .into())
            }
        }
    }

    /// The login as somebody would try it in a terminal.
    fn by_hand(&self) -> String {
        let mut command = "ssh".to_owned();
        if let Some(config) = &self.config {
            command += &format!(" -F {}", config.display());
        }
        if let Some(port) = self.port {
            command += &format!(" -p {port}");
        }
        if let Some(user) = &self.user {
            return format!("{command} {user}@{} docker version", self.host);
        }
        format!("{command} {} docker version", self.host)
    }

    /// Why a login, or what it started over there, failed.
    fn sentence(&self, code: Option<i32>, words: &str, silence: &Silence) -> DialError {
        let (said, lower) = (said(words), words.to_ascii_lowercase());
        let has = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
        let by_hand = self.by_hand();
        let place = bracketed(&self.host);
        let advice = if has(&["host key verification failed", "host key for"]) {
            format!(
                "compare the fingerprint of {place}'s key with its administrator, then log in once by hand as the user \
                 that runs wharf, `{by_hand}`, or put the key into the known_hosts that ssh's configuration names"
            )
        } else if has(&["could not resolve hostname"]) {
            "correct `host`, or look at the name service".to_owned()
        } else if has(&["connection refused", "connection timed out", "no route to host", "network is unreachable"]) {
            "is the machine on, does sshd listen on that port, and is a firewall between?".to_owned()
        } else if has(&["kex_exchange_identification", "connection closed by", "connection reset by"])
            && code == Some(255)
        {
            return DialError {
                sentence: format!("ssh says: {said}; its sshd turned the login away: look at MaxStartups there"),
                passing: true,
            };
        } else if has(&["docker.sock", "docker daemon"]) && has(&["permission denied"]) {
            "that user may not use the daemon over there: add it to the group docker (`usermod -aG docker USER`)"
                .to_owned()
        } else if has(&["cannot connect to the docker daemon", "failed to open the raw stream connection"]) {
            "start the daemon over there, or see which one `docker` means there (`docker context ls`)".to_owned()
        } else if has(&["permission denied", "too many authentication failures"]) && code == Some(255) {
            format!(
                "let ssh have a key that the other machine accepts, without a question (an agent, or IdentityFile in \
                 ssh's configuration); `{by_hand}` must work without a password"
            )
        } else if code == Some(127) || has(&["docker: not found", "docker: command not found"]) {
            "install Docker's client over there, where the PATH of a login without a terminal finds it".to_owned()
        } else if has(&["dial-stdio"]) {
            "Docker's client over there is older than 18.09: update it".to_owned()
        } else {
            format!("try `{by_hand}`")
        };
        let what = match (said.is_empty(), silence) {
            (false, _) => format!("ssh says: {said}"),
            (true, Silence::Foreign(answer)) => {
                let begin = String::from_utf8_lossy(&answer[..answer.len().min(60)]).escape_debug().to_string();
                return format!(
                    "the login says \"{begin}\" before the daemon does: let nothing write to the standard output there \
                     (.bashrc, ForceCommand)"
                )
                .into();
            }
            (true, Silence::Broken(_)) => match code {
                Some(code) => format!("ssh ended with the exit code {code} and said nothing"),
                None => "ssh ended and said nothing".to_owned(),
            },
        };
        format!("{what}; {advice}").into()
    }
}

/// What ssh said, without warnings and banners: its last three lines.
fn said(words: &str) -> String {
    let lines: Vec<&str> = words
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("**") && !line.starts_with("Warning: "))
        .filter(|line| !line.starts_with('@') && !line.starts_with("debug"))
        .collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    let text: String = last.join("; ").chars().filter(|c| !c.is_control()).collect();
    text.trim_end_matches('.').to_owned()
}

/// A running `ssh`.
struct Session {
    pipes: Option<Pipes>,
    ended: oneshot::Receiver<Option<i32>>,
    words: Arc<Mutex<Vec<u8>>>,
    listening: tokio::task::JoinHandle<()>,
}

impl Session {
    fn start(program: &PathBuf, arguments: &[String]) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // What interrupts the terminal's programs must not cut the connection under runs that go on.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let words = Arc::new(Mutex::new(Vec::new()));
        let listening = tokio::spawn(listen(stderr, Arc::clone(&words)));
        let (alive, dropped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        // Waits for the child in any case, so that none stays as a zombie.
        tokio::spawn(async move {
            let status = tokio::select! {
                status = child.wait() => status,
                _ = dropped => {
                    let _ = child.start_kill();
                    child.wait().await
                }
            };
            let _ = end.send(status.ok().and_then(|status| status.code()));
        });
        let pipes = Pipes { stdin: Some(stdin), stdout, _alive: alive };
        Ok(Self { pipes: Some(pipes), ended, words, listening })
    }

    fn words(&self) -> String {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&words).into_owned()
    }

    /// How it ended and what it said, when its output has.
    async fn last_words(mut self) -> (Option<i32>, String) {
        let code = tokio::time::timeout(LAST_WORDS, &mut self.ended).await.ok().and_then(Result::ok).flatten();
        // A master that ssh left in the background (ControlPersist) keeps the pipe open.
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.listening).await;
        (code, self.words())
    }
}

async fn listen(mut stderr: ChildStderr, words: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1024];
    // Read to its end even when enough is kept: nothing may block ssh.
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        let text = String::from_utf8_lossy(&piece[..length]);
        tracing::debug!(words = text.trim_end(), "ssh says");
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        let room = WORDS.saturating_sub(words.len());
        words.extend_from_slice(&piece[..length.min(room)]);
    }
}

/// Standard input and output of an `ssh`, which ends with them.
struct Pipes {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    _alive: oneshot::Sender<()>,
}

impl AsyncRead for Pipes {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl Pipes {
    fn input(&mut self) -> io::Result<Pin<&mut ChildStdin>> {
        self.stdin.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncWrite for Pipes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.input()?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Closes the pipe: ssh, and the relay over there, hand the end on.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(user: Option<&str>, port: Option<u16>, config: Option<&str>) -> Ssh {
        Ssh::new(user.map(str::to_owned), "build".to_owned(), port, config.map(PathBuf::from))
    }

    #[test]
    fn the_command_is_the_one_of_dockers_own_client() {
        let options = "-o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ClearAllForwardings=yes -T";
        let end = "-- build docker system dial-stdio";
        assert_eq!(ssh(None, None, None).arguments().join(" "), format!("{options} {end}"));
        let all = ssh(Some("ana"), Some(2222), Some("/home/ssh.conf"));
        assert_eq!(all.arguments().join(" "), format!("-F /home/ssh.conf {options} -l ana -p 2222 {end}"));
        assert_eq!(all.by_hand(), "ssh -F /home/ssh.conf -p 2222 ana@build docker version");
    }

    #[test]
    fn what_ssh_says_comes_with_what_to_do() {
        let ssh = ssh(Some("ana"), None, None);
        for (code, words, expected) in [
            (
                255,
                "@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@\nHost key for build has changed and \
                 you have requested strict checking.\nHost key verification failed.\r\n",
                "ssh says: Host key for build has changed and you have requested strict checking.; Host key \
                 verification failed; compare the fingerprint",
            ),
            (
                255,
                "** WARNING: connection is not using a post-quantum key exchange algorithm.\nana@build: Permission \
                 denied (publickey).\n",
                "ssh says: ana@build: Permission denied (publickey); let ssh have a key",
            ),
            (255, "ssh: Could not resolve hostname build: Name or service not known\n", "correct `host`"),
            (255, "ssh: connect to host build port 22: Connection refused\n", "does sshd listen on that port"),
            (127, "bash: line 1: docker: command not found\n", "install Docker's client over there"),
            (
                1,
                "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock\n",
                "usermod -aG docker",
            ),
            (
                1,
                "failed to open the raw stream connection: dial unix /var/run/docker.sock: connect: permission denied\n",
                "usermod -aG docker",
            ),
            (
                1,
                "failed to open the raw stream connection: dial unix /var/run/docker.sock: connect: no such file or \
                 directory\n",
                "start the daemon over there",
            ),
            (1, "docker: 'system dial-stdio' is not a docker command.\n", "older than 18.09"),
            (7, "", "ssh ended with the exit code 7 and said nothing; try `ssh ana@build docker version`"),
        ] {
            let silence = Silence::Broken(io::ErrorKind::UnexpectedEof.into());
            let error = ssh.sentence(Some(code), words, &silence);
            assert!(error.sentence.contains(expected) && !error.passing, "{error}");
        }
        let words = "kex_exchange_identification: Connection closed by remote host\n";
        let silence = Silence::Broken(io::ErrorKind::UnexpectedEof.into());
        assert!(ssh.sentence(Some(255), words, &silence).passing);
        let banner = Silence::Foreign(b"Welcome to build\n".to_vec());
        let error = ssh.sentence(Some(0), "", &banner);
        assert!(error.sentence.contains("\"Welcome to build\\n\"") && error.sentence.contains(".bashrc"), "{error}");
    }
}
