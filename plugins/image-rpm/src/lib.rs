//! Makes base images from one that is based on AlmaLinux, Rocky Linux, UBI or Fedora, with dnf.

mod cuda;
mod names;
mod packages;
mod python;
mod r;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::base::{self, TrustStore};
use wharf_plugin_sdk::image::{ImageMaker, ImageRecipe};
use wharf_plugin_sdk::{CodeEnvironment, ImageSpec, environment};

/// The `[settings]` table.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The mirror of EPEL, which R comes from except on Fedora: what stands in the place of
    /// `https://dl.fedoraproject.org/pub/epel`. Needed for R where the distribution comes from a mirror.
    epel_mirror: Option<String>,
    /// The mirror of NVIDIA's repositories for CUDA: what stands in the place of
    /// `https://developer.download.nvidia.com/compute/cuda/repos`. Without it, NVIDIA's own.
    cuda_mirror: Option<String>,
}

struct ImageRpm;

impl ImageMaker for ImageRpm {
    type Settings = Settings;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        packages::epel_step(settings.epel_mirror.as_deref(), false)?;
        wharf_plugin_sdk::cuda::repositories("cuda_mirror", settings.cuda_mirror.as_deref()).map(drop)
    }

    fn generate(settings: &Settings, spec: &ImageSpec) -> Result<ImageRecipe, String> {
        generate(settings, spec)
    }

    fn generate_environment(
        _settings: &Settings,
        base: &ImageSpec,
        environment: &CodeEnvironment,
    ) -> Result<ImageRecipe, String> {
        generate_environment(base, environment)
    }
}

wharf_plugin_sdk::image_recipe!(ImageRpm);

const TRUST: TrustStore<'_> = TrustStore {
    folder: "/etc/pki/ca-trust/source/anchors",
    bundle: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    refresh: "update-ca-trust\n",
};

/// In the order in which steps change: what is the same for many images first, labels last. CUDA is the largest.
fn generate(settings: &Settings, spec: &ImageSpec) -> Result<ImageRecipe, String> {
    match spec.origin.split_once(':') {
        Some(("from", image)) if !image.is_empty() => {}
        Some(("bootstrap", suite)) => {
            return Err(format!(
                "a bootstrap is made of Debian's packages, here of {suite}, and image-rpm has none: name an image with from, or \
                 have image-debian make it"
            ));
        }
        _ => return Err(format!("the origin \"{}\" isn't from:IMAGE", spec.origin)),
    }
    let languages = base::languages(spec)?;
    let mut packages = packages::named(&spec.system_packages)?;
    let mut has_r = false;
    let mut language_steps = Vec::new();
    for language in languages {
        match language.name.as_str() {
            "python" => language_steps.extend(python::add(language, &spec.mirrors, &mut packages)?),
            "r" => {
                has_r = true;
                language_steps.extend(r::add(language, &spec.mirrors, &mut packages)?);
            }
            other => return Err(format!("image-rpm has python and r; it can't put {other} into an image")),
        }
    }

    let mut steps = TRUST.steps(&spec.extra_ca)?;
    // The key of a spec is named for apt; it is the distribution's mirror, whatever installs from it.
    let mirror = spec.mirrors.apt.as_deref();
    if let Some(mirror) = mirror {
        steps.push(packages::mirror_step(mirror)?);
    }
    steps.extend(cuda::steps(spec.cuda.as_deref(), settings.cuda_mirror.as_deref())?);
    if has_r {
        steps.push(packages::epel_step(settings.epel_mirror.as_deref(), mirror.is_some())?);
    }
    steps.extend(packages.steps(packages::install));
    steps.extend(language_steps);
    steps.extend(base::labels(spec)?);
    Ok(ImageRecipe { steps, files: Vec::new(), bootstrap_packages: Vec::new() })
}

fn generate_environment(base: &ImageSpec, environment: &CodeEnvironment) -> Result<ImageRecipe, String> {
    let steps = match environment::language(base, environment)?.name.as_str() {
        "python" => environment::python(base, environment)?,
        "r" => r::environment(base, environment)?,
        other => return Err(format!("image-rpm makes code environments of python and r, not of {other}")),
    };
    Ok(ImageRecipe { steps, files: Vec::new(), bootstrap_packages: Vec::new() })
}

#[cfg(test)]
mod tests;
