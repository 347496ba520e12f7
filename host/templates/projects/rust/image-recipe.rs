//! {{description}}.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::ImageSpec;
use wharf_plugin_sdk::image::{ImageMaker, ImageRecipe, Step};

/// The `[settings]` table. Its comments are descriptions in the schema that administrators see.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Packages of Alpine Linux that every image gets.
    #[serde(default)]
    packages: Vec<String>,
}

struct Component;

impl ImageMaker for Component {
    type Settings = Settings;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        settings.packages.iter().try_for_each(|package| check(package))
    }

    /// Pure: equal specs give equal steps, so everything is sorted.
    fn generate(settings: &Settings, spec: &ImageSpec) -> Result<ImageRecipe, String> {
        if !spec.origin.starts_with("from:") {
            return Err("an Alpine image starts from another one; write from = \"alpine:3.22\" instead of a bootstrap"
                .to_owned());
        }
        let mut packages = BTreeSet::from(["ca-certificates"]);
        packages.extend(settings.packages.iter().map(String::as_str));
        for package in &spec.system_packages {
            check(package)?;
            packages.insert(package);
        }
        for language in &spec.languages {
            match language.name.as_str() {
                "python" => packages.extend(["python3", "py3-pip", "py3-pandas"]),
                "r" => packages.extend(["R"]),
                other => return Err(format!("Alpine images have python and r, not {other}")),
            }
            if language.version.is_some() || !language.packages.is_empty() {
                return Err(format!("{}: Alpine has one version, and no packages of its own index", language.name));
            }
        }
        let packages: Vec<&str> = packages.into_iter().collect();
        let script = format!("apk add --no-cache {}\n", packages.join(" "));
        let mut steps = vec![Step::run("install packages", script)];
        steps.extend(wharf_plugin_sdk::base::labels(spec)?);
        Ok(ImageRecipe { steps, files: Vec::new(), bootstrap_packages: Vec::new() })
    }
}

wharf_plugin_sdk::image_recipe!(Component);

/// A name that may stand in a script.
fn check(package: &str) -> Result<(), String> {
    let first = package.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = package.bytes().all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b));
    (first && rest).then_some(()).ok_or_else(|| format!("\"{package}\" is no name of an Alpine package, such as git"))
}
