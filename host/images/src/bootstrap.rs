//! Root file systems made from the distribution's packages, without any registry.

use std::collections::VecDeque;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use wharf_model::image::{ImageSpec, Origin};

use crate::engine::{Progress, TarStream};
use crate::error::ImageError;
use crate::key::sorted;

/// The program.
pub(crate) const PROGRAM: &str = "mmdebstrap";
/// How many of its last lines an error shows.
const LINES: usize = 20;
/// How much of the tar is read at once.
const CHUNK: usize = 256 * 1024;
/// How long it may take to clean up after it was asked to end. Unmounting and removing a file system takes seconds.
const CLEAN_UP: Duration = Duration::from_secs(30);
/// How long its last lines are waited for once it has ended.
const LAST_LINES: Duration = Duration::from_secs(10);
/// What an image that runs recipes doesn't need. Licences stay.
const LEFT_OUT: [&str; 5] = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
];

/// The arguments for a suite with these packages. Pure.
///
/// # Errors
/// [`ImageError::BadSpec`]: a name that the program would take for something else.
pub(crate) fn arguments(spec: &ImageSpec, packages: &[String], platform: &str) -> Result<Vec<String>, ImageError> {
    let Origin::Bootstrap { suite, mirror } = &spec.origin else { return Ok(Vec::new()) };
    let bad = |reason: String| ImageError::BadSpec { image: spec.name.clone(), reason };
    let word = |text: &str, others: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    };
    if !word(suite, ".-_") {
        return Err(bad(format!("\"{suite}\" isn't the name of a suite, such as \"bookworm\"")));
    }
    if !mirror.contains("://") || mirror.chars().any(|c| c.is_whitespace() || c.is_control()) || mirror.starts_with('-')
    {
        return Err(bad(format!("\"{mirror}\" isn't the URL of a mirror, such as \"http://deb.debian.org/debian\"")));
    }
    if let Some(package) = packages.iter().find(|package| !word(package, ".+-:=~")) {
        return Err(bad(format!("\"{package}\" isn't the name of a package")));
    }
    let mut arguments = vec!["--variant=apt".to_owned(), "--format=tar".to_owned()];
    if let Some(architecture) = architecture(platform) {
        arguments.push(format!("--architectures={architecture}"));
    }
    arguments.push("--aptopt=Acquire::Languages \"none\"".to_owned());
    arguments.extend(LEFT_OUT.iter().map(|option| format!("--dpkgopt={option}")));
    if !packages.is_empty() {
        arguments.push(format!("--include={}", sorted(packages).join(",")));
    }
    arguments.extend([suite.clone(), "-".to_owned(), mirror.clone()]);
    Ok(arguments)
}

/// Debian's name of a platform's architecture.
fn architecture(platform: &str) -> Option<&str> {
    match platform.strip_prefix("linux/")? {
        "386" => Some("i386"),
        "arm" | "arm/v7" => Some("armhf"),
        "arm64/v8" => Some("arm64"),
        "ppc64le" => Some("ppc64el"),
        other => Some(other),
    }
}

/// A bootstrap under way. Dropping it ends the program, which removes what it has made so far.
pub(crate) struct Bootstrap {
    stdout: ChildStdout,
    rest: Rest,
}

/// What became of a bootstrap's program, for when the engine says only that the stream broke.
pub(crate) type Failure = Arc<Mutex<Option<ImageError>>>;

struct Rest {
    child: Group,
    lines: JoinHandle<VecDeque<String>>,
    failure: Failure,
    suite: String,
    mirror: String,
}

impl Bootstrap {
    /// Starts the program.
    ///
    /// # Errors
    /// It isn't installed, or the specification has a name that isn't one.
    pub(crate) fn start(
        program: &str,
        spec: &ImageSpec,
        packages: &[String],
        platform: &str,
        progress: Progress,
    ) -> Result<Self, ImageError> {
        let arguments = arguments(spec, packages, platform)?;
        let (suite, mirror) = match &spec.origin {
            Origin::Bootstrap { suite, mirror } => (suite.clone(), mirror.clone()),
            Origin::From(image) => {
                return Err(ImageError::BadSpec {
                    image: spec.name.clone(),
                    reason: format!("it starts from {image}, not from a bootstrap"),
                });
            }
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: a terminal's Ctrl-C doesn't reach it, we end it, and all that it started.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                ImageError::BootstrapToolMissing { image: spec.name.clone(), program: program.to_owned() }
            }
            _ => ImageError::io(format!("start {program}"), error),
        })?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(ImageError::io(format!("read from {program}"), io::Error::other("it has no output")));
        };
        let lines = tokio::spawn(async move {
            let mut last = VecDeque::new();
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            // Bytes, not text: a program may print anything.
            while let Ok(1..) = stderr.read_until(b'\n', &mut line).await {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                line.clear();
                let text = text.strip_prefix("I: ").unwrap_or(&text).to_owned();
                if text.is_empty() {
                    continue;
                }
                progress(text.clone());
                last.push_back(text);
                if last.len() > LINES {
                    last.pop_front();
                }
            }
            last
        });
        let failure = Failure::default();
        Ok(Self { stdout, rest: Rest { child: Group(Some(child)), lines, failure, suite, mirror } })
    }

    /// What became of the program; set before the stream ends with an error.
    pub(crate) fn failure(&self) -> Failure {
        Arc::clone(&self.rest.failure)
    }

    /// The tar. Its end is only a good end when the program ended well too.
    pub(crate) fn into_tar(self) -> TarStream {
        Box::pin(stream::try_unfold(Some((self.stdout, self.rest)), |state| async move {
            let Some((mut stdout, rest)) = state else { return Ok(None) };
            let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
            if stdout.read_buf(&mut chunk).await? > 0 {
                return Ok(Some((chunk.freeze(), Some((stdout, rest)))));
            }
            rest.finish().await?;
            Ok::<Option<(Bytes, _)>, io::Error>(None)
        }))
    }
}

impl Rest {
    async fn finish(mut self) -> io::Result<()> {
        let status = self.child.wait().await?;
        // Its last lines come through another pipe than the tar, which something that it started may hold open.
        let lines = tokio::time::timeout(LAST_LINES, self.lines).await;
        if status.success() {
            return Ok(());
        }
        let lines = lines.ok().and_then(Result::ok).unwrap_or_default();
        let error = ImageError::BootstrapFailed {
            suite: self.suite,
            mirror: self.mirror,
            status: status.to_string(),
            lines: lines.into(),
        };
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Err(io::Error::other("the bootstrap failed"))
    }
}

/// A process and all that it started.
struct Group(Option<Child>);

impl Group {
    async fn wait(&mut self) -> io::Result<std::process::ExitStatus> {
        let Some(child) = &mut self.0 else { return Err(io::Error::other("the process has been waited for")) };
        let status = child.wait().await?;
        self.0 = None;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        let Some(group) = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) else {
            return;
        };
        // It is not a failure when it is gone.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if tokio::time::timeout(CLEAN_UP, child.wait()).await.is_err() {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                let _ = child.wait().await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::testing::spec;
    use futures_util::TryStreamExt;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn debian() -> ImageSpec {
        let origin =
            Origin::Bootstrap { suite: "bookworm".to_owned(), mirror: "http://deb.debian.org/debian".to_owned() };
        ImageSpec { origin, ..spec() }
    }

    fn script(folder: &Path, text: &str) -> String {
        let path = folder.join("mmdebstrap");
        let text_file = folder.join("text");
        std::fs::write(&text_file, format!("#!/bin/sh\n{text}\n")).unwrap();
        // Written by another process: a child of another test would keep this one's file open, and it couldn't be started.
        assert!(std::process::Command::new("cp").args([&text_file, &path]).status().unwrap().success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    #[test]
    fn arguments_are_in_order() {
        let packages = ["python3-pandas".to_owned(), "python3".to_owned(), "python3".to_owned()];
        let arguments = arguments(&debian(), &packages, "linux/amd64").unwrap();
        assert_eq!(
            arguments[..4],
            ["--variant=apt", "--format=tar", "--architectures=amd64", "--aptopt=Acquire::Languages \"none\"",]
        );
        let end = arguments.len() - 4;
        assert_eq!(
            arguments[end..],
            ["--include=python3,python3-pandas", "bookworm", "-", "http://deb.debian.org/debian"]
        );
    }

    #[test]
    fn a_name_is_never_an_option() {
        let refused = |suite: &str, mirror: &str, package: &str| {
            let origin = Origin::Bootstrap { suite: suite.to_owned(), mirror: mirror.to_owned() };
            arguments(&ImageSpec { origin, ..spec() }, &[package.to_owned()], "linux/amd64").unwrap_err().to_string()
        };
        let mirror = "http://deb.debian.org/debian";
        assert!(refused("--setup-hook=x", mirror, "curl").contains("isn't the name of a suite"));
        assert!(refused("bookworm", "deb http://x/ y z", "curl").contains("isn't the URL of a mirror"));
        assert!(refused("bookworm", "/etc/apt", "curl").contains("isn't the URL of a mirror"));
        assert!(refused("bookworm", mirror, "?essential").contains("isn't the name of a package"));
        assert!(refused("bookworm", mirror, "a,b").contains("isn't the name of a package"));
    }

    #[tokio::test]
    async fn the_stream_ends_well_only_with_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let progress: Progress = Arc::new(move |line| sink.lock().unwrap().push(line));
        let good = script(folder.path(), "echo 'I: installing' >&2; printf tar");
        let bootstrap = Bootstrap::start(&good, &debian(), &[], "linux/amd64", progress.clone()).unwrap();
        let chunks: Vec<Bytes> = bootstrap.into_tar().try_collect().await.unwrap();
        assert_eq!(chunks.concat(), b"tar");
        assert_eq!(*heard.lock().unwrap(), ["installing"]);

        let bad = script(folder.path(), "printf half; echo 'E: Unable to locate package x' >&2; exit 25");
        let bootstrap = Bootstrap::start(&bad, &debian(), &[], "linux/amd64", progress).unwrap();
        let failure = bootstrap.failure();
        assert!(bootstrap.into_tar().try_collect::<Vec<_>>().await.is_err());
        let text = failure.lock().unwrap().take().unwrap().to_string();
        assert!(text.contains("bookworm") && text.contains("exit status: 25"), "{text}");
        assert!(text.ends_with("E: Unable to locate package x"), "{text}");
    }

    #[tokio::test]
    async fn a_missing_program_says_what_to_install() {
        let error = Bootstrap::start("/no/mmdebstrap", &debian(), &[], "linux/amd64", Arc::new(|_| {})).err().unwrap();
        assert!(error.to_string().contains("apt-get install mmdebstrap"), "{error}");
        assert!(error.to_string().contains("`from`"), "{error}");
    }

    #[tokio::test]
    async fn dropping_it_lets_the_program_clean_up() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("cleaned");
        let text = format!("trap 'kill $!; echo yes > {}; exit 1' TERM\nprintf x\nsleep 60 & wait", mark.display());
        let program = script(folder.path(), &text);
        let bootstrap = Bootstrap::start(&program, &debian(), &[], "linux/amd64", Arc::new(|_| {})).unwrap();
        let mut tar = bootstrap.into_tar();
        assert_eq!(tar.try_next().await.unwrap().unwrap().as_ref(), b"x");
        drop(tar);
        for _ in 0..100 {
            if mark.exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the program wasn't asked to end");
    }
}
