//! Plugins come as folders and zip files, and go.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;
use wharf::message::InstalledPlugin;
use wharf_tests::Home;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::kitchen;

fn list(home: &Home) -> Vec<InstalledPlugin> {
    home.call(["--json", "plugin", "list"]).exits(0).document()
}

/// A zip file of a folder, with everything below one folder in it, as archives of repositories are.
fn zip(folder: &Path, to: &Path) {
    fn add(writer: &mut ZipWriter<fs::File>, folder: &Path, below: &str) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{below}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                add(writer, &entry.path(), &name);
            } else {
                writer.start_file(&name, SimpleFileOptions::default()).unwrap();
                writer.write_all(&fs::read(entry.path()).unwrap()).unwrap();
            }
        }
    }
    let mut writer = ZipWriter::new(fs::File::create(to).unwrap());
    add(&mut writer, folder, "kitchen-main");
    writer.finish().unwrap();
}

#[test]
#[ignore = "needs docker (a demo home)"]
fn a_plugin_is_installed_shown_replaced_and_removed() {
    let home = Home::without_image();
    assert!(list(&home).is_empty());
    let folder = kitchen::folder().display().to_string();
    let installed: InstalledPlugin = home.call(["--json", "plugin", "install", &folder]).exits(0).document();
    let plugin = installed.plugin.unwrap();
    assert_eq!((plugin.id.as_str(), plugin.version.as_deref()), ("kitchen", Some("1.2.0")));
    let names: Vec<&str> = plugin.recipes.iter().map(|recipe| recipe.name.as_str()).collect();
    assert_eq!(names, ["describe", "environment", "failing", "old", "peek", "predict", "secretive", "words"]);
    let notes: Vec<String> = plugin.unknown.iter().map(|note| format!("{} {:?}", note.file, note.line)).collect();
    assert_eq!(notes, ["custom-recipes/describe/recipe.json Some(36)"]);
    assert!(plugin.faults.is_empty(), "{:?}", plugin.faults);

    let shown = home.call(["plugin", "show", "kitchen"]).exits(0).stdout;
    for expected in [
        "kitchen 1.2.0  Kitchen",
        "words  Words (r)",
        "input   tables: dataset, one or more",
        "input   files: folder, optional",
        "param   choice: SELECT (a, b), by default \"a\"",
        "param   password: PASSWORD, required, the name of a secret",
        "recipe.json:36: ",
    ] {
        assert!(shown.contains(expected), "no {expected:?} in\n{shown}");
    }

    let again = home.call(["--json", "plugin", "install", &folder]);
    assert!(again.stdout.contains("plugin-exists") && again.stdout.contains("--replace"), "{again}");
    let zipped = home.data("kitchen.zip");
    zip(&kitchen::folder(), &zipped);
    let zipped = zipped.display().to_string();
    let replaced: InstalledPlugin =
        home.call(["--json", "plugin", "install", "--replace", &zipped]).exits(0).document();
    assert_eq!(replaced.plugin.unwrap().recipes.len(), 8);
    let python = replaced.folder.join("python-lib/kitchen_lib/spices.py");
    assert_eq!(
        fs::read(python).unwrap(),
        fs::read(kitchen::folder().join("python-lib/kitchen_lib/spices.py")).unwrap()
    );

    let _ = home.call(["plugin", "remove", "kitchen"]).exits(0);
    assert!(list(&home).is_empty());
    let gone: Value = home.call(["--json", "plugin", "show", "kitchen"]).document();
    assert_eq!(gone["fault"]["code"], "plugin-not-found");
    let left: Vec<_> = fs::read_dir(home.path().join("dss-plugins")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
#[ignore = "needs docker (a demo home)"]
fn what_is_no_plugin_or_leads_out_is_refused_and_leaves_nothing() {
    let home = Home::without_image();
    let refused = |source: &Path, words: &str| {
        let answer: Value = home.call(["--json", "plugin", "install", &source.display().to_string()]).document();
        let message = answer["fault"]["message"].as_str().unwrap_or_else(|| panic!("it was installed: {answer}"));
        assert!(message.contains(words), "{message}");
        let left: Vec<_> = fs::read_dir(home.path().join("dss-plugins")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    };
    let hostile = |name: &str, fill: &dyn Fn(&mut ZipWriter<fs::File>)| {
        let path = home.data(name);
        let mut writer = ZipWriter::new(fs::File::create(&path).unwrap());
        writer.start_file("plugin.json", SimpleFileOptions::default()).unwrap();
        writer.write_all(b"{\"id\": \"evil\", \"version\": \"1\"}").unwrap();
        fill(&mut writer);
        writer.finish().unwrap();
        path
    };
    let climbing = hostile("climbing.zip", &|writer| {
        writer.start_file("../../policies/evil.wasm", SimpleFileOptions::default()).unwrap();
        writer.write_all(b"x").unwrap();
    });
    refused(&climbing, "leads out of the plugin's folder");
    assert!(!home.path().join("policies/evil.wasm").exists());
    let linked = hostile("linked.zip", &|writer| {
        writer.add_symlink("resource", "/etc", SimpleFileOptions::default()).unwrap();
    });
    refused(&linked, "resource in it is a link");
    let named = home.data("named");
    fs::create_dir(&named).unwrap();
    fs::write(named.join("plugin.json"), "{\"id\": \"../configs\", \"version\": \"1\"}").unwrap();
    refused(&named, "can't be");
    fs::write(named.join("plugin.json"), "{\"id\": \"named\",\n \"version\": }").unwrap();
    refused(&named, "plugin.json:2");
    fs::write(named.join("plugin.json"), "{\"id\": \"named\"}").unwrap();
    symlink("/etc/passwd", named.join("resource")).unwrap();
    refused(&named, "resource is a link");
    let other = home.data("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("README"), "hello").unwrap();
    refused(&other, "no plugin that a recipe adapter knows");
    refused(&home.data("nowhere"), "can't be read");
}
