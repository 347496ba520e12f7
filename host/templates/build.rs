//! Lists what the projects are made of: the templates, the contracts, and the SDK as the files that it is built from here.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of this workspace that a component in Rust is built with.
const SDK: [&str; 2] = ["plugins/sdk", "host/model"];

fn main() -> Result<(), Box<dyn Error>> {
    let own = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let root = own.join("../..").canonicalize()?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut text = String::new();

    let mut templates = Vec::new();
    collect(&own.join("projects"), &mut templates)?;
    list(&mut text, "TEMPLATES", &own.join("projects"), &templates)?;

    let mut wit = Vec::new();
    collect(&root.join("wit"), &mut wit)?;
    list(&mut text, "WIT", &root.join("wit"), &wit)?;
    let version = package_version(&fs::read_to_string(root.join("wit/types.wit"))?)?;
    writeln!(text, "const WIT_VERSION: &str = {version:?};")?;

    let mut sdk = Vec::new();
    for folder in SDK {
        watch(&root.join(folder).join("Cargo.toml"));
        sdk.push(root.join(folder).join("Cargo.toml"));
        collect(&root.join(folder).join("src"), &mut sdk)?;
    }
    list(&mut text, "SDK", &root, &sdk)?;

    let workspace = Workspace::read(&root)?;
    fs::write(out.join("sdk-workspace.toml"), workspace.manifest()?)?;
    fs::write(out.join("sdk.lock"), workspace.lock()?)?;
    for (name, file) in [("SDK_WORKSPACE", "sdk-workspace.toml"), ("SDK_LOCK", "sdk.lock")] {
        writeln!(text, "const {name}: &str = include_str!({:?});", out.join(file))?;
    }
    for name in ["serde", "schemars"] {
        let version = workspace.version_of(name)?;
        writeln!(text, "const {}: &str = {version:?};", name.to_uppercase())?;
    }
    fs::write(out.join("projects.rs"), text)?;
    Ok(())
}

/// The parts of the workspace that the SDK's crates inherit from.
struct Workspace {
    root: PathBuf,
    manifest: String,
    lock: String,
}

impl Workspace {
    fn read(root: &Path) -> Result<Self, Box<dyn Error>> {
        for name in ["Cargo.toml", "Cargo.lock"] {
            watch(&root.join(name));
        }
        let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
        let lock = fs::read_to_string(root.join("Cargo.lock"))?;
        Ok(Self { root: root.to_owned(), manifest, lock })
    }

    /// A workspace of the SDK alone, with the dependencies that it asks for in the versions that are asked for here.
    fn manifest(&self) -> Result<String, Box<dyn Error>> {
        let mut text = format!("[workspace]\nresolver = \"3\"\nmembers = {SDK:?}\n\n[workspace.package]\n");
        text.push_str(self.section("[workspace.package]")?.trim());
        text.push_str("\n\n[workspace.dependencies]\n");
        let mut wanted = BTreeSet::new();
        for folder in SDK {
            let own = fs::read_to_string(self.root.join(folder).join("Cargo.toml"))?;
            let inherited = own.lines().filter(|line| line.contains("workspace = true"));
            wanted.extend(inherited.filter_map(|line| line.split(['.', ' ']).next()).map(str::to_owned));
        }
        for line in self.section("[workspace.dependencies]")?.lines() {
            if line.split(' ').next().is_some_and(|name| wanted.contains(name)) {
                writeln!(text, "{line}")?;
            }
        }
        // Lints are for who changes the SDK.
        text.push_str("\n[workspace.lints]\n");
        Ok(text)
    }

    /// What is below a heading of the manifest, up to the next one.
    fn section(&self, heading: &str) -> Result<&str, String> {
        let (_, after) = self
            .manifest
            .split_once(&format!("{heading}\n"))
            .ok_or_else(|| format!("the workspace's Cargo.toml has no {heading}"))?;
        Ok(after.split("\n[").next().unwrap_or(after))
    }

    /// The packages of the lock that the SDK is built with, all of them in the versions that the shipped components have.
    fn lock(&self) -> Result<String, String> {
        let mut head = "";
        let mut packages: Vec<(&str, &str, &str)> = Vec::new();
        for block in self.lock.split("\n[[package]]\n") {
            let key = |key: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(key));
                line.map(|value| value.trim_start_matches(" = ").trim_matches('"'))
            };
            match (key("name"), key("version")) {
                (Some(name), Some(version)) if !head.is_empty() => packages.push((name, version, block)),
                _ => head = block,
            }
        }
        let mut wanted = vec![("wharf-plugin-sdk", None)];
        let mut found = BTreeSet::new();
        while let Some((name, version)) = wanted.pop() {
            let fits = |(_, package): &(usize, &(&str, &str, &str))| {
                package.0 == name && version.is_none_or(|version| version == package.1)
            };
            let Some((at, (_, _, block))) = packages.iter().enumerate().find(fits) else {
                return Err(format!("Cargo.lock has no {name}"));
            };
            if found.insert(at) {
                let names = block.lines().filter_map(|line| line.strip_prefix(" \"")?.strip_suffix("\","));
                wanted.extend(names.map(|name| match name.split_once(' ') {
                    Some((name, version)) => (name, version.split(' ').next()),
                    None => (name, None),
                }));
            }
        }
        let mut text = head.trim_end().to_owned();
        for at in found {
            text.push_str("\n\n[[package]]\n");
            text.push_str(packages[at].2.trim_end());
        }
        text.push('\n');
        Ok(text)
    }

    /// The version that the workspace asks of a dependency.
    fn version_of(&self, name: &str) -> Result<String, String> {
        let line = self.section("[workspace.dependencies]")?.lines();
        let mut line = line.filter_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        let value = line.next().ok_or_else(|| format!("the workspace has no {name}"))?;
        value.split('"').nth(1).map(str::to_owned).ok_or_else(|| format!("the workspace's {name} has no version"))
    }
}

/// The version in `package wharf:plugin@VERSION;`.
fn package_version(wit: &str) -> Result<String, String> {
    let line = wit.lines().find_map(|line| line.strip_prefix("package wharf:plugin@"));
    line.and_then(|rest| rest.strip_suffix(';')).map(str::to_owned).ok_or_else(|| "wit/ has no package".to_owned())
}

fn list(text: &mut String, name: &str, base: &Path, files: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    writeln!(text, "const {name}: &[(&str, &str)] = &[")?;
    for file in files {
        let path = file.strip_prefix(base)?.to_str().ok_or("a file has an odd name")?;
        writeln!(text, "    ({path:?}, include_str!({file:?})),")?;
    }
    writeln!(text, "];")?;
    Ok(())
}

/// All files below a folder, in an order that is the same everywhere.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    watch(folder);
    let entries = fs::read_dir(folder).map_err(|error| format!("{} can't be read: {error}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}
