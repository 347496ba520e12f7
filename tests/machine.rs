//! Another machine, as far as this one can be one: namespaces of its own, and a cable between the two.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A script there that hasn't ended after this time hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The first process there. It has its own network, mounts, processes and name; `/run`, `/tmp` and `/etc/docker` are empty,
/// and `/var/lib/docker` is the folder `$1`. Then it does what it is told, one script after the other. Told nothing more,
/// because who told it is gone in whatever way, it ends, and the kernel ends all that runs there and takes mounts, networks
/// and the cable away.
const FIRST_PROCESS: &str = r#"
set -e
PATH=$PATH:/usr/sbin:/sbin
# All that is started there holds the lock, too: a disk is free when the last of them is gone.
exec 9>"$1/lock"
flock --nonblock 9
# Before /proc is this machine's: the number by which the other one knows us.
read -r pid _ </proc/self/stat
mount -t proc proc /proc
hostname "$2"
mkdir -p /var/lib/docker "$1/docker"
mount --bind "$1/docker" /var/lib/docker
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
[ ! -d /etc/docker ] || mount -t tmpfs tmpfs /etc/docker
ip link set lo up
set +e
printf '%s\0000\000' "$pid"
while IFS= read -r -d '' script; do
  (eval "$script") </dev/null 2>&1
  printf '\000%d\000' $?
done
"#;

/// Another machine. It goes when this is dropped, or when this process ends, with everything on it but its disk.
pub struct Machine {
    first: Child,
    shell: Mutex<Shell>,
    pid: u32,
    near: Ipv4Addr,
    far: Ipv4Addr,
}

struct Shell {
    orders: ChildStdin,
    answers: Receiver<Vec<u8>>,
}

impl Shell {
    /// The status and the output of a script.
    fn answer(&self) -> Result<(i32, String), String> {
        let piece = || {
            let piece = self.answers.recv_timeout(PATIENCE).map_err(|_| "it doesn't answer".to_owned())?;
            Ok::<_, String>(String::from_utf8_lossy(&piece).into_owned())
        };
        let output = piece()?;
        let status = piece()?;
        Ok((status.parse().map_err(|_| format!("it answers {status:?} after {output:?}"))?, output))
    }
}

impl Machine {
    /// A machine with its disk in this folder. `None` when another process has a machine with that disk.
    ///
    /// # Panics
    /// It can't be made: that needs root, and Linux with its namespaces.
    #[must_use]
    pub fn start(name: &str, disk: &Path) -> Option<Self> {
        fs::create_dir_all(disk).unwrap_or_else(|error| panic!("{} can't be made: {error}", disk.display()));
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "bash", "-c", FIRST_PROCESS, name]);
        command.arg(disk).arg(name).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A folder of this machine's, which isn't there.
        command.env_remove("TMPDIR");
        let mut first = command.spawn().unwrap_or_else(|error| panic!("unshare can't be started: {error}"));
        let orders = first.stdin.take().expect("it is piped");
        let (sender, answers) = channel();
        let mut output = BufReader::new(first.stdout.take().expect("it is piped"));
        std::thread::spawn(move || {
            let mut piece = Vec::new();
            while output.read_until(0, &mut piece).is_ok_and(|_| piece.pop() == Some(0)) {
                if sender.send(std::mem::take(&mut piece)).is_err() {
                    return;
                }
            }
        });
        let shell = Shell { orders, answers };
        let Ok((_, pid)) = shell.answer() else {
            let output = first.wait_with_output().expect("it has ended");
            let words = String::from_utf8_lossy(&output.stderr);
            // What flock says: nothing.
            assert!(words.trim().is_empty(), "no other machine can be made here: {words}");
            return None;
        };
        let pid = pid.trim().parse().expect("its number is one");
        let [near, far] = cable(pid);
        let machine = Self { first, shell: Mutex::new(shell), pid, near, far };
        machine.run(&format!("ip address add {far}/30 dev eth0; ip link set eth0 up"));
        Some(machine)
    }

    /// This machine's address on the cable.
    #[must_use]
    pub fn near_address(&self) -> Ipv4Addr {
        self.near
    }

    /// Its own address on the cable.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.far
    }

    /// Where its files are seen from here.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.pid).into()
    }

    /// Runs a bash script there as root. Returns its status and its output.
    ///
    /// # Panics
    /// It doesn't end.
    pub fn try_run(&self, script: &str) -> (i32, String) {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let told = shell.orders.write_all(script.as_bytes()).and_then(|()| shell.orders.write_all(&[0]));
        told.and_then(|()| shell.orders.flush()).expect("the machine is up");
        shell.answer().unwrap_or_else(|error| panic!("the other machine, told to {script}: {error}"))
    }

    /// Runs a bash script there that must succeed. Returns its output.
    ///
    /// # Panics
    /// A command of it fails.
    pub fn run(&self, script: &str) -> String {
        let (status, output) = self.try_run(&format!("set -e\n{script}"));
        assert_eq!(status, 0, "the other machine was told to {script}: {output}");
        output
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The child is unshare, whose own child is the machine's first process; that one's end is the end of all.
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.first.wait();
    }
}

/// Lays a cable to the machine with this first process: an interface here, and `eth0` there. Returns both addresses. They are
/// of the block for tests between networks (RFC 2544), which nobody's own network should have.
fn cable(pid: u32) -> [Ipv4Addr; 2] {
    let ip = |arguments: &str| {
        let output = Command::new("ip").args(arguments.split(' ')).output();
        let output = output.unwrap_or_else(|error| panic!("ip can't be started: {error}"));
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let mut words = String::new();
    // The name of an interface is there once, so whoever gets it has the addresses that go with it.
    for number in 0..64 {
        match ip(&format!("link add wharf-far{number} type veth peer name eth0 netns {pid}")) {
            Ok(()) => {
                let [near, far] = [1, 2].map(|host| Ipv4Addr::new(198, 18, number, host));
                ip(&format!("address add {near}/30 dev wharf-far{number}"))
                    .and_then(|()| ip(&format!("link set wharf-far{number} up")))
                    .unwrap_or_else(|error| panic!("the cable can't be used: {error}"));
                return [near, far];
            }
            Err(error) => words = error,
        }
    }
    panic!("no cable can be laid: {words}")
}
