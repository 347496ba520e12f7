//! Saved models in the recipes of plugins.

use std::fs;
use std::path::Path;

use wharf_model::Cause;
use wharf_tests::{GROUP, Home, USER};

use crate::{activity, home};

/// Installs the tests' plugin, without its code environment.
fn install(home: &Home) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/kitchen");
    for file in ["plugin.json", "custom-recipes/predict/recipe.json", "custom-recipes/predict/recipe.py"] {
        home.write(&format!("kitchen/{file}"), fs::read(from.join(file)).expect("a file of the plugin"));
    }
    let folder = home.path().join("kitchen").display().to_string();
    let _ = home.call(["plugin", "install", &folder]).exits(0);
}

#[test]
#[ignore = "needs docker (runs containers) and a package index"]
fn a_plugins_recipe_predicts_with_a_saved_model_as_a_scoring_does() {
    let home = home();
    install(&home);
    let _ = activity(&home, "wine-train", &[]).exits(0);
    let _ = activity(&home, "wine-score", &[]).exits(0);
    let predict = |model: &str| {
        let bind = |role: &str, path: &str| format!("{role}={}", home.path().join("data").join(path).display());
        let bound = [bind("model", model), bind("rows", "wine.csv"), bind("predicted", "predicted.csv")];
        let mut arguments = vec!["--json", "run", "--plugin", "kitchen", "--recipe", "predict", "--user", USER];
        arguments.extend([
            "--group",
            GROUP,
            "--code-env",
            "machine-learning",
            "--input",
            &bound[0],
            "--input",
            &bound[1],
        ]);
        arguments.extend(["--output", &bound[2]]);
        home.call(arguments)
    };
    let run = predict("models/wine-model/").exits(0);
    assert!(run.log().iter().any(|(_, line)| line == "version ['1']"), "{run}");
    let rows = |name: &str| fs::read_to_string(home.path().join("data").join(name)).expect("a table");
    assert_eq!(rows("predicted.csv"), rows("wine_scored.csv"));

    // A dataset isn't a saved model, which is said before anything runs; a folder without one is said by the recipe.
    let end = predict("wine.csv").outcome();
    assert_eq!(end.cause, Cause::NotPrepared, "{}", end.sentence);
    assert!(end.sentence.contains("a saved model (its folder)"), "{}", end.sentence);
    home.write("data/models/nothing/readme.txt", "no model");
    let run = predict("models/nothing/").exits(10);
    let log: Vec<String> = run.log().into_iter().map(|(_, line)| line).collect();
    assert!(log.iter().any(|line| line.contains("the folder nothing has no saved model")), "{run}");
}
