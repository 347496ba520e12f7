//! Makes base images from Debian, or from an image that is based on it, with apt.

mod certificates;
mod names;
mod packages;
mod python;
mod r;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::image::{ImageMaker, ImageRecipe, Step};
use wharf_plugin_sdk::{ImageSpec, KeyValue, Language};

use crate::packages::Packages;

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The mirror of Debian's security updates, for images that get their packages from a mirror. Without it, the folder
    /// `debian-security` beside the mirror's `debian`.
    security_mirror: Option<String>,
}

struct ImageDebian;

impl ImageMaker for ImageDebian {
    type Settings = Settings;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        settings.security_mirror.as_deref().map_or(Ok(()), |url| names::url("security_mirror", url))
    }

    fn generate(settings: &Settings, spec: &ImageSpec) -> Result<ImageRecipe, String> {
        generate(settings, spec)
    }
}

wharf_plugin_sdk::image_recipe!(ImageDebian);

/// What an image starts from, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin<'a> {
    /// An image, whose suite is known when it is there.
    Image,
    /// A suite, whose packages the bootstrap puts in place before any step.
    Bootstrap(&'a str),
}

/// In the order in which steps change: what is the same for many images first, labels last.
fn generate(settings: &Settings, spec: &ImageSpec) -> Result<ImageRecipe, String> {
    let origin = match spec.origin.split_once(':') {
        Some(("from", image)) if !image.is_empty() => Origin::Image,
        Some(("bootstrap", suite)) if !suite.is_empty() => Origin::Bootstrap(suite),
        _ => return Err(format!("the origin \"{}\" is neither from:IMAGE nor bootstrap:SUITE", spec.origin)),
    };
    let mut languages: Vec<&Language> = spec.languages.iter().collect();
    languages.sort_by_key(|language| &language.name);
    if let Some(pair) = languages.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(format!("the language {} is there twice; put its packages into one list", pair[0].name));
    }

    let mut packages = Packages::new(&spec.system_packages)?;
    let mut language_steps = Vec::new();
    for language in languages {
        match language.name.as_str() {
            "python" => language_steps.extend(python::add(language, origin, &spec.mirrors, &mut packages)?),
            "r" => language_steps.extend(r::add(language, origin, &spec.mirrors, &mut packages)?),
            other => return Err(format!("image-debian has python and r; it can't put {other} into an image")),
        }
    }

    let mut steps = certificates::steps(&spec.extra_ca)?;
    let mut bootstrap_packages = Vec::new();
    match origin {
        Origin::Bootstrap(_) => bootstrap_packages = packages.all(),
        Origin::Image => {
            if let Some(mirror) = &spec.mirrors.apt {
                steps.push(packages::mirror_step(mirror, settings.security_mirror.as_deref())?);
            }
            steps.extend(packages.steps());
        }
    }
    steps.extend(language_steps);

    let mut labels: Vec<&KeyValue> = spec.labels.iter().collect();
    labels.sort_by_key(|label| &label.key);
    for label in labels {
        if label.key.starts_with("wharf.") {
            return Err(format!("the label \"{}\" can't be set: wharf.* are the host's own", label.key));
        }
        steps.push(Step::Label(label.clone()));
    }
    Ok(ImageRecipe { steps, files: Vec::new(), bootstrap_packages })
}

/// A script that fails with a sentence when the image has another version of a language than it should.
///
/// `ask` is a command that prints the version that is there.
fn version_check(language: &str, version: &str, ask: &str) -> String {
    format!(
        "have=$({ask})\n\
         case \"$have.\" in\n  \
           {version}.*) ;;\n  \
           *) echo \"the image has {language} $have, and {version} was asked for\" >&2; exit 1 ;;\n\
         esac\n"
    )
}

/// Fails when a suite is known to have another version of a language.
fn check_suite(language: &str, version: &str, origin: Origin<'_>, known: &[(&str, &str)]) -> Result<(), String> {
    let Origin::Bootstrap(suite) = origin else { return Ok(()) };
    let Some((_, has)) = known.iter().find(|(name, _)| *name == suite) else { return Ok(()) };
    if *has == version || has.starts_with(&format!("{version}.")) || version.starts_with(&format!("{has}.")) {
        return Ok(());
    }
    let others: Vec<String> = known
        .iter()
        .filter(|(_, has)| *has == version || has.starts_with(&format!("{version}.")))
        .map(|(suite, has)| format!("{suite} has {has}"))
        .collect();
    let instead = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
    Err(format!("Debian {suite} has {language} {has}, not {version}{instead}"))
}
