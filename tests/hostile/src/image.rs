//! The image recipe.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "image-recipe", generate_all });
    use super::Hostile;
    export!(Hostile);
}

use std::collections::HashSet;

use bindings::exports::wharf::plugin::image_recipe_generation::{
    CodeEnvironment, CopyStep, Guest, ImageRecipe, ImageSpec, RunStep, Step,
};
use bindings::wharf::plugin::types::KeyValue;
use bindings::wharf::plugin::{log, settings};

use crate::misdeed;

struct Hostile;

crate::metadata!(bindings, Hostile);

impl Guest for Hostile {
    fn generate(spec: ImageSpec) -> Result<ImageRecipe, String> {
        answer("do", &spec.base_image)
    }

    fn generate_environment(_: ImageSpec, environment: CodeEnvironment) -> Result<ImageRecipe, String> {
        answer("environment", &environment.name)
    }
}

/// Does what this key of the settings says.
fn answer(key: &str, name: &str) -> Result<ImageRecipe, String> {
    let wanted = crate::setting(&settings::get(), key);
    misdeed::misbehave(&wanted);
    if let Some(message) = misdeed::sentence(&wanted) {
        return Err(message);
    }
    if let Some(words) = misdeed::words(&wanted) {
        let run = |script| Step::Run(RunStep { title: "x".to_owned(), script });
        let steps = words.into_iter().map(run).collect();
        return Ok(ImageRecipe { steps, files: Vec::new(), bootstrap_packages: Vec::new() });
    }
    if wanted == "bootstrap" {
        let packages = vec!["r-base".to_owned()];
        return Ok(ImageRecipe { steps: Vec::new(), files: Vec::new(), bootstrap_packages: packages });
    }
    let pair = |key: &str| KeyValue { key: key.to_owned(), value: "x".to_owned() };
    let step = match wanted.as_str() {
        "flood" => {
            for line in 0..100_000 {
                log::log(log::Level::Info, &format!("line {line}"));
            }
            Step::Env(pair("A"))
        }
        "equals-sign" => Step::Env(pair("A=B")),
        "own-label" => Step::Label(pair("wharf.run")),
        "dots" => Step::Workdir("/work/../etc".to_owned()),
        "zero-byte" => Step::Run(RunStep { title: "x".to_owned(), script: "a\0b".to_owned() }),
        "refuse" => return Err(format!("{name} can't be made")),
        "copy-nothing" => Step::Copy(CopyStep { source: "x".to_owned(), target: "/x".to_owned(), mode: 0o644 }),
        // An order that is random on a real machine.
        _ => {
            Step::Run(RunStep { title: "do it".to_owned(), script: format!("{:?}", (0..50).collect::<HashSet<u32>>()) })
        }
    };
    Ok(ImageRecipe { steps: vec![step], files: Vec::new(), bootstrap_packages: Vec::new() })
}
