//! Builds what runs elsewhere (the guests for WebAssembly, the runner for musl) and lists it, with the in-container
//! libraries, for the crate to include.
//!
//! Cargo can't depend on another target's artefacts in stable releases, so this calls Cargo again, with a target folder
//! of its own, `nested` in the outer one, which is locked by the Cargo that runs this script. All profiles of the outer
//! build share it: the guests and the runner have profiles of their own.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const GUEST_TARGET: &str = "wasm32-wasip2";
/// The folders of guests, which are also the folders of a home that they are put in.
const GUEST_FOLDERS: [&str; 2] = ["plugins", "policies"];
/// Members of those folders that aren't guests.
const NOT_GUESTS: [&str; 1] = ["sdk"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    let nested = nested_target_dir(&out);
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    let runner_target = format!("{arch}-unknown-linux-musl");

    // A new member changes the lock, and so brings this script to look for new guests.
    for path in ["Cargo.lock", "Cargo.toml", "wit", "host/model/Cargo.toml", "host/model/src"] {
        watch(&root.join(path));
    }
    for path in ["host/runner/Cargo.toml", "host/runner/src", "host/in-container/python", "host/in-container/r"] {
        watch(&root.join(path));
    }
    for path in ["plugins/sdk/Cargo.toml", "plugins/sdk/src"] {
        watch(&root.join(path));
    }

    let guests = guests(&root)?;
    for guest in &guests {
        watch(&guest.path.join("Cargo.toml"));
        watch(&guest.path.join("src"));
    }
    require_target(GUEST_TARGET)?;
    require_target(&runner_target)?;

    let mut build = nested_cargo(&root, &nested, GUEST_TARGET, "guest")?;
    for guest in &guests {
        build.args(["-p", &guest.name]);
    }
    run(build, "the guests")?;

    let mut build = nested_cargo(&root, &nested, &runner_target, "runner")?;
    build.args(["-p", "wharf-runner"]);
    // The runner has a little C and assembly of its TLS library in it, which needs no libc: any compiler will do.
    if !on_path("musl-gcc") && !on_path(&format!("{arch}-linux-musl-gcc")) {
        build.env(format!("CC_{}", runner_target.replace('-', "_")), "cc");
    }
    run(build, "the runner")?;

    // Copies, since another build may write the originals while rustc reads.
    let wasm = nested.join(GUEST_TARGET).join("guest");
    for guest in &guests {
        copy(&wasm.join(guest.artefact()), &out.join(guest.artefact()))?;
    }
    let runner = out.join("wharf-runner");
    copy(&nested.join(&runner_target).join("runner/wharf-runner"), &runner)?;
    fs::write(out.join("bundle.rs"), listing(&root, &guests, &out, &arch, &runner)?)?;
    Ok(())
}

/// `target/nested`, or a folder in `OUT_DIR` when that isn't `target/PROFILE/build/PACKAGE/out`.
fn nested_target_dir(out: &Path) -> PathBuf {
    let is_build = |dir: &&Path| dir.file_name().is_some_and(|name| name == "build");
    match (out.ancestors().nth(2).filter(is_build), out.ancestors().nth(4)) {
        (Some(_), Some(target)) => target.join("nested"),
        _ => out.join("nested"),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::copy(from, to).map_err(|e| format!("{} can't be copied to {}: {e}", from.display(), to.display()))?;
    Ok(())
}

/// A guest of the workspace.
struct Guest {
    folder: &'static str,
    name: String,
    path: PathBuf,
}

impl Guest {
    /// The file that Cargo makes of it.
    fn artefact(&self) -> String {
        format!("{}.wasm", self.name.replace('-', "_"))
    }
}

fn guests(root: &Path) -> Result<Vec<Guest>, Box<dyn Error>> {
    let mut guests = Vec::new();
    for folder in GUEST_FOLDERS {
        for path in sorted_entries(&root.join(folder))? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if path.join("Cargo.toml").is_file() && !NOT_GUESTS.contains(&name) {
                guests.push(Guest { folder, name: name.to_owned(), path });
            }
        }
    }
    Ok(guests)
}

/// A Cargo that knows nothing of the one that runs this script, except how many jobs there may be.
fn nested_cargo(root: &Path, target_dir: &Path, target: &str, profile: &str) -> Result<Command, Box<dyn Error>> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(root).args(["build", "--locked", "--profile", profile, "--target", target]);
    cargo.arg("--target-dir").arg(target_dir);
    // Flags of the outer build are for the outer target, and clippy's wrapper would check instead of build.
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let of_the_target = text.starts_with("CARGO_TARGET_") && text.ends_with("_RUSTFLAGS");
        let of_the_profile = text.starts_with("CARGO_PROFILE_") || text.starts_with("CARGO_CFG_");
        // The build scripts of some dependencies run anew when these have changed, as between checking and building.
        let of_this_script = text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_FEATURE_")
            || text.starts_with("CARGO_MANIFEST_")
            || matches!(text, "OUT_DIR" | "DEBUG" | "OPT_LEVEL" | "PROFILE" | "HOST" | "TARGET");
        let of_the_tool = matches!(
            text,
            "RUSTFLAGS"
                | "CARGO_ENCODED_RUSTFLAGS"
                | "CARGO_BUILD_RUSTFLAGS"
                | "CARGO_BUILD_TARGET"
                | "CARGO_BUILD_TARGET_DIR"
                | "CARGO_BUILD_BUILD_DIR"
                | "CARGO_TARGET_DIR"
                | "RUSTC_WRAPPER"
                | "RUSTC_WORKSPACE_WRAPPER"
                | "RUSTC"
                | "RUSTDOC"
                | "CLIPPY_ARGS"
                | "CLIPPY_CONF_DIR"
                | "LLVM_PROFILE_FILE"
        );
        if of_the_target || of_the_profile || of_this_script || of_the_tool {
            cargo.env_remove(&name);
        }
    }
    Ok(cargo)
}

fn run(mut build: Command, what: &str) -> Result<(), Box<dyn Error>> {
    let output = build.output().map_err(|e| format!("Cargo couldn't be started to build {what}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{what} didn't build:\n{}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Fails early, with what to type, when the standard library of a target isn't there.
fn require_target(target: &str) -> Result<(), Box<dyn Error>> {
    let output = Command::new(variable("RUSTC")?).args(["--print", "target-libdir", "--target", target]).output()?;
    let folder = String::from_utf8(output.stdout)?;
    if output.status.success() && Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    Err(format!("Rust's target {target} isn't installed: run `rustup target add {target}` and build again").into())
}

fn listing(
    root: &Path,
    guests: &[Guest],
    artefacts: &Path,
    arch: &str,
    runner: &Path,
) -> Result<String, Box<dyn Error>> {
    let platform = match arch {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        other => {
            return Err(format!("there is no Docker platform for {other}; wharf builds on x86_64 and aarch64").into());
        }
    };
    let mut text = String::new();
    writeln!(text, "const RUNNERS: &[(&str, &[u8])] = &[({platform:?}, include_bytes!({runner:?}))];")?;

    writeln!(text, "const IN_CONTAINER: &[(&str, &[u8])] = &[")?;
    let base = root.join("host/in-container");
    let mut files = Vec::new();
    for folder in ["python", "r"] {
        collect(&base.join(folder), &mut files)?;
    }
    for file in files {
        let name = file.strip_prefix(&base)?.to_str().ok_or("a file of the in-container libraries has an odd name")?;
        writeln!(text, "    ({name:?}, include_bytes!({file:?})),")?;
    }
    writeln!(text, "];")?;

    writeln!(text, "const COMPONENTS: &[ShippedComponent] = &[")?;
    for guest in guests {
        let Guest { folder, name, path } = guest;
        let wasm = artefacts.join(guest.artefact());
        let toml = path.join(format!("{name}.toml"));
        watch_if_there(&toml);
        let toml = if toml.is_file() { format!("Some(include_str!({toml:?}))") } else { "None".to_owned() };
        writeln!(
            text,
            "    ShippedComponent {{ folder: {folder:?}, name: {name:?}, wasm: include_bytes!({wasm:?}), toml: {toml} }},"
        )?;
    }
    writeln!(text, "];")?;
    Ok(text)
}

/// All files below a folder that belong into an image, in an order that is the same everywhere.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for path in sorted_entries(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "tests" | "__pycache__") {
                collect(&path, files)?;
            }
        } else if !name.ends_with(".pyc") {
            files.push(path);
        }
    }
    Ok(())
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{} can't be read: {e}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    Ok(paths)
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

/// A path that isn't there would make Cargo run this script every time.
fn watch_if_there(path: &Path) {
    if path.exists() {
        watch(path);
    }
}

fn variable(name: &str) -> Result<String, Box<dyn Error>> {
    std::env::var(name).map_err(|e| format!("Cargo gave the build script no {name}: {e}").into())
}
