//! What an image is made of, as lines that can be compared.

use sha2::{Digest, Sha256};
use wharf_model::image::{ContentKey, ContextFile, Fragment, ImageRecipe, Origin, Step};

use crate::images::{ImageKeys, ImagePlan};
use crate::layer::Kind;

/// What one image is made of: what its content key is the hash of, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingredients {
    /// Which part of a run's image.
    pub kind: Kind,
    /// The base image, the code environment, or both.
    pub name: String,
    /// Its content key.
    pub key: ContentKey,
    /// The lines, in the order of the build.
    pub lines: Vec<String>,
}

/// What the bootstrap, the base image, the code environment, a plugin's folders and the run image of a plan are made of.
#[must_use]
pub fn ingredients(plan: &ImagePlan, keys: &ImageKeys) -> Vec<Ingredients> {
    let mut all = Vec::new();
    if let Origin::Bootstrap { suite, .. } = &plan.spec.origin {
        let lines = vec![keys.parent.to_string()];
        all.push(Ingredients { kind: Kind::Bootstrap, name: suite.clone(), key: keys.parent.key(), lines });
    }
    let mut lines = vec![format!("starts from {}", keys.parent), format!("recipe of {}", plan.spec.made_by)];
    fragment("pre_install", plan.spec.pre_install.as_ref(), &plan.spec.files, &mut lines);
    steps(&plan.recipe, &mut lines);
    plan.spec.extra_ca.iter().for_each(|ca| lines.push(file(ca)));
    fragment("post_install", plan.spec.post_install.as_ref(), &plan.spec.files, &mut lines);
    all.push(Ingredients { kind: Kind::Base, name: plan.spec.name.clone(), key: keys.base.clone(), lines });
    let mut under = format!("base image {} {}", plan.spec.name, keys.base.short());
    if let (Some(environment), Some(key)) = (&plan.environment, &keys.environment) {
        let mut lines = vec![under];
        if environment.spec.generation > 0 {
            lines.push(format!("generation {}", environment.spec.generation));
        }
        steps(&environment.recipe, &mut lines);
        let requirements = environment.spec.requirements.iter().flat_map(|text| text.lines());
        lines.extend(requirements.map(|line| format!("requirements: {line}")));
        let name = environment.spec.name.clone();
        under = format!("code environment {name} {}", key.short());
        all.push(Ingredients { kind: Kind::CodeEnv, name, key: key.clone(), lines });
    }
    if let (Some(folders), Some(key)) = (&plan.folders, &keys.folders) {
        let mut lines = vec![under];
        lines.extend(folders.folders.iter().map(|folder| format!("folder {} sha256:{}", folder.target, folder.digest)));
        let name = folders.name.clone();
        under = format!("plugin {name} {}", key.short());
        all.push(Ingredients { kind: Kind::Plugin, name, key: key.clone(), lines });
    }
    let lines = vec![under, format!("runner and libraries {}", keys.runner.short())];
    all.push(Ingredients { kind: Kind::Run, name: plan.run_name(), key: keys.run.clone(), lines });
    all
}

fn steps(recipe: &ImageRecipe, lines: &mut Vec<String>) {
    for step in &recipe.steps {
        match step {
            Step::Run { title, script } => {
                lines.push(format!("run: {title}"));
                lines.extend(script.lines().map(|line| format!("  {line}")));
            }
            Step::Copy { source, target, mode } => lines.push(format!("copy {source} to {target} ({mode:o})")),
            Step::Env { key, value } => lines.push(format!("variable {key}={value}")),
            Step::Label { key, value } => lines.push(format!("label {key}={value}")),
            Step::Workdir { path } => lines.push(format!("working folder {path}")),
            Step::Path { path } => lines.push(format!("first in PATH: {path}")),
        }
    }
    recipe.files.iter().for_each(|one| lines.push(file(one)));
}

fn fragment(when: &str, fragment: Option<&Fragment>, files: &[ContextFile], lines: &mut Vec<String>) {
    let Some(fragment) = fragment else { return };
    lines.extend(fragment.text.lines().map(|line| format!("{when}: {line}")));
    lines.extend(files.iter().map(file));
}

fn file(file: &ContextFile) -> String {
    let digest = hex::encode(Sha256::digest(&file.contents));
    format!("file {} sha256:{}", file.name, digest.get(..16).unwrap_or(&digest))
}
