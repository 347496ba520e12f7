//! A Kubernetes cluster, asked by `kubectl` and by none of the code that is tested.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::Home;

/// How long what a test waits for may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The cluster that `WHARF_TEST_KUBECONFIG` names.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The kubeconfig.
    pub kubeconfig: String,
    /// The context whose rights the host has.
    pub context: String,
    /// The namespace of that context's rights.
    pub namespace: String,
    /// Where this host pushes to and the nodes pull from.
    pub registry: String,
    /// The address of this host that pods reach.
    pub advertise: String,
}

fn said(name: &str, usual: &str) -> String {
    std::env::var(name).ok().filter(|text| !text.is_empty()).unwrap_or_else(|| usual.to_owned())
}

impl Cluster {
    /// The cluster of the environment.
    ///
    /// # Panics
    /// `WHARF_TEST_KUBECONFIG` isn't set.
    #[must_use]
    pub fn of_environment() -> Self {
        let kubeconfig = said("WHARF_TEST_KUBECONFIG", "");
        assert!(!kubeconfig.is_empty(), "WHARF_TEST_KUBECONFIG isn't set: `tests/cluster/up` prints one");
        Self {
            kubeconfig,
            context: said("WHARF_TEST_CONTEXT", "wharf"),
            namespace: said("WHARF_TEST_NAMESPACE", "wharf-runs"),
            registry: said("WHARF_TEST_REGISTRY", "127.0.0.1:26530/tests"),
            advertise: said("WHARF_TEST_ADVERTISE", "10.231.0.1"),
        }
    }

    /// Where its API server is, as the kubeconfig has it: `https://127.0.0.1:26510`.
    ///
    /// # Panics
    /// The kubeconfig names none.
    #[must_use]
    pub fn server(&self) -> String {
        let text = std::fs::read_to_string(&self.kubeconfig).expect("the kubeconfig can be read");
        text.lines().find_map(|line| line.trim().strip_prefix("server: ")).expect("it names a server").to_owned()
    }

    /// The script that stops and starts single parts; none for somebody else's cluster, whose parts are left alone.
    #[must_use]
    pub fn parts() -> Option<PathBuf> {
        std::env::var_os("WHARF_TEST_CLUSTER_PART").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// Does something to a part: `stop`, `start`, `restart`, `kill`.
    ///
    /// # Panics
    /// It can't be done.
    pub fn part(&self, what: &str, name: &str) {
        let script = Self::parts().expect("WHARF_TEST_CLUSTER_PART names the script");
        let output = Command::new(&script).args([what, name]).output().expect("the script can be run");
        assert!(output.status.success(), "{} {what} {name}: {}", script.display(), text(&output));
    }

    fn kubectl(&self, context: &str, arguments: &[&str]) -> Output {
        let program = said("WHARF_TEST_KUBECTL", "kubectl");
        let mut command = Command::new(program);
        command.args(["--kubeconfig", &self.kubeconfig, "--context", context, "--namespace", &self.namespace]);
        command.args(arguments).output().expect("kubectl can be run")
    }

    /// Calls `kubectl` with all rights.
    ///
    /// # Panics
    /// It fails.
    pub fn admin(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(&said("WHARF_TEST_ADMIN_CONTEXT", "admin"), arguments);
        assert!(output.status.success(), "kubectl {}: {}", arguments.join(" "), text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Applies a manifest with all rights.
    ///
    /// # Panics
    /// It is refused.
    pub fn apply(&self, manifest: &str) {
        self.send("apply", manifest);
    }

    /// Creates the objects of a manifest with all rights.
    ///
    /// # Panics
    /// It is refused.
    pub fn create(&self, manifest: &str) {
        self.send("create", manifest);
    }

    fn send(&self, how: &str, manifest: &str) {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a temporary file");
        std::fs::write(file.path(), manifest).expect("it can be written");
        let _ = self.admin(&[how, "-f", &file.path().display().to_string()]);
    }

    /// The objects of a kind that a home has there.
    ///
    /// # Panics
    /// `kubectl` fails.
    #[must_use]
    pub fn objects(&self, kind: &str, home: &Home) -> Vec<Value> {
        let id = home.id();
        if id.is_empty() {
            return Vec::new();
        }
        let answer = self.admin(&["get", kind, "-o", "json", "-l", &format!("wharf.host={id}")]);
        let list: Value = serde_json::from_str(&answer).expect("kubectl answers JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until a home has an object of a kind that is as asked, and gives its name.
    ///
    /// # Panics
    /// There is none after a while.
    pub fn wait_for(&self, kind: &str, home: &Home, is: impl Fn(&Value) -> bool) -> String {
        let started = Instant::now();
        loop {
            let objects = self.objects(kind, home);
            if let Some(found) = objects.iter().find(|object| is(object)) {
                return found["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "no such {kind}: {objects:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Checks that a home has nothing there any more. What is deleted takes a moment.
    ///
    /// # Panics
    /// Something is left.
    pub fn nothing_left(&self, home: &Home) {
        let started = Instant::now();
        for kind in ["jobs", "pods", "secrets", "networkpolicies"] {
            loop {
                let left = self.objects(kind, home);
                if left.is_empty() {
                    break;
                }
                assert!(started.elapsed() < PATIENCE, "{kind} are left: {left:?}");
                std::thread::sleep(Duration::from_millis(300));
            }
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
