//! Turns training, retraining and scoring of in-memory models into commands.

mod roles;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use wharf_plugin_sdk::adapter::{Activity, Job, Offer, Problems, RecipeAdapter};
use wharf_plugin_sdk::{KeyValue, Language};

/// Where an image has the packages `dataiku` and `wharf_ml`.
const LIBRARY: &str = "/opt/wharf/python";
/// The only engine that is here.
const ENGINE: &str = "python";

/// The `[settings]` table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The interpreter: a name in the image's PATH, or an absolute path.
    interpreter: String,
    /// The most processes that one training may use at once, whatever its task says; its container's CPUs bound it, too.
    max_jobs: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { interpreter: "python3".to_owned(), max_jobs: None }
    }
}

struct MlSklearn;

impl RecipeAdapter for MlSklearn {
    type Settings = Settings;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        if settings.interpreter.trim().is_empty() {
            return Err("interpreter is empty; leave the key out for python3".to_owned());
        }
        if settings.max_jobs == Some(0) {
            return Err(
                "max_jobs is 0, and nothing is trained by no process; leave the key out for no bound".to_owned()
            );
        }
        Ok(())
    }

    fn offers() -> Vec<Offer> {
        vec![
            Offer::new("ml-train", "Training", "Searches and fits a model with scikit-learn, XGBoost or LightGBM."),
            Offer::new("ml-retrain", "Retraining", "Fits a saved model's algorithm and parameters to new data."),
            Offer::new("ml-score", "Scoring", "Adds a saved model's predictions to a dataset of any size."),
        ]
    }

    fn prepare(settings: &Settings, activity: &Activity) -> Result<Job, Problems> {
        let Some(work) = roles::Work::of(&activity.kind) else {
            return Err(format!("`{}` isn't machine learning", activity.kind).into());
        };
        let mut task: Map<String, Value> = serde_json::from_str(&activity.parameters)
            .map_err(|error| format!("the task isn't a JSON object: {error}"))?;
        let mut problems = roles::problems(work, activity);
        problems.extend(engine_problem(&task));
        if work == roles::Work::Train && task.is_empty() {
            problems.push(
                "there is no task: say with `task` or [parameters] what to predict, or with --task FILE".to_owned(),
            );
        }
        if !problems.is_empty() {
            return Err(problems.into());
        }
        if let Some(most) = settings.max_jobs {
            bound_jobs(&mut task, most);
        }
        let mut env = vec![KeyValue::new("PYTHONPATH", LIBRARY), KeyValue::new("DKU_CONTAINER_EXEC", "1")];
        if let Some(project) = &activity.project {
            env.push(KeyValue::new("DKU_CURRENT_PROJECT_KEY", project));
        }
        let argv = [settings.interpreter.as_str(), "-u", "-m", "wharf_ml", work.command()];
        Ok(Job {
            env,
            languages: vec![Language { name: "python".to_owned(), version: None, packages: Vec::new() }],
            // Scoring has either all rows or none; a search has the best of those that it tried.
            keeps_when_stopped: work == roles::Work::Train && keeps_best(&task),
            parameters: Some(Value::Object(task).to_string()),
            ..Job::of(argv.map(str::to_owned).to_vec())
        })
    }
}

wharf_plugin_sdk::recipe_adapter!(MlSklearn);

/// The optimised engine of DSS is no Python at all.
fn engine_problem(task: &Map<String, Value>) -> Option<String> {
    match task.get("engine") {
        None => None,
        Some(Value::String(engine)) if engine == ENGINE => None,
        Some(Value::String(engine)) => Some(format!(
            "`engine` is \"{engine}\", and only \"{ENGINE}\" runs in containers: DSS's optimised engine is Java and runs in DSS's \
             own processes; leave the key out, or score there"
        )),
        Some(other) => Some(format!("`engine` is {other}; the only one here is \"{ENGINE}\"")),
    }
}

/// Whether whoever stops the search wants the best model so far.
fn keeps_best(task: &Map<String, Value>) -> bool {
    task.get("on_stop").is_some_and(|value| value == "keep_best")
}

/// The number of processes, at most so many. What isn't a number is left: whoever reads the task refuses it.
fn bound_jobs(task: &mut Map<String, Value>, most: u32) {
    let within = |asked: &Value| asked.as_i64().is_none_or(|jobs| (1..=i64::from(most)).contains(&jobs));
    if !task.get("n_jobs").is_some_and(within) {
        task.insert("n_jobs".to_owned(), most.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bounded(task: Value, most: u32) -> Value {
        let Value::Object(mut task) = task else { panic!("an object") };
        bound_jobs(&mut task, most);
        task["n_jobs"].clone()
    }

    #[test]
    fn no_task_has_more_processes_than_the_site_allows() {
        assert_eq!(bounded(json!({}), 4), 4);
        assert_eq!(bounded(json!({ "n_jobs": 2 }), 4), 2);
        assert_eq!(bounded(json!({ "n_jobs": 16 }), 4), 4);
        assert_eq!(bounded(json!({ "n_jobs": -1 }), 4), 4);
        assert_eq!(bounded(json!({ "n_jobs": "many" }), 4), "many");
    }

    #[test]
    fn only_the_engine_that_is_here_is_taken() {
        let said = |task: Value| engine_problem(task.as_object().expect("an object"));
        assert_eq!(said(json!({})), None);
        assert_eq!(said(json!({ "engine": "python" })), None);
        assert!(said(json!({ "engine": "optimized" })).is_some_and(|text| text.contains("DSS's own processes")));
        assert!(said(json!({ "engine": 3 })).is_some_and(|text| text.contains("\"python\"")));
    }

    #[test]
    fn a_search_keeps_its_best_when_it_is_asked_to() {
        let keeps = |task: Value| keeps_best(task.as_object().expect("an object"));
        assert!(keeps(json!({ "on_stop": "keep_best" })));
        assert!(!keeps(json!({})) && !keeps(json!({ "on_stop": "discard" })));
    }
}
