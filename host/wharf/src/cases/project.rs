//! Where a component's project has its file and its cases.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;
use wharf_model::{Fault, document};

use super::{Subject, name_of};

/// The file that says how a component is built.
const FILE: &str = "wharf-component.toml";
/// The code of every fault of that file.
const CODE: &str = "component-project-invalid";
/// What builds a Rust project.
const CARGO: &str = "cargo build --release --target wasm32-wasip2";
/// The target that Rust components are built for.
const RUST_TARGET: &str = "wasm32-wasip2";
/// What a build writes or reads that nobody edits.
const NOT_SOURCES: [&str; 6] = ["target", "node_modules", "build", "dist", "__pycache__", "venv"];
/// The most files that are looked at for changes.
const MAX_WATCHED: usize = 20_000;

/// `wharf-component.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProjectFile {
    name: Option<String>,
    build: Option<String>,
    output: Option<PathBuf>,
    watch: Vec<PathBuf>,
    cases: Option<PathBuf>,
}

/// A component that is being written: where its parts are, and how it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// The component's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What builds it, for a shell in the folder.
    pub build: Option<String>,
    /// Where the build may leave it.
    outputs: Vec<PathBuf>,
    /// What is watched; nothing means all of the folder.
    watch: Vec<PathBuf>,
    cases: PathBuf,
    toml: PathBuf,
}

impl Project {
    /// Finds out what a path means: a component's file, or the folder of its project.
    ///
    /// `target_dir` is where Cargo builds, when that isn't its usual place.
    ///
    /// # Errors
    /// It isn't there, or its files say nothing of a component.
    pub fn find(path: &Path, target_dir: Option<&Path>) -> Result<Self, Fault> {
        if path.is_file() {
            return Ok(Self::of_file(path));
        }
        if !path.is_dir() {
            return Err(Fault::new("component-not-built", "there is no such file or folder")
                .at(path, None)
                .hint("name a component's .wasm file, or the folder of its project"));
        }
        let file = path.join(FILE);
        if file.is_file() {
            return Self::of_file_of_project(path, &file);
        }
        let manifest = path.join("Cargo.toml");
        if manifest.is_file() {
            return Self::of_cargo(path, &manifest, target_dir);
        }
        Self::of_folder(path)
    }

    fn of_file(file: &Path) -> Self {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let own = folder.join(format!("{name}.cases"));
        Self {
            cases: if own.is_dir() { own } else { folder.join("cases") },
            toml: file.with_extension("toml"),
            folder: folder.to_owned(),
            build: None,
            outputs: vec![file.to_owned()],
            watch: vec![file.to_owned()],
            name,
        }
    }

    fn of_file_of_project(folder: &Path, file: &Path) -> Result<Self, Fault> {
        let text = fs::read_to_string(file)
            .map_err(|error| Fault::new("file-unreadable", format!("it can't be read: {error}")).at(file, None))?;
        let said: ProjectFile = document::read_as(CODE, file, &text)?;
        let missing = |key: &str, example: &str| {
            Fault::new(CODE, format!("`{key}` is missing")).at(file, None).hint(format!("write {key} = \"{example}\""))
        };
        let build = said.build.ok_or_else(|| missing("build", "npm run build"))?;
        let output = said.output.ok_or_else(|| missing("output", "build/NAME.wasm"))?;
        let name = said.name.unwrap_or_else(|| folder_name(folder));
        Ok(Self {
            toml: folder.join(&name).with_extension("toml"),
            cases: folder.join(said.cases.unwrap_or_else(|| "cases".into())),
            build: Some(build),
            outputs: vec![folder.join(output)],
            watch: said.watch.into_iter().map(|path| folder.join(path)).collect(),
            folder: folder.to_owned(),
            name,
        })
    }

    fn of_cargo(folder: &Path, manifest: &Path, target_dir: Option<&Path>) -> Result<Self, Fault> {
        let text = fs::read_to_string(manifest)
            .map_err(|error| Fault::new("file-unreadable", format!("it can't be read: {error}")).at(manifest, None))?;
        let table: toml::Table = document::read_as(CODE, manifest, &text)?;
        let named = |table: &str, of: &toml::Table| Some(of.get(table)?.get("name")?.as_str()?.to_owned());
        let Some(name) = named("package", &table) else {
            return Err(Fault::new(CODE, "it has no [package] with a `name`").at(manifest, None));
        };
        let artefact = format!("{}.wasm", named("lib", &table).unwrap_or_else(|| name.clone()).replace('-', "_"));
        // Cargo builds a workspace's members in the workspace's folder.
        let absolute = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let mut targets: Vec<PathBuf> = target_dir.map(Path::to_owned).into_iter().collect();
        targets.extend(absolute.ancestors().map(|folder| folder.join("target")));
        let mut outputs = Vec::new();
        for target in targets.iter().filter(|target| target.is_dir()) {
            let Ok(profiles) = fs::read_dir(target.join(RUST_TARGET)) else { continue };
            outputs.extend(profiles.flatten().map(|profile| profile.path().join(&artefact)));
        }
        if outputs.is_empty() {
            let target = target_dir.map_or_else(|| folder.join("target"), Path::to_owned);
            outputs.push(target.join(RUST_TARGET).join("release").join(artefact));
        }
        Ok(Self {
            toml: folder.join(&name).with_extension("toml"),
            cases: folder.join("cases"),
            build: Some(CARGO.to_owned()),
            outputs,
            watch: Vec::new(),
            folder: folder.to_owned(),
            name,
        })
    }

    fn of_folder(folder: &Path) -> Result<Self, Fault> {
        let files = fs::read_dir(folder)
            .map_err(|error| Fault::new("file-unreadable", format!("it can't be read: {error}")).at(folder, None))?;
        let mut found: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).filter(|path| is_wasm(path)).collect();
        found.sort();
        match found.as_slice() {
            [file] => Ok(Self::of_file(file)),
            [] => Err(Fault::new(
                "component-not-built",
                format!("it has no {FILE}, no Cargo.toml and no .wasm file, so it isn't a component's project"),
            )
            .at(folder, None)
            .hint(format!("say how it is built in {FILE}: build = \"COMMAND\", output = \"FILE.wasm\""))),
            many => Err(Fault::new(
                "component-not-built",
                format!("it has {} .wasm files, and says nowhere which is meant", many.len()),
            )
            .at(folder, None)
            .hint("name the file")),
        }
    }

    /// The component as it was built last, and where its cases are.
    ///
    /// # Errors
    /// It isn't built: with every place where it was looked for.
    pub fn subject(&self) -> Result<Subject, Fault> {
        let built = self.outputs.iter().filter_map(|file| Some((fs::metadata(file).ok()?.modified().ok()?, file)));
        let newest = built.max_by_key(|(modified, _)| *modified).map(|(_, file)| file.clone());
        let file = newest.ok_or_else(|| {
            let places: Vec<String> = self.outputs.iter().map(|file| file.display().to_string()).collect();
            let fault =
                Fault::new("component-not-built", format!("it isn't built: there is no {}", places.join(" and no ")))
                    .at(&self.folder, None);
            match &self.build {
                Some(build) => fault.hint(format!("build it: {build}")),
                None => fault,
            }
        })?;
        Ok(Subject {
            name: self.name.clone(),
            file,
            cases: self.cases.clone(),
            toml: self.toml.clone(),
            root: self.folder.clone(),
        })
    }

    /// What its sources and its cases look like: another print means that something was changed.
    #[must_use]
    pub fn print(&self) -> Vec<(PathBuf, SystemTime, u64)> {
        let mut print = Vec::new();
        let roots = if self.watch.is_empty() { std::slice::from_ref(&self.folder) } else { &self.watch };
        for root in roots {
            self.look(root, &mut print);
        }
        for other in [&self.cases, &self.toml] {
            if !roots.iter().any(|root| other.starts_with(root)) {
                self.look(other, &mut print);
            }
        }
        print.sort();
        print
    }

    fn look(&self, path: &Path, print: &mut Vec<(PathBuf, SystemTime, u64)>) {
        let Ok(about) = fs::symlink_metadata(path) else { return };
        if print.len() >= MAX_WATCHED {
            return;
        }
        if about.is_file() {
            print.push((path.to_owned(), about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len()));
        } else if about.is_dir() {
            let Ok(entries) = fs::read_dir(path) else { return };
            for entry in entries.flatten() {
                let path = entry.path();
                let name = name_of(&path);
                let written = name.starts_with('.')
                    || NOT_SOURCES.contains(&name.as_str())
                    || is_wasm(&path)
                    // What cases expect is written by `--update`, and read with the next change.
                    || self.outputs.contains(&path);
                if !written {
                    self.look(&path, print);
                }
            }
        }
    }
}

fn is_wasm(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

fn folder_name(folder: &Path) -> String {
    name_of(&fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_project_says_where_its_component_is() {
        let project = "name = \"site\"\nbuild = \"make\"\noutput = \"out/it.wasm\"\ncases = \"examples\"\n";
        let folder = folder(&[(FILE, project)]);
        let found = Project::find(folder.path(), None).unwrap();
        let fault = found.subject().unwrap_err();
        assert_eq!(fault.code, "component-not-built");
        assert!(fault.message.contains("out/it.wasm") && fault.hint.as_deref() == Some("build it: make"), "{fault:?}");
        fs::create_dir(folder.path().join("out")).unwrap();
        fs::write(folder.path().join("out/it.wasm"), "").unwrap();
        let subject = found.subject().unwrap();
        assert_eq!((subject.name.as_str(), subject.cases), ("site", folder.path().join("examples")));
        assert_eq!(subject.toml, folder.path().join("site.toml"));
    }

    #[test]
    fn a_rust_project_is_where_cargo_puts_it() {
        let folder = folder(&[
            ("a/Cargo.toml", "[package]\nname = \"my-policy\"\n"),
            ("target/wasm32-wasip2/guest/my_policy.wasm", ""),
            ("else/wasm32-wasip2/debug/my_policy.wasm", ""),
        ]);
        let of = |target: Option<&Path>| {
            let found = Project::find(&folder.path().join("a"), target).unwrap();
            found.subject().unwrap().file
        };
        assert!(of(None).ends_with("target/wasm32-wasip2/guest/my_policy.wasm"));
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(folder.path().join("else/wasm32-wasip2/debug/my_policy.wasm"), "newer").unwrap();
        assert!(of(Some(&folder.path().join("else"))).ends_with("else/wasm32-wasip2/debug/my_policy.wasm"));
    }

    #[test]
    fn mistakes_say_what_to_do() {
        for (files, code, words) in [
            (&[(FILE, "build = \"make\"\n")][..], CODE, "`output` is missing"),
            (&[(FILE, "bulid = \"make\"\n")][..], CODE, "bulid"),
            (&[("Cargo.toml", "[workspace]\n")][..], CODE, "[package]"),
            (&[("README.md", "")][..], "component-not-built", "no .wasm file"),
            (&[("a.wasm", ""), ("b.wasm", "")][..], "component-not-built", "2 .wasm files"),
        ] {
            let folder = folder(files);
            let fault = Project::find(folder.path(), None).unwrap_err();
            assert_eq!(fault.code, code, "{fault}");
            assert!(fault.message.contains(words), "{fault}");
        }
    }

    #[test]
    fn what_a_build_writes_is_not_watched() {
        let folder = folder(&[
            (FILE, "build = \"make\"\noutput = \"it.wasm\"\n"),
            ("src/a.py", ""),
            ("target/x", ""),
            ("cases/one/plan.json", "{}"),
        ]);
        let project = Project::find(folder.path(), None).unwrap();
        let before = project.print();
        assert_eq!(before.len(), 3, "{before:?}");
        fs::write(folder.path().join("target/y"), "").unwrap();
        fs::write(folder.path().join("it.wasm"), "").unwrap();
        assert_eq!(project.print(), before);
        fs::write(folder.path().join("src/a.py"), "print(1)").unwrap();
        assert_ne!(project.print(), before);
    }
}
