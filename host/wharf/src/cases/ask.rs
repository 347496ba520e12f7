//! Asking a component what a case asks.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wharf_components::{ComponentInfo, ComponentSet, Policy, PolicyAnswer, PolicyRole, Request, World};
use wharf_model::image::{CodeEnvironment, ImageSpec};
use wharf_model::{Activity, Change, ContentKey, ExecutionConfiguration, Fault, Job, Plan, UsageEntry};

use super::ordinary;

/// In a question: it is all there is, and nothing of an ordinary run is under it.
pub(super) const WHOLE: &str = "whole";

/// What a component answered.
pub(super) struct Answered {
    pub(super) answer: Value,
    /// A rule for all answers of its kind that this one breaks.
    pub(super) broken: Option<String>,
}

impl From<Value> for Answered {
    fn from(answer: Value) -> Self {
        Self { answer, broken: None }
    }
}

/// Asks the one component of a set.
pub(super) async fn ask(set: &ComponentSet, info: &ComponentInfo, case: &Path) -> Result<Answered, Fault> {
    match info.world {
        World::Permission => permission(set, &info.name, case).await.map(Answered::from),
        World::Policy => policy(set, &info.name, case).await,
        World::RecipeAdapter => adapter(set, case).await.map(Answered::from),
        World::ImageRecipe => image_recipe(set, &info.name, case).await.map(Answered::from),
        World::RegistryHook => Err(without_cases(case)),
    }
}

/// Registry hooks talk to their registry.
fn without_cases(case: &Path) -> Fault {
    Fault::new("case-invalid", "registry hooks have no cases: what they answer depends on the registry that they ask")
        .at(case, None)
        .hint("try one with `wharf env build` and a registry of your own")
}

async fn permission(set: &ComponentSet, name: &str, case: &Path) -> Result<Value, Fault> {
    let ordinary = json!({
        "run": "run-1",
        "activity": ordinary::activity(),
        "configuration": ordinary::configuration(),
    });
    let file = question(case, &["request.json"])?;
    let mut asked = read_over(&file, ordinary)?;
    let configuration: ExecutionConfiguration = take(&file, "configuration", asked["configuration"].take())?;
    let activity: Activity = take(&file, "activity", asked["activity"].take())?;
    let run: String = take(&file, "run", asked["run"].take())?;
    let usage = usage(case)?;
    let Some(permission) = set.permission(name) else { return Err(gone(name)) };
    let request = Request::of_activity(&run, &activity, &configuration);
    Ok(json!(permission.check(&request, &usage).await.judgement))
}

async fn policy(set: &ComponentSet, name: &str, case: &Path) -> Result<Answered, Fault> {
    let file = question(case, &["plan.json", "request.json"])?;
    let mut plan: Plan = take(&file, "", read_over(&file, ordinary_plan(&file)?)?)?;
    let usage = usage(case)?;
    let Some(policy) = set.policy(name) else { return Err(gone(name)) };
    let object = optional(&case.join("object.json"))?.unwrap_or_else(|| json!({})).to_string();
    let object = (policy.role() == PolicyRole::Validating).then_some(object.as_str());
    let answer = policy.evaluate(&plan, object, &usage).await.answer;
    let broken = match &answer {
        Ok(PolicyAnswer::Accept { changes, .. }) => unsettled(policy, &mut plan, changes, object, &usage).await,
        _ => None,
    };
    let answer = match answer {
        Ok(PolicyAnswer::Accept { changes, limits, warnings }) => {
            json!({ "accept": { "changes": changes, "limits": limits, "warnings": warnings } })
        }
        Ok(PolicyAnswer::Reject { reasons }) => json!({ "reject": reasons }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    Ok(Answered { answer, broken })
}

/// What is wrong with changes: one that changes nothing, or more of them when the policy sees its own result.
async fn unsettled(
    policy: &Policy,
    plan: &mut Plan,
    changes: &[Change],
    object: Option<&str>,
    usage: &[UsageEntry],
) -> Option<String> {
    for (number, change) in changes.iter().enumerate() {
        if plan.apply(&change.edit).is_empty() {
            let edit = serde_json::to_string(&change.edit).unwrap_or_default();
            return Some(format!("changes[{number}] of the rule {} changes nothing: {edit}", change.rule));
        }
    }
    if changes.is_empty() {
        return None;
    }
    match policy.evaluate(plan, object, usage).await.answer {
        Ok(PolicyAnswer::Accept { changes, .. }) if changes.is_empty() => None,
        Ok(PolicyAnswer::Accept { changes, .. }) => Some(format!(
            "asked again, about its own result, it makes changes again: {}",
            serde_json::to_string(&changes).unwrap_or_default()
        )),
        Ok(PolicyAnswer::Reject { reasons }) => Some(format!(
            "asked again, about its own result, it rejects it: {}",
            serde_json::to_string(&reasons).unwrap_or_default()
        )),
        Err(error) => Some(format!("asked again, about its own result, it {error}")),
    }
}

async fn adapter(set: &ComponentSet, case: &Path) -> Result<Value, Fault> {
    let file = question(case, &["activity.json", "plugin.json", "request.json"])?;
    if file.ends_with("plugin.json") {
        let folder: String = take(&file, "", read(&file)?)?;
        let Some(adapter) = set.adapter_for("plugin") else { return Ok(json!({ "no-adapter-for": "plugin" })) };
        return Ok(match adapter.read_plugin(&folder).await.answer {
            Ok(plugin) => json!({ "plugin": plugin }),
            Err(error) => json!({ "error": error.to_string() }),
        });
    }
    let activity: Activity = take(&file, "", read_over(&file, ordinary::activity())?)?;
    let Some(adapter) = set.adapter_for(activity.kind.as_str()) else {
        return Ok(json!({ "no-adapter-for": activity.kind }));
    };
    Ok(match adapter.prepare(&activity).await.answer {
        Ok(job) => json!({ "job": job }),
        Err(error) => json!({ "error": error.to_string() }),
    })
}

async fn image_recipe(set: &ComponentSet, name: &str, case: &Path) -> Result<Value, Fault> {
    let file = question(case, &["spec.json", "request.json"])?;
    let spec: ImageSpec = take(&file, "", read_over(&file, ordinary::image())?)?;
    let Some(maker) = set.image_recipe(name) else { return Err(gone(name)) };
    let environment = case.join("environment.json");
    let answer = match optional(&environment)? {
        Some(value) => {
            let environment: CodeEnvironment = take(&environment, "", value)?;
            maker.generate_environment(&spec, &environment).await.answer
        }
        None => maker.generate(&spec).await.answer,
    };
    Ok(match answer {
        Ok(recipe) => json!({ "recipe": recipe }),
        Err(error) => json!({ "error": error.to_string() }),
    })
}

/// The plan of an ordinary run.
fn ordinary_plan(file: &Path) -> Result<Value, Fault> {
    let mut spec = ordinary::image();
    merge(&mut spec, json!({ "origin": { "from": "debian:bookworm-slim" } }));
    let job = Job {
        argv: vec!["python3".to_owned(), "recipe.py".to_owned()],
        env: [("PYTHONPATH".to_owned(), "/opt/wharf/python".to_owned())].into(),
        ..Job::default()
    };
    let key = ContentKey::of([("cases", b"".as_slice())]);
    let configuration = take(file, "", ordinary::configuration())?;
    let image = take(file, "", spec)?;
    Ok(json!(Plan::new("run-1", &take(file, "", ordinary::activity())?, job, configuration, image, Some(key))))
}

fn usage(case: &Path) -> Result<Vec<UsageEntry>, Fault> {
    let file = case.join("usage.json");
    optional(&file)?.map_or_else(|| Ok(Vec::new()), |value| take(&file, "", value))
}

/// The file with what is asked: the first of these that is there.
fn question(case: &Path, names: &[&str]) -> Result<PathBuf, Fault> {
    let found = names.iter().map(|name| case.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| {
        let message = format!("nothing is asked: it has no {}", names.join(" and no "));
        Fault::new("case-invalid", message).at(case, None)
    })
}

/// A question over what is ordinary.
fn read_over(file: &Path, mut ordinary: Value) -> Result<Value, Fault> {
    let mut own = read(file)?;
    let whole = own.as_object_mut().and_then(|own| own.remove(WHOLE)).is_some_and(|whole| whole == json!(true));
    if whole {
        return Ok(own);
    }
    merge(&mut ordinary, own);
    Ok(ordinary)
}

fn read(file: &Path) -> Result<Value, Fault> {
    optional(file)?.ok_or_else(|| Fault::new("file-unreadable", "it isn't there").at(file, None))
}

fn optional(file: &Path) -> Result<Option<Value>, Fault> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::new("file-unreadable", format!("it can't be read: {error}")).at(file, None)),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        Fault::new("case-invalid", format!("it isn't JSON: {error}")).at(file, u32::try_from(error.line()).ok())
    })
}

fn take<T: DeserializeOwned>(file: &Path, below: &str, value: Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let place = match (below, path.as_str()) {
            ("", ".") => String::new(),
            ("", path) => format!("{path}: "),
            (below, ".") => format!("{below}: "),
            (below, path) => format!("{below}.{path}: "),
        };
        Fault::new("case-invalid", format!("{place}{}", error.into_inner())).at(file, None)
    })
}

/// A component that its set doesn't have, though it was loaded.
fn gone(name: &str) -> Fault {
    Fault::new("component-failed", format!("{name} can't be called"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_only_what_differs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.json");
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            read_over(&file, json!({ "a": { "b": 1, "c": 2 }, "d": [1] })).unwrap()
        };
        assert_eq!(read(r#"{"a": {"b": 3}, "d": []}"#), json!({ "a": { "b": 3, "c": 2 }, "d": [] }));
        assert_eq!(read(r#"{"a": {"b": 3}, "whole": true}"#), json!({ "a": { "b": 3 } }));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let mut plan = ordinary_plan(Path::new("plan.json")).unwrap();
        merge(&mut plan, json!({ "resources": { "memory": { "bites": 3 } } }));
        let fault = take::<Plan>(Path::new("plan.json"), "", plan).unwrap_err();
        assert_eq!(fault.code, "case-invalid");
        assert!(fault.message.starts_with("resources.memory"), "{fault}");
    }
}
