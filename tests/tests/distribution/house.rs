//! A home without any engine, and the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wharf_tests::binary;

/// A policy that imports nothing that needs a grant.
pub(crate) const ONE: &str = env!("WHARF_HOSTILE_POLICY");
/// The same, and it imports the clock.
pub(crate) const TWO: &str = env!("WHARF_HOSTILE_CLOCK");

pub(crate) struct House {
    dir: tempfile::TempDir,
}

/// How a call ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The fault with this code, as one text with its hint.
    #[track_caller]
    pub(crate) fn fault(self, code: &str) -> String {
        assert_ne!(self.code, Some(0), "{}", self.stdout);
        let said = format!("{}\n{}", self.stdout, self.stderr);
        assert!(said.contains(&format!("error[{code}]")), "not {code}: {said}");
        said
    }
}

impl House {
    pub(crate) fn new() -> Self {
        let house = Self { dir: tempfile::tempdir().unwrap() };
        let _ = house.call(&["init"]).exits(0);
        house
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A path beside the home.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A copy of a guest beside the home.
    pub(crate) fn guest(&self, guest: &str, name: &str) -> PathBuf {
        let file = self.beside(name);
        fs::copy(guest, &file).unwrap();
        file
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.home().join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.home().join(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_remove("RUST_LOG").env("DOCKER_CONFIG", self.dir.path()).current_dir(self.dir.path());
        command.arg("--home").arg(self.home()).args(arguments);
        command
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// `wharf component …`, agreed to.
    pub(crate) fn component(&self, arguments: &[&str]) -> Ended {
        self.call(&[&["component"], arguments].concat())
    }

    /// The digest of a component that is in force, by a host that is started for this question.
    pub(crate) fn in_force(&self, name: &str) -> Option<String> {
        let report = self.report();
        let loaded = report["loaded"].as_array().unwrap();
        loaded
            .iter()
            .find(|component| component["name"] == name)
            .map(|component| component["digest"].as_str().unwrap().to_owned())
    }

    /// Why a component isn't loaded, as JSON.
    pub(crate) fn failure(&self, name: &str) -> Option<Value> {
        let report = self.report();
        let failed = report["failed"].as_array().unwrap();
        failed.iter().find(|failure| failure["file"].as_str().unwrap().ends_with(&format!("/{name}.wasm"))).cloned()
    }

    fn report(&self) -> Value {
        let ended = self.call(&["--json", "component", "list"]);
        serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", ended.stdout, ended.stderr))
    }

    /// What an interrupted or refused change could leave.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in ["", "policies", "plugins"] {
            for entry in fs::read_dir(self.home().join(folder)).unwrap() {
                let name = entry.unwrap().file_name().to_string_lossy().into_owned();
                if name.starts_with('.') {
                    found.push(format!("{folder}/{name}"));
                }
            }
        }
        found
    }
}

pub(crate) fn digest(file: impl AsRef<Path>) -> String {
    Sha256::digest(fs::read(file).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keys of minisign's own command.
pub(crate) struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let keys = Self { dir: tempfile::tempdir().unwrap() };
        keys.minisign(&["-G", "-W", "-f"]);
        keys
    }

    pub(crate) fn public(&self) -> String {
        fs::read_to_string(self.dir.path().join("key.pub")).unwrap().lines().nth(1).unwrap().to_owned()
    }

    /// The key's id, as its own tool prints it.
    pub(crate) fn id(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("key.pub")).unwrap();
        text.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned()
    }

    pub(crate) fn sign(&self, file: &Path) {
        self.minisign(&["-S", "-m", &file.display().to_string(), "-t", "signed in a test"]);
    }

    fn minisign(&self, arguments: &[&str]) {
        let key = |name: &str| self.dir.path().join(name).display().to_string();
        let mut command = Command::new("minisign");
        command.args(arguments).args(["-s", &key("key.sec")]);
        if arguments.contains(&"-G") {
            command.args(["-p", &key("key.pub")]);
        }
        let output = command.output().unwrap_or_else(|error| panic!("minisign can't be started: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
