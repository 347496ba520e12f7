//! The image recipe.

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "image-recipe", generate_all });
    use super::Hostile;
    export!(Hostile);
}

use std::collections::HashSet;

use bindings::exports::wharf::plugin::image_recipe_generation::{
    CopyStep, Guest, ImageRecipe, ImageSpec, RunStep, Step,
};
use bindings::wharf::plugin::settings;

struct Hostile;

crate::metadata!(bindings, Hostile);

impl Guest for Hostile {
    fn generate(spec: ImageSpec) -> Result<ImageRecipe, String> {
        let step = match crate::setting(&settings::get(), "do").as_str() {
            "refuse" => return Err(format!("{} can't be made", spec.base_image)),
            "copy-nothing" => Step::Copy(CopyStep { source: "x".to_owned(), target: "/x".to_owned(), mode: 0o644 }),
            // An order that is random on a real machine.
            _ => Step::Run(RunStep {
                title: "do it".to_owned(),
                script: format!("{:?}", (0..50).collect::<HashSet<u32>>()),
            }),
        };
        Ok(ImageRecipe { steps: vec![step], files: Vec::new(), bootstrap_packages: Vec::new() })
    }
}
