use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};
use wharf_model::protocol::{Task, variables};

use crate::work_folder::is_writable;

/// Where commands are looked up, when the image doesn't say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The recipe's process, the leader of a group of its own.
pub(crate) struct Recipe {
    pid: Pid,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
}

impl Recipe {
    /// Starts the task's command; the error is a sentence.
    pub(crate) fn start(task: &Task, work: &Path, socket: &Path) -> Result<Self, String> {
        let Some((program, arguments)) = task.argv.split_first() else {
            return Err("the task has no command".to_owned());
        };
        // A relative path means the working folder's; what a bare name means is decided by PATH.
        let path = if program.contains('/') { work.join(program).into_os_string() } else { OsString::from(program) };
        let mut command = Command::new(path);
        command
            .args(arguments)
            .current_dir(work)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in [variables::EXCHANGE, variables::FINGERPRINT, variables::TICKET] {
            command.env_remove(name);
        }
        if std::env::var_os("PATH").is_none() {
            command.env("PATH", PATH);
        }
        if !std::env::var_os("HOME").is_some_and(|home| is_writable(Path::new(&home))) {
            command.env("HOME", work);
        }
        let secrets = task.secrets.iter().map(|(variable, value)| (variable, value.expose()));
        command.envs(&task.env).envs(secrets).env(variables::SOCKET, socket);
        let mut child = command.spawn().map_err(|error| sentence(program, &error))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| "the system gave the command no process".to_owned())?;
        Ok(Self { pid, stdout: child.stdout.take().map(OwnedFd::from), stderr: child.stderr.take().map(OwnedFd::from) })
    }

    /// Takes what has ended: the recipe, if it has, and every process that was left to us as the first of the container.
    pub(crate) fn reap(&self) -> Option<Ended> {
        let mut ended = None;
        // An error means that there are no children.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.pid {
                ended = Some(Ended { exit_code: status.exit_status(), signal: status.terminating_signal() });
            }
        }
        ended
    }

    /// Sends a signal to the recipe and the processes that it started.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may be gone already.
        let _ = kill_process_group(self.pid, signal);
    }
}

fn sentence(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("the command {program:?} is not in the image, or its interpreter is not"),
        io::ErrorKind::PermissionDenied => format!("the command {program:?} cannot be executed: permission denied"),
        _ => format!("the command {program:?} cannot be started: {error}"),
    }
}
