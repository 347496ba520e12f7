//! Rejects runs whose images start from, or go through, what a site doesn't allow.

mod image;

use schemars::JsonSchema;
use serde::Deserialize;
use wharf_plugin_sdk::pattern::any_matches;
use wharf_plugin_sdk::policy::{Decision, Policy, PolicyRole};
use wharf_plugin_sdk::{Plan, Reason, Usage};

/// The `[settings]` table. A list that isn't there allows everything, an empty one nothing. `*` stands for any text.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Names of base images: `python-r`, `cuda-*`.
    base_images: Option<Vec<String>>,
    /// What base images may start from: `registry.example.com/base/*`, `debian:bookworm*`. Of an image without a registry,
    /// Docker Hub's is meant, as everywhere. A star before the first `/` never reaches over it.
    images: Option<Vec<String>>,
    /// Distributions that base images may be made of from packages: `bookworm`.
    suites: Option<Vec<String>>,
    /// Registries that images of runs may go through: `registry.example.com/*`.
    registries: Option<Vec<String>>,
    /// Where packages may come from instead of the public places: the hosts of mirrors. Runs without a mirror pass.
    mirrors: Option<Vec<String>>,
    /// Whether an image that a base image starts from must be named by its digest: `debian@sha256:...`.
    by_digest: bool,
}

struct AllowedImages;

impl Policy for AllowedImages {
    type Settings = Settings;
    const ROLE: PolicyRole = PolicyRole::Validating;

    fn check_settings(settings: &Settings) -> Result<(), String> {
        let lists = [
            ("base_images", &settings.base_images),
            ("images", &settings.images),
            ("suites", &settings.suites),
            ("registries", &settings.registries),
            ("mirrors", &settings.mirrors),
        ];
        for (key, list) in lists {
            if list.iter().flatten().any(|pattern| pattern.trim().is_empty() || pattern.contains("://")) {
                return Err(format!(
                    "{key}: an entry is empty or begins with a scheme such as https://; write names, such as registry.example.com/*"
                ));
            }
        }
        Ok(())
    }

    fn evaluate(settings: &Settings, plan: &Plan, _usage: &Usage) -> Decision {
        let reasons = [base_image(settings, plan), origin(settings, plan), registry(settings, plan)];
        Decision::unless(reasons.into_iter().flatten().chain(mirrors(settings, plan)).collect())
    }
}

wharf_plugin_sdk::policy!(AllowedImages);

fn base_image(settings: &Settings, plan: &Plan) -> Option<Reason> {
    let allowed = settings.base_images.as_ref()?;
    let name = &plan.image.base_image;
    let message = || format!("the base image {name} isn't allowed here; there are {}", list(allowed));
    (!any_matches(allowed, name)).then(|| Reason::new("base-image-not-allowed", message()).about("image.base-image"))
}

/// What the base image starts from.
fn origin(settings: &Settings, plan: &Plan) -> Option<Reason> {
    let (name, origin) = (&plan.image.base_image, &plan.image.origin);
    let reason = |rule: &str, message: String| Some(Reason::new(rule, message).about("image.origin"));
    match origin.split_once(':') {
        Some(("from", image)) => {
            if let Some(allowed) = &settings.images
                && !allowed.iter().any(|pattern| image::is_one_of(image, pattern))
            {
                let message = format!(
                    "the base image {name} starts from {image}, which isn't allowed; it may start from {}",
                    list(allowed)
                );
                return reason("image-not-allowed", message);
            }
            if settings.by_digest && !image::has_digest(image) {
                let message = format!(
                    "the base image {name} starts from {image}, which isn't named by a digest; write {}@sha256:… in its file",
                    image::without_tag(image)
                );
                return reason("image-without-digest", message);
            }
            None
        }
        Some(("bootstrap", suite)) => {
            let allowed = settings.suites.as_ref()?;
            if any_matches(allowed, suite) {
                return None;
            }
            let message = format!(
                "the base image {name} is made from packages of {suite}, which isn't allowed; there are {}",
                list(allowed)
            );
            reason("suite-not-allowed", message)
        }
        // A way that this component doesn't know can't be one that the site has allowed.
        _ if settings.images.is_some() || settings.suites.is_some() || settings.by_digest => {
            let message = format!("the base image {name} is made in a way that this policy doesn't know: {origin}");
            reason("image-not-allowed", message)
        }
        _ => None,
    }
}

fn registry(settings: &Settings, plan: &Plan) -> Option<Reason> {
    let (allowed, registry) = (settings.registries.as_ref()?, plan.execution_configuration.registry.as_ref()?);
    let name = &plan.execution_configuration.name;
    let message = || {
        format!("images of {name} go through {registry}, which isn't allowed; they may go through {}", list(allowed))
    };
    let fits = allowed.iter().any(|pattern| image::is_below(registry, pattern));
    (!fits).then(|| Reason::new("registry-not-allowed", message()).about("execution-configuration.registry"))
}

fn mirrors(settings: &Settings, plan: &Plan) -> Vec<Reason> {
    let Some(allowed) = &settings.mirrors else { return Vec::new() };
    let mirrors = &plan.image.mirrors;
    let each = [("apt", &mirrors.apt), ("pip", &mirrors.pip), ("cran", &mirrors.cran)];
    let judged = each.into_iter().filter_map(|(kind, mirror)| {
        let host = image::host_of_url(mirror.as_ref()?);
        let message = format!(
            "packages come from the {kind} mirror {host}, which isn't allowed; they may come from {}",
            list(allowed)
        );
        (!any_matches(allowed, host))
            .then(|| Reason::new("mirror-not-allowed", message).about(format!("image.mirrors.{kind}")))
    });
    judged.collect()
}

/// `a`, `a and b`, `a, b and c`; `none` for an empty list.
fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for json in [r#"{"registries":["https://registry.example.com"]}"#, r#"{"images":[" "]}"#] {
            let settings: Settings = wharf_plugin_sdk::settings::parse(json).unwrap();
            assert!(AllowedImages::check_settings(&settings).unwrap_err().contains("write names"), "{json}");
        }
        assert!(wharf_plugin_sdk::settings::parse::<Settings>(r#"{"image":[]}"#).is_err());
    }
}
