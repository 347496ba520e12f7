//! What `wharf component new` makes is built by the commands of its own README, and passes its own cases; and the guide for
//! plugin developers is followed word by word.
//!
//! Each test prints what its language costs.

#![expect(clippy::print_stderr, reason = "a test says what it cost")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use wharf_tests::binary;

const KINDS: [&str; 4] = ["permission", "policy", "image-recipe", "recipe-adapter"];
/// A run that a component rejected.
const REJECTED: i32 = 12;

#[test]
#[ignore = "needs crates.io (follows the guide)"]
fn the_guide_goes_from_nothing_to_a_decision_in_rust() {
    follow("### In Rust");
}

#[test]
#[ignore = "needs PyPI (follows the guide)"]
fn the_guide_goes_from_nothing_to_a_decision_in_python() {
    follow("### In Python");
}

#[test]
#[ignore = "needs npm (follows the guide)"]
fn the_guide_goes_from_nothing_to_a_decision_in_javascript() {
    follow("### In JavaScript");
}

#[test]
#[ignore = "needs crates.io (builds projects)"]
fn every_kind_builds_and_passes_its_cases_in_rust() {
    build_all("rust");
}

#[test]
#[ignore = "needs PyPI (builds projects)"]
fn every_kind_builds_and_passes_its_cases_in_python() {
    build_all("python");
}

#[test]
#[ignore = "needs npm (builds projects)"]
fn every_kind_builds_and_passes_its_cases_in_javascript() {
    build_all("js");
}

/// A changed answer fails a project's cases: they aren't only run.
#[test]
#[ignore = "needs npm (builds projects)"]
fn a_wrong_answer_fails_a_case() {
    let folder = Place::new();
    let script = "wharf component new slip --kind policy --lang js && cd slip && npm ci && \
        sed -i 's/ may not run / must not run /' src/component.js && npm run build && wharf component test .";
    let output = folder.run(script);
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("may not run") && text.contains("must not run"), "{text}");
}

/// What Python raised is in the answer of the case, as it is in the record of a run.
#[test]
#[ignore = "needs PyPI (builds projects)"]
fn an_exception_of_python_says_where_it_was_raised() {
    let folder = Place::new();
    let script = "wharf component new slip --kind policy --lang python && cd slip && python3 -m venv .venv && \
        .venv/bin/pip install --quiet --require-hashes -r requirements.txt && \
        sed -i 's/^    def evaluate(self, plan, usage):/&\\n        {}[\"analysts\"]/' src/component.py && \
        .venv/bin/componentize-py --wit-path wit --world component componentize --python-path src component -o slip.wasm && \
        wharf component test .";
    let output = folder.run(script);
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    let line = fs::read_to_string(folder.path().join("slip/src/component.py")).expect("the code");
    let line = line.lines().position(|line| line.contains("{}[")).expect("the line") + 1;
    assert!(text.contains(&format!("raised KeyError: 'analysts' (in evaluate at component.py:{line})")), "{text}");
}

/// The guide shows the template that there is.
#[test]
fn the_guide_shows_the_policy_that_is_made() {
    let folder = Place::new();
    let output = folder.run("wharf component new no-privileged --kind policy");
    assert!(output.status.success(), "{}", said(&output));
    let code = fs::read_to_string(folder.path().join("no-privileged/src/lib.rs")).expect("the code");
    assert!(guide().contains(&format!("```rust\n{code}```\n")), "docs/plugin-developers.md shows another policy");
}

/// Each item of the SDK shows how it is used; the examples are its doctests.
#[test]
fn every_item_of_the_sdk_has_an_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/sdk/src");
    let mut items = 0;
    for file in fs::read_dir(folder).expect("the SDK is there").map(|entry| entry.expect("an entry").path()) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What the macros call, and where the modules are listed.
        if ["bindings.rs", "guest.rs", "lib.rs"].contains(&&*name) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a text");
        let mut documented = false;
        for line in text.split("#[cfg(test)]").next().unwrap_or_default().lines().map(str::trim_start) {
            let is_item = ["fn ", "struct ", "trait ", "const ", "mod "]
                .iter()
                .any(|kind| line.strip_prefix("pub ").is_some_and(|rest| rest.starts_with(kind)));
            if is_item {
                assert!(documented, "{name} has no example of: {line}");
                items += 1;
            }
            // Attributes stand between a comment and its item.
            documented =
                line.starts_with("/// ```") || documented && (line.starts_with("///") || line.starts_with("#["));
        }
    }
    assert!(items > 90, "only {items} items");
}

/// Runs the shell blocks of a language, in an empty folder, with nothing but `wharf` and its toolchain.
fn follow(heading: &str) {
    let started = Instant::now();
    let guide = guide();
    let mut script = shell_blocks(&guide, heading);
    assert!(script.contains("wharf component test ."), "no test under {heading}: {script}");
    script.push_str(&shell_blocks(&guide, "### A decision by it"));
    let folder = Place::new();
    let output = folder.run(&script);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(REJECTED), "{text}");
    assert!(text.contains("3 passed"), "{text}");
    assert!(
        text.contains("no-privileged 0.1.0: rejected: ana may not run privileged containers; set privileged = false"),
        "{text}"
    );
    eprintln!("{heading}: {:.0} s", started.elapsed().as_secs_f64());
}

/// Makes, builds and tests a project of each kind, but for the policy that the guide makes.
fn build_all(language: &str) {
    let started = Instant::now();
    for kind in KINDS.into_iter().filter(|kind| *kind != "policy") {
        let folder = Place::new();
        let output = folder.run(&format!("wharf --json component new made-here --kind {kind} --lang {language}"));
        let made: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
        let build: Vec<&str> =
            made["build"].as_array().into_iter().flatten().filter_map(|line| line.as_str()).collect();
        assert!(!build.is_empty(), "{made}");
        let wasm = made["output"].as_str().expect("where it is");
        let script =
            format!("cd made-here\n{}\nwharf component check {wasm}\nwharf component test .\n", build.join("\n"));
        let output = folder.run(&script);
        let text = said(&output);
        assert!(output.status.success(), "{kind}: {text}");
        assert!(text.contains(&format!("world   {kind}")) && text.contains("3 passed"), "{kind}: {text}");
    }
    eprintln!("{language}, three kinds: {:.0} s", started.elapsed().as_secs_f64());
}

fn guide() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/plugin-developers.md");
    fs::read_to_string(file).expect("the guide is there")
}

/// The `sh` blocks between a heading and the next one.
fn shell_blocks(guide: &str, heading: &str) -> String {
    let (_, after) =
        guide.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("the guide has no {heading}"));
    let section = after.split("\n#").next().unwrap_or(after);
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest));
    blocks.collect()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An empty folder.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs commands as somebody types them, one after the other until one fails.
    fn run(&self, script: &str) -> Output {
        let mut command = Command::new("bash");
        command.args(["-e", "-c", script]).current_dir(self.path()).stdin(Stdio::null());
        command.env("PATH", path_with(&binary()));
        // What the outer Cargo, and a person's own home, would change.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let cargos = text.starts_with("CARGO") && text != "CARGO_HOME" && !text.ends_with("_PROXY");
            if cargos || text.starts_with("WHARF_") || ["RUSTFLAGS", "RUSTC_WRAPPER", "VIRTUAL_ENV"].contains(&&*text) {
                command.env_remove(&name);
            }
        }
        // Compiled dependencies, which are the same for every project, are kept; what is built is where the project has it.
        command.env("CARGO_BUILD_BUILD_DIR", kept());
        command.output().expect("bash is there")
    }
}

/// A search path that begins with the folder of a program.
fn path_with(program: &Path) -> OsString {
    let own = program.parent().map(Path::to_owned);
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&others))).expect("a search path")
}

/// Beside the other builds of this workspace for WebAssembly.
fn kept() -> PathBuf {
    binary().parent().and_then(Path::parent).map(|target| target.join("nested-projects")).expect("a target folder")
}
