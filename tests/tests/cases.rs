//! Every case of every shipped component, as `wharf component test` runs them.
//!
//! `WHARF_UPDATE_CASES=1` writes the answers anew: read the difference before you keep it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
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
