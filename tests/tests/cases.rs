//! Every case of every shipped component, as `wharf component test` runs them; and `wharf component dev`.
//!
//! `WHARF_UPDATE_CASES=1` writes the answers anew: read the difference before you keep it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{env, fs};

use wharf::cases::{self, CaseOptions, Subject};
use wharf_bundle::ShippedComponent;
use wharf_components::{ComponentSet, Engine, EngineOptions};

/// Where a shipped component's project is.
fn project(component: &ShippedComponent) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(component.folder).join(component.name)
}

#[tokio::test]
async fn every_case_of_every_component() {
    let built = tempfile::tempdir().unwrap();
    let options = CaseOptions {
        cache_dir: Some(built.path().join("cache")),
        update: env::var_os("WHARF_UPDATE_CASES").is_some(),
        ..CaseOptions::default()
    };
    let mut problems = String::new();
    let mut run = 0;
    for component in wharf_bundle::components() {
        let project = project(component);
        let file = built.path().join(component.name).with_extension("wasm");
        fs::write(&file, component.wasm).unwrap();
        let subject = Subject {
            name: component.name.to_owned(),
            file,
            cases: project.join("cases"),
            toml: project.join(component.name).with_extension("toml"),
            root: project,
        };
        match cases::run(&subject, &options, |_| ()).await {
            Ok(results) => {
                run += results.len();
                for result in results.iter().filter(|result| !result.is_well()) {
                    let problem = result.problem.as_deref().unwrap_or_default();
                    writeln!(problems, "{}: {:?}\n{problem}", result.folder.display(), result.outcome).unwrap();
                }
            }
            Err(fault) => writeln!(problems, "{fault}").unwrap(),
        }
    }
    assert!(problems.is_empty(), "{problems}");
    assert!(run > 100, "only {run} cases were run");
}

/// The TOML files that ship beside components are taken as they are.
#[test]
fn every_shipped_toml_loads() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    for component in wharf_bundle::components() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(component.folder);
        // The folder that a plugin adapter is granted.
        fs::create_dir_all(home.path().join("dss-plugins")).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(component.name).with_extension("wasm"), component.wasm).unwrap();
        if let Some(toml) = component.toml {
            fs::write(folder.join(component.name).with_extension("toml"), toml).unwrap();
        }
        let set = ComponentSet::load(&engine, &[folder]);
        assert!(set.failures().is_empty(), "{}: {:?}", component.name, set.failures());
        assert_eq!(set.components().len(), 1, "{}", component.name);
    }
}

/// `wharf component dev` of a project, line by line.
struct Dev {
    folder: tempfile::TempDir,
    process: Child,
    lines: Receiver<String>,
}

impl Dev {
    /// A project of a shipped policy that is built by copying it.
    fn start(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a project is made");
        let component =
            wharf_bundle::components().iter().find(|component| component.name == name).expect("a project is made");
        let cases = project(component).join("cases");
        fs::write(folder.path().join("source.wasm"), component.wasm).expect("a project is made");
        let build = "echo built >> builds && cp source.wasm built.wasm";
        let file = format!(
            "name = {name:?}\nbuild = {build:?}\noutput = \"built.wasm\"\nwatch = [\"source.wasm\", \"cases\"]\n"
        );
        fs::write(folder.path().join("wharf-component.toml"), file).expect("a project is made");
        for case in fs::read_dir(&cases).expect("a project is made").map(|case| case.expect("a project is made").path())
        {
            let copy = folder.path().join("cases").join(case.file_name().expect("a project is made"));
            fs::create_dir_all(&copy).expect("a project is made");
            for file in
                fs::read_dir(&case).expect("a project is made").map(|file| file.expect("a project is made").path())
            {
                fs::copy(&file, copy.join(file.file_name().expect("a project is made"))).expect("a project is made");
            }
        }
        let mut process = Command::new(wharf_tests::binary())
            .args(["component", "dev"])
            .arg(folder.path())
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a project is made");
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(process.stdout.take().expect("a project is made"));
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { folder, process, lines }
    }

    fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// What it says up to a line that begins so.
    fn until(&self, end: &str) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            said.push(line.unwrap_or_else(|error| panic!("{error} after {said:?}, before {end:?}")));
            if said.last().is_some_and(|line| line.starts_with(end)) {
                return said;
            }
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_change_is_built_and_what_it_changes_is_shown() {
    let mut dev = Dev::start("forced-security");
    let of = |said: &[String], case: &str| said.iter().any(|line| line.contains(case));
    let both = ["allowed-is-left-alone", "everything-is-forced"];
    let first = dev.until("7 passed");
    assert!(both.iter().all(|case| of(&first, case)) && first.last().unwrap().contains("Ctrl-C"), "{first:?}");

    // Another expectation: that case alone is shown, with the difference.
    let expected = dev.file("cases/everything-is-forced/expected.json");
    let right = fs::read_to_string(&expected).unwrap();
    fs::write(&expected, "{}\n").unwrap();
    let changed = dev.until("6 passed, 1 failed");
    assert!(of(&changed, both[1]) && of(&changed, "+++ answered") && !of(&changed, both[0]), "{changed:?}");
    fs::write(&expected, right).unwrap();
    let mended = dev.until("7 passed");
    assert!(of(&mended, both[1]) && !of(&mended, both[0]), "{mended:?}");

    // What can't be loaded, and then can be again.
    let wasm = fs::read(dev.file("source.wasm")).unwrap();
    fs::write(dev.file("source.wasm"), "no component").unwrap();
    let broken = dev.until("7 failed");
    assert!(of(&broken, "component-not-wasm"), "{broken:?}");
    fs::write(dev.file("source.wasm"), wasm).unwrap();
    dev.until("7 passed");

    let id = rustix::process::Pid::from_child(&dev.process);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(dev.process.wait().unwrap().code(), Some(0));
}
