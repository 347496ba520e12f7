//! Every case of every shipped component, through the real component host.
//!
//! A case is a folder `cases/NAME` beside the component's `Cargo.toml`, with:
//! - what is asked: `request.json` (permission), `plan.json` and perhaps `usage.json` (policy), `activity.json` (recipe
//!   adapter), `plugin.json` (the folder of a plugin, for an adapter that reads them; those of `tests/plugins` are granted) or `spec.json` and perhaps `environment.json` (image recipe), each as the types of `wharf-model` are written. They only say what differs
//!   from an ordinary run, which is [`activity`], [`configuration`] and [`image`];
//! - perhaps `settings.toml`, the component's TOML file;
//! - `expected.json`, the answer. With `WHARF_UPDATE_CASES=1` it is written anew: read the difference before you keep it.
//!
//! `WHARF_CASES=time-windows,cel-rules` tries those of some components alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wharf_bundle::ShippedComponent;
use wharf_components::{ComponentSet, Engine, EngineOptions, PolicyAnswer, PolicyRole, Request, World};
use wharf_model::image::ImageSpec;
use wharf_model::{Activity, ContentKey, ExecutionConfiguration, Job, Plan, UsageEntry};

/// An ordinary activity.
fn activity() -> Value {
    json!({
        "kind": "python",
        "requester": { "user": "ana", "groups": ["analysts"] },
        "project": "FLIGHTS",
        "code": "print(1)\n",
    })
}

/// An ordinary execution configuration.
fn configuration() -> Value {
    json!({
        "name": "docker-local",
        "base_image": "python-r",
        "registry": null,
        "resources": {},
        "allowed_groups": ["analysts"],
        "checks": ["allowed-groups"],
        "workload_types": [],
        "security": {},
        "exchange": { "mode": "dial-back", "advertise": null },
        "env": {},
        "labels": {},
        "time_limit": null,
        "engine": { "type": "docker", "host": "unix:///var/run/docker.sock", "runtime": null },
    })
}

/// An ordinary base image, but for what it starts from.
fn image() -> Value {
    json!({
        "name": "python-r",
        "languages": [],
        "system_packages": [],
        "mirrors": {},
        "extra_ca": [],
        "labels": {},
        "made_by": "image-debian",
    })
}

#[tokio::test]
async fn every_case_of_every_component() {
    // Each case loads its component, with its own settings.
    let cache = tempfile::tempdir().unwrap();
    let options = EngineOptions { cache_dir: Some(cache.path().join("cache")), ..EngineOptions::default() };
    let engine = Engine::new(options).unwrap();
    let update = env::var_os("WHARF_UPDATE_CASES").is_some();
    let mut problems = String::new();
    let only = env::var("WHARF_CASES").unwrap_or_default();
    for component in
        wharf_bundle::components().iter().filter(|c| only.is_empty() || only.split(',').any(|o| o == c.name))
    {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(component.folder).join(component.name);
        let cases = sub_folders(&folder.join("cases"));
        if cases.is_empty() {
            writeln!(problems, "{} has no cases", component.name).unwrap();
        }
        for case in cases {
            let answer = format!("{:#}\n", answer(&engine, component, &case).await);
            let file = case.join("expected.json");
            if update {
                fs::write(&file, &answer).unwrap();
            }
            let expected = fs::read_to_string(&file).unwrap_or_default();
            if answer != expected {
                writeln!(problems, "{}: answered\n{answer}and not\n{expected}", case.display()).unwrap();
            }
        }
    }
    assert!(problems.is_empty(), "{problems}");
}

/// The TOML files that ship beside components are taken as they are.
#[test]
fn every_shipped_toml_loads() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    for component in wharf_bundle::components() {
        let home = tempfile::tempdir().unwrap();
        let set = load(&engine, component, home.path(), component.toml);
        assert!(set.failures().is_empty(), "{}: {:?}", component.name, set.failures());
        assert_eq!(set.components().len(), 1, "{}", component.name);
    }
}

fn load(engine: &Engine, component: &ShippedComponent, home: &Path, toml: Option<&str>) -> ComponentSet {
    let folder = home.join(component.folder);
    fs::create_dir_all(&folder).unwrap();
    if component.folder == "plugins" {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins"), &home.join("dss-plugins"));
    }
    fs::write(folder.join(component.name).with_extension("wasm"), component.wasm).unwrap();
    if let Some(toml) = toml {
        fs::write(folder.join(component.name).with_extension("toml"), toml).unwrap();
    }
    ComponentSet::load(engine, &[folder])
}

/// What a component answers to a case, as JSON.
async fn answer(engine: &Engine, component: &ShippedComponent, case: &Path) -> Value {
    let home = tempfile::tempdir().unwrap();
    let toml = fs::read_to_string(case.join("settings.toml")).ok();
    let set = load(engine, component, home.path(), toml.as_deref().or(component.toml));
    if let Some(failure) = set.failures().first() {
        return json!({ "not-loaded": { "code": failure.fault.code, "message": failure.fault.message } });
    }
    let usage: Vec<UsageEntry> = match fs::read_to_string(case.join("usage.json")) {
        Ok(text) => serde_json::from_str(&text).unwrap(),
        Err(_) => Vec::new(),
    };
    match set.components().first().map(|info| info.world) {
        Some(World::Permission) => permission(&set, component.name, case, &usage).await,
        Some(World::Policy) => policy(&set, component.name, case, &usage).await,
        Some(World::RecipeAdapter) => adapter(&set, case).await,
        Some(World::ImageRecipe) => image_recipe(&set, component.name, case).await,
        None => panic!("{} isn't loaded", component.name),
    }
}

async fn permission(set: &ComponentSet, name: &str, case: &Path, usage: &[UsageEntry]) -> Value {
    let base = json!({ "activity": activity(), "configuration": configuration() });
    let mut asked = read(case, "request.json", base);
    let configuration: ExecutionConfiguration = take(case, asked["configuration"].take());
    let activity: Activity = take(case, asked["activity"].take());
    let request = Request::of_activity("run-1", &activity, &configuration);
    json!(set.permission(name).unwrap().check(&request, usage).await.judgement)
}

async fn policy(set: &ComponentSet, name: &str, case: &Path, usage: &[UsageEntry]) -> Value {
    let mut spec = image();
    merge(&mut spec, json!({ "origin": { "from": "debian:bookworm-slim" } }));
    let job = Job {
        argv: vec!["python3".to_owned(), "recipe.py".to_owned()],
        env: [("PYTHONPATH".to_owned(), "/opt/wharf/python".to_owned())].into(),
        ..Job::default()
    };
    let key = ContentKey::of([("cases", b"".as_slice())]);
    let base =
        Plan::new("run-1", &take(case, activity()), job, take(case, configuration()), take(case, spec), Some(key));
    let mut plan: Plan = take(case, read(case, "plan.json", json!(base)));
    let policy = set.policy(name).unwrap();
    let object = (policy.role() == PolicyRole::Validating).then_some("{}");
    let answer = policy.evaluate(&plan, object, usage).await.answer;
    if let Ok(PolicyAnswer::Accept { changes, .. }) = &answer {
        for change in changes {
            assert!(!plan.apply(&change.edit).is_empty(), "{}: {change:?} changes nothing", case.display());
        }
        let again = policy.evaluate(&plan, object, usage).await.answer;
        let Ok(PolicyAnswer::Accept { changes, .. }) = again else { panic!("{}: {again:?}", case.display()) };
        assert!(changes.is_empty(), "{}: on its own result it makes changes again: {changes:?}", case.display());
    }
    match answer {
        Ok(PolicyAnswer::Accept { changes, limits, warnings }) => {
            json!({ "accept": { "changes": changes, "limits": limits, "warnings": warnings } })
        }
        Ok(PolicyAnswer::Reject { reasons }) => json!({ "reject": reasons }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

async fn adapter(set: &ComponentSet, case: &Path) -> Value {
    if case.join("plugin.json").is_file() {
        let folder: String = take(case, read(case, "plugin.json", Value::Null));
        return match set.adapter_for("plugin").unwrap().read_plugin(&folder).await.answer {
            Ok(plugin) => json!({ "plugin": plugin }),
            Err(error) => json!({ "error": error.to_string() }),
        };
    }
    let activity: Activity = take(case, read(case, "activity.json", activity()));
    let Some(adapter) = set.adapter_for(activity.kind.as_str()) else {
        return json!({ "no-adapter-for": activity.kind });
    };
    match adapter.prepare(&activity).await.answer {
        Ok(job) => json!({ "job": job }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

async fn image_recipe(set: &ComponentSet, name: &str, case: &Path) -> Value {
    let spec: ImageSpec = take(case, read(case, "spec.json", image()));
    let maker = set.image_recipe(name).unwrap();
    let answer = match fs::read_to_string(case.join("environment.json")) {
        Ok(text) => maker.generate_environment(&spec, &serde_json::from_str(&text).unwrap()).await.answer,
        Err(_) => maker.generate(&spec).await.answer,
    };
    match answer {
        Ok(recipe) => json!({ "recipe": recipe }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn read(case: &Path, name: &str, mut base: Value) -> Value {
    let file = case.join(name);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let own = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    merge(&mut base, own);
    base
}

fn take<T: DeserializeOwned>(case: &Path, value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{}: {error}", case.display()))
}

/// Puts the values of one object over those of another, level by level.
fn merge(base: &mut Value, own: Value) {
    match (base, own) {
        (Value::Object(base), Value::Object(own)) => {
            for (key, value) in own {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, own) => *base = own,
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn sub_folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
