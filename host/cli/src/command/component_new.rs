//! `wharf component new`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use wharf_model::Fault;
use wharf_templates::{Language, Name, project};

use super::Ending;
use crate::arguments::ComponentNewArguments;
use crate::console::{Console, Tone};
use crate::exit_code;

/// What was made, for programs.
#[derive(Serialize)]
struct Made<'a> {
    project: &'a Path,
    files: Vec<&'a str>,
    build: Vec<String>,
    output: String,
}

pub(super) fn execute(arguments: &ComponentNewArguments, console: &mut Console) -> Ending {
    let (kind, language) = (arguments.kind.into(), Language::from(arguments.lang));
    let name = Name::parse(&arguments.name).map_err(|error| Fault::new("usage", error.to_string()))?;
    let folder = arguments.dir.clone().unwrap_or_else(|| PathBuf::from(name.as_str()));
    let files = project(kind, language, &name);
    write(&folder, &files)?;
    if console.is_json() {
        console.json_line(&Made {
            project: &folder,
            files: files.keys().map(String::as_str).collect(),
            build: language.build(&name),
            output: language.output(&name),
        })?;
        return Ok(exit_code::SUCCEEDED);
    }
    let made = console.out().paint(Tone::Good, "made");
    console.line(&format!("{made} a {kind} in {}", folder.display(), kind = kind.as_str()))?;
    // The SDK and the contracts are there to be read, not to be counted.
    for file in files.keys().filter(|file| !file.starts_with("sdk/") && !file.starts_with("wit/deps/")) {
        console.line(&format!("  {file}"))?;
    }
    console.line("next:")?;
    console.line(&format!("  cd {}", folder.display()))?;
    for line in language.build(&name) {
        console.line(&format!("  {line}"))?;
    }
    console.line("  wharf component test .")?;
    Ok(exit_code::SUCCEEDED)
}

/// Writes a project into a folder that is empty or isn't there: all of it or nothing, by renaming it into place.
fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), Fault> {
    let fault = |what: &str, error: &io::Error| {
        Fault::new("component-project-unwritable", format!("{what}: {error}")).at(folder, None)
    };
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                let message = "there is something in that folder, and a new project would be mixed with it";
                return Err(Fault::new("component-project-exists", message)
                    .at(folder, None)
                    .hint("name another folder with --dir, or empty this one"));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fault("the folder can't be looked into", &error)),
    }
    let absolute = std::path::absolute(folder).map_err(|error| fault("the folder has no place", &error))?;
    let parent = absolute.parent().unwrap_or(&absolute);
    fs::create_dir_all(parent).map_err(|error| fault("the folder above it can't be made", &error))?;
    let hidden = parent.join(format!(".wharf-component-{}", std::process::id()));
    let written = write_all(&hidden, files).and_then(|()| fs::rename(&hidden, &absolute));
    written.map_err(|error| {
        // What is left of it has no use; that it can't be removed either is no second error.
        let _ = fs::remove_dir_all(&hidden);
        fault("the project can't be written", &error)
    })
}

fn write_all(folder: &Path, files: &BTreeMap<String, String>) -> io::Result<()> {
    DirBuilder::new().create(folder)?;
    for (path, text) in files {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BTreeMap<String, String> {
        [("README.md", "# x"), ("src/lib.rs", "//")].map(|(path, text)| (path.to_owned(), text.to_owned())).into()
    }

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_project_is_written_into_an_empty_folder_or_a_new_one() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("empty")).unwrap();
        for folder in ["empty", "new", "far/away"] {
            let folder = place.path().join(folder);
            write(&folder, &files()).unwrap();
            assert_eq!(entries(&folder), ["README.md", "src"]);
        }
        assert_eq!(entries(place.path()), ["empty", "far", "new"]);
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("mine"), "mine").unwrap();
        assert_eq!(write(place.path(), &files()).unwrap_err().code, "component-project-exists");
        assert_eq!(entries(place.path()), ["mine"]);
        let file = place.path().join("mine");
        assert_eq!(write(&file, &files()).unwrap_err().code, "component-project-unwritable");
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    }
}
